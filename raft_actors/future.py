"""Future: a light one-shot answer, set by one thread and awaited by others."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Future"]

logger = logging.getLogger("raft_actors")

T = TypeVar("T")


class Future(Generic[T]):
    """An answer that comes once. Whoever sets it first wins; later answers are dropped.

    Cheaper than `concurrent.futures.Future` by an order of magnitude, for there is one lock
    and no condition: the lock is held until the answer is there, and waiters pass it on.
    Callbacks run on the thread that sets the answer and must be quick.
    """

    __slots__ = ("_callbacks", "_error", "_gate", "_state", "_value")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._state = [False]  # popped by the one who may set: list.pop is atomic
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
        """Nobody waits any more: who does all the same gets TimeoutError, and no answer counts."""
        if not self.done():
            self.set_exception(TimeoutError("it was given up"))

    def done(self) -> bool:
        return self._callbacks is None

    def get(self, timeout: float | None = None) -> T:
        """Wait for the answer, at most `timeout` seconds.

        Raises TimeoutError when it does not come in time, and what `set_exception` was given.
        Ctrl-C interrupts the wait.
        """
        if self._callbacks is not None:  # not settled yet
            wait_s = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
            try:
                self._gate.acquire(timeout=wait_s)
            finally:  # also for Ctrl-C just as `acquire` returns: others wait, too
                if self._callbacks is None:
                    try:  # noqa: SIM105 - `suppress` is a function that Ctrl-C may come in
                        self._gate.release()
                    except RuntimeError:  # another has released it
                        pass
            if self._callbacks is not None:
                raise TimeoutError(f"no answer within {timeout} s")
        if self._error is not None:
            raise self._error.with_traceback(None)  # else it grows each time it is raised
        return self._value  # type: ignore[return-value]

    def add_done_callback(self, callback: "Callable[[Future[T]], None]") -> None:
        """Call `callback(self)` once the answer is there; at once if it is there already."""
        waiting = self._callbacks
        if waiting is not None:
            waiting.append(callback)
            if self._callbacks is not None:
                return
            # Settled meanwhile: whoever takes the callback out of the list runs it.
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
        finally:  # also for Ctrl-C just as `pop` returns: nobody else will settle it
            if first:
                self._value, self._error = value, error
                waiting, self._callbacks = self._callbacks, None
                try:  # noqa: SIM105 - `suppress` is a function that Ctrl-C may come in
                    self._gate.release()
                except RuntimeError:  # by one who has waited
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
            except Exception:  # it is not the trouble of who answers
                logger.exception("a callback of an answer raised")
        return True
