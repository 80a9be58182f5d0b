"""History: the last changes of one object, so that a watch misses none and a scan sees one moment.

It is a part of the state. So each member has the same, also after a restart from a snapshot. The
changes are numbered, so that the oldest and the newest are found at once.
"""

from typing import Any

from raft_actors.kit.machine.step import Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["EVENTS_MAX", "changed_since", "note", "since"]

EVENTS_MAX = 10_000
"""So many changes of one object are kept."""
BOUNDS = "bounds"
"""The item (number of the oldest change, number of the next one, floor): changes up to the entry
`floor` were forgotten."""


def note(step: Step, kind: str, name: str, key: str, new: Any, old: Any) -> None:
    """Note that this command has changed `key` from `old` to `new`; None for nothing."""
    events = step.tables.change("history", kind, name)
    first, following, floor = events.get(BOUNDS, (0, 0, 0))
    events[following] = (step.index, key, new, old)
    if following - first == EVENTS_MAX:
        floor = events.pop(first)[0]
        first += 1
    events[BOUNDS] = (first, following + 1, floor)


def since(tables: Tables, kind: str, name: str, after: int) -> list[tuple[int, str, Any, Any]]:
    """Return (index, key, new, old) of each change after the entry `after`, the oldest first.

    Raises Refused if some of them were forgotten.
    """
    events = tables.look("history", kind, name)
    first, following, floor = events.get(BOUNDS, (0, 0, 0))
    if after < floor:
        raise Refused("forgotten", floor)
    number = following
    while number > first and events[number - 1][0] > after:
        number -= 1
    return [events[place] for place in range(number, following)]


def changed_since(tables: Tables, kind: str, name: str, at: int) -> dict[str, Any]:
    """Return what each key had at the entry `at`, of those that were changed after it."""
    before: dict[str, Any] = {}
    for _index, key, _new, old in since(tables, kind, name, at):
        before.setdefault(key, old)
    return before
