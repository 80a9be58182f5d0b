"""Journal: how the changes of one method of a replicated object are taken back, and checked.

While an update runs, each container of the object's state notes here how a change is taken back,
and which values came in. If the update raises, the notes are undone, the newest first. If it
succeeds, the new values are taken into the state: they are checked, and their lists, dicts and sets
become containers that note their changes, too. So the cost of an update depends only on what it
changes.
"""

from collections.abc import Callable
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.encoding import ATOMS

__all__ = ["PLAIN", "Journal", "StateIsFixed", "needs_check"]

PLAIN = ATOMS - {str}
"""Types whose values can always be encoded. A str may have a lone surrogate."""


def needs_check(value: Any) -> bool:
    """Return whether a value may be impossible to encode, or has to be copied."""
    kind = type(value)
    return not value.isascii() if kind is str else kind not in PLAIN


class StateIsFixed(TypeError):
    """A state was changed where it must not change: in a query, or while no method runs."""


class Container(Protocol):
    """A container of the state into which values came, see `raft_actors.machine.containers`."""

    def settle(self) -> None:
        """Take the values that came in into the state, as far as they are still there."""

    def forget(self) -> None:
        """Forget which values came in."""


class Journal:
    """The changes of the method that runs.

    name  of the class whose state it is, for messages
    taken returns the copy of a value for the state: see `containers.taken`
    undo  how the changes are taken back: functions with their arguments. While no update runs, it
          refuses to note anything. So a container need not ask whether it may change
    came  the containers into which values came that are not checked yet
    keys  (container, key) of keys, and members of sets, that came in and are not checked yet
    """

    __slots__ = ("came", "in_query", "keys", "name", "outside", "taken", "undo")

    def __init__(self, name: str, taken: Callable[[Any, "Journal", int, str], Any]) -> None:
        self.name: str = name
        self.taken: Callable[[Any, Journal, int, str], Any] = taken
        self.in_query: Refusing = Refusing(
            f"a query runs on one replica only, so it must not change the state of {name}: make it "
            "an update"
        )
        self.outside: Refusing = Refusing(
            f"the state of {name} changes only while an update runs: change it in an update"
        )
        self.undo: Any = self.outside
        self.came: list[Container] = []
        self.keys: list[tuple[Any, Any]] = []

    def begin_update(self) -> None:
        self.undo = []

    def begin_query(self) -> None:
        self.undo = self.in_query

    def settle(self) -> None:
        """Check the keys and values that came in, and take them into the state.

        Raises TypeError or ValueError for one that can't be encoded.
        """
        if self.keys:
            for container, key in self.keys:
                if key in container:
                    encoding.dumps_stored(key, f"a key in the state of {self.name}")
            self.keys.clear()
        if self.came:
            for each in self.came:
                each.settle()
            self.forget()

    def take(self, value: Any, level: int, what: str) -> Any:
        """Return the copy of a value for the state, below `level` containers."""
        return self.taken(value, self, level, what)

    def rollback(self) -> None:
        """Take back all changes since `begin_update`."""
        undo = self.undo
        if type(undo) is list:
            for function, *arguments in reversed(undo):
                function(*arguments)
        self.end()

    def end(self) -> None:
        """Keep the changes. No more are made until the next method runs."""
        self.undo = self.outside
        if self.came or self.keys:
            self.forget()

    def forget(self) -> None:
        for each in self.came:
            each.forget()
        self.came.clear()
        self.keys.clear()


class Refusing:
    """Takes the place of the notes while nothing may change."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why: str = why

    def append(self, _note: Any) -> None:
        raise StateIsFixed(self.why)
