"""States: what a state is at one entry, kept apart from what becomes of it, and what changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raft_actors import encoding
from raft_actors.errors import HostError
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.state_image import pieces_of, put_together

__all__ = ["Difference", "StateCopy", "copy_of", "difference", "shown"]

Part = bytes | str
"""One value: a term encoded, which equal values of one type are alike; the repr of any other."""


@dataclass(slots=True)
class StateCopy:
    """A state as it was.

    kind   the name of its type
    rows   keys and values of a mapping; None for any other state
    whole  a state that is no mapping
    """

    kind: str
    rows: dict[Part, Part] | None = None
    whole: Part = ""


@dataclass(slots=True)
class Difference:
    """What changed between two states.

    added, removed  (key, value)
    changed         (key, value before, value after)
    replaced        (before, after) of states that are not both mappings, if they differ
    """

    added: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str, str]] = field(default_factory=list)
    replaced: tuple[str, str] | None = None


def copy_of(applied: ReplicatedState) -> StateCopy:
    """Take a copy of the state, which later commands may change in place."""
    kind, form = type(applied.state).__name__, form_of(applied)
    rows = rows_of(form)
    if rows is None:
        return StateCopy(kind, whole=part(form))
    return StateCopy(kind, {part(key): part(value) for key, value in rows})


def form_of(applied: ReplicatedState) -> Any:
    """Return the state itself where it is a mapping or a term; else what its snapshot holds."""
    state = applied.state
    if rows_of(state) is not None or isinstance(part(state), bytes):
        return state
    try:
        kind, pieces = pieces_of(applied.what_snapshot_gives())
        data = put_together(kind, iter(pieces))
        return tuple(data) if kind == "pieces" else data
    except Exception:  # of a machine without snapshots
        return state


def rows_of(state: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the items of a mapping, also of one on disk; None for any other state."""
    if isinstance(state, Mapping) or (hasattr(state, "items") and hasattr(state, "_raft_table")):
        return state.items()  # type: ignore[no-any-return]
    return None


def part(value: Any) -> Part:
    try:
        return encoding.dumps_stored(value)
    except Exception:  # no term
        return repr(value)


def shown(part: Part) -> str:
    if isinstance(part, str):
        return part
    try:
        return repr(encoding.loads_shown(part))
    except (ValueError, HostError):  # not to be read here
        return repr(part)


def difference(before: StateCopy, after: StateCopy) -> Difference:
    found = Difference()
    if before.rows is None or after.rows is None:
        if before != after:
            found.replaced = text_of(before), text_of(after)
        return found
    old, new = before.rows, after.rows
    for key, value in new.items():
        if key not in old:
            found.added.append((shown(key), shown(value)))
        elif old[key] != value:
            found.changed.append((shown(key), shown(old[key]), shown(value)))
    found.removed = [(shown(key), shown(value)) for key, value in old.items() if key not in new]
    return found


def text_of(state: StateCopy) -> str:
    if state.rows is None:
        return shown(state.whole)
    return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in state.rows.items()) + "}"
