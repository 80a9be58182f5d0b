"""The end of a process, told once to everyone who watches it."""

import logging
import threading
from collections.abc import Callable
from itertools import count

from supervision.errors import Reason

__all__ = ["Cancel", "Lifeline", "Watcher"]

logger = logging.getLogger("supervision")

Watcher = Callable[[Reason], None]
Cancel = Callable[[], None]


class Lifeline:
    """Outlives its process, and is cut exactly once.

    ended    None while the process lives, then the 1-tuple of its exit reason
    fenced   True if it was killed: its thread may still run, but its word counts no more
    """

    __slots__ = ("_keys", "_lock", "_watchers", "ended", "fenced")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = count()
        self._watchers: dict[int, Watcher] = {}
        self.ended: tuple[Reason] | None = None
        self.fenced = False

    def watch(self, watcher: Watcher) -> Cancel | None:
        """Have `watcher(reason)` called at the end. None, and no call, if that was before."""
        with self._lock:
            if self.ended:
                return None
            key = next(self._keys)
            self._watchers[key] = watcher
        return lambda: self._forget(key)

    def cut(self, reason: Reason, *, fenced: bool = False) -> bool:
        """Settle the end, whose first caller wins. `tell` then tells it; returns False if late."""
        with self._lock:
            if self.ended:
                return False
            self.ended, self.fenced = (reason,), fenced
            return True

    def tell(self) -> None:
        """Call the watchers, those who came first first, on this thread. For the one who cut."""
        assert self.ended
        with self._lock:
            watchers, self._watchers = self._watchers, {}
        for watcher in watchers.values():
            try:
                watcher(self.ended[0])
            except Exception:
                logger.exception("a watcher of an ended process failed: %r", watcher)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._watchers.pop(key, None)
