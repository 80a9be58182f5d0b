"""Reactor: one thread that waits for sockets, timers and posted work, and sleeps otherwise."""

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["READ", "WRITE", "Reactor", "Timer"]

logger = logging.getLogger("raft_actors.node")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
OnReady = Callable[[int], None]


class Timer:
    """Work that is due later. `cancel` may come too late, never too early."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        self.work = None


class Reactor:
    """Runs callbacks, all on one daemon thread. Only `post` may be called from other threads.

    In each round: the callbacks of ready sockets, then what was posted, then the timers that are
    due, then `after_round`. A callback that raises is logged, and the round goes on.
    """

    def __init__(self, name: str, after_round: Callable[[], None]) -> None:
        self.now = time.monotonic()
        """When this round began, in seconds of time.monotonic()."""
        self._after_round = after_round
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_numbers = itertools.count()
        self._stopping = False
        self._woken = False
        self._selector = selectors.DefaultSelector()
        self._alarm, self._waker = socket.socketpair()
        self._alarm.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self._alarm, READ, self._on_alarm)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, last_work: Callable[[], None], timeout_s: float) -> None:
        """Run `last_work` on the thread, end it, and wait for that, unless this is the thread."""

        def stop() -> None:
            self._stopping = True
            last_work()

        self.post(stop)
        if not self.is_current():
            self._thread.join(timeout_s)

    def is_current(self) -> bool:
        """Say whether the caller runs on the reactor's thread."""
        return threading.current_thread() is self._thread

    def post(self, work: Callable[[], None]) -> None:
        """Have `work` run on the reactor's thread soon."""
        self._posted.append(work)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # full: it wakes anyway; closed: it has ended
                self._waker.send(b"\0")

    def after(self, delay_s: float, work: Callable[[], None]) -> Timer:
        timer = Timer(work)
        due = time.monotonic() + delay_s
        heapq.heappush(self._timers, (due, next(self._timer_numbers), timer))
        return timer

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Call `on_ready(events)` whenever `sock` is ready. Replaces an earlier watch."""
        try:
            self._selector.register(sock, events, on_ready)
        except KeyError:
            self._selector.modify(sock, events, on_ready)

    def unwatch(self, sock: socket.socket) -> None:
        """Forget `sock`. To be called before it is closed; harmless when it isn't watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def _run(self) -> None:
        while not self._stopping:
            ready = self._selector.select(self._patience_s())
            self.now = time.monotonic()
            for key, events in ready:
                guarded(key.data, events)
            for _ in range(len(self._posted)):
                guarded(self._posted.popleft())
            while self._timers and self._timers[0][0] <= self.now:
                work = heapq.heappop(self._timers)[2].work
                if work is not None:
                    guarded(work)
            guarded(self._after_round)
        self._selector.close()
        self._alarm.close()
        self._waker.close()

    def _patience_s(self) -> float | None:
        if self._posted:
            return 0.0
        while self._timers and self._timers[0][2].work is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _on_alarm(self, _events: int) -> None:
        self._woken = False
        with contextlib.suppress(BlockingIOError):
            self._alarm.recv(64)


def guarded(work: Callable[..., Any], *arguments: Any) -> None:
    try:
        work(*arguments)
    except Exception:
        logger.exception("a defect in the bridge: please report it")
