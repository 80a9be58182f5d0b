"""Replay tables: a state of before, and what changed in it, for people."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raft_actors.tools.offline.states import Difference, StateCopy, shown
from raft_actors.tools.offline.tables import address, pairs, shortened

__all__ = ["show_difference", "show_state"]

ROWS_MAX = 1_000
"""Keys, or commands, that a table shows."""


def show_state(console: Console, about: dict[str, Any], state: StateCopy) -> None:
    title = f"the state of {address(about['peer'])} after entry {about['index']:,}"
    console.print(Text(title), soft_wrap=True)
    console.print(pairs("", [*about_rows(about), ("type", state.kind)]))
    note_uncommitted(console, about)
    if state.rows is None:
        console.print(Text(shown(state.whole)), soft_wrap=True)
        return
    rows = [(shown(key), shown(value)) for key, value in list(state.rows.items())[:ROWS_MAX]]
    console.print(rows_table("", ("key", "value"), rows))
    say_more(console, len(state.rows))


def show_difference(
    console: Console,
    before: dict[str, Any],
    after: dict[str, Any],
    found: Difference,
    commands: list[dict[str, Any]],
) -> None:
    title = f"{address(after['peer'])}, from entry {before['index']:,} to {after['index']:,}"
    rows = about_rows(after)
    if before["version"] != after["version"]:
        rows[1] = ("version", f"{before['version']}, then {after['version']}")
    console.print(Text(title), soft_wrap=True)
    console.print(pairs("", rows))
    note_uncommitted(console, after)
    if found == Difference():
        console.print("the state is the same")
    for name, part in (("added", found.added), ("removed", found.removed)):
        if part:
            console.print(rows_table(name, ("key", "value"), part[:ROWS_MAX]))
            say_more(console, len(part))
    if found.changed:
        console.print(rows_table("changed", ("key", "before", "after"), found.changed[:ROWS_MAX]))
        say_more(console, len(found.changed))
    if found.replaced:
        console.print(rows_table("the states", ("before", "after"), [found.replaced]))
    if commands:
        console.print(commands_table(commands[:ROWS_MAX]))
        say_more(console, len(commands))


def about_rows(about: dict[str, Any]) -> list[tuple[str, Any]]:
    start = about["snapshot"]
    return [
        ("made from", f"the snapshot of entry {start:,}" if start else "the first entry on"),
        ("version", about["version"]),
        ("sessions", f"{about['sessions']:,}"),
    ]


def note_uncommitted(console: Console, about: dict[str, Any]) -> None:
    if about["index"] > about["committed"]:
        text = (
            f"note: entries after {about['committed']:,} may never have been committed: the group "
            "may have others in their place"
        )
        console.print(Text(text, style="yellow"), soft_wrap=True)


def say_more(console: Console, count: int) -> None:
    if count > ROWS_MAX:
        console.print(f"and {count - ROWS_MAX:,} more; --json tells all")


def rows_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shortened(each)) for each in row))
    return table


def commands_table(commands: list[dict[str, Any]]) -> Table:
    table = Table(title="commands", title_justify="left")
    for column in ("entry", "term", "time, session", "command, reply"):
        table.add_column(column, overflow="fold")
    for view in commands:
        session, sequence = view["request"]
        when = (view["time"] or "")[:19]
        if session:
            when += f"\n{session:x}/{sequence}"
        again = f", as at entry {view['first']:,}" if view["first"] else ""
        what = Text(shortened(str(view["data"])))
        if view["kind"] != "command":
            what = Text(f"{view['kind']} ").append(what)
        if view["reply"] is not None:
            what.append(f"\n{shortened(view['reply'])}{again}", style="dim")
        table.add_row(f"{view['index']:,}", str(view["term"]), when.strip(), what)
    return table
