"""Who waits for whom, so that processes that wait for each other are told and not stuck.

A process waits on its thread for one thing at a time: for the start of a child, for the end of
others, for an answer. A circle of such waits has no end by itself, for no one in it goes on. It is
broken at an answer that is awaited there, or at a `stop`: that one raises CallingSelf. Circles of
nothing but asks are left alone: their timeouts end them, as in Pykka.
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

here = threading.local()
"""`here.process` is the process whose thread this is."""


class Waiter(Protocol):
    """Who waits and is waited for: a ref of a process.

    wait   what its thread waits for
    """

    wait: "Wait | None"
    started: bool
    _lifeline: Lifeline


class Wait:
    """`with Wait(on, until, break_off):` around what waits; nothing outside of a process.

    on         the processes waited for
    until      what they must have done: "started", "ended", "answered"
    break_off  called, on any thread, with the CallingSelf that ends this wait. None: it can't be

    Entering it raises CallingSelf if it closes a circle that is to be broken here.
    """

    __slots__ = ("before", "break_off", "me", "on", "until")

    def __init__(
        self,
        on: tuple[Waiter, ...],
        until: str,
        break_off: Callable[[CallingSelf], None] | None = None,
    ) -> None:
        self.on, self.until, self.break_off = on, until, break_off
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
        """Return the waits of the others in a circle that this one closes, the next one first; None
        if all are broken, or are of nothing but asks.

        There may be far more ways than waits, so each wait is passed twice at most: once by a way
        of nothing but asks, once by another.
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
                continue  # a circle that this one is not in
            passed.add((wait, only_asks))
            ways += [
                (beyond, only_asks and wait.until == "answered", (wait, way))
                for beyond in wait.on
                if not wait.is_over(beyond)
            ]
        return None

    def is_over(self, ref: Waiter) -> bool:
        """Whether this one has done what it is waited for; who waits may not have noticed yet."""
        return bool(ref._lifeline.ended) or (self.until == "started" and ref.started)

    def _break(self, others: "tuple[Wait, ...]") -> "Wait":
        """Break the circle at the first that can be broken off, which is returned, from the one on
        who is to end or to start: whoever waits for that one's answer, or is asked by it, is not
        to blame.
        """
        circle = (self, *others)
        at = next((at for at, wait in enumerate(circle) if wait.until != "answered"), None)
        if at is None:
            raise CallingSelf(f"{self.me} waits for its own answer; call the method directly")
        stuck, order = circle[at], (*circle[at + 1 :], *circle[: at + 1])
        error = CallingSelf(
            f"{stuck.me} waits until {order[0].me} has {stuck.until}; tell it, and don't wait"
        )
        broken = next((wait for wait in order if wait.break_off is not None), self)
        if broken is self or broken.break_off is None:
            raise error
        broken.break_off(error)
        return broken


Way: TypeAlias = "tuple[Wait, Way] | None"
"""How a wait was come to: the last one passed, and the way to that one."""


def waits_of(way: Way) -> tuple[Wait, ...]:
    """Return the waits of a way, the first one first."""
    waits = []
    while way is not None:
        wait, way = way
        waits.append(wait)
    return tuple(reversed(waits))


class Broken:
    """What a wait for an end is given in place of the reason, when it is broken off."""

    __slots__ = ("error",)

    def __init__(self, error: CallingSelf) -> None:
        self.error = error


def await_end(ended: "queue.SimpleQueue[Any]", timeout_s: float | None) -> Any:
    """Get the reason that comes, which may take any time if none is given.

    Raises queue.Empty, and CallingSelf if the wait is broken off.
    """
    reason = ended.get(timeout=timeout_s)
    if type(reason) is Broken:
        raise reason.error
    return reason


def seconds(value: Any, what: str = "timeout") -> float:
    """The seconds to wait: none for a negative number, as long as there is for infinity.

    Raises TypeError for what is no number, True among it, and ValueError for nan.
    """
    if type(value) is not float and (is_a(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{what} must be a number of seconds, not {text_of(value)}")
    if value != value:
        raise ValueError(f"{what} must be a number of seconds, not nan")
    return float(min(max(value, 0.0), threading.TIMEOUT_MAX))  # an int may be none for float
