"""Writes docs/otp_matrix.md: `python -m tests.supervision.otp_matrix`.

The cases and the reasons are in `otp_cases.txt`, in lines `case`, `case | different | reason`, and
`case | not here | reason`. The tests that play a case carry its name: `@otp(suite, case, ...)`.
"""

import ast
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "otp_matrix.md"

HEAD = """# Elixir's and OTP's test cases

The cases of the suites of Elixir (August 2026), and of OTP's supervisor and gen_server (2025),
and what they are here. This page is written by `python -m tests.supervision.otp_matrix`, from
the tests of this repository that carry the names of the cases.

- *the same*: a test here plays the case, and carries its name
- *ported before*: the case was ported once and passed, and no test here carries its name yet
- *different*: it is so on purpose, or in Python's way
- *not here*: there is no such thing, for the reason given
"""


def cases() -> dict[str, dict[str, tuple[str, str]]]:
    """The verdict and the reason of each case; a case without a verdict of its own has ("", "")."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for line in (HERE / "otp_cases.txt").read_text().splitlines():
        if line.startswith("## "):
            suite = found[line[3:]] = {}
        elif line and not line.startswith("# "):
            case, *rest = line.split(" | ")
            suite[case] = (rest[0], rest[1]) if rest else ("", "")
    return found


def text_of(node: ast.expr, constants: dict[str, str]) -> str:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.Name(name):
            return constants[name]
        case ast.BinOp(left, ast.Add(), right):
            return text_of(left, constants) + text_of(right, constants)
    raise ValueError(ast.dump(node))


def constants_of(module: ast.Module) -> dict[str, str]:
    found = {}
    for node in module.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Constant(str(text))):
                found[name] = text
            case ast.Assign([ast.Tuple(names)], ast.Tuple(texts)):
                pairs = zip(names, texts, strict=True)
                found |= {each.id: text.value for each, text in pairs}
    return found


def carried() -> dict[tuple[str, str], str]:
    """The test that plays each case, by its suite and its name."""
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        module = ast.parse(path.read_text())
        constants = constants_of(module)
        for node in ast.walk(module):
            for tag in getattr(node, "decorator_list", ()):
                match tag:
                    case ast.Call(ast.Name("otp"), args):
                        suite, *names = (text_of(each, constants) for each in args)
                        words = node.name.removeprefix("test_").replace("_", " ")
                        found |= {(suite, name): words for name in names}
    return found


def page() -> str:
    played, lines, total = carried(), [], dict.fromkeys(KINDS, 0)
    tables = []
    for suite, found in cases().items():
        counts = dict.fromkeys(KINDS, 0)
        rows = []
        for case, (verdict, reason) in found.items():
            test = played.get((suite, case))
            kind = "the same" if test else verdict or "ported before"
            counts[kind] += 1
            rows.append(f"| {case} | {kind} | {test or reason} |".replace("  |", " |"))
        tables += ["", f"## {suite}", "", "| case | | test, or reason |", "|---|---|---|", *rows]
        lines.append(f"| {suite} | {' | '.join(str(counts[kind]) for kind in KINDS)} |")
        total = {kind: total[kind] + counts[kind] for kind in KINDS}
    summary = [
        f"| suite | {' | '.join(KINDS)} |",
        f"|---|{'---|' * len(KINDS)}",
        *lines,
        f"| all {sum(total.values())} | {' | '.join(str(total[kind]) for kind in KINDS)} |",
    ]
    return "\n".join([HEAD, *summary, *tables, ""])


KINDS = ("the same", "ported before", "different", "not here")

if __name__ == "__main__":
    PAGE.write_text(page())
