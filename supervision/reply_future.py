"""ReplyFuture: the answer of an ask; and a Condition whose lock a Ctrl-C can't leave held."""

import queue
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pykka

from supervision.inbox import fail_future
from supervision.waits import Wait, Waiter, here, seconds

__all__ = ["Condition", "ReplyFuture"]


class ReplyFuture(pykka.Future[Any]):
    """The future of an ask. It knows the asked process, so that a process that waits for itself
    gets an error, and no deadlock.

    Pykka's own future waits with a threading.Condition. A Ctrl-C may leave its lock held, and then
    the process that answers waits for this lock for ever.

    asked   the process that was asked
    """

    asked: Waiter | None = None

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._result: tuple[Any, BaseException | None, Any] | None = None
        self._waiters: deque[queue.SimpleQueue[None]] = deque()

    def get(self, *, timeout: float | None = None) -> Any:
        if timeout is not None:
            timeout = seconds(timeout)
        if self._result is None:
            if self._get_hook is not None:
                return self._get_by_hook(timeout)
            self._await(timeout)
        assert self._result is not None
        value, error, traceback = self._result
        if error is not None:
            # With the traceback of the process that raised it, without those of earlier `get`s.
            raise BaseException.with_traceback(error, traceback)
        return value

    def _get_by_hook(self, timeout: float | None) -> Any:
        """Call the hook, or wait while another thread calls it: it is called only once."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:  # acquire inside of `try`: a Ctrl-C between the two would leave the lock held
            if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
                raise pykka.Timeout(f"{timeout} seconds")
            return super().get(timeout=deadline and deadline - time.monotonic())
        finally:
            with suppress(RuntimeError):  # this thread has not got the lock
                self._lock.release()

    def _await(self, timeout: float | None) -> None:
        settled: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waiters.append(settled)
        try:
            if self._result is not None:
                return  # set before `settled` was in `_waiters`
            if self.asked is None or getattr(here, "process", None) is None:
                settled.get(timeout=timeout)
            else:
                with Wait((self.asked,), "answered", partial(fail_future, self)):
                    settled.get(timeout=timeout)
        except queue.Empty:
            if self._result is None:
                raise pykka.Timeout(f"{timeout} seconds") from None
        finally:
            with suppress(ValueError):
                self._waiters.remove(settled)

    def set(self, value: Any | None = None) -> None:
        self._settle((value, None, None))

    def set_exception(self, exc_info: Any = None) -> None:
        kind, error, traceback = exc_info or sys.exc_info()
        self._settle((None, kind() if error is None and kind else error, traceback))

    def _settle(self, result: tuple[Any, BaseException | None, Any]) -> None:
        with self._lock:
            if self._result is not None or self._get_hook is not None:
                raise queue.Full
            self._result = result
        for settled in tuple(self._waiters):
            settled.put(None)

    def set_get_hook(self, func: Any) -> None:
        with self._lock:
            if self._result is not None:
                raise queue.Full
            super().set_get_hook(func)


class Condition(threading.Condition):
    """A Condition whose `with` calls the methods of the lock itself. They are written in C, so a
    Ctrl-C can't leave the lock held.
    """

    if not TYPE_CHECKING:
        __enter__ = property(lambda self: self._lock.__enter__)
        __exit__ = property(lambda self: self._lock.__exit__)
