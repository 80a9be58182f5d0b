"""Containers: how values come into the state of a replicated object, and out of it.

In the state, lists, dicts and sets are a StateList, StateDict and StateSet, which note each change
in the state's journal, so that it can be taken back.

A value that comes into the state is copied, part by part. So two places of the state never share a
list: they would not share it any more on a replica that has restored the state from a snapshot, and
a change of it would make the replicas differ.
"""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

from raft_actors import encoding
from raft_actors.encoding import ATOMS, STORED_DEPTH_MAX
from raft_actors.encoding.value_types import fields_inside
from raft_actors.machine.journal import PLAIN, Journal
from raft_actors.machine.state_dict import StateDict, StateSet
from raft_actors.machine.state_list import StateList

__all__ = ["StateDict", "StateList", "StateSet", "plain", "taken"]

LEVELS_MAX = STORED_DEPTH_MAX - 10
"""How deep a value may be nested in an attribute. A snapshot needs some levels for itself."""


def taken(value: Any, journal: Journal, level: int, what: str) -> Any:
    """Return a copy of a value for the state: its lists, dicts and sets are containers that note
    their changes.

    level  how many containers are around it
    what   its name in messages

    Raises TypeError or ValueError if it can't be encoded.
    """
    kind = type(value)
    if kind in PLAIN or (kind is str and value.isascii()):
        return value
    bare_value = plain(value, LEVELS_MAX - level, what)
    encoding.dumps_stored(bare_value, what)
    return contained(bare_value, journal, level)


def contained(value: Any, journal: Journal, level: int) -> Any:
    """Return `value`, which is plain and can be encoded, made of containers."""
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is dict:
        state = StateDict[Any, Any](journal, level)
        dict.update(state, zip(value, parts(value.values(), journal, level), strict=True))
        return state
    if kind is list:
        return StateList(list(parts(value, journal, level)), journal, level)
    if kind is set:
        members = StateSet[Any](journal)
        set.update(members, value)
        return members
    if kind is tuple:
        return tuple(parts(value, journal, level))
    check_fixed(value, journal.name)
    return value


def check_fixed(value: Any, name: str) -> None:
    """Raise TypeError for an object of a user's class that can be changed: nothing would note the
    change.
    """
    kind = type(value)
    params = getattr(kind, "__dataclass_params__", None)
    if params is not None and not params.frozen:
        raise TypeError(
            f"a {kind.__name__} in the state of {name} could be changed, and nothing could take "
            "that back: make it a frozen dataclass, and assign a changed copy "
            "(dataclasses.replace)"
        )
    for part in fields_inside(value) or ():
        if type(part) in (list, dict, set):
            raise TypeError(
                f"a {type(part).__name__} in a {kind.__name__} in the state of {name} could be "
                "changed, and nothing could take that back: use a tuple or a frozenset"
            )
        check_fixed(part, name)


def parts(values: Iterable[Any], journal: Journal, level: int) -> Iterable[Any]:
    if ATOMS.issuperset(map(type, values)):
        return values
    return map(contained, values, repeat(journal), repeat(level + 1))


def plain(value: Any, levels: int = LEVELS_MAX, what: str = "reply") -> Any:
    """Return a copy of a value in which all lists, dicts and sets are Python's own, and none is
    shared with the value.

    Raises ValueError if it is nested deeper than `levels`, because it contains itself maybe.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if levels < 0:
        raise ValueError(f"{what} is nested too deep, or contains itself")
    if kind is dict or kind is StateDict:
        return dict(zip(value, plain_parts(value.values(), levels, what), strict=True))
    if kind is list or kind is StateList:
        return list(plain_parts(value, levels, what))
    if kind is tuple:
        return tuple(plain_parts(value, levels, what))
    if kind is set or kind is StateSet:
        return set(value)
    return value


def plain_parts(values: Iterable[Any], levels: int, what: str) -> Iterable[Any]:
    if ATOMS.issuperset(map(type, values)):
        return values
    return map(plain, values, repeat(levels - 1), repeat(what))
