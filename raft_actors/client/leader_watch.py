"""Watches: the leader of a group, as a stream of values of which only the latest counts.

Each member keeps a call open and answers it when what it knows of the leader has changed. While
nothing changes nothing is sent. What the members answer is put together on the reader's thread or
loop, when it looks. So no code of the reader runs on a peer's thread, a slow reader misses values
in between, and a watch without a reader costs nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.member_views import MemberViews
from raft_actors.client.parking import Parking, await_result
from raft_actors.errors import RaftError
from raft_actors.names import Address
from raft_actors.timeouts import seconds

__all__ = ["LeaderWatch", "Leadership", "Observer"]


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
    """The state of a watch: what the members know, and the last value that was returned, `told`."""

    def __init__(self, finder: LeaderFinder, parking: Parking) -> None:
        self.parking = parking
        self.members = MemberViews(finder, parking)
        self.told = Leadership(None, -1, False)
        self.work, self.take = self.members.work, self.members.take

    def begin(self) -> None:
        self.members.begin(time.monotonic())

    def result(self, now: float) -> Leadership | None:
        """Return the leadership by the members' answers, if it has changed; else None."""
        if not self.members.is_settled(now):
            return None
        views = self.members.views.values()
        term = max((view["current_term"] for view in views), default=0)
        leader, ready = None, False
        if term >= self.told.term:
            newest = [v for v in views if v["current_term"] == term and v["leader"] is not None]
            if newest:
                leader = newest[0]["leader"]
                ready = any(view["ready"] for view in newest)
        seen = Leadership(leader, max(term, self.told.term), ready)
        if seen == self.told:
            return None
        self.told = seen
        return seen


class LeaderWatch:
    """A stream of leaderships, made by `Cluster.watch_leader`. One thread reads it; any may close
    it.

    with cluster.watch_leader() as watch:
        for leadership in watch:
            ...
    """

    def __init__(self, finder: LeaderFinder, parking: Parking) -> None:
        self._parking = parking
        self._observer = Observer(finder, parking)

    def get(self, timeout: float | None = None) -> Leadership:
        """Wait until the leadership differs from the last returned one, and return it. The first
        call returns the present leadership.

        Raises TimeoutError if nothing changes in time, RaftError if the watch is closed.
        """
        deadline = inf if timeout is None else time.monotonic() + seconds(timeout)
        self._parking.check_process()
        self._observer.begin()
        news = await_result(self._observer, deadline)
        if news is not None:
            return news
        if self._parking.closed:
            raise RaftError("this watch is closed: make a new one")
        raise TimeoutError(f"no news of the leader within {timeout} s")

    def close(self) -> None:
        """End the stream. A `get` that waits on another thread raises RaftError."""
        self._parking.close()

    def __iter__(self) -> Iterator[Leadership]:
        return self

    def __next__(self) -> Leadership:
        try:
            return self.get()
        except RaftError:
            if not self._parking.closed:
                raise
            raise StopIteration from None

    def __enter__(self) -> "LeaderWatch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
