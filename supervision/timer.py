"""Messages that are sent at a later time: one thread and one heap for all of them."""

import heapq
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import compress, count
from operator import attrgetter, itemgetter
from typing import Any
from weakref import WeakSet

from pykka import ActorDeadError

from supervision.foreign import is_interrupt, log, text_of
from supervision.named_ref import NamedRef
from supervision.threads import start_thread
from supervision.waits import seconds

__all__ = ["Timer", "TimerHandle", "timer"]

CANCELLED_MAX = 64
"""The heap is swept when more than so many of its timers are cancelled, and more than half."""

_handle = itemgetter(2)
_waits = attrgetter("waiting")


class TimerHandle:
    """One message that waits for its time."""

    __slots__ = ("_timer", "deadline", "every_s", "message", "ref", "waiting")

    def __init__(self, owner: "Timer", deadline: float, ref: Any, message: Any) -> None:
        self._timer = owner
        self.deadline: float = deadline
        self.ref: Any = ref
        self.message: Any = message
        self.every_s: float | None = None
        self.waiting: bool = True

    def remaining(self) -> float | None:
        """Return the seconds until the message is sent; None if it was sent or cancelled."""
        return max(0.0, self.deadline - self._timer._clock()) if self.waiting else None

    def cancel(self) -> bool:
        """Do not send the message. Returns False if it was already sent or cancelled."""
        return self._timer._cancel(self)

    def __repr__(self) -> str:
        state = "waiting" if self.waiting else "done"
        return f"<TimerHandle {text_of(self.message)} to {text_of(self.ref, str)}, {state}>"


