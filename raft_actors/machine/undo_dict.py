"""UndoDict: a dict whose changes can be taken back. The cost depends only on the changes."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from raft_actors.encoding import ATOMS, are_constant

__all__ = ["UndoDict"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ABSENT: Any = object()
put: Callable[[dict[Any, Any], Any, Any], None] = dict.__setitem__
remove: Callable[[dict[Any, Any], Any], None] = dict.__delitem__


class UndoDict(dict[K, V]):
    """A dict that keeps the old value of each key that was changed since the last `commit`.

    With it a state machine may change its state in place. If a command raises, and after each read,
    the library calls `rollback`. After a command that succeeds, and after `init`, `restore` and
    `upgrade`, the library calls `commit`.

    >>> from raft_actors import UndoDict
    >>> state = UndoDict(a=1)
    >>> state["a"], state["b"] = 2, 3
    >>> state.rollback()
    >>> state
    {'a': 1}

    Only changes of the dict itself are taken back. If you append to a list in it, that is not taken
    back: put a new list in its place (`state[key] = [*state[key], value]`), or nest UndoDicts and
    call `commit` and `rollback` of the inner ones yourself.

    After `rollback` every key has its old value. A key that was deleted is then at the end of the
    dict's order; all others have their old place. This order is the same on every replica.

    As long as all values are None, bools, numbers, strings, bytes and tuples of these, a snapshot
    makes a quick copy of the dict, and no command waits while the copy is encoded.
    """

    __slots__ = ("_before", "_constant")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before: dict[K, V] = {}
        self._constant = are_constant(self.values())

    @property
    def holds_constants(self) -> bool:
        """Whether all values that the dict has ever had are immutable, like numbers and strings."""
        return self._constant

    def commit(self) -> None:
        """Keep the changes."""
        self._before.clear()

    def rollback(self) -> None:
        """Take back every change since the last `commit`, the newest first."""
        before, self._before = self._before, {}
        for key, value in reversed(before.items()):
            if value is not ABSENT:
                put(self, key, value)
            elif key in self:
                remove(self, key)

    # Every method that changes a dict.

    def __setitem__(self, key: K, value: V) -> None:
        before = self._before
        if key not in before:
            before[key] = self.get(key, ABSENT)
        if type(value) not in ATOMS and self._constant:
            self._constant = are_constant((value,))
        put(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._remember_last(key, self[key])
        remove(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        if key in self:
            self._remember_last(key, self[key])
        return super().pop(key, *default)

    def popitem(self) -> tuple[K, V]:
        key, value = super().popitem()
        self._remember_last(key, value)
        return key, value

    def clear(self) -> None:
        for key, value in reversed(self.items()):
            self._remember_last(key, value)
        super().clear()

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> "UndoDict[K, V]":  # type: ignore[misc,override]
        self.update(other)
        return self

    def _remember_last(self, key: K, value: V) -> None:
        """Move `key` to the end of the changes: `rollback` takes back the last removed key first,
        so that keys removed from the end of the dict return in their order.
        """
        before = self._before
        before[key] = before.pop(key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles with the values, but without the changes to take back."""
        return type(self), (dict(self),)
