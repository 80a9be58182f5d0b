"""The end of a process, told once to everyone who watches it."""

import logging
import threading
from collections.abc import Callable
from itertools import count

from supervision.errors import Reason
from supervision.foreign import is_interrupt, log, text_of

__all__ = ["Cancel", "Lifeline", "Watcher"]

Watcher = Callable[[Reason], None]
Cancel = Callable[[], None]


class Lifeline:
    """Outlives its process, and is cut exactly once.

    ended    None while the process lives, then the 1-tuple of its exit reason
    fenced   True if it was killed: its thread may still run, but its word counts no more
    """

    __slots__ = ("_first", "_keys", "_lock", "_telling", "_watchers", "ended", "fenced")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may watch while its thread does
        self._keys = count()
        self._first: dict[int, Watcher] = {}
        self._watchers: dict[int, Watcher] = {}
        self._telling: int | None = None
        self.ended: tuple[Reason] | None = None
        self.fenced = False

    def watch(self, watcher: Watcher, *, first: bool = False) -> Cancel | None:
        """Have `watcher(reason)` called at the end. None, and no call, if that was before.

        first   before all that are not: it frees what others take as soon as they hear
        """
        watchers = self._first if first else self._watchers
        key = next(self._keys)
        with self._lock:
            if self.ended:
                return None
            watchers[key] = watcher

        def cancel() -> None:
            with self._lock:
                watchers.pop(key, None)

        return cancel

    def cut(self, ended: tuple[Reason], *, fenced: bool = False) -> None:
        """Settle the end. The first caller wins: `ended` is then its tuple, and it calls `tell`."""
        with self._lock:
            if not self.ended:
                self.ended, self.fenced = ended, fenced

    def tell(self) -> None:
        """Call the watchers, those who came first first, on this thread. For the one who cut.

        One that raises is logged, and hides nothing from the others. A Ctrl-C meanwhile is raised
        when all have heard. Where it came the watcher is called once more: better twice than never.
        """
        interrupt: BaseException | None = None
        while self._first or self._watchers:
            try:
                self._tell_all()
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _tell_all(self) -> None:
        assert self.ended
        for watchers in (self._first, self._watchers):
            for key in tuple(watchers):  # the oldest each time would be looked for among the gone
                watcher = watchers.get(key)
                if watcher is None:
                    continue  # cancelled by one of those before it
                if self._telling == key:
                    watchers.pop(key, None)
                self._telling = key
                try:
                    watcher(self.ended[0])
                except BaseException as error:
                    if is_interrupt(error):
                        raise
                    who = text_of(watcher)
                    log(logging.ERROR, "a watcher of a process failed: %s", who, error=error)
                watchers.pop(key, None)
