"""Server: the protocol of one peer. Its owner calls `step` for each event, and then `flush`."""

from math import inf
from typing import Any

from raft_actors.core.candidate import Candidate, PreCandidate
from raft_actors.core.configuration import is_group
from raft_actors.core.effects import Ballot, Effects, RoleChange, Trouble
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    Event,
    InstallSnapshot,
    Message,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    Tick,
    TimeoutNow,
    VoteReply,
)
from raft_actors.core.reports import report_silent
from raft_actors.core.reseeding import give_up_if_alone
from raft_actors.core.role import Role
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["TERMS_AT_ONCE", "Server"]

LEADERS_OWN = (AppendEntries, InstallSnapshot)
"""The messages that only the leader of a term sends."""

CLAIMS = (AppendEntries, InstallSnapshot, RequestVote, TimeoutNow)
"""The messages that a peer may accept even from a sender that is not in its configuration, because
the configuration may be an old one (thesis 4.1). See `Server.is_outsiders`."""

TERMS_AT_ONCE = 1 << 32
"""The most by which one message raises a peer's term: as many terms as decades of elections use.
A term that is further away is reached by several messages. So a few wrong messages can't use up
all terms that the 8 bytes of a term can number."""


class Server(State):
    """Raft for one peer, as a state machine: events in, effects out.

    The owner, a `Replica`, sets `now` and `wall_ms` before each batch, steps every event that
    waits, and then performs the effects of one `flush` in their order.

    role          the present role of the peer; it handles every event
    saved_ballot  the ballot that the last flush with a ballot gave to be saved
    role_change   the last change of role, term or leader that a flush gave to the observers
    """

    __slots__ = ("role", "role_change", "saved_ballot")
    effects: Effects
    saved_ballot: Ballot

    def begin(self) -> None:
        self.report_damaged_entries()
        self.saved_ballot = self.ballot
        self.role_change: RoleChange | None = None
        self.role: Role = Follower(self)

    @property
    def alarm(self) -> float:
        """When to step a Tick, in seconds of `now`; infinity for never."""
        give_up_at = self.founding.give_up_at if self.founding else inf
        return min(self.role.alarm, give_up_at)

    def knows_a_ready_leader(self) -> bool:
        """Return whether a leader is known, and an entry of its term is committed (thesis 6.4)."""
        return self.role.leader is not None and self.log.term_at(self.commit_index) == self.term

    # Events in.

    def step(self, event: Event) -> None:
        """Handle one event. The next flush returns the effects of it."""
        if isinstance(event, Message):
            if not self.is_addressed_here(event):
                return
            if type(event) in CLAIMS and self.is_outsiders(event):
                self.report(Trouble("outsider", event.source))
                return
            if self.founding is not None and isinstance(event, PreVoteReply | VoteReply):
                self.founding.hear(event)
            if event.term != self.ballot.term and not self.accept_term(event):
                return
        elif type(event) is Tick and self.founding and self.now >= self.founding.give_up_at:
            report_silent(self, self.founding.silent(self.others()))
            self.give_up_founding(self.founding.failure())
            self.become_follower(leader=None)
            return
        self.role.handlers[type(event)](self.role, event)  # as `handle`, for each event

    def is_addressed_here(self, message: Message) -> bool:
        """Tell whether to handle a message: it is meant for this data directory, and its sender is
        of this peer's group or of no group yet.

        A peer that belongs to a group answers the pre-vote request of a founder of another group,
        so that the founder learns that there is a group already; it ignores all other messages of
        a founder. Until a peer knows that its group's first entry is committed, it may still join
        another group: several founders may compete, and the group of the founder whose first entry
        commits is the one that exists.
        """
        group, theirs = self.ballot.group, message.group
        if group and theirs != group:
            if is_group(theirs):
                self.report(Trouble("other_group", message.source, theirs))
                return False
            return type(message) is RequestPreVote
        if message.target_incarnation not in (0, self.incarnation):
            if message.term >= self.term:
                self.report(Trouble("other_incarnation", message.source))
                if self.founding is not None:
                    self.give_up_founding(("error", "other_incarnation"))
                    self.become_follower(leader=None)
            return False
        if self.founding is not None and theirs and not is_group(theirs) and theirs != self.group:
            self.report(Trouble("other_members", message.source))
            return False
        return True

    def is_outsiders(self, claim: Message) -> bool:
        """Tell whether to ignore a message of a leader or a candidate that this peer does not know
        as a member.

        The sender may be a member all the same: this peer's log may be behind, and then no other
        peer can send it the missing entries (thesis 4.1, 4.2.2). So the message is ignored only
        while this peer receives messages of a leader, like a vote request (4.2.3). Messages of
        this leader itself are never ignored, also after a configuration that has removed it.
        """
        role, source = self.role, claim.source
        return (
            source != role.leader
            and claim.term >= self.term
            and not role.knows(source)
            and role.is_bound_to_a_leader()
        )

    def accept_term(self, message: Message) -> bool:
        """Apply the rule of terms, which is the same for all roles (§5.1); return whether the role
        is to handle the message.

        A message with a newer term makes this peer a follower in that term. There are two
        exceptions, so that a peer that can't win an election does not disrupt the others: a
        pre-vote request changes no term (thesis 9.6), and a vote request is ignored while this peer
        receives messages of a leader or is bound by a promise to one (thesis 4.2.3).
        """
        kind = type(message)
        if kind is RequestPreVote:
            return True
        if message.term > self.term:
            forced = isinstance(message, RequestVote) and message.forced
            if kind is RequestVote and not forced and self.role.is_bound_to_a_leader():
                return False
            if kind not in CLAIMS and not self.role.knows(message.source):
                return False
            if message.term > self.term + TERMS_AT_ONCE:
                self.become_follower(leader=None, term=self.term + TERMS_AT_ONCE)
                return False
            leader = message.source if kind in LEADERS_OWN else None
            self.become_follower(leader=leader, term=message.term)
            return True
        # The message is of an older term. If its sender is a leader or a candidate in that term, it
        # gets an answer with this peer's term, so that it steps down.
        if kind in LEADERS_OWN:
            self.send(
                AppendRejected(
                    source=self.peer, target=message.source, group=self.group_for(message),
                    term=self.term, prev_index=0, hint=0, hint_term=0, round=0,
                )
            )  # fmt: skip
        elif kind is RequestVote:
            self.send(self.reply_vote(message, granted=False))
        # A PreVoteReply counts for the term it was asked about (`asked`), even when the voter's own
        # term is older.
        return kind is PreVoteReply

    def handle(self, event: Event) -> None:
        """Have the present role handle the event."""
        self.role.handlers[type(event)](self.role, event)

    # Effects out.

    def flush(self) -> Effects:
        """Return the effects of all events since the last flush. The owner performs them lane by
        lane, see `Effects`.
        """
        self.role.flush()
        if self.reseeding is not None:
            give_up_if_alone(self, is_led=self.role.leader not in (None, self.peer))
        due, term, leader = self.effects, self.ballot.term, self.role.leader
        if term != self.saved_ballot.term:
            # Messages may leave before the save (thesis 10.2.1) only if `term` is on disk. A single
            # voter becomes leader in the very batch that raised the term; then everything waits
            # for the save.
            due.before_save, due.after_save = [], due.before_save + due.after_save
        if self.ballot is not self.saved_ballot:
            due.ballot = self.saved_ballot = self.ballot
        due.first, due.entries = self.log.take_unsaved()
        self.stamp_incarnations(due.before_save + due.after_save)
        told = self.role_change
        if told is None or (told.role, told.term, told.leader) != (
            self.role.name, term, leader,
        ):  # fmt: skip
            now = RoleChange(self.role.name, term, leader)
            due.role_change = self.role_change = now
            if told is not None and told.leader != leader:
                self.note_leader(leader)
        self.effects = Effects()
        self.log.trim()
        return due

    def stamp_incarnations(self, messages: list[Message]) -> None:
        """Put the incarnation of this peer into each message; a leader also puts in the incarnation
        of the receiver.

        Only a leader does so: another peer may have an older configuration than the receiver, and
        in it a data directory that the receiver had before.
        """
        leads = self.role.leads
        known = dict(self.configuration.incarnations) if leads else {}
        for message in messages:
            message.source_incarnation = self.incarnation
            if leads:
                message.target_incarnation = known.get(message.target, 0)

    def take_tickets(self, through: int) -> list[Any]:
        """Return the tickets of the entries up to `through` that were not taken before.

        The last ticket belongs to the entry `through`. There are fewer tickets than applied entries
        if the first of these were written by a leader of an earlier term. The list is empty if
        this peer does not lead.
        """
        return self.role.take_tickets(through)

    # Roles. The old role's `leave` is called; the new role starts with no state of a role before.

    def become_follower(self, *, leader: Address | None, term: int | None = None) -> None:
        self.role.leave()
        if term is not None:
            self.enter_term(term, None)
        self.role = Follower(self, leader)

    def become_pre_candidate(self) -> None:
        self.role.leave()
        if self.founding is not None:
            self.founding.begin_round()
        self.role = PreCandidate(self)
        if self.role.won():
            self.become_candidate()
            return
        for member in self.others():
            self.send(
                RequestPreVote(
                    source=self.peer, target=member, group=self.group, term=self.term,
                    last_index=self.log.last_index, last_term=self.log.last_term,
                )
            )  # fmt: skip

    def become_candidate(self, order: TimeoutNow | None = None) -> None:
        self.role.leave()
        self.enter_term(self.term + 1, self.peer)
        self.role = Candidate(self, released=order.released if order else 0)
        if self.role.won():
            self.become_leader()
            return
        for member in self.others():
            self.send(
                RequestVote(
                    source=self.peer, target=member, group=self.group, term=self.term,
                    last_index=self.log.last_index, last_term=self.log.last_term,
                    forced=order is not None,
                )
            )  # fmt: skip

    def become_leader(self, *, released: int = 0) -> None:
        self.role.leave()
        leader = Leader(self)
        self.role = leader
        leader.wait_for_older_grants(released)
        leader.begin()
