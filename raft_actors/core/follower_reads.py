"""FollowerReads: the reads that a follower answers itself, once it has the index they must see.

The follower asks its leader for that index (thesis 6.4). The leader begins a round of messages
after the question came, and so makes sure that it still leads. Then everything that was committed
when the follower asked is at or before the index. All reads that wait at a flush share one
question.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from raft_actors.core.messages import Query

__all__ = ["FollowerReads", "WaitingRead"]


@dataclass(slots=True)
class WaitingRead:
    """A read that came at the time `since`, and must see the entries up to `index` at least."""

    event: Query
    since: float
    index: int


class FollowerReads:
    """The waiting reads of one follower, `count` in all. A new role begins with a new object.

    new       the reads for which the leader has not been asked yet
    asked     (number of the question, time, reads), oldest first. An answer to one question also
              answers the questions before it
    known     the reads whose index is known, but not committed here yet
    number    the number of the newest question. A peer that was restarted must not use the numbers
              of before: a late answer to an old question would give a read an index that is too
              low. So the first number is random
    """

    __slots__ = ("again", "asked", "asked_at", "count", "first", "known", "new", "number")

    def __init__(self) -> None:
        self.new: list[WaitingRead] = []
        self.asked: deque[tuple[int, float, list[WaitingRead]]] = deque()
        self.known: list[WaitingRead] = []
        self.count: int = 0
        self.number: int = 0
        self.first: int = 0
        self.asked_at: float = -inf
        self.again: bool = False

    def add(self, waiting: WaitingRead, *, ask: bool) -> None:
        (self.new if ask else self.known).append(waiting)
        self.count += 1

    def question(self, now: float) -> int | None:
        """Return the number of the question to send to the leader now, or None if there is none."""
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
        """Have the newest question sent again, if it is unanswered and was last sent at or before
        `unanswered_since`: it is probably lost.
        """
        self.again = bool(self.asked) and self.asked_at <= unanswered_since

    def answered(self, number: int, index: int) -> float:
        """Note the answer to a question; return when the newest question that it answers was asked.

        Returns minus infinity if no waiting question is answered: the number is not of this
        follower, or the question was answered before.
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
        """Remove and return the reads whose index is committed here."""
        ready = [waiting for waiting in self.known if waiting.index <= commit_index]
        if ready:
            self.known = [waiting for waiting in self.known if waiting.index > commit_index]
            self.count -= len(ready)
        return ready

    def oldest(self) -> float:
        """Return the time at which the oldest waiting read came, or nearly the oldest; infinity if
        none waits.
        """
        groups = (self.asked[0][2] if self.asked else [], self.known, self.new)
        return min((group[0].since for group in groups if group), default=inf)

    def given_up(self, now: float, timeout: float) -> list[WaitingRead]:
        """Remove and return the reads that have waited for `timeout` seconds or more."""
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
