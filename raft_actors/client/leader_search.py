"""LeaderSearch: asks the members of a group for the leader, and waits until one knows it."""

import time
from typing import Any, NamedTuple, Protocol

from raft_actors.client.answers import Failure
from raft_actors.client.member_views import Members, MemberViews
from raft_actors.client.parking import Parking
from raft_actors.core.replies import ELECTION_IN_PROGRESS, NO_NODE, NO_PEER, TIMEOUT
from raft_actors.errors import NoProcess, RaftError
from raft_actors.names import Address

__all__ = ["LeaderSearch", "Refusal", "Searcher"]

PAUSE_S_MAX = 0.25
"""A member that does not run is asked again after so many seconds at most: a call waits for it."""


class Refusal(NamedTuple):
    """Why a member has named no leader.

    error  as an answer of `Raft`: ("error", reason)
    text   for people; "" if the member has named a leader
    """

    error: Any
    text: str


NO_ANSWER = Refusal(TIMEOUT, "no answer")


class Searcher(Members, Protocol):
    """What a search needs of its finder. `LeaderFinder` is one."""

    term: int
    is_lost: bool


class LeaderSearch:
    """Has a call at each member, which the member answers when it knows another leader. So nobody
    is asked again and again during an election.

    other_than   counts as the leader only if it answers itself that it leads
    is_answered  whether any member has answered
    """

    def __init__(self, finder: Searcher, parking: Parking, other_than: Address | None) -> None:
        self.finder = finder
        self.parking = parking
        self.other_than = other_than
        self.is_answered: bool = False
        self.members: MemberViews = MemberViews(finder, parking, PAUSE_S_MAX)
        self.members.begin(time.monotonic())

    def work(self, now: float) -> float:
        finder, views = self.finder, self.members.views
        if self.members.is_settled(now):
            term = self.newest_term()
            if term < finder.term and views:
                finder.term = term  # the group may have been deleted and formed again
                for view in views.values():
                    finder.learn(view)
            if self.result(now) is None:
                finder.is_lost = True  # so that former members are asked, too
        return self.members.work(now)

    def result(self, now: float) -> Address | None:
        """Return the leader of the newest term that is known; None if no member knows it."""
        views = self.members.views.values()
        self.is_answered |= bool(views)
        term = self.newest_term()
        if not self.members.is_settled(now):
            term = max(term, self.finder.term)
        for view in views:
            leader: Address | None = view["leader"]
            if (
                leader is not None
                and view["current_term"] == term
                and (leader != self.other_than or view["current_state"] == "leader")
            ):
                self.finder.is_lost = False
                return leader
        return None

    def newest_term(self) -> int:
        return max((view["current_term"] for view in self.members.views.values()), default=-1)

    def refusals(self) -> dict[Address, Refusal]:
        """Return for each member that was asked why it has named no leader."""
        members = self.members
        refusals = dict.fromkeys(members.parked, NO_ANSWER)
        refusals |= {member: refusal_for(why) for member, why in members.refusals.items()}
        return refusals | {
            member: refusal_of(member, view) for member, view in members.views.items()
        }


def refusal_for(why: Any) -> Refusal:
    """Return why a call has failed; `why` is an exception or the reason in an error."""
    match why:
        case TimeoutError():
            return Refusal(TIMEOUT, str(why))
        case NoProcess():  # no peer has been started on that node yet
            return Refusal(NO_PEER, str(why))
        case RaftError():
            return Refusal(NO_NODE, str(why))
        case "no_peer":
            return Refusal(NO_PEER, "there is no such peer")
        case "restarting":
            return Refusal(("error", why), "it has crashed and is started again")
    return Refusal(("error", why), f"it answered {why!r}")


def refusal_of(peer: Address, view: dict[str, Any]) -> Refusal:
    if not view["configuration"]["members"]:
        return Refusal(no_group(peer), f"it is in no group yet: {how_to_get_a_group(peer)}")
    return Refusal(ELECTION_IN_PROGRESS, "" if view["leader"] else "it knows no leader")


def no_group(peer: Address) -> Failure:
    """Return the error for a peer that belongs to no group."""
    return ("error", ("no_group", f"{peer} is in no group: {how_to_get_a_group(peer)}"))


def how_to_get_a_group(peer: Address) -> str:
    return (
        f"found one by Raft.set_configuration({peer[0]!r}, members), or let it join one by "
        "Raft.join"
    )
