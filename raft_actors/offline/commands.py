"""Commands: `raft-actors migrate` and `raft-actors recover`, for directories of stopped peers."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from raft_actors.offline.examine import entries_of, examine
from raft_actors.offline.migrate import KINDS, migrate
from raft_actors.offline.stopped import stopped
from raft_actors.offline.tables import entries_table, show, show_findings

__all__ = ["recover", "run_migrate"]

ENTRIES_MAX = 1_000
"""Entries shown when it isn't said where to end."""

Directory = Annotated[Path, typer.Argument(help="The data directory of one peer that is stopped.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]

recover = typer.Typer(
    help="Look at, check and rescue a stopped peer's data; see docs/recovery.md.",
    no_args_is_help=True,
)


def run_migrate(
    directory: Directory,
    to: Annotated[str, typer.Option(help=f"The kind of store: {' or '.join(KINDS)}.")],
) -> None:
    """Move a stopped peer's log into a store of another kind. The old one is kept."""
    if to not in KINDS:
        raise typer.BadParameter(f"a durable store is {' or '.join(KINDS)}, not {to!r}")
    done = migrate(directory, to)
    if done.was_already:
        typer.echo(f"{directory} is {done.kind} already")
    else:
        entries = f"entries {done.first} to {done.last}, read back"
        typer.echo(f"{directory} is {done.kind} now: {entries}")
    if done.old is not None:
        typer.echo(f"the old log is no longer used; remove it when you like: {done.old}")
    typer.echo(f'start the peer with Config(log_store="{done.kind}")')


@recover.command("inspect")
def inspect_directory(directory: Directory, as_json: Json = False) -> None:
    """Show whose it is, its ballot, log, configurations and snapshots."""
    with stopped(directory) as store:
        found = examine(store)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        show(Console(), found)


@recover.command("entries")
def show_entries(
    directory: Directory,
    first: Annotated[int, typer.Option("--from", min=1, help="The first entry to show.")] = 1,
    last: Annotated[
        int | None, typer.Option("--to", min=1, help="The last; without it, up to 1,000.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show entries of the log: term, kind, and what is in them."""
    with stopped(directory) as store:
        first = max(first, store.first)
        last = min(store.last, first + ENTRIES_MAX - 1 if last is None else last)
        views = list(entries_of(store, first, last))
    if as_json:
        typer.echo(json.dumps(views, indent=1))
    else:
        Console().print(entries_table(views))


@recover.command("verify")
def verify_directory(directory: Directory, as_json: Json = False) -> None:
    """Read everything and check it. Exit status 1 if anything is damaged."""
    with stopped(directory) as store:
        found = examine(store)
    if as_json:
        typer.echo(json.dumps({"notes": found.notes, "problems": found.problems}, indent=1))
    else:
        show_findings(Console(), found)
        if found.problems:
            typer.echo(WHAT_TO_DO)
        else:
            count = sum(found.kinds.values())
            typer.echo(f"{directory}: sound; {count:,} entries and all snapshots were read")
    if found.problems:
        raise typer.Exit(1)


WHAT_TO_DO = (
    "Nothing here repairs it: what was acknowledged may be missing, and a peer that forgot what it "
    "promised could vote twice. If a majority of its group is alive: remove this peer from the "
    "group, move the directory away, add the peer again; it gets everything from the leader. If "
    "none is: restore a backup, see docs/recovery.md."
)
