"""Commands: `raft-actors migrate` and `raft-actors recover`, for directories of stopped peers.

Each imports what it needs when it is called: other commands, such as `node`, load this module too.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from raft_actors.config import default_log_store
from raft_actors.errors import REJOIN, StoreCorrupt
from raft_actors.tools.offline.options import Directory, Json, Store, To
from raft_actors.tools.offline.replay_commands import run_diff, run_replay

__all__ = ["recover", "run_migrate"]

DEFAULT: str = default_log_store()

ENTRIES_MAX = 1_000
"""Entries shown when it isn't said where to end."""

recover: typer.Typer = typer.Typer(
    help="Look at, check and rescue a stopped peer.\n\nSee docs/recovery.md.",
    no_args_is_help=True,
)

recover.command("replay")(run_replay)
recover.command("diff")(run_diff)


def run_migrate(
    directory: Directory,
    to: To,
    store: Store = None,
) -> None:
    """Move a stopped peer's log into a store of another kind. The old one is kept."""
    from raft_actors.tools.offline.migrate import migrate

    done = migrate(directory, to, store)
    if done.was_already:
        typer.echo(f"{directory} is {done.kind} already")
    else:
        entries = f"entries {done.first} to {done.last}, read back"
        typer.echo(f"{directory} is {done.kind} now: {entries}")
    if done.old is not None:
        typer.echo(f"the old log is no longer used; remove it when you like: {done.old}")
    typer.echo(f'start the peer with Config(log_store="{done.kind}")')


@recover.command("inspect")
def inspect_directory(directory: Directory, store: Store = None, as_json: Json = False) -> None:
    """Show owner, ballot, log, configurations, snapshots."""
    from rich.console import Console

    from raft_actors.tools.offline.examine import examine
    from raft_actors.tools.offline.stopped_peer import stopped
    from raft_actors.tools.offline.tables import show

    with stopped(directory, store) as opened:
        found = examine(opened)
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
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show entries of the log."""
    from rich.console import Console

    from raft_actors.tools.offline.entries import entries_of
    from raft_actors.tools.offline.stopped_peer import stopped
    from raft_actors.tools.offline.tables import entries_table

    with stopped(directory, store) as opened:
        saved = opened.load()
        first = max(first, saved.first)
        last = min(saved.last, first + ENTRIES_MAX - 1 if last is None else last)
        views = entries_of(opened, first, last)
        shown = json.dumps(list(views), indent=1) if as_json else entries_table(views)
    if isinstance(shown, str):
        typer.echo(shown)
    else:
        Console().print(shown)


@recover.command("verify")
def verify_directory(
    directory: Annotated[
        Path, typer.Argument(help="The data directory of one peer that is stopped, or a backup.")
    ],
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Read everything and check it. Exit status 1 if anything is damaged."""
    from rich.console import Console

    from raft_actors.tools.offline.examine import examine
    from raft_actors.tools.offline.stopped_peer import refused_in_words, stopped
    from raft_actors.tools.offline.tables import show_findings

    with refused_in_words(directory):
        is_backup = directory.is_file()
    if is_backup:
        verify_file(directory, as_json=as_json)
        return
    with stopped(directory, store) as opened:
        found = examine(opened)
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


def verify_file(path: Path, *, as_json: bool) -> None:
    from raft_actors.tools.offline.backup import verify_backup

    if not as_json:
        header = verify_backup(path)
        typer.echo(f"{path}: sound; a backup of all up to entry {header.last}")
        return
    problems = []
    try:
        verify_backup(path)
    except StoreCorrupt as error:
        problems.append(str(error))
    typer.echo(json.dumps({"notes": [], "problems": problems}, indent=1))
    if problems:
        raise typer.Exit(1)


@recover.command("force-configuration")
def force_configuration(
    directory: Directory,
    members: Annotated[
        list[str], typer.Argument(help="The members of the new group, each NAME:NODE.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    store: Store = None,
) -> None:
    """Let this peer go on when a majority is gone for good.

    What the lost ones had acknowledged may be gone. Best with this peer as the only member: it
    wins alone, and others are added to it as to any group, with empty directories.
    """
    from rich.console import Console

    from raft_actors.tools.offline.examine import examine
    from raft_actors.tools.offline.force_configuration import (
        CannotForce,
        force,
        parse_address,
        plan,
    )
    from raft_actors.tools.offline.stopped_peer import stopped
    from raft_actors.tools.offline.tables import show_findings, show_forcing

    addresses = [parse_address(text) for text in members]
    with stopped(directory, store) as opened:
        found = examine(opened)
        if found.problems:
            show_findings(Console(stderr=True), found)
            raise CannotForce(f"{directory} is damaged; nothing was changed. {WHAT_TO_DO}")
        forcing = plan(opened, addresses)
        show_forcing(Console(stderr=True), forcing)
        if not yes:
            before = forcing.before
            typed = typer.prompt("To go on, type the id of the old group", err=True)
            if typed.strip() != before.group:
                raise CannotForce(f"{typed!r} is not it; nothing was changed")
        force(opened, forcing)
    typer.echo(
        f"{':'.join(forcing.peer)} is of group {forcing.after.group} now, since entry "
        f"{forcing.index}, in term {forcing.ballot.term}: start it"
    )


@recover.command("export")
def export_directory(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="The backup to write.")],
    store: Store = None,
) -> None:
    """Write a stopped peer's data to one file.

    The file holds its snapshot and log, and checks itself.
    """
    from raft_actors.tools.offline.backup import export_backup
    from raft_actors.tools.offline.stopped_peer import stopped

    with stopped(directory, store) as opened:
        header = export_backup(opened, file)
    typer.echo(
        f"{file}: all up to entry {header.last}, of term {header.term}, "
        f"{file.stat().st_size:,} bytes, read back"
    )


@recover.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A backup: of `recover export` or `Raft.backup`.")],
    directory: Annotated[Path, typer.Argument(help="The data directory to make.")],
    peer: Annotated[str, typer.Option(help="Whose it will be, as NAME:NODE.")],
    to: To = DEFAULT,
) -> None:
    """Make a new group's first member from a backup. Others are added to it when it runs."""
    from raft_actors.tools.offline.backup import import_backup
    from raft_actors.tools.offline.force_configuration import parse_address

    after = import_backup(file, directory, peer=parse_address(peer), kind=to)
    typer.echo(
        f"{directory} is the directory of {peer}, the only member of group {after.group}: start it"
    )
    typer.echo(f'with Config(log_store="{to}"), then let others come with Raft.join')


WHAT_TO_DO = (
    "Nothing here repairs it: what was acknowledged may be missing, and a peer that forgot what it "
    f"promised could vote twice. If a majority of its group is alive: {REJOIN}. If none is: "
    "restore a backup, see docs/recovery.md."
)
