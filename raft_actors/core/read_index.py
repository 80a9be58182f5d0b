"""Reads: linearizable reads that cost no log write (thesis 6.4).

A read may be answered when a majority has answered a round that began after the read arrived:
so there was no newer leader when it arrived. All reads that wait at a flush share one round.
"""

from collections import deque

from raft_actors.core.effects import Read

__all__ = ["Reads"]


class Reads:
    """The reads that a leader has not confirmed yet, `count` in all. They end with it.

    renew  whether the next flush begins a round although no read waits: for a lease, or to be sure
    """

    __slots__ = ("count", "renew", "round", "started", "waiting")

    def __init__(self) -> None:
        self.count = 0
        self.renew = False
        self.round = 0
        self.waiting: list[Read] = []
        self.started: deque[tuple[int, list[Read]]] = deque()

    def add(self, read: Read) -> None:
        self.waiting.append(read)
        self.count += 1

    def start_round(self) -> bool:
        """Begin a round for the reads that wait, if any; return whether one began."""
        if not self.waiting and not self.renew:
            return False
        self.renew = False
        self.round += 1
        self.started.append((self.round, self.waiting))
        self.waiting = []
        return True

    def confirmed(self, through: float) -> list[Read]:
        """Return, and forget, the reads of all rounds up to `through`."""
        reads: list[Read] = []
        while self.started and self.started[0][0] <= through:
            reads += self.started.popleft()[1]
        self.count -= len(reads)
        return reads

    def abandoned(self) -> list[Read]:
        """Return, and forget, every read: leadership has ended."""
        return self.confirmed(self.round) + self.waiting
