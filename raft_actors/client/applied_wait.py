"""AppliedWait: waits until one member, or every member, has applied an entry of the log."""

import time
from typing import Any

from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.member_calls import MemberCalls
from raft_actors.client.member_views import MemberViews
from raft_actors.client.parking import PAUSE_S_MAX, Parking, await_result
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.rpc import PeerRef, address_of
from raft_actors.core.configuration import named
from raft_actors.errors import Unavailable
from raft_actors.names import Address
from raft_actors.replica.questions import NUMBER_MAX, Applied

__all__ = ["AppliedWait", "await_applied", "make_wait"]


class AppliedWait(MemberCalls):
    """Has a call at each member that it waits for. Another call at each member tells of changes of
    the members.

    at       the peer to wait for; None for every member
    applied  the members that have applied the entry
    """

    def __init__(
        self, finder: LeaderFinder, parking: Parking, index: int, at: Address | None
    ) -> None:
        super().__init__(parking, PAUSE_S_MAX)
        self.finder = finder
        self.index = index
        self.at = at
        self.applied: set[Address] = set()
        self.members: MemberViews = MemberViews(finder, parking)
        self.members.begin(time.monotonic())

    @property
    def wanted(self) -> tuple[Address, ...]:
        return self.finder.members if self.at is None else (self.at,)

    def work(self, now: float) -> float:
        look_at = self.ask([peer for peer in self.wanted if peer not in self.applied], now)
        return look_at if self.at is not None else min(look_at, self.members.work(now))

    def result(self, now: float) -> bool | None:
        """Return True when the entry is applied. Before the first members have answered it is not
        known who the members are.
        """
        if self.at is None and not self.members.is_settled(now):
            return None
        return True if self.applied.issuperset(self.wanted) else None

    def question_for(self, member: Address) -> Applied:  # noqa: ARG002
        return Applied(self.index)

    def on_news(self, member: Address, news: Any) -> None:
        if news >= self.index:  # else it has not changed for a minute
            self.applied.add(member)

    def error(self) -> Unavailable:
        """Return the error that says who has not applied the entry."""
        slow = [peer for peer in self.wanted if peer not in self.applied]
        silent = [peer for peer in slow if peer in self.refusals]
        why = f" ({named(silent)} did not answer)" if silent else ""
        return Unavailable(f"{slow} have not applied entry {self.index} in time{why}; wait again")


def make_wait(
    client: RetryingClient, index: int, at: PeerRef | None, timeout: float | None
) -> tuple[AppliedWait, float]:
    """Return the wait of a call of `await_applied`, and its deadline."""
    if type(index) is not int:
        raise TypeError(f"the index of an entry is a whole number, not {index!r}")
    deadline = client.deadline(timeout)
    peer = None if at is None else address_of(at)
    index = min(max(index, 0), NUMBER_MAX)
    return AppliedWait(client.finder, Parking(client.finder), index, peer), deadline


def await_applied(
    client: RetryingClient, index: int, at: PeerRef | None, timeout: float | None
) -> None:
    wait, deadline = make_wait(client, index, at, timeout)
    try:
        if not await_result(wait, deadline):
            raise wait.error()
    finally:
        wait.parking.close()
