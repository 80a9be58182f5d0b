"""Future: an answer that one thread sets once, and for which other threads wait."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Future"]

logger: logging.Logger = logging.getLogger("raft_actors")

T = TypeVar("T")


class Future(Generic[T]):
    """An answer that is set once. The first answer counts; later ones are dropped.

    About ten times cheaper than `concurrent.futures.Future`, because it has one lock and no
    condition variable. The lock is taken at the start and released when the answer is set; each
    waiting thread takes it and releases it for the next one. Callbacks run on the thread that sets
    the answer and must return quickly.
    """

    __slots__ = ("_callbacks", "_error", "_gate", "_state", "_value")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._state = [False]  # the thread that pops this item may set: list.pop is atomic
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], None]] | None = []

    def set(self, value: T) -> bool:
        """Answer with `value`. Returns False if an answer was there already."""
        return self._settle(value, None)

    def set_exception(self, error: BaseException) -> bool:
        """Make `get` raise `error`. Returns False if an answer was there already."""
        return self._settle(None, error)

    def abandon(self) -> None:
        """End the wait: an answer that is set later is dropped, and a thread that still waits gets
        TimeoutError.
        """
        if not self.done():
            self.set_exception(TimeoutError("it was given up"))

    def done(self) -> bool:
        return self._callbacks is None

    def get(self, timeout: float | None = None) -> T:
        """Wait for the answer, at most `timeout` seconds.

        Raises TimeoutError if there is no answer in time, and the error that `set_exception` was
        called with. Ctrl-C interrupts the wait.
        """
        if self._callbacks is not None:  # not settled yet
            wait_s = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
            try:
                self._gate.acquire(timeout=wait_s)
            finally:  # also if Ctrl-C comes just as `acquire` returns: other threads wait, too
                if self._callbacks is None:
                    try:  # noqa: SIM105 - Ctrl-C may interrupt `suppress`, as it is a function
                        self._gate.release()
                    except RuntimeError:  # another thread has released the lock
                        pass
            if self._callbacks is not None:
                raise TimeoutError(f"no answer within {timeout} s")
        if self._error is not None:
            raise self._error.with_traceback(None)  # else each raise makes the traceback longer
        return self._value  # type: ignore[return-value]

    def add_done_callback(self, callback: "Callable[[Future[T]], None]") -> None:
        """Call `callback(self)` once the answer is there; at once if it is there already."""
        waiting = self._callbacks
        if waiting is not None:
            waiting.append(callback)
            if self._callbacks is not None:
                return
            # The answer was set meanwhile. Two threads may try to run the callback: the one that
            # takes it out of the list does.
            try:
                waiting.remove(callback)
            except ValueError:
                return
        callback(self)

    def _settle(self, value: T | None, error: BaseException | None) -> bool:
        first = True
        try:
            self._state.pop()
        except IndexError:
            first = False
        finally:  # also if Ctrl-C comes just as `pop` returns: no other thread can set it any more
            if first:
                self._value, self._error = value, error
                waiting, self._callbacks = self._callbacks, None
                try:  # noqa: SIM105 - Ctrl-C may interrupt `suppress`, as it is a function
                    self._gate.release()
                except RuntimeError:  # a thread that waited has released the lock
                    pass
        if not first:
            return False
        while waiting:
            try:
                callback = waiting.pop(0)
            except IndexError:
                break
            try:
                callback(self)
            except Exception:  # logged here: the thread that sets the answer goes on
                logger.exception("a callback of an answer raised")
        return True
