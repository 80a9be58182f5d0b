"""StateDict and StateSet: a dict and a set in the state of a replicated object, which note their
changes in a journal.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from raft_actors.machine.contract import in_short
from raft_actors.machine.journal import Journal, needs_check

__all__ = ["StateDict", "StateSet"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

ABSENT: Any = object()
ORDERED_MAX = 1_000
"""When a key of a longer dict is removed and the update raises, the key comes back at the end."""

put: Callable[[dict[Any, Any], Any, Any], None] = dict.__setitem__
remove: Callable[[dict[Any, Any], Any], None] = dict.__delitem__
add: Callable[[set[Any], Any], None] = set.add
discard: Callable[[set[Any], Any], None] = set.discard


class StateDict(dict[K, V]):
    """A dict in a state. It behaves like a dict.

    If an update raises, everything is as it was before. In a dict of more than 1,000 keys, a key
    that the update had removed is then at the end of the order; on every replica.
    """

    __slots__ = ("_came", "_journal", "_level")

    def __init__(self, journal: Journal, level: int) -> None:
        self._journal = journal
        self._level = level
        self._came: dict[K, None] = {}

    def __setitem__(self, key: K, value: V) -> None:
        journal = self._journal
        before = self.get(key, ABSENT)
        journal.undo.append((put_back, self, key, before))
        if before is ABSENT and needs_check(key):
            journal.keys.append((self, key))
        if value is not before and needs_check(value):
            if not self._came:
                journal.came.append(self)
            self._came[key] = None
        put(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._note_removal(key, self[key])
        remove(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        if key in self:
            self._note_removal(key, self[key])
        return super().pop(key, *default)

    def popitem(self) -> tuple[K, V]:
        if not self:
            return super().popitem()
        key = next(reversed(self))
        self._journal.undo.append((put_back, self, key, self[key]))
        return super().popitem()

    def clear(self) -> None:
        self._journal.undo.append((refill, self, dict(self)))
        super().clear()

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> "StateDict[K, V]":  # type: ignore[misc,override]
        self.update(other)
        return self

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> Any:
        return dict.fromkeys(keys, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles that are plain dicts."""
        return dict, (dict(self),)

    def _note_removal(self, key: K, value: V) -> None:
        if len(self) <= ORDERED_MAX:
            self._journal.undo.append((refill, self, dict(self)))
        else:
            self._journal.undo.append((put_back, self, key, value))

    def settle(self) -> None:
        for key in self._came:
            if key in self:
                what = f"the state of {self._journal.name}, at key {in_short(key)}"
                put(self, key, self._journal.take(self[key], self._level + 1, what))

    def forget(self) -> None:
        self._came = {}


def put_back(state: dict[K, V], key: K, value: V) -> None:
    if value is ABSENT:
        remove(state, key)
    else:
        put(state, key, value)


def refill(state: dict[K, V], before: dict[K, V]) -> None:
    dict.clear(state)
    dict.update(state, before)


class StateSet(set[T]):
    """A set in a state. It behaves like a set."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __repr__(self) -> str:
        return repr(set(self))

    def add(self, member: T) -> None:
        if member not in self:
            journal = self._journal
            journal.undo.append((discard, self, member))
            if needs_check(member):
                journal.keys.append((self, member))
            add(self, member)

    def discard(self, member: Any) -> None:
        if member in self:
            self._journal.undo.append((add, self, member))
            discard(self, member)

    def remove(self, member: T) -> None:
        if member not in self:
            raise KeyError(member)
        self.discard(member)

    def pop(self) -> T:
        member = super().pop()
        try:
            self._journal.undo.append((add, self, member))
        except TypeError:
            add(self, member)
            raise
        return member

    def clear(self) -> None:
        self._become(set())

    def update(self, *others: Iterable[T]) -> None:
        self._become(self.union(*others))

    def difference_update(self, *others: Iterable[Any]) -> None:
        self._become(self.difference(*others))

    def intersection_update(self, *others: Iterable[Any]) -> None:
        self._become(self.intersection(*others))

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        self._become(self.symmetric_difference(other))

    def __ior__(self, other: Any) -> "StateSet[T]":  # type: ignore[misc,override]
        self._become(self | other)
        return self

    def __isub__(self, other: Any) -> "StateSet[T]":  # type: ignore[misc]
        self._become(self - other)
        return self

    def __iand__(self, other: Any) -> "StateSet[T]":  # type: ignore[misc]
        self._become(self & other)
        return self

    def __ixor__(self, other: Any) -> "StateSet[T]":  # type: ignore[misc,override]
        self._become(self ^ other)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles that are plain sets."""
        return set, (list(self),)

    def _become(self, other: set[T]) -> None:
        for member in self - other:
            self.discard(member)
        for member in other:
            self.add(member)
