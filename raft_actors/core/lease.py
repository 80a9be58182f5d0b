"""Lease: until when no other leader can be elected, for reads that ask nobody (thesis 6.4.1).

A follower that answers a leader promises for how long, by its own clock, it elects nobody else.
The leader counts from when the round began that was answered, by its own clock, and shortens the
promise by what the two clocks may differ: so its lease ends before the promise does. What a
majority has promised holds, for every election needs one of them.

An order to stand breaks the promise, whenever it may arrive: after one there is no lease any more.
"""

from collections import deque
from math import inf

__all__ = ["Lease"]


class Lease:
    """What a leader knows of its lease. It ends with the leadership.

    drift_max  how much faster a follower's clock may run: 0.01 is a hundredth. None: no leases
    began      (round, when) of the rounds that may still be answered, oldest first
    timeout    seconds after which an answer to a round is worth nothing
    """

    __slots__ = ("began", "broken", "drift_max", "timeout")

    def __init__(self, drift_max: float | None, timeout: float) -> None:
        self.drift_max = drift_max
        self.timeout = timeout
        self.began: deque[tuple[int, float]] = deque()
        self.broken = drift_max is None

    def round_began(self, number: int, now: float) -> None:
        if self.broken:
            return
        began = self.began
        began.append((number, now))
        while began[0][1] < now - self.timeout:
            began.popleft()

    def promised_until(self, number: int, promise_ms: int) -> float:
        """Return until when the promise that came with the answer to a round holds."""
        if self.broken or not promise_ms:
            return -inf
        began = self.began
        place = number - began[0][0] if began else -1
        if not 0 <= place < len(began):
            return -inf
        assert self.drift_max is not None
        return began[place][1] + promise_ms / 1000 / (1 + self.drift_max)
