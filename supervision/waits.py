"""Which process waits for which, so that processes that wait for each other get an error.

The thread of a process waits for one thing at a time: for the start of a child, for the end of
other processes, or for an answer. If such waits form a circle, none of them ever ends. The circle
is broken at one wait for an answer, or at one `stop`: this wait raises CallingSelf. A circle that
consists only of asks is not broken: the timeouts of the asks end it, as in Pykka.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol, TypeAlias

from supervision.errors import CallingSelf
from supervision.foreign import is_a, text_of
from supervision.lifeline import Lifeline

__all__ = ["Wait", "await_end", "here", "seconds"]

here: threading.local = threading.local()
"""`here.process` is the process that runs on the current thread."""


class Waiter(Protocol):
    """A ref of a process, as this file needs it.

    wait      what the thread of the process waits for now; None: nothing
    started   True when the start of the process has succeeded
    """

    wait: "Wait | None"
    started: bool
    _lifeline: Lifeline


class Wait:
    """`with Wait(on, until, break_off):` stands around code that waits. On a thread that belongs to
    no process it does nothing.

    on         the processes that are waited for
    until      what these must have done: "started", "ended", "answered"
    break_off  ends this wait: called, on any thread, with the CallingSelf that the wait is to
               raise. None: this wait can't be broken off

    `__enter__` raises CallingSelf if this wait closes a circle that is to be broken at this wait.
    """

    __slots__ = ("before", "break_off", "me", "on", "until")

    def __init__(
        self,
        on: tuple[Waiter, ...],
        until: str,
        break_off: Callable[[CallingSelf], None] | None = None,
    ) -> None:
        self.on: tuple[Waiter, ...] = on
        self.until: str = until
        self.break_off: Callable[[CallingSelf], None] | None = break_off
        process = getattr(here, "process", None)
        self.me: Waiter | None = None if process is None else process._actor_ref
        self.before: Wait | None = None

    def __enter__(self) -> None:
        me = self.me
        if me is None:
            return
        self.before, me.wait = me.wait, self
        broken: set[Wait] = set()
        try:
            while (others := self._circle(broken)) is not None:
                broken.add(self._break(others))
        except BaseException:
            me.wait = self.before
            raise

    def __exit__(self, *_error: object) -> None:
        if self.me is not None:
            self.me.wait = self.before

    def _circle(self, broken: "set[Wait]") -> "tuple[Wait, ...] | None":
        """Return the other waits of a circle that this wait closes, in the order of the circle.
        None if there is no circle, apart from broken ones and those that consist only of asks.

        There may be far more paths than waits. So each wait is visited twice at most: once on a
        path that consists only of asks, and once on another path.
        """
        passed: set[tuple[Wait, bool]] = set()
        ways: deque[tuple[Waiter, bool, Way]] = deque(
            (ref, self.until == "answered", None) for ref in self.on
        )
        while ways:
            ref, only_asks, way = ways.popleft()
            if ref is self.me and (way is None or not only_asks):
                return waits_of(way)
            wait = ref.wait
            if ref is self.me or wait is None or wait in broken or (wait, only_asks) in passed:
                continue
            if not only_asks and (wait, True) in passed and wait in waits_of(way):
                continue  # the path has closed a circle that this wait is not part of
            passed.add((wait, only_asks))
            ways += [
                (beyond, only_asks and wait.until == "answered", (wait, way))
                for beyond in wait.on
                if not wait.is_over(beyond)
            ]
        return None

    def is_over(self, ref: Waiter) -> bool:
        """Return whether `ref` has done what this wait waits for. The waiting thread may not have
        woken up yet.
        """
        return bool(ref._lifeline.ended) or (self.until == "started" and ref.started)

    def _break(self, others: "tuple[Wait, ...]") -> "Wait":
        """Break the circle at one wait, and return this wait.

        The search begins at the process that is to start or to end, `order[0].me`, and takes the
        first wait in the circle that can be broken off. The cause of the circle is that this
        process waits although another one waits for its start or its end; the processes that only
        wait for answers are not the cause.
        """
        circle = (self, *others)
        at = next((at for at, wait in enumerate(circle) if wait.until != "answered"), None)
        if at is None:
            raise CallingSelf(f"{self.me} waits for its own answer; call the method directly")
        stuck, order = circle[at], (*circle[at + 1 :], *circle[: at + 1])
        error = CallingSelf(
            f"{stuck.me} waits until {order[0].me} has {stuck.until}: use tell, and don't wait"
        )
        broken = next((wait for wait in order if wait.break_off is not None), self)
        if broken is self or broken.break_off is None:
            raise error
        broken.break_off(error)
        return broken


Way: TypeAlias = "tuple[Wait, Way] | None"
"""A path through the waits: its last wait, and the path to this wait."""


def waits_of(way: Way) -> tuple[Wait, ...]:
    """Return the waits of a path, the first wait first."""
    waits = []
    while way is not None:
        wait, way = way
        waits.append(wait)
    return tuple(reversed(waits))


class Broken:
    """Put into the queue of `await_end`, in place of an exit reason, to break the wait off."""

    __slots__ = ("error",)

    def __init__(self, error: CallingSelf) -> None:
        self.error: CallingSelf = error


def await_end(ended: "queue.SimpleQueue[Any]", timeout_s: float | None) -> Any:
    """Wait for the next value in the queue, an exit reason most often, and return it.

    timeout_s   seconds to wait; None: without a bound

    Raises queue.Empty after that time, and CallingSelf if the wait is broken off.
    """
    reason = ended.get(timeout=timeout_s)
    if type(reason) is Broken:
        raise reason.error
    return reason


def seconds(value: Any, what: str = "timeout") -> float:
    """Return the seconds to wait: 0.0 for a negative number, and the longest time that a lock can
    wait for infinity.

    Raises TypeError for a value that is no number, also for True, and ValueError for nan.
    """
    if type(value) is not float and (is_a(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{what} must be a number of seconds, not {text_of(value)}")
    if value != value:
        raise ValueError(f"{what} must be a number of seconds, not nan")
    return float(min(max(value, 0.0), threading.TIMEOUT_MAX))  # first: an int may exceed a float
