"""FollowerReads: reads that a follower answers, as soon as it knows what they must see.

It asks its leader for the index (thesis 6.4): the leader makes sure, by a round that began after it
was asked, that it still leads, so all that was committed when the follower asked is at or before
that index. All reads that wait at a flush share one question.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from raft_actors.core.messages import Query

__all__ = ["FollowerReads", "WaitingRead"]


@dataclass(slots=True)
class WaitingRead:
    """A read that came at `since`, and must see `index` at least."""

    event: Query
    since: float
    index: int


class FollowerReads:
    """The reads of one follower, `count` in all. They end with its role.

    new       those that the leader has not been asked about
    asked     (number, when, reads), oldest first: an answer to a number is one to all before it
    known     those whose index is known, and not committed here yet
    number    of the newest question. Questions of different lives of a peer must differ, or a
              late answer to an old one would let a read go back in time: the first is drawn
    """

    __slots__ = ("again", "asked", "asked_at", "count", "first", "known", "new", "number")

    def __init__(self) -> None:
        self.new: list[WaitingRead] = []
        self.asked: deque[tuple[int, float, list[WaitingRead]]] = deque()
        self.known: list[WaitingRead] = []
        self.count = 0
        self.number = self.first = 0
        self.asked_at = -inf
        self.again = False

    def add(self, waiting: WaitingRead, *, ask: bool) -> None:
        (self.new if ask else self.known).append(waiting)
        self.count += 1

    def question(self, now: float) -> int | None:
        """Return the number to ask the leader with now, if there is something to ask."""
        if self.new:
            self.number += 1
            self.asked.append((self.number, now, self.new))
            self.new = []
        elif not self.again:
            return None
        self.again = False
        self.asked_at = now
        return self.number

    def repeat(self, unanswered_since: float) -> None:
        """Have the newest question asked again if it was last asked so long ago: it is lost."""
        self.again = bool(self.asked) and self.asked_at <= unanswered_since

    def answered(self, number: int, index: int) -> float:
        """Take the answer; return when the newest of the questions that it answers was asked.

        Minus infinity for an answer to no question of these, or to one answered before.
        """
        when = -inf
        if not self.first < number <= self.number:
            return when
        while self.asked and self.asked[0][0] <= number:
            _number, when, reads = self.asked.popleft()
            for waiting in reads:
                waiting.index = max(waiting.index, index)
            self.known += reads
        return when

    def ready(self, commit_index: int) -> list[WaitingRead]:
        """Return, and forget, the reads whose index is committed here."""
        ready = [waiting for waiting in self.known if waiting.index <= commit_index]
        if ready:
            self.known = [waiting for waiting in self.known if waiting.index > commit_index]
            self.count -= len(ready)
        return ready

    def oldest(self) -> float:
        """When the read came that waits longest, or nearly so; infinity if none waits."""
        groups = (self.asked[0][2] if self.asked else [], self.known, self.new)
        return min((group[0].since for group in groups if group), default=inf)

    def given_up(self, now: float, timeout: float) -> list[WaitingRead]:
        """Return, and forget, the reads that have waited so long."""
        given_up = [waiting for waiting in self.all() if waiting.since + timeout <= now]
        if given_up:
            self.new = [waiting for waiting in self.new if waiting.since + timeout > now]
            self.known = [waiting for waiting in self.known if waiting.since + timeout > now]
            for _number, _when, reads in self.asked:
                reads[:] = [waiting for waiting in reads if waiting.since + timeout > now]
            self.asked = deque(question for question in self.asked if question[2])
            self.count -= len(given_up)
        return given_up

    def all(self) -> Iterator[WaitingRead]:
        for _number, _when, reads in self.asked:
            yield from reads
        yield from self.known
        yield from self.new
