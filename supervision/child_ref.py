"""The refs of children by their ids: a supervisor as a book of names for a NamedRef."""

from collections.abc import Callable, Hashable
from typing import Any

from supervision.named_ref import NamedRef

__all__ = ["child_ref"]


class OneChild:
    """Finds one child of a supervisor. The supervisor is asked only if the ref found last has
    ended; it answers after the restart that is due.
    """

    __slots__ = ("_ask", "_found")

    def __init__(self, ask: Callable[[Hashable], Any | None]) -> None:
        self._ask = ask
        self._found: Any | None = None

    def whereis(self, id: Hashable, /) -> Any | None:  # noqa: A002
        found = self._found
        if found is None or not found.is_alive():
            found = self._found = self._ask(id)
        return found


def child_ref(ask: Callable[[Hashable], Any | None], id: Hashable) -> NamedRef:  # noqa: A002
    """Return a ref of the child with this id. `ask(id)` returns the ref that it has now."""
    return NamedRef(OneChild(ask), id)
