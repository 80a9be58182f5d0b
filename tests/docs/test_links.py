"""Links, names of pages, and files that a page or a docstring names: all of them are there.

Each check was seen red once: a page named with hyphens, a link to a heading with another name, a
page that names a module which has moved or a method with another name, and a docstring that names a
page with another name.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
GENERATED = DOCS / "mutations.md"
"""Written by `python -m tests.mutations --write`; its files are relative to `tests`."""
STYLE = re.compile(r"[a-z]+(_[a-z]+)*\.md")
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")
SOURCE_FILE = re.compile(r"`([\w/]+\.py)\b")
METHOD = re.compile(r"`(?:await )?([A-Z]\w+)\.([a-z_]\w+)")
PAGE_NAME = re.compile(r"\bdocs/\s*(?:decisions/)?\s*[\w-]+\.md")
HOMES = (ROOT, ROOT / "raft_actors")


@dataclass(frozen=True)
class Body:
    """What one of our classes defines, and the names of the classes that it derives from."""

    names: set[str]
    bases: list[str]


@cache  # and not at once: every worker imports this module, and one runs the test
def classes() -> dict[str, Body]:
    found = {}
    for part in ("raft_actors", "supervision"):
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    names = set(re.findall(r"\w+", ast.unparse(node)))
                    found[node.name] = Body(names, [ast.unparse(base) for base in node.bases])
    return found


def has(kind: str, name: str) -> bool:
    """Tell whether a class, or one that it derives from, has a name. What is not ours may have."""
    body = classes().get(kind.partition("[")[0])
    return body is None or name in body.names or any(has(base, name) for base in body.bases)


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> Iterator[str]:
    """The names that GitHub gives to the headings of a page."""
    seen: dict[str, int] = {}
    for title in HEADING.findall(prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        seen[anchor] = seen.get(anchor, -1) + 1
        yield anchor if seen[anchor] == 0 else f"{anchor}-{seen[anchor]}"


@pages
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        name, _, heading = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{link}: there is no such file"
        assert not heading or heading in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_the_name_of_a_page_is_words_joined_by_underscores(page: Path) -> None:
    assert STYLE.fullmatch(page.name)


@pages
def test_a_source_file_that_a_page_names_is_there(page: Path) -> None:
    if page == GENERATED:
        return
    for name in SOURCE_FILE.findall(prose(page)):
        assert any((home / name).exists() for home in HOMES), f"{name}: there is no such file"


@pages
def test_a_method_that_a_page_names_is_there(page: Path) -> None:
    for kind, name in METHOD.findall(prose(page)):
        assert has(kind, name), f"{kind} has no {name}"


def test_a_page_that_the_source_names_is_there() -> None:
    for part in ("raft_actors", "supervision", "tests", "benchmarks", "examples"):
        for source in sorted((ROOT / part).rglob("*.py")):
            for found in PAGE_NAME.findall(source.read_text()):
                name = re.sub(r"\s+", "", found)
                assert (ROOT / name).exists(), f"{source.relative_to(ROOT)} names {name}"


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text())}
    assert {*DOCS.rglob("*.md")} - {index} <= linked
