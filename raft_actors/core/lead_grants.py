"""Lead grants: how a leader lets its own node run something only while it leads.

The node asks its leader for a *grant*: an entry of the log, whose index is the token of the grant.
What runs by a grant ends at the latest when the *grant time* is over, counted by the clock of its
node from the begin of the newest round of messages that a majority has answered. Three rules keep
what runs by grants of two leaders apart:

1. There was no newer leader when that round began (thesis 6.4). So a newer leader is elected
   later, and waits for the grant time of the group before it gives its first grant. By then, all
   that an older leader had granted is over. The grant time of the group is part of the
   configuration, and is committed before the first grant that needs it is answered.
2. Before a leader hands over, it recalls its grants: it waits until they are given back, and leads
   on meanwhile; but it waits no longer than their holders have asked for.
3. A successor need not wait if nothing runs by any grant any more. The leader says so in its
   TimeoutNow, with the end of its log. It holds for no longer log: the transfer may fail, and then
   the leader may give another grant, which is an entry.

Nothing here relies on how long followers wait before an election: followers whose connections to
the leader break elect another one at once, also if the leader lives.
"""

from math import inf

from raft_actors.core.effects import LeadNews
from raft_actors.core.entry import NOOP
from raft_actors.core.leader_base import LiveGrant
from raft_actors.core.messages import GrantLead, ReturnLead
from raft_actors.core.replication import Replication

__all__ = ["CLOCK_MARGIN", "LeadGrants"]

CLOCK_MARGIN = 0.05
"""By so much longer than the grant time a new leader waits, because its clock may run faster than
that of the leader before; by `Config.lease_clock_drift_max`, if that is more."""


class LeadGrants(Replication):
    """The part of a leader that gives grants and recalls them."""

    __slots__ = ()
    beat_at: float
    grants: dict[int, LiveGrant]
    grants_from: float
    wished: list[GrantLead]

    def wait_for_older_grants(self, released: int) -> None:
        """Set the time of this leader's first grant, as it begins.

        released  see `TimeoutNow.released`; 0 if this leader was not told to become one
        """
        state = self.state
        margin = max(CLOCK_MARGIN, state.config.lease_clock_drift_max or 0.0)
        wait_s = state.configuration.grant_ms / 1000 * (1 + margin)
        is_released = released != 0 and released == state.log.last_index
        self.grants_from = state.now if is_released else state.now + wait_s

    def on_grant_lead(self, event: GrantLead) -> None:
        """Note the wish, and fulfil it as soon as that is allowed: now, after a commit, or at a
        heartbeat. It is refused when the leadership ends.
        """
        state = self.state
        self.wished.append(event)
        self.reads.renew = True  # a grant needs a round that a majority has answered
        self.beat_at = min(self.beat_at, state.now)  # a single voter has had no reason for beats
        self.give_grants()

    def give_grants(self) -> None:
        """Append the entries of the grants that are wished for, if this leader may give grants.
        While something may run on by a returned grant, it gives none.

        Each comes after the first entry of the term. So when it is applied, the state has all that
        was committed in earlier terms.
        """
        state = self.state
        if self.recalled_until is not None and not self.grants and not self.wants_to_hand_over():
            self.recalled_until = None
        self.forget_ended_grants()
        if (
            not self.wished
            or state.has_no_state
            or any(each.over_at < inf for each in self.grants.values())
            or state.now < self.grants_from
            or self.recalled_until is not None
            or self.transfer is not None
            or state.peer not in state.configuration.members
        ):
            return
        times_ms = [wish.grant_ms for wish in self.wished]
        times_ms += [grant.grant_ms for grant in self.grants.values()]
        if not self.set_grant_time(max(times_ms)):
            return
        wished, self.wished = self.wished, []
        for event in wished:
            self.append(NOOP, b"", event.ticket)
            event.index = state.log.last_index
            self.grants[event.index] = LiveGrant(event.grant_ms, event.hand_over_s)

    def set_grant_time(self, grant_ms: int) -> bool:
        """Have the group's configuration say this grant time; see `Reconfiguration`."""
        raise NotImplementedError

    def on_return_lead(self, event: ReturnLead) -> None:
        """Forget the grant; if something may run on by it, only when its time is over."""
        grant = self.grants.get(event.index)
        if grant is None:
            return
        if event.ended:
            del self.grants[event.index]
        else:
            grant.over_at = self.reads.confirmed_at + grant.grant_ms / 1000

    def may_hand_over(self) -> bool:
        """Return whether the leader may give up the leadership now: the grants are given back, or
        their holders have had their time. Otherwise recall the grants.
        """
        now = self.state.now
        self.forget_ended_grants()
        if not self.grants:
            return True
        if self.recalled_until is None:
            self.recalled_until = now + max(each.hand_over_s for each in self.grants.values())
        return now >= self.recalled_until

    def forget_ended_grants(self) -> None:
        if not self.grants:
            return
        now = self.state.now
        self.grants = {index: each for index, each in self.grants.items() if each.over_at > now}

    def wants_to_hand_over(self) -> bool:
        """Return whether a recall has still a reason."""
        me, change = self.state.peer, self.change
        return (
            self.transfer is not None
            or bool(self.postponed)
            or self.state.has_no_state
            or (change is not None and me not in change.target.members)
            or me not in self.state.configuration.members
        )

    def released(self) -> int:
        """Return the end of the log if nothing runs by a grant of any leader any more; else 0."""
        self.forget_ended_grants()
        nothing_runs = not self.grants and self.state.now >= self.grants_from
        return self.state.log.last_index if nothing_runs else 0

    def tell_holders(self) -> None:
        """Give the holders of grants their news, if there are any."""
        if not self.grants:
            self.told = None
            return
        news = LeadNews(self.reads.confirmed_at, self.recalled_until is not None)
        if news != self.told:
            self.told = self.state.effects.lead = news
