"""Every snippet of the documents runs or is checked; none is skipped.

```python blocks of a file run in order in one process of their own. ```sh blocks, the `$ ` lines
of ```text blocks, and inline commands are checked against what they call; the demo is run by
tests/tools/shell/test_demo.py, the README's test command by .ci/run. ```ipython blocks are played
by tests/tools/shell/test_story.py. Any other kind of block must be `text`.
"""

import ast
import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from raft_actors.tools.commands import app
from tests.tools.shell.terminal import environment

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE_COMMAND = re.compile(r"`((?:raft-actors|python -m|pytest) [^`]+)`")
PROMPT = re.compile(r"^\$ (.*)$", re.MULTILINE)
SETTING = re.compile(r"([A-Z_]+)=.*")
OURS = ("benchmarks", "examples", "raft_actors", "tests")

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(path: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(path.read_text()) if found == kind]


@documents
def test_python_snippets_run_in_order(path: Path, tmp_path: Path) -> None:
    program = "\n\n".join(blocks(path, "python"))
    if not program:
        return
    (tmp_path / "snippets.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "snippets.py"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=os.environ | environment(tmp_path) | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@documents
def test_blocks_are_of_a_kind_that_is_tested(path: Path) -> None:
    kinds = {kind for kind, _ in BLOCK.findall(path.read_text())}
    assert kinds <= {"python", "ipython", "sh", "text"}


@documents
def test_commands_are_such_that_they_run(path: Path) -> None:
    lines = "\n".join(blocks(path, "sh")).replace("\\\n", " ").splitlines()
    lines += PROMPT.findall("\n".join(blocks(path, "text")))
    commands = [part.strip() for line in lines for part in line.split("&&") if part.strip()]
    for command in commands + INLINE_COMMAND.findall(path.read_text().replace("\n", " ")):
        words = shlex.split(command, comments=True)
        while words and (setting := SETTING.fullmatch(words[0])):
            check_setting(setting[1])
            words.pop(0)
        check_command(words)


def check_setting(name: str) -> None:
    """Fail unless some program of ours looks at this environment variable."""
    files = (file for part in OURS for file in (ROOT / part).rglob("*.py"))
    assert any(f'"{name}"' in file.read_text() for file in files), f"nobody looks at {name}"


def check_command(words: list[str]) -> None:
    """Fail unless the command is one that we know, with options and extras that exist."""
    match words:
        case []:
            pass
        case ["raft-actors" | ".venv/bin/raft-actors", *options]:
            check_options(options)
        case ["python3", "-m", "venv", ".venv"] | ["source", ".venv/bin/activate"]:
            pass
        case [".venv/bin/pip", "install", *_, target]:
            check_extras(target)
        case [".venv/bin/python", "-m", "pytest", "-n", workers]:
            assert workers.isdecimal()
        case ["pytest", *targets] | [".venv/bin/python" | "python", "-m", "pytest", *targets]:
            for target in targets:
                assert "/" not in target or (ROOT / target).exists(), target
        case [".venv/bin/python" | "python", "-m", module, *_]:
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
        case ["openssl" | "printf", *_]:  # run by test_openssl.py
            pass
        case [".venv/bin/ruff" | ".venv/bin/mypy", *_]:
            pass
        case [program, *_]:
            assert (ROOT / program).is_file(), f"nobody checks {shlex.join(words)}"
            assert os.access(ROOT / program, os.X_OK)


def check_options(options: list[str]) -> None:
    group = get_command(app)
    if options in (["--version"], ["--help"]):
        return
    command = group.get_command(None, options[0])  # type: ignore[attr-defined]
    assert command is not None, f"raft-actors has no command {options[0]}"
    if options[1:] or options == ["demo"]:  # else the command is only spoken of
        command.make_context(options[0], options[1:])


def check_extras(target: str) -> None:
    found = re.fullmatch(r"(?:\.|raft_actors)\[([\w,]+)\]", target)
    assert found, target
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(found[1].split(",")) <= set(setup["options.extras_require"])


def bare(source: str, name: str) -> str:
    """The class as it is without its docstring and annotations, to compare two spellings."""
    (found,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    for node in ast.walk(found):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            if ast.get_docstring(node):
                node.body = node.body[1:]
            if isinstance(node, ast.FunctionDef):
                node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(found)


@pytest.mark.parametrize(
    ("example", "name"),
    [("kv_store.py", "KVStore"), ("kv_tree.py", "KVStoreSupervisor")],
)
def test_the_example_is_what_the_readme_shows(example: str, name: str) -> None:
    shown = "\n".join(blocks(ROOT / "README.md", "python"))
    assert bare(shown, name) == bare((ROOT / "examples" / example).read_text(), name)


def test_the_readme_has_one_command_for_the_demo_and_one_for_the_tests() -> None:
    text = (ROOT / "README.md").read_text()
    for marker, end in (("demo", "raft-actors demo"), ("tests", "-m pytest -n 4 --dist worksteal")):
        (command,) = re.findall(rf"<!-- {marker} -->\n```sh\n([^\n]+)\n```", text)
        assert command.endswith(end)