class Timer:
    """Sends messages to actors at a later time, from a single daemon thread.

    The thread starts with the first message and sleeps until the earliest one is due. With a
    `clock` of your own, a function that returns seconds, no thread is started: you call `fire_due`
    after you have moved the clock. `supervision.timer` is the timer that all code shares.

    >>> from supervision import Process, Timer
    >>> class Printer(Process):
    ...     def on_receive(self, message):
    ...         print(message)
    >>> now = [0.0]
    >>> timer, printer = Timer(clock=lambda: now[0]), Printer.start()
    >>> handle = timer.send_after(2.0, printer, "two seconds later")
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._manual = clock is not None
        self._start_over()
        if not self._manual:
            _with_thread.add(self)

    def _start_over(self) -> None:
        """Begin without messages and without a thread. Called by `__init__`, and in a forked child:
        the timer's thread runs only in the parent, and sends there the messages set before.
        """
        self._lock = threading.RLock()  # a signal handler may interrupt a method, and call another
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._heap: list[tuple[float, int, TimerHandle]] = []
        self._order = count()  # equal deadlines fire in the order they were set
        self._cancelled = 0
        self._thread: threading.Thread | None = None

    def send_after(self, delay_s: float, ref: Any, message: Any) -> TimerHandle:
        """Call `ref.tell(message)` in `delay_s` seconds. If the receiver has ended, do nothing.

        Raises TypeError if `ref` is no ref (`names.ref` returns a ref of a name); TypeError
        or ValueError if `delay_s` is no number of seconds; RuntimeError if the system has no thread
        left for the first message, which is not sent then.

        >>> timer.send_after(3.0, printer, "never").cancel()
        True
        """
        self._check(ref)
        return self._set(self._clock() + seconds(delay_s, "delay_s"), ref, message)

    def send_at(self, when_s: float, ref: Any, message: Any) -> TimerHandle:
        """As `send_after`, at a time of the timer's clock, `time.monotonic` by default; at once if
        this time is over.

        >>> handle = timer.send_at(5.0, printer, "never")
        >>> handle.remaining(), handle.cancel()
        (5.0, True)
        """
        self._check(ref)
        return self._set(seconds(when_s, "when_s"), ref, message)

    def send_every(
        self, every_s: float, ref: Any, message: Any, first_s: float | None = None
    ) -> TimerHandle:
        """Send the message every `every_s` seconds, first in `first_s` or else `every_s` seconds,
        until the handle is cancelled or the receiver has ended. The ref of a name goes on when
        another process has the name. Times that are over already are left out.

        Raises as `send_after`, and ValueError if `every_s` is not above 0.

        >>> handle = timer.send_every(10.0, printer, "never")
        >>> handle.remaining(), handle.cancel(), handle.remaining()
        (10.0, True, None)
        """
        self._check(ref)
        if seconds(every_s, "every_s") <= 0:
            raise ValueError(f"every_s must be above 0, not {text_of(every_s)}")
        delay_s = seconds(every_s if first_s is None else first_s, "first_s")
        return self._set(self._clock() + delay_s, ref, message, seconds(every_s, "every_s"))

    def _check(self, ref: Any) -> None:
        if not hasattr(ref, "tell"):
            raise TypeError(
                f"a timer sends to the ref of an actor, and {text_of(ref)} is no such ref"
            )

    def _set(
        self, deadline: float, ref: Any, message: Any, every_s: float | None = None
    ) -> TimerHandle:
        handle = TimerHandle(self, deadline, ref, message)
        handle.every_s = every_s
        with self._lock:
            self._start_thread()
            if self._thread and (not self._heap or handle.deadline < self._heap[0][0]):
                # Wake the thread before the push: a Ctrl-C between the two lines must not leave a
                # message in the heap that the thread does not know of, and sleeps too long for.
                self._wakes.put(None)
            heapq.heappush(self._heap, (handle.deadline, next(self._order), handle))
        return handle

    def fire_due(self) -> float | None:
        """Send the messages that are due. Returns the seconds until the next one, or None.

        >>> now[0] = 2.0
        >>> timer.fire_due() is None
        True
        >>> printer.stop()
        two seconds later
        True
        """
        while True:
            with self._lock:
                handle = self._pop_due()
                if handle is None:
                    return self._heap[0][0] - self._clock() if self._heap else None
            try:
                handle.ref.tell(handle.message)
            except ActorDeadError:
                if handle.every_s is not None and not isinstance(handle.ref, NamedRef):
                    handle.cancel()
            except BaseException as error:
                if is_interrupt(error):
                    raise
                whom = text_of(handle.ref, str)
                log(logging.ERROR, "a timer could not send to %s", whom, error=error)

    def __repr__(self) -> str:
        return f"<Timer, {sum(entry[2].waiting for entry in self._heap)} waiting>"

    def _pop_due(self) -> TimerHandle | None:
        heap = self._heap
        while heap:
            handle = heap[0][2]
            if handle.waiting and handle.deadline > self._clock():
                return None
            heapq.heappop(heap)
            if handle.waiting:
                if handle.every_s is None:
                    handle.waiting = False
                else:
                    late_s = self._clock() - handle.deadline
                    handle.deadline += handle.every_s * (1 + late_s // handle.every_s)
                    heapq.heappush(heap, (handle.deadline, next(self._order), handle))
                return handle
            self._cancelled -= 1
        return None

    def _cancel(self, handle: TimerHandle) -> bool:
        with self._lock:
            if not handle.waiting:
                return False
            handle.waiting = False
            self._cancelled += 1
            if self._cancelled > max(CANCELLED_MAX, len(self._heap) // 2):
                self._sweep()
            return True

    def _sweep(self) -> None:
        """Remove the cancelled timers from the heap.

        Each step runs in C, so a Ctrl-C, or a signal handler that sets a timer, comes only between
        two steps, where the list is a heap.
        """
        heap, self._cancelled = self._heap, 0
        heap.sort()  # a sorted list without some of its elements is sorted, and therefore a heap
        heap[:] = compress(heap, map(_waits, map(_handle, heap)))
        heapq.heapify(heap)

    def _start_thread(self) -> None:
        """Start the thread, if it does not run. If that fails, the next message tries it again."""
        if self._thread is None and not self._manual:
            thread = threading.Thread(target=self._run, name="timer", daemon=True)
            start_thread(thread)
            self._thread = thread  # after the start, which a Ctrl-C may prevent

    def _run(self) -> None:
        while True:
            pause_s = self.fire_due()
            with suppress(queue.Empty):
                self._wakes.get(timeout=None if pause_s is None else seconds(pause_s))


_with_thread: WeakSet[Timer] = WeakSet()

timer: Timer = Timer()
"""The shared timer of this operating-system process. Its thread starts with its first message."""


def _after_fork() -> None:
    for each in tuple(_with_thread):
        each._start_over()


os.register_at_fork(after_in_child=_after_fork)
