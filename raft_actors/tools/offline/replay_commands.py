"""Replay commands: `raft-actors recover replay` and `recover diff`.

Each imports what it needs when it is called: other commands, such as `node`, load this module too.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_actors.core.entry import COMMAND, VERSION, kind_of
from raft_actors.tools.offline.options import Json, Store

__all__ = ["run_diff", "run_replay"]

Source = Annotated[
    Path, typer.Argument(help="The data directory of one peer that is stopped, or a backup.")
]
MachineName = Annotated[
    str, typer.Option("--machine", metavar="MODULE:CLASS", help="The group's state machine.")
]
Uncommitted = Annotated[
    bool,
    typer.Option("--uncommitted", help="Also with entries that may never have been committed."),
]


def run_replay(
    path: Source,
    machine: MachineName,
    to: Annotated[int, typer.Option(min=0, help="The entry after which the state is shown.")],
    uncommitted: Uncommitted = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show the state as it was after one entry. Works on a copy."""
    from rich.console import Console

    from raft_actors.tools.offline.history import open_history
    from raft_actors.tools.offline.replay import find_machine, replay_from
    from raft_actors.tools.offline.replay_tables import show_state
    from raft_actors.tools.offline.replay_views import about_of
    from raft_actors.tools.offline.states import copy_of, shown

    kind = find_machine(machine)
    with open_history(path, store) as history, quiet():
        start = history.start_for(to, uncommitted=uncommitted)
        with replay_from(history, kind, start) as replay:
            replay.to(to)
            about, state = about_of(replay, start.index), copy_of(replay.applied)
    if as_json:
        rows = state.rows
        view: dict[str, Any] = {"type": state.kind}
        if rows is None:
            view["value"] = shown(state.whole)
        else:
            view["rows"] = [[shown(key), shown(value)] for key, value in rows.items()]
        typer.echo(json.dumps(about | {"state": view}, indent=1))
    else:
        show_state(Console(), about, state)


def run_diff(
    path: Source,
    first: Annotated[int, typer.Argument(metavar="I", min=0, help="The entry to begin after.")],
    last: Annotated[int, typer.Argument(metavar="J", min=0, help="The entry to end with.")],
    machine: MachineName,
    uncommitted: Uncommitted = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show what changed between two entries, and by what.

    The state after entry J is compared with the one after entry I; the commands in between are
    shown, too. Works on a copy.
    """
    from rich.console import Console

    from raft_actors.tools.offline.history import open_history
    from raft_actors.tools.offline.replay import find_machine, replay_from
    from raft_actors.tools.offline.replay_tables import show_difference
    from raft_actors.tools.offline.replay_views import about_of, command_view
    from raft_actors.tools.offline.states import copy_of, difference

    if first > last:
        raise typer.BadParameter(f"entry {first} is not before entry {last}: swap them")
    kind = find_machine(machine)
    commands: list[dict[str, Any]] = []

    def seen(index: int, entry: bytes, answer: bytes) -> None:
        if kind_of(entry) in (COMMAND, VERSION):
            commands.append(command_view(index, entry, answer))

    with open_history(path, store) as history, quiet():
        history.start_for(last, uncommitted=uncommitted)
        start = history.start_for(first, uncommitted=uncommitted)
        history.refuse_compacted(first + 1, last)
        with replay_from(history, kind, start) as replay:
            replay.to(first)
            before, state = about_of(replay, start.index), copy_of(replay.applied)
            replay.to(last, seen)
            after = about_of(replay, start.index)
            found = difference(state, copy_of(replay.applied))
    if as_json:
        typer.echo(
            json.dumps({"from": before, "to": after, **asdict(found), "commands": commands},
                       indent=1)
        )  # fmt: skip
    else:
        show_difference(Console(), before, after, found, commands)


@contextmanager
def quiet() -> Iterator[None]:
    """Let what a machine prints go to standard error: what is shown may be JSON."""
    with redirect_stdout(sys.stderr):
        yield
