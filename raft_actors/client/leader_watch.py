"""Watches: the leader of a group, as a stream of values of which only the latest counts.

While a reader waits for a change, its watch asks the members, on the reader's thread or loop. So no
code of the reader runs on a peer's thread, a slow reader misses values in between, and a watch
without a reader costs nothing. While the leadership changes, the watch asks all members every
`LOOK_S`. When it does not change any more, the watch asks one member in turn every `QUIET_LOOK_S`.
It asks all members again as soon as one of them does not confirm the last value.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from raft_actors.client.leader_finder import LeaderFinder, status_in
from raft_actors.errors import RaftError
from raft_actors.future import Future
from raft_actors.names import Address
from raft_actors.timeouts import seconds

__all__ = ["ROUND_S", "LeaderWatch", "Leadership", "Observer"]

LOOK_S, QUIET_LOOK_S = 0.05, 0.25
NO_LEADER_ROUNDS = 20
"""While there is no leader, or the leader is not ready, all members are asked so many times every
`LOOK_S`, before the watch becomes slower.
"""
ROUND_S = 0.3
"""How long one round of questions waits for members that do not answer."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """The leader of a group, as far as the members that answer know it.

    leader  its address; None while there is no leader, or none is known
    term    its term; the values of one watch never have a lower term than those before
    ready   whether the first entry of the term is committed: then reads and writes are answered
    """

    leader: Address | None
    term: int
    ready: bool


class Observer:
    """The state of a watch: the last value that it returned, and what new answers change.

    told      the last value that was returned
    rounds    how many rounds in which all members were asked have passed without a change
    asks_one  whether the present round asks one member only
    """

    def __init__(self, finder: LeaderFinder) -> None:
        self.finder = finder
        self.told = Leadership(None, -1, False)
        self.rounds = 0
        self.asks_one = False
        self.turns = count()

    @property
    def is_quiet(self) -> bool:
        return self.rounds >= (1 if self.told.ready else NO_LEADER_ROUNDS)

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next round."""
        return QUIET_LOOK_S if self.is_quiet else LOOK_S

    def ask(self) -> list[Future[Any]]:
        asked = self.finder.whom()
        self.asks_one = self.is_quiet
        if self.asks_one:
            asked = (asked[next(self.turns) % len(asked)],)
        return [self.finder.ask(address) for address in asked]

    def news(self, answers: list[Future[Any]]) -> Leadership | None:
        """Return the leadership by the answers that have come, if it has changed; else None.
        Answers that come later are not used.
        """
        for answer in answers:
            answer.abandon()
        heard = [status for status in map(status_in, answers) if status is not None]
        for status in heard:
            self.finder.learn(status)
        if self.asks_one:
            said = [(status["leader"], status["current_term"]) for status in heard]
            if said != [(self.told.leader, self.told.term)]:
                self.rounds = 0
            return None
        term = max((status["current_term"] for status in heard), default=0)
        leader, ready = None, False
        if term >= self.told.term:
            newest = [s for s in heard if s["current_term"] == term and s["leader"] is not None]
            if newest:
                leader = newest[0]["leader"]
                ready = any(status["ready"] for status in newest)
        seen = Leadership(leader, max(term, self.told.term), ready)
        if seen == self.told:
            self.rounds += 1
            return None
        self.told, self.rounds = seen, 0
        return seen


class LeaderWatch:
    """A stream of leaderships, made by `Cluster.watch_leader`. One thread reads it; any may close
    it.

    with cluster.watch_leader() as watch:
        for leadership in watch:
            ...
    """

    def __init__(self, finder: LeaderFinder) -> None:
        self._observer = Observer(finder)
        self._closed: Future[None] = Future()  # no Event: a Ctrl-C may leave the lock of one held

    def get(self, timeout: float | None = None) -> Leadership:
        """Wait until the leadership differs from the last returned one, and return it. The first
        call returns the present leadership.

        Raises TimeoutError if nothing changes in time, RaftError if the watch is closed.
        """
        deadline = None if timeout is None else time.monotonic() + seconds(timeout)
        while not self._closed.done():
            answers = self._observer.ask()
            until = time.monotonic() + ROUND_S
            for answer in answers:
                wait_for(answer, until)
            news = self._observer.news(answers)
            if news is not None:
                return news
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no news of the leader within {timeout} s")
            wait_for(self._closed, time.monotonic() + self._observer.pause_s)
        raise RaftError("this watch is closed: make a new one")

    def close(self) -> None:
        """End the stream. A `get` that waits on another thread raises RaftError."""
        self._closed.set(None)

    def __iter__(self) -> Iterator[Leadership]:
        return self

    def __next__(self) -> Leadership:
        try:
            return self.get()
        except RaftError:
            raise StopIteration from None

    def __enter__(self) -> "LeaderWatch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for(answer: Future[Any], until: float) -> None:
    with suppress(RaftError, TimeoutError):
        answer.get(max(0.0, until - time.monotonic()))
