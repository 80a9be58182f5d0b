"""The table of docs/mutations.md: a row for each planted bug, with what catches it."""

from collections.abc import Sequence

from tests.mutations.every import MUTATIONS
from tests.mutations.mutation import Mutation
from tests.mutations.planting import NOT_PLAYED, ROOT, Catch

TABLE = ROOT / "docs" / "mutations.md"
HEAD = ("| planted bug | rule | module | test | simulation |", "|---|---|---|---|---|")
NOTHING = "**nothing**"


def row(mutation: Mutation, caught: Catch) -> str:
    test = f"`{caught.test}`" if caught.test else "-"
    if not caught.test and not caught.simulation:
        test = NOTHING
    return (
        f"| {mutation.name} | {mutation.rule} | `{mutation.module}` | {test} "
        f"| {caught.simulation or '-'} |"
    )


def summary(rows: Sequence[str]) -> str:
    survivors = sum(NOTHING in each for each in rows)
    return f"{len(rows)} planted, {len(rows) - survivors} caught, {survivors} survive"


def split_table(text: str) -> tuple[str, str, str]:
    """Return what stands before the table in the document, the table, and what stands after it."""
    before, rest = text.split("<!-- table -->\n", 1)
    table, after = rest.split("<!-- end of table -->\n", 1)
    return before, table, after


def known_rows(table: str) -> dict[str, str]:
    """Return the rows of the table by the names of their bugs."""
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


def write_table(tried: dict[str, str]) -> None:
    """Put the rows into the document's table. Those that were not tried stay what they are, and so
    does the simulation's cell of those that it did not play; what is planted no more goes.
    """
    before, table, after = split_table(TABLE.read_text())
    known = known_rows(table)
    for name, text in tried.items():
        if name in known and text.endswith(f"| {NOT_PLAYED} |"):
            text = text.removesuffix(f"{NOT_PLAYED} |") + known[name].rpartition(" | ")[2]
        known[name] = text
    rows = [known[mutation.name] for mutation in MUTATIONS if mutation.name in known]
    table = "\n".join([*HEAD, *rows, "", f"{summary(rows)}."])
    TABLE.write_text(f"{before}<!-- table -->\n{table}\n<!-- end of table -->\n{after}")
