"""Watches: which actors of this node other nodes watch. Their number is bounded for each node."""

import threading
from collections.abc import Callable
from reprlib import repr as shortened

__all__ = ["Watches"]

WATCHES_MAX = 10_000
"""Of actors of this node, by one other node: each takes about a kilobyte."""

Cancel = Callable[[], None]


class Watches:
    """By node and the number that it gave: how to end its watch. Any thread may call it, because a
    watch ends on the thread of the actor.
    """

    def __init__(self) -> None:
        self._watches: dict[str, dict[int, Cancel]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, self._watches.values()))

    def add(self, node: str, number: int) -> None:
        """Begin a watch. Raises ValueError if the number is none or is in use, and OverflowError if
        the node has too many.
        """
        with self._lock:
            watches = self._watches.get(node, {})
            if type(number) is not int or number in watches:
                raise ValueError(f"a watch has a new number, not {shortened(number)}")
            if len(watches) >= WATCHES_MAX:
                raise OverflowError(f"{node} watches {WATCHES_MAX} actors here already")
            self._watches.setdefault(node, watches)[number] = lambda: None

    def set_cancel(self, node: str, number: int, cancel: Cancel) -> None:
        """Say how to end a watch, unless it has ended already."""
        with self._lock:
            if number in self._watches.get(node, ()):
                self._watches[node][number] = cancel

    def take(self, node: str, number: int) -> Cancel | None:
        """Forget a watch. Return how to end it; None if it has ended already."""
        with self._lock:
            watches = self._watches.get(node, {})
            cancel = watches.pop(number, None)
            if not watches:
                self._watches.pop(node, None)
            return cancel

    def take_all(self, node: str) -> list[Cancel]:
        with self._lock:
            return list(self._watches.pop(node, {}).values())
