"""Watches: who leads, as a stream of which only the latest value counts.

A watch asks all members every `LOOK_S` while somebody waits for news, on the thread or loop of who
waits. So nobody's code runs on a peer's thread, a slow reader misses what has passed, and a watch
that nobody reads costs nothing.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from raft_actors.client.finder import Finder, status_in
from raft_actors.core.membership import Address
from raft_actors.errors import RaftError
from raft_actors.future import Future

__all__ = ["LOOK_S", "ROUND_S", "LeaderWatch", "Leadership", "Observer"]

LOOK_S = 0.05
ROUND_S = 0.3
"""How long one look waits for members that do not answer."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, as far as the members know that answer.

    leader  None while there is none, or none is known
    term    never falls in one watch
    ready   whether the first entry of the term has committed: then reads and writes are answered
    """

    leader: Address | None
    term: int
    ready: bool


class Observer:
    """What a watch has told, and what it makes of members' answers."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.told = Leadership(None, -1, False)

    def ask(self) -> list[Future[Any]]:
        asked = dict.fromkeys((*self.finder.members, *self.finder.seeds))
        return [self.finder.ask(address) for address in asked]

    def news(self, answers: Iterable[Future[Any]]) -> Leadership | None:
        """Return what is news in the answers that have come, if anything is."""
        heard = [status for status in map(status_in, answers) if status is not None]
        for status in heard:
            self.finder.learn(status)
        term = max((status["current_term"] for status in heard), default=0)
        leader, ready = None, False
        if term >= self.told.term:
            newest = [s for s in heard if s["current_term"] == term and s["leader"] is not None]
            if newest:
                leader = newest[0]["leader"]
                ready = any(status["ready"] for status in newest)
        seen = Leadership(leader, max(term, self.told.term), ready)
        if seen == self.told:
            return None
        self.told = seen
        return seen


class LeaderWatch:
    """Made by `Cluster.watch_leader`; for one thread, but any may close it.

    with cluster.watch_leader() as watch:
        for leadership in watch:
            ...
    """

    def __init__(self, finder: Finder) -> None:
        self._observer = Observer(finder)
        self._closed = threading.Event()

    def get(self, timeout: float | None = None) -> Leadership:
        """Wait for something else than was returned last; the first is what is now.

        Raises TimeoutError if nothing changes in time, RaftError if the watch is closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._closed.is_set():
            answers = self._observer.ask()
            until = time.monotonic() + ROUND_S
            for answer in answers:
                wait_for(answer, until)
            news = self._observer.news(answers)
            if news is not None:
                return news
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no news of the leader within {timeout} s")
            self._closed.wait(LOOK_S)
        raise RaftError("this watch is closed: make a new one")

    def close(self) -> None:
        """End the stream; who waits for news is let go."""
        self._closed.set()

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
