"""Reactor: waits for sockets, timers and posted work, on one thread at a time."""

import contextlib
import heapq
import itertools
import logging
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from supervision.threads import start_thread

__all__ = ["READ", "WRITE", "Reactor", "ReactorTimer"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
OnReady = Callable[[int], None]

AWAY_S_MAX = 0.02
"""How long the driving thread may be away before the keeper takes over, in seconds: longer than a
normal disk sync, and short against an election timeout.
"""
NOT_YET, DRIVING = -math.inf, math.inf
"""Values of `_away_since` that are no time. NOT_YET: no thread has run the rounds yet. DRIVING: a
thread runs them now.
"""


class ReactorTimer:
    """Work that is due later. `cancel` does nothing if the work has begun."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        self.work = None


class Reactor:
    """Runs callbacks, on one thread at a time. Other threads may call `post`, `run_rounds_until`.

    In each round: the callbacks of ready sockets, then what was posted, then the timers that are
    due, then `after_round`. A callback that raises is logged, and the round goes on.

    The rounds run on the reactor's own daemon thread, the keeper. Instead, a thread that would
    otherwise only wait may run them by `run_rounds_until`; it is called the driver. Then a received
    message need not be handed from the keeper to the driver. If the driver has been away for
    `AWAY_S_MAX`, the keeper runs the rounds until the driver is back.
    """

    def __init__(self, name: str, after_round: Callable[[], None]) -> None:
        self.now: float = time.monotonic()
        """The time at which this round began, in seconds of time.monotonic()."""
        self._after_round = after_round
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, ReactorTimer]] = []
        self._timer_numbers = itertools.count()
        self._stopping = False
        self._woken = False
        self._selector = selectors.DefaultSelector()
        self._alarm, self._waker = socket.socketpair()
        self._alarm.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self._alarm, READ, self._on_alarm)
        self._role_lock = threading.Lock()  # held by the thread that runs the rounds
        self._driver: int | None = None  # the ident of the thread that runs the rounds
        self._wanted = False  # a thread waits in `run_rounds_until`: the keeper gives up its role
        self._away_since = NOT_YET  # when the last thread stopped running the rounds
        self._keeper_waits = False  # the keeper waits for `_keeper_wakeup`, without a time limit
        self._keeper_wakeup: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Start the keeper. Raises RuntimeError if the system has no thread left. `stop` closes
        everything in that case, too.
        """
        start_thread(self._thread)

    def stop(self, last_work: Callable[[], None], timeout_s: float) -> None:
        """Run `last_work` on the reactor's thread, and end this thread. Wait for its end, unless
        the caller is this thread. It may be called again after a Ctrl-C has interrupted it.
        """

        def stop() -> None:
            self._stopping = True
            last_work()

        if self._thread.ident is None:  # not started yet: if it starts now, it ends at once
            self._stopping = True
            self.wake()
            with self._role_lock:
                last_work()
                self._close()
            return
        self.post(stop)
        if not self.is_current():
            self._thread.join(timeout_s)

    def forget(self) -> None:
        """In a forked child: close the child's copies of the watched sockets. Open copies would
        keep connections and ports in use after the parent has ended. The sockets are not unwatched:
        parent and child share one epoll object, so the parent would lose its watches.
        """
        for key in tuple((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._close()

    def is_current(self) -> bool:
        """Return whether the calling thread is the one that runs the rounds."""
        return self._driver == threading.get_ident()

    def post(self, work: Callable[[], None]) -> None:
        """Run `work` in the next round, on the thread that runs the rounds. From any thread."""
        self._posted.append(work)
        self.wake()

    def wake(self) -> None:
        """Wake the thread that runs the rounds, if it sleeps. From any thread."""
        if not self._woken and self._driver != threading.get_ident():
            try:
                self._woken = True
                self._waker.send(b"\0")
            except OSError:
                pass  # full: the thread wakes anyway; closed: the thread has ended
            except BaseException:  # Ctrl-C: with the flag set no later `wake` would send a byte
                self._woken = False
                raise

    def wake_driver(self) -> None:
        """As `wake`, but only for a thread in `run_rounds_until`, not for the keeper."""
        if self._away_since == DRIVING:
            self.wake()

    def run_rounds_until(self, until: Callable[[], bool]) -> None:
        """Run rounds on this thread until `until()` is true.

        Only one thread may call this method, the same each time. A thread that makes `until()` true
        must call `wake_driver` afterwards. Returns at once if the reactor was stopped.
        """
        if self._stopping:
            return
        if not self._role_lock.acquire(blocking=False):
            self._wanted = True
            self.wake()
            self._role_lock.acquire()
            self._wanted = False
        self._driver = threading.get_ident()
        self._away_since = DRIVING
        try:
            while not (self._stopping or until()):
                self._round()
        finally:
            self._driver = None
            self._away_since = time.monotonic()
            self._role_lock.release()
            if self._keeper_waits or self._stopping:
                self._keeper_waits = False
                self._keeper_wakeup.put(None)

    def after(self, delay_s: float, work: Callable[[], None]) -> ReactorTimer:
        timer = ReactorTimer(work)
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
        """Stop watching `sock`. Call this before `sock` is closed; it may be unwatched already."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def _keep(self) -> None:
        """The keeper's main loop: run the rounds while no other thread does."""
        while not self._stopping:
            away_s = time.monotonic() - self._away_since
            if away_s >= AWAY_S_MAX:  # the driver is away for too long, or there was none yet
                with self._role_lock:
                    self._driver = threading.get_ident()
                    while not (self._stopping or self._wanted):
                        self._round()
                    self._driver = None
                    self._away_since = time.monotonic()
            elif away_s > 0:  # the driver has left a short time ago, and may come back
                with contextlib.suppress(Empty):
                    self._keeper_wakeup.get(timeout=AWAY_S_MAX - away_s)
            else:  # the driver runs the rounds
                self._keeper_waits = True
                # Check again: a driver that left before `_keeper_waits` was set wakes nobody.
                if self._away_since == DRIVING:
                    self._keeper_wakeup.get()
                self._keeper_waits = False
        with self._role_lock:
            self._close()

    def _close(self) -> None:
        self._selector.close()
        self._alarm.close()
        self._waker.close()

    def _round(self) -> None:
        ready = self._selector.select(self._timeout_s())
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

    def _timeout_s(self) -> float | None:
        if self._posted:
            return 0.0
        while self._timers and self._timers[0][2].work is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _on_alarm(self, _events: int) -> None:
        """Empty the socket, and then clear the flag. A thread that calls `wake` in between sends no
        byte, and does not need one: the work that it has posted runs in this round.

        In the other order, the byte of such a thread would be read here and leave the flag set.
        Then no later `wake` would send a byte.
        """
        with contextlib.suppress(BlockingIOError):
            self._alarm.recv(64)
        self._woken = False


def guarded(work: Callable[..., Any], *arguments: Any) -> None:
    try:
        work(*arguments)
    except Exception:
        logger.exception("a defect in the bridge: please report it")
