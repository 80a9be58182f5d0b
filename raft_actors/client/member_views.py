"""MemberViews: what each member of a group knows of its leader, kept up to date by parked calls."""

from math import inf
from typing import Any, Protocol

from raft_actors.client.member_calls import MemberCalls
from raft_actors.client.parking import PAUSE_S_MAX, Parking
from raft_actors.names import Address
from raft_actors.replica.questions import Leading

__all__ = ["MemberViews"]

ROUND_S = 0.3
"""How long to wait for members that do not answer, when all of them are asked anew."""


class Members(Protocol):
    """Knows which members to ask, and learns from their answers. `LeaderFinder` is one."""

    def candidates(self) -> tuple[Address, ...]: ...
    def learn(self, status: dict[str, Any]) -> None: ...


class MemberViews(MemberCalls):
    """Each member answers its call when its view of the leader changes. So a change costs one
    answer for each member, and nothing is sent while nothing changes.

    views       what each member has answered last; a member that does not answer any more has none
    awaited     the members that were asked for their present view, and have not answered yet
    round_ends  until when to wait for them
    """

    def __init__(
        self, members: Members, parking: Parking, pause_s_max: float = PAUSE_S_MAX
    ) -> None:
        super().__init__(parking, pause_s_max)
        self.members = members
        self.views: dict[Address, dict[str, Any]] = {}
        self.awaited: set[Address] = set()
        self.round_ends: float = -inf

    def begin(self, now: float) -> None:
        """Begin to look, for the first time or again. A member whose call has ended meanwhile is
        asked for its present view, for what it answered may be out of date.
        """
        while (parked := self.parking.next_now()) is not None:
            if self.parked.get(parked.member) is parked:
                del self.parked[parked.member]
                self.views.pop(parked.member, None)
        self.awaited = {member for member in self.members.candidates() if member not in self.views}
        self.round_ends = now + ROUND_S

    def is_settled(self, now: float) -> bool:
        """Return whether all members have answered that will answer soon."""
        return not self.awaited or now >= self.round_ends

    def work(self, now: float) -> float:
        look_at = self.ask(self.members.candidates(), now)
        return look_at if self.is_settled(now) else min(look_at, self.round_ends)

    def question_for(self, member: Address) -> Leading:
        view = self.views.get(member)
        if view is None:
            return Leading()
        configured = view["configuration"]["index"]
        return Leading((view["current_term"], view["leader"], view["ready"], configured))

    def on_news(self, member: Address, news: dict[str, Any]) -> None:
        self.views[member] = news
        self.awaited.discard(member)
        self.members.learn(news)

    def on_failure(self, member: Address, why: Any) -> None:
        self.awaited.discard(member)
        if why != "overloaded":  # a member that has no room for the call has no other view
            self.views.pop(member, None)
