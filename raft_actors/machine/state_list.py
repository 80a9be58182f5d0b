"""StateList: a list in the state of a replicated object, which notes its changes in a journal.

It is no list, because functions like `heapq.heappush` change a list past its methods, which nothing
could take back; given a StateList they raise.
"""

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import Any, ClassVar, SupportsIndex, TypeVar, overload

from raft_actors.machine.journal import Journal, needs_check

__all__ = ["StateList"]

T = TypeVar("T")


class StateList(MutableSequence[T]):
    """A list in a state. It has all methods and operators of a list; slices and copies are lists.

    `isinstance(x, list)` is False. Where a list is needed, take a copy: `[*x]`.
    """

    __slots__ = ("_came", "_items", "_journal", "_level")
    __hash__: ClassVar[None] = None  # type: ignore[assignment]

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
        self._items[place] = self._journal.take(self._items[place], self._level + 1, what)

    def forget(self) -> None:
        self._came = []


def bare(value: Any) -> Any:
    return value._items if type(value) is StateList else value
