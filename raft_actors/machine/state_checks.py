"""State checks: mistakes in a user's state machine that are noticed at the start, or by the type of
its state.
"""

import inspect
import logging
from typing import Any

from raft_actors import encoding
from raft_actors.machine.contract import RAISED, Machine, is_by_default
from raft_actors.machine.exceptions import place_of
from raft_actors.machine.state_image import pieces_of, put_together

__all__ = ["can_be_saved", "changed_type", "check_none", "keep", "snapshot_of"]

logger: logging.Logger = logging.getLogger("raft_actors.state_machine")


def snapshot_of(machine: Machine, state: Any) -> Any:
    """Return the result of the state machine's `snapshot`. If `snapshot` changes a state that can
    take changes back, they are taken back: each replica takes its snapshots at other entries, so
    the states would differ.
    """
    data = machine.snapshot(state)
    if hasattr(state, "rollback"):
        state.rollback()
    return data


def can_be_saved(machine: Machine, state: Any, name: str) -> bool:
    """Return whether snapshots are possible. This is tried at the start, so that the problem is
    noticed before the log has filled the disk.
    """
    try:
        for piece in pieces_of(snapshot_of(machine, state))[1]:
            encoding.dumps_stored(piece)
    except RAISED as error:
        kind = type(machine)
        if is_by_default(inspect.unwrap(kind.snapshot)):
            what = f"give {kind.__name__} a snapshot(state) and a restore(data)"
        else:
            what = f"mend {kind.__name__}.snapshot ({place_of(error, kind.snapshot)})"
        logger.warning("%s: no snapshots, so the log is kept whole: %s; %s", name, error, what)
        return False
    return True


def check_none(machine: Machine) -> None:
    """Raise ValueError if `restore` returns None for the snapshot of a first state that is None,
    and the snapshot is not None. At the next start such a `restore` could not be told from one that
    forgets to return the state.
    """
    kind, pieces = pieces_of(machine.snapshot(None))
    data = put_together(
        kind, (encoding.loads_stored(encoding.dumps_stored(each)) for each in pieces)
    )
    if data is not None and machine.restore(data) is None:
        name = type(machine).__name__
        raise ValueError(
            f"{name}.init returned None, and so does {name}.restore, from a snapshot of it: "
            "that can't be told from a restore that forgets to return the state. Return "
            "another state, which may be empty: a dict, a list, a tuple"
        )


def keep(state: Any) -> None:
    """Commit a new state that can take changes back. It may have been filled key by key, and
    without the commit the first command that raises would take that back.
    """
    if hasattr(state, "commit"):
        state.commit()


def changed_type(machine: Machine, before: Any, after: Any, index: int) -> str:
    """Return the warning that the entry after `index` has changed the type of the state."""
    new = "None" if after is None else f"a {type(after).__name__}"
    return (
        f"{type(machine).__name__}.handle_write made {new} of the state, a "
        f"{type(before).__name__}, at entry {index + 1}: unless that is meant, what was in it is "
        "gone on every replica. Return (reply, state); state.update(...), state.append(...) and "
        "the like return None"
    )
