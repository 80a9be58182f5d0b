"""Containers: the lists, dicts and sets in the state of a replicated object. They note each change
in the state's journal, so that it can be taken back.

A value that comes into the state is copied, part by part. So two places of the state never share a
list: they would not share it any more on a replica that has restored the state from a snapshot, and
a change of it would make the replicas differ.

StateDict and StateSet are a dict and a set. StateList is no list, because functions like
`heapq.heappush` change a list past its methods, which nothing could take back; given a StateList
they raise.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, MutableSequence
from itertools import repeat
from typing import Any, SupportsIndex, TypeVar, overload

from raft_actors import encoding
from raft_actors.encoding import ATOMS, STORED_DEPTH_MAX
from raft_actors.encoding.value_types import fields_inside
from raft_actors.machine.contract import in_short
from raft_actors.machine.journal import Journal

__all__ = ["StateDict", "StateList", "StateSet", "plain", "taken"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

ABSENT: Any = object()
PLAIN = ATOMS - {str}
"""Types whose values can always be encoded. A str may have a lone surrogate."""
LEVELS_MAX = STORED_DEPTH_MAX - 10
"""How deep a value may be nested in an attribute. A snapshot needs some levels for itself."""
ORDERED_MAX = 1_000
"""When a key of a longer dict is removed and the update raises, the key comes back at the end."""

put, remove = dict.__setitem__, dict.__delitem__
add, discard = set.add, set.discard


def needs_check(value: Any) -> bool:
    """Tell whether a value may be impossible to encode, or has to be copied."""
    kind = type(value)
    return not value.isascii() if kind is str else kind not in PLAIN


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
                put(self, key, taken(self[key], self._journal, self._level + 1, what))

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


class StateList(MutableSequence[T]):
    """A list in a state. It has all methods and operators of a list; slices and copies are lists.

    `isinstance(x, list)` is False. Where a list is needed, take a copy: `[*x]`.
    """

    __slots__ = ("_came", "_items", "_journal", "_level")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, items: list[T], journal: Journal, level: int) -> None:
        self._items = items
        self._journal = journal
        self._level = level
        self._came: list[tuple[int, T]] = []

    # What changes nothing.

    def __repr__(self) -> str:
        return repr(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __reversed__(self) -> Iterator[T]:
        return reversed(self._items)

    def __contains__(self, value: object) -> bool:
        return value in self._items

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __eq__(self, other: object) -> Any:
        return self._items == bare(other)

    def __lt__(self, other: Any) -> Any:
        return self._items < bare(other)

    def __le__(self, other: Any) -> Any:
        return self._items <= bare(other)

    def __gt__(self, other: Any) -> Any:
        return self._items > bare(other)

    def __ge__(self, other: Any) -> Any:
        return self._items >= bare(other)

    def __add__(self, other: Any) -> list[T]:
        return self._items + bare(other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> list[T]:
        return bare(other) + self._items  # type: ignore[no-any-return]

    def __mul__(self, times: SupportsIndex) -> list[T]:
        return self._items * times

    __rmul__ = __mul__

    def copy(self) -> list[T]:
        return self._items.copy()

    def count(self, value: T) -> int:
        return self._items.count(value)

    def index(self, value: T, *bounds: Any) -> int:
        return self._items.index(value, *bounds)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles that are plain lists."""
        return list, (self._items,)

    # What changes the list.

    def append(self, value: T) -> None:
        items = self._items
        self._journal.undo.append((items.pop,))
        self._note(len(items), value)
        items.append(value)

    def extend(self, values: Iterable[T]) -> None:
        for value in [*values]:
            self.append(value)

    def __iadd__(self, values: Iterable[T]) -> "StateList[T]":  # type: ignore[misc]
        self.extend(values)
        return self

    def pop(self, index: SupportsIndex = -1) -> T:
        place = self._place(index)
        value = self._items[place]
        self._journal.undo.append((self._items.insert, place, value))
        return self._items.pop(place)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            values = [*value]
            place, _, step = index.indices(len(self._items))
            self._note_all()
            self._items[index] = values
            for each in values:
                self._note(place, each)
                place += step
            return
        place = self._place(index)
        before = self._items[place]
        self._journal.undo.append((self._items.__setitem__, place, before))
        if value is not before:
            self._note(place, value)
        self._items[place] = value

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            self._note_all()
            del self._items[index]
        else:
            self.pop(index)

    def insert(self, index: SupportsIndex, value: T) -> None:
        place, _, _ = slice(index, None).indices(len(self._items))
        self._journal.undo.append((self._items.pop, place))
        self._items.insert(place, value)
        self._note(place, value)

    def remove(self, value: T) -> None:
        del self[self._items.index(value)]

    def clear(self) -> None:
        self._note_all()
        self._items.clear()

    def reverse(self) -> None:
        self._note_all()
        self._items.reverse()

    def sort(self, *, key: Callable[[T], Any] | None = None, reverse: bool = False) -> None:
        self._note_all()
        self._items.sort(key=key, reverse=reverse)

    def __imul__(self, times: SupportsIndex) -> "StateList[T]":
        self[:] = self._items * times
        return self

    def _place(self, index: SupportsIndex) -> int:
        """Return an index from 0 on. Raises IndexError if the list has no such place."""
        place = index.__index__()
        if place < 0:
            place += len(self._items)
        if not 0 <= place < len(self._items):
            raise IndexError("list index out of range")
        return place

    def _note(self, place: int, value: Any) -> None:
        """Note that `value` came in at `place`."""
        if needs_check(value):
            if not self._came:
                self._journal.came.append(self)
            self._came.append((place, value))

    def _note_all(self) -> None:
        self._journal.undo.append((self._items.__setitem__, slice(None), self._items.copy()))

    def settle(self) -> None:
        """Take the values that came in into the state. Later changes may have moved them."""
        items = self._items
        moved: set[int] = set()
        for place, value in self._came:
            if place < len(items) and items[place] is value:
                self._take(place)
            else:
                moved.add(id(value))
        if moved:
            for place, value in enumerate(items):
                if id(value) in moved:
                    self._take(place)

    def _take(self, place: int) -> None:
        what = f"the state of {self._journal.name}, at index {place}"
        self._items[place] = taken(self._items[place], self._journal, self._level + 1, what)

    def forget(self) -> None:
        self._came = []


def bare(value: Any) -> Any:
    return value._items if type(value) is StateList else value


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
