"""Deadlines: until when something may run by a grant of the lead. All times are of `since_boot`."""

import threading
from collections.abc import Callable
from math import inf

__all__ = ["Deadlines"]

STOP_SHARE = 0.5
"""When so much of the grant time has passed since the last proof that the peer leads, what runs
begins to stop ..."""
KILL_SHARE = 0.9
"""... and now it is killed. The rest is for the kill itself, on a busy host. So the answer of a
majority may be late by half of the grant time before anything is stopped."""
OVER_SHARE = 0.95


class Deadlines:
    """The deadlines of one grant. Each proof that the peer leads moves them; any thread may ask.

    grant_s       how long something may run by the grant after the newest proof
    confirmed_at  time of the newest proof: when the round began that a majority has answered
    """

    def __init__(self, grant_s: float, confirmed_at: float = -inf) -> None:
        self.grant_s = grant_s
        self.confirmed_at: float = confirmed_at
        self.recalled: tuple[float, float] = inf, inf
        self.lock: threading.RLock = threading.RLock()
        self.watchers: tuple[Callable[[], None], ...] = ()

    @property
    def stop_at(self) -> float:
        """When what runs is to be told to end, if there is no newer proof until then."""
        return self.confirmed_at + STOP_SHARE * self.grant_s

    @property
    def kill_at(self) -> float:
        """When it is to be killed."""
        return min(self.confirmed_at + KILL_SHARE * self.grant_s, self.recalled[0])

    @property
    def over_at(self) -> float:
        """From when on it counts as running on, if its end was not seen."""
        return min(self.confirmed_at + OVER_SHARE * self.grant_s, self.recalled[1])

    def renew(self, confirmed_at: float) -> None:
        """Note a newer proof."""
        if confirmed_at > self.confirmed_at:
            self.confirmed_at = confirmed_at
            self.tell()

    def recall(self, now: float, hand_over_s: float) -> None:
        """Note that the grant is to be given back within this time."""
        if self.recalled == (inf, inf):
            self.recalled = now + KILL_SHARE * hand_over_s, now + hand_over_s
            self.tell()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher` whenever a deadline moves, until the returned function is called. It must
        be quick: the peer's thread calls it.
        """
        with self.lock:
            self.watchers = (*self.watchers, watcher)

        def stop_watching() -> None:
            with self.lock:
                self.watchers = tuple(each for each in self.watchers if each is not watcher)

        return stop_watching

    def tell(self) -> None:
        for watcher in self.watchers:
            watcher()
