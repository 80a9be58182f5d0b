"""Restarts: how many a supervisor makes before it gives up, and how long it waits between them."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supervision.errors import OptionError
from supervision.foreign import is_a, is_number, text_of
from supervision.waits import seconds

__all__ = ["Backoff", "Pauses", "RestartIntensity", "check_backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between restarts: none before the first, then `first_s` seconds, then twice as long
    each time, up to `max_s`.

    OTP does not have this. It is for children that fail for a reason outside of them, such as a
    full disk, which lasts longer than a millisecond. After a time of twice `max_s` without a
    restart the pauses begin again.

    Raises OptionError.

    >>> from supervision import Backoff, Process, Supervisor
    >>> ok, supervisor = Supervisor.start_link([Process], backoff=Backoff(first_s=1.0, max_s=60.0))
    """

    first_s: float = 2.0
    max_s: float = 30.0

    def __post_init__(self) -> None:
        pauses = (self.first_s, self.max_s)
        if not all(is_number(pause) for pause in pauses) or not 0 < pauses[0] <= pauses[1]:
            raise OptionError(
                ("invalid_backoff", pauses),
                f"a backoff needs 0 < first_s <= max_s, not {text_of(pauses)}",
            )


def check_backoff(backoff: Any) -> None:
    """Raise OptionError unless this is a Backoff or None."""
    if backoff is not None and not is_a(backoff, Backoff):
        raise OptionError(
            ("invalid_backoff", backoff),
            f"backoff must be a Backoff or None, not {text_of(backoff)}",
        )


class Pauses:
    """The pauses of one supervisor: how long the next one is. Without a Backoff all are 0."""

    def __init__(
        self, backoff: Backoff | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._next = 0.0
        self._last = clock()

    def pause_s(self) -> float:
        """Return how many seconds to wait before the restart that is due now."""
        backoff, now = self._backoff, self._clock()
        if backoff is None:
            return 0.0
        if now - self._last > 2 * backoff.max_s:
            self._next = 0.0
        pause = seconds(self._next)
        self._next = min(backoff.max_s, 2 * pause or backoff.first_s)
        self._last = now + pause
        return pause


class RestartIntensity:
    """At most `max_restarts` restarts within any `max_seconds` (OTP supervisor, add_restart).

    The restarts of all children of a supervisor are counted together, and attempts that fail count
    too. With the defaults, 3 restarts within 5 s are allowed and the 4th is refused; with
    `max_restarts=0` the first is refused. A restart exactly `max_seconds` ago counts.
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
        """Count one restart that is due now. Returns False if these are too many restarts."""
        now = self._clock()
        while self._stamps and now - self._stamps[0] > self.max_seconds:
            self._stamps.popleft()
        self._stamps.append(now)
        return len(self._stamps) <= self.max_restarts
