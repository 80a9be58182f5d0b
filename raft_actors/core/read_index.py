"""Reads: linearizable reads that cost no log write (thesis 6.4).

A read may be answered once a majority has answered a round of messages that began after the read
arrived: that proves that there was no newer leader when the read arrived. All reads that wait at a
flush share one round.
"""

from collections import deque
from math import inf

from raft_actors.core.effects import Read

__all__ = ["Reads"]


class Reads:
    """The reads for which the leadership is not confirmed yet, `count` in all. A new leader begins
    with a new object.

    renew  whether the next flush begins a round even if no read waits: for a lease or a grant, or
           to ask a follower again (`Replication.suspect`)
    started  the rounds that are not confirmed yet: number, time of the begin, reads
    confirmed_at  when the newest round began that a majority has answered: there was no newer
           leader at that time. Minus infinity before the first
    """

    __slots__ = ("confirmed_at", "count", "renew", "round", "started", "waiting")

    def __init__(self) -> None:
        self.count: int = 0
        self.renew: bool = False
        self.round: int = 0
        self.waiting: list[Read] = []
        self.started: deque[tuple[int, float, list[Read]]] = deque()
        self.confirmed_at: float = -inf

    def add(self, read: Read) -> None:
        self.waiting.append(read)
        self.count += 1

    def start_round(self, now: float) -> bool:
        """Begin a round if reads wait or `renew` is set; return whether one began."""
        if not self.waiting and not self.renew:
            return False
        self.renew = False
        self.round += 1
        self.started.append((self.round, now, self.waiting))
        self.waiting = []
        return True

    def confirmed(self, through: float) -> list[Read]:
        """Remove and return the reads of all rounds up to `through`."""
        reads: list[Read] = []
        while self.started and self.started[0][0] <= through:
            _number, self.confirmed_at, of_round = self.started.popleft()
            reads += of_round
        self.count -= len(reads)
        return reads

    def abandoned(self) -> list[Read]:
        """Return every read, because the leadership has ended."""
        return [read for _number, _began, reads in self.started for read in reads] + self.waiting
