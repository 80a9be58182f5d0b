"""Lease: the time until which no other leader can be elected, so that reads need no round of
messages (thesis 6.4.1).

A follower that answers a leader promises to elect no other leader for some time of its own clock.
The leader counts this time by its own clock, from the beginning of the round that was answered, and
shortens it by the possible difference of the two clocks. So the lease ends before the promise does.
A promise of a majority is enough, because every election needs a vote of this majority.

TimeoutNow breaks the promise, whenever it arrives. So after a leader has sent one, it has no lease.
"""

from collections import deque
from math import inf

__all__ = ["Lease"]


class Lease:
    """What a leader knows of its lease. A new leader begins with a new object.

    drift_max  how much faster a follower's clock may run; 0.01 is one percent. None: no leases
    began      (round, time of its begin) of the rounds that may still be answered, oldest first
    timeout    after so many seconds an answer to a round gives no lease
    """

    __slots__ = ("began", "broken", "drift_max", "timeout")

    def __init__(self, drift_max: float | None, timeout: float) -> None:
        self.drift_max: float | None = drift_max
        self.timeout: float = timeout
        self.began: deque[tuple[int, float]] = deque()
        self.broken: bool = drift_max is None

    def round_began(self, number: int, now: float) -> None:
        if self.broken:
            return
        began = self.began
        began.append((number, now))
        while began[0][1] < now - self.timeout:
            began.popleft()

    def promised_until(self, number: int, promise_ms: int) -> float:
        """Return the time until which a promise holds that came with the answer to a round."""
        if self.broken or not promise_ms:
            return -inf
        began = self.began
        place = number - began[0][0] if began else -1
        if not 0 <= place < len(began):
            return -inf
        assert self.drift_max is not None
        return began[place][1] + promise_ms / 1000 / (1 + self.drift_max)
