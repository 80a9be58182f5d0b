"""MemberCalls: one parked call at each of several members, for an asker that needs all of them."""

from collections.abc import Sequence
from math import inf
from typing import Any

from raft_actors.client.parking import Parked, Parking, Pause, answers_at_once, refusal_in
from raft_actors.names import Address
from raft_actors.replica.questions import Question

__all__ = ["MemberCalls"]

HANGS = "it does not answer any more"


class MemberCalls:
    """Keeps one call open at each member that is wanted. A member whose call has failed is asked
    again after a pause.

    parked    the call at each member
    refusals  for each member whose last call has failed: the reason
    pause_s_max  the longest pause, in seconds
    """

    def __init__(self, parking: Parking, pause_s_max: float) -> None:
        self.parking = parking
        self.pause_s_max = pause_s_max
        self.parked: dict[Address, Parked] = {}
        self.refusals: dict[Address, Any] = {}
        self.pauses: dict[Address, Pause] = {}

    # What a subclass says.

    def question_for(self, member: Address) -> Question:
        raise NotImplementedError

    def on_news(self, member: Address, news: Any) -> None:
        """Take what a member has answered. Its next call is parked by the next `ask`."""
        raise NotImplementedError

    def on_failure(self, member: Address, why: Any) -> None:
        """Called when a call has failed, or its member is not wanted any more."""

    # What a subclass calls.

    def ask(self, wanted: Sequence[Address], now: float) -> float:
        """Ask each member of `wanted` that has no open call, and take back the calls at others.
        Return when to call this again.
        """
        for member, parked in [*self.parked.items()]:
            if member not in wanted or parked.until <= now:
                del self.parked[member]
                self.parking.drop([parked])
                self.fail(member, HANGS, now)
        for member in [*self.refusals]:
            if member not in wanted:
                del self.refusals[member], self.pauses[member]
        look_at, has_parked, at_once = inf, False, False
        for member in wanted:
            pause = self.pauses.get(member)
            if member in self.parked:
                look_at = min(look_at, self.parked[member].until)
            elif pause is not None and pause.until > now:
                look_at = min(look_at, pause.until)
            else:
                question = self.question_for(member)
                self.parked[member] = self.parking.park(self, member, question, now)
                has_parked = True
                at_once |= answers_at_once(question)
        if has_parked:
            self.parking.flush(at_once=at_once)
        return look_at

    def take(self, parked: Parked, now: float) -> None:
        """Take a call that has arrived."""
        member = parked.member
        if self.parked.get(member) is not parked:
            return
        del self.parked[member]
        match parked.answer():
            case ("ok", news):
                self.pauses.pop(member, None)
                self.refusals.pop(member, None)
                self.on_news(member, news)
            case answer:
                if type(answer) is list:
                    self.parking.finder.add_members(answer)
                self.fail(member, refusal_in(answer), now)

    def fail(self, member: Address, why: Any, now: float) -> None:
        self.refusals[member] = why
        self.pauses.setdefault(member, Pause(self.pause_s_max)).begin(why, now)
        self.on_failure(member, why)
