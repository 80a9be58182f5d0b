"""Pages that list something list all of it: Config's fields, a status, the reasons of errors."""

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

from raft_actors import Config, Raft
from raft_actors.wire.roles import RIGHTS, ROLES
from tests.helpers import eventually
from tests.peer_fixtures import make_peer, trio  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
KIB = 1024


def rows(page: str) -> list[tuple[list[str], list[str]]]:
    """The names in the first cell of each row of each table, and its cells."""
    lines = [
        line for line in (ROOT / "docs" / page).read_text().splitlines() if line.startswith("| `")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(re.findall(r"`(\w+)`", row[0]), row) for row in cells]


def value_of(text: str) -> object:
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"(\d+) MiB", lambda found: str(int(found[1]) * KIB * KIB), text)
    return ast.literal_eval(re.sub(r"(\d+) KiB", lambda found: str(int(found[1]) * KIB), text))


def test_the_page_of_config_has_every_field_with_its_default() -> None:
    defaults = {
        field.name: field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        for field in fields(Config)
    }
    told = {}
    for names, (_, default, *_) in rows("config.md"):
        values = value_of(default)
        told |= dict(zip(names, values if type(values) is tuple else (values,), strict=True))
    assert told == defaults


def test_the_page_of_watching_has_every_field_of_a_status(trio) -> None:  # noqa: F811
    names = trio()
    ok, status = Raft.status(eventually(lambda: Raft.leader(names[0])))
    assert ok == "ok"
    page = (ROOT / "docs" / "watching.md").read_text()
    fields_end, parts_end = page.index("### The followers"), page.index("## What to raise an alarm")
    assert told_in(page[:fields_end]) == {*status, "digest", "troubles", "trouble_codes"}
    for follower in status["followers"].values():
        assert told_in(page[fields_end:parts_end]) == {*follower}


def told_in(text: str) -> set[str]:
    """The names in the first cells of the tables."""
    rows = [line.strip("|").split(" | ")[0] for line in text.splitlines() if line.startswith("|")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_page_of_scenarios_names_every_transcript() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text()
    told = set(re.findall(r"`(\w+)`", page))
    assert {path.stem for path in (ROOT / "tests" / "scenarios").glob("*.txt")} <= told


def test_every_reason_that_is_answered_stands_on_the_page_of_errors() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    elsewhere = {
        "key_not_found",
        "already_registered",
        "shutdown",
    }  # a machine's, and supervision's
    for path in sorted((ROOT / "raft_actors").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.Tuple(elts=[ast.Constant("error"), ast.Constant(str(reason))])
                    | ast.Tuple(
                        elts=[
                            ast.Constant("error"),
                            ast.Tuple(elts=[ast.Constant(str(reason)), *_]),
                        ]
                    )
                ):
                    known = reason in elsewhere or f'"{reason}"' in page
                    assert known, f"{path.name} answers {reason!r}, and docs/errors.md has no word"


def test_the_page_of_nodes_says_what_each_role_may_send() -> None:
    page = (ROOT / "docs" / "nodes.md").read_text()
    table = page[page.index("| may be sent |") : page.index("What is not allowed is answered")]
    told: dict[str, tuple[set[str], set[str]]] = {role: (set(), set()) for role in ROLES}
    for line in table.splitlines()[2:]:
        what, *cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for role, cell in zip(ROLES, cells, strict=bool(what)):
            if cell == "yes":
                told[role]["actors" in what].update(re.findall(r"`(\w+)`", what))
    assert told == {
        role: (set(rights.requests), set(rights.actors)) for role, rights in RIGHTS.items()
    }
