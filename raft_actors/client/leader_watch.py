"""Watches: the leader of a group, as a stream of values of which only the latest counts.

Each member keeps a call open and answers it when what it knows of the leader has changed. While
nothing changes nothing is sent. What the members answer is put together on the reader's thread or
loop, when it looks. So no code of the reader runs on a peer's thread, a slow reader misses values
in between, and a watch without a reader costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.member_views import MemberViews
from raft_actors.client.parking import Parking
from raft_actors.client.watch import Watch
from raft_actors.names import Address

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
        self.members: MemberViews = MemberViews(finder, parking)
        self.told: Leadership = Leadership(None, -1, False)
        self.begin: Callable[[float], None] = self.members.begin
        self.work: Callable[[float], float] = self.members.work

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


class LeaderWatch(Watch[Leadership]):
    """A stream of leaderships, made by `Cluster.watch_leader`. One thread reads it; any may close
    it.

    with cluster.watch_leader() as watch:
        for leadership in watch:
            ...
    """

    _what = "news of the leader"

    def get(self, timeout: float | None = None) -> Leadership:
        """Wait until the leadership differs from the last returned one, and return it. The first
        call returns the present leadership.

        Raises TimeoutError if nothing changes in time, RaftError if the watch is closed, NoNode if
        this process can't reach any member.
        """
        return super().get(timeout)
