"""Commands: `raft-actors migrate` and `raft-actors recover`, for stopped peers' directories."""

from pathlib import Path
from typing import Annotated

import typer

from raft_actors.offline.migrate import KINDS, migrate

__all__ = ["run_migrate"]

Directory = Annotated[Path, typer.Argument(help="The data directory of one peer, stopped.")]


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
        typer.echo(
            f"{directory} is {done.kind} now: entries {done.first} to {done.last}, read back"
        )
    if done.old is not None:
        typer.echo(f"the old log is no longer used; remove it when you like: {done.old}")
    typer.echo(f'start the peer with Config(log_store="{done.kind}")')
