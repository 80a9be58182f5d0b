"""Restart intensity: how many restarts a supervisor makes before it gives up."""

import time
from collections import deque
from collections.abc import Callable

__all__ = ["RestartIntensity"]


class RestartIntensity:
    """At most `max_restarts` restarts within any `max_seconds` (OTP supervisor, add_restart).

    Counted for a supervisor as a whole, attempts that fail included. 3 within 5 s are borne and
    the 4th is refused; with `max_restarts=0` already the first is. Both ends of the span count.
    """

    def __init__(
        self,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self._clock = clock
        self._stamps: deque[float] = deque()

    def allow(self) -> bool:
        """Count one restart that is due now. False: too many, give up."""
        now = self._clock()
        while self._stamps and self._stamps[0] < now - self.max_seconds:
            self._stamps.popleft()
        self._stamps.append(now)
        return len(self._stamps) <= self.max_restarts
