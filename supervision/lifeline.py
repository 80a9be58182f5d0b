"""Lifeline: records that a process has ended, and calls each of its watchers once."""

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
    """The record of one process: whether it has ended, why, and its watchers. It is cut exactly
    once, when the process ends, and stays when the process is gone.

    ended    None while the process runs, then a tuple whose only element is the exit reason
    fenced   True if the process was killed: its thread may still run, but the process counts as
             ended
    """

    __slots__ = ("_first", "_keys", "_lock", "_present", "_watchers", "ended", "fenced")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may interrupt a method, and call another
        self._keys = count()
        self._first: dict[int, Watcher] = {}
        self._watchers: dict[int, Watcher] = {}
        self._present: int | None = None  # the key of the watcher that is being called
        self.ended: tuple[Reason] | None = None
        self.fenced: bool = False

    def watch(self, watcher: Watcher, *, first: bool = False) -> Cancel | None:
        """Call `watcher(reason)` when the process ends. Returns a function that cancels this.
        Returns None if the process has ended already; then the watcher is not called.

        first   call this watcher before those that are not `first`. It is for a watcher that frees
                something, a name for example, which other watchers use when they are called
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
        """Record the end. Only the first call has an effect: the attribute `ended` is then the very
        tuple of this call, and the caller calls `notify`.
        """
        with self._lock:
            if not self.ended:
                self.ended, self.fenced = ended, fenced

    def notify(self) -> None:
        """Call the watchers on this thread: first those with `first`, then the others, each group
        in the order in which they were added. Only the caller of the first `cut` calls this.

        An exception of a watcher is logged, and the other watchers are called, too. A Ctrl-C is
        raised when all have been called. The watcher that it interrupted is called a second time,
        because a missing call does more harm than a second one.
        """
        interrupt: BaseException | None = None
        while self._first or self._watchers:
            try:
                self._notify_all()
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _notify_all(self) -> None:
        assert self.ended
        for watchers in (self._first, self._watchers):
            for key in tuple(watchers):  # `next(iter(watchers))` would pass all deleted keys again
                watcher = watchers.get(key)
                if watcher is None:
                    continue  # a watcher that was called before has cancelled this one
                if self._present == key:  # a Ctrl-C has interrupted its first call
                    watchers.pop(key, None)
                self._present = key
                try:
                    watcher(self.ended[0])
                except BaseException as error:
                    if is_interrupt(error):
                        raise
                    who = text_of(watcher)
                    log(logging.ERROR, "a watcher of a process failed: %s", who, error=error)
                watchers.pop(key, None)
