"""Options: what several commands for stopped peers take."""

from pathlib import Path
from typing import Annotated

import typer

from raft_actors.errors import StoreError
from raft_actors.stores import durable_kind
from raft_actors.tools.launch import working_directory_first

__all__ = ["Directory", "Json", "Store", "To"]

Directory = Annotated[Path, typer.Argument(help="The data directory of one peer that is stopped.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def known_kind(kind: str | None) -> str | None:
    """Return `kind`, which the user has named and which can be imported, or None as it is."""
    if kind is None:
        return None
    if ":" in kind:
        working_directory_first()
    try:
        durable_kind(kind)
    except (ValueError, StoreError) as error:
        raise typer.BadParameter(str(error)) from error
    return kind


To = Annotated[
    str, typer.Option(help="The kind of store, as in Config(log_store=...).", callback=known_kind)
]
Store = Annotated[
    str | None,
    typer.Option(
        help="What the directory's log was written with, needed for a class: module:Class.",
        callback=known_kind,
    ),
]
