"""Pre-candidate and candidate: ask for pre-votes, which disturb no leader, and then for votes."""

from typing import TYPE_CHECKING

from raft_actors.core.effects import Trouble
from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    AppendReply,
    Configure,
    DigestMade,
    GrantLead,
    InstallSnapshot,
    NodeLost,
    PreVoteReply,
    Propose,
    Query,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    Reseed,
    ReturnLead,
    SnapshotChecked,
    SnapshotInstalled,
    SnapshotRefused,
    SnapshotReply,
    SnapshotTaken,
    Tick,
    TimeoutNow,
    Transfer,
    VoteReply,
    Written,
)
from raft_actors.core.role import Handlers, Role

if TYPE_CHECKING:
    from raft_actors.names import Address
from raft_actors.core.reports import report_leaderless
from raft_actors.core.state import State

__all__ = ["Candidate", "PreCandidate"]


class Campaign(Role):
    """A peer that collects votes until its deadline. The votes end with this role object, so no
    vote counts in a later campaign.

    votes  the peers that vote for this one, with itself
    heard  the peers that have answered, with or without a vote, and their incarnations
    """

    __slots__ = ("deadline", "heard", "votes")

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.deadline: float = state.election_deadline()
        self.votes: set[Address] = {state.peer}
        self.heard: dict[Address, int] = {}

    @property
    def alarm(self) -> float:
        return self.deadline

    def on_tick(self, _tick: Tick) -> None:
        if self.state.now >= self.deadline:
            report_leaderless(self.state, self.heard)
            self.state.become_pre_candidate()

    def count(self, reply: "PreVoteReply | VoteReply") -> None:
        """Count a vote, if the voter's data directory is the one that counts for this member."""
        if self.state.voters.counts(reply.source, reply.source_incarnation):
            self.votes.add(reply.source)

    def won(self) -> bool:
        return self.state.voters.has_quorum(self.votes)


class PreCandidate(Campaign):
    """A peer that asks the others whether they would vote for it. Only if a majority would, it
    raises its term and becomes a candidate (thesis 9.6).

    So a peer that was cut off comes back with its old term, and does not depose the leader.

    gave_way  whether this peer lets another pre-candidate go first
    """

    __slots__ = ("gave_way",)
    name = "pre_candidate"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.gave_way: bool = False

    def on_pre_vote_request(self, request: RequestPreVote) -> None:
        """Answer another pre-candidate, and let it go first if its log is better, or equally good
        and its address greater. Otherwise both would become candidates and split the votes: peers
        that lose their leader at the same time ask each other.

        The peer that gives way tries again after an election timeout, in case the other has failed.
        """
        state = self.state
        own = (state.log.last_term, state.log.last_index, state.peer)
        theirs = (request.last_term, request.last_index, request.source)
        may_win = state.voters.votes(request.source) and self.would_vote_for(request)
        if theirs > own and may_win:
            self.gave_way = True
        super().on_pre_vote_request(request)

    def on_pre_vote_reply(self, reply: PreVoteReply) -> None:
        self.heard[reply.source] = reply.source_incarnation
        if self.gave_way:
            return
        if reply.granted and reply.asked == self.state.term + 1:
            self.count(reply)
        if self.won() and self.has_asked_all():
            self.state.become_candidate()

    def on_tick(self, tick: Tick) -> None:
        """After the deadline, a founder no longer waits for members that do not answer."""
        founding = self.state.founding
        if founding is None or self.state.now < self.deadline:
            super().on_tick(tick)
        elif founding.member is not None:
            self.state.report(Trouble("group_exists", founding.member))
            super().on_tick(tick)
        elif self.won():
            self.state.become_candidate()
        else:
            super().on_tick(tick)

    def has_asked_all(self) -> bool:
        """Return whether a founder may go on: all other members have answered, and none of them
        belongs to a group.

        A founder waits for that until its deadline. So a single member that belongs to a group is
        enough to stop others, whose disks are new or were wiped, from founding a second group. And
        the group's first entry has the data directories of all members that have answered.
        """
        founding = self.state.founding
        return founding is None or founding.has_heard(self.state.others())

    def on_vote_request(self, request: RequestVote) -> None:
        """Judge the request as a follower: a pre-candidate has not given its vote in its term."""
        self.state.become_follower(leader=None)
        self.state.handle(request)


class Candidate(Campaign):
    """A peer that asks for votes in a new term, and has voted for itself (§5.2).

    released  of the TimeoutNow that made this peer a candidate; 0 without one
    """

    __slots__ = ("released",)
    name = "candidate"
    deadline: float

    def __init__(self, state: State, *, released: int) -> None:
        super().__init__(state)
        self.released: int = released

    def on_vote_reply(self, reply: VoteReply) -> None:
        """Count a vote of this term; `Server.accept_term` has dropped the votes of other terms.

        A majority has promised a vote in the pre-vote, so a peer that refuses now has voted for
        another candidate. If none of the candidates wins, the votes are split. Then this candidate
        need not wait for a whole election timeout: it waits for as long as the heartbeat of a
        winner may take, with some random time added.
        """
        state = self.state
        self.heard[reply.source] = reply.source_incarnation
        if reply.granted:
            self.count(reply)
            if self.won():
                state.become_leader(released=self.released)
        else:
            soon = state.config.heartbeat_timeout * state.random.uniform(1, 2)
            self.deadline = min(self.deadline, state.now + soon)


SHARED: Handlers = {
    Tick: Campaign.on_tick,
    NodeLost: Campaign.ignore,
    Written: Campaign.ignore,
    AppendEntries: Campaign.follow,
    AppendReply: Campaign.ignore,
    AppendRejected: Campaign.ignore,
    InstallSnapshot: Campaign.follow,
    SnapshotReply: Campaign.ignore,
    SnapshotTaken: Campaign.on_snapshot_taken,
    DigestMade: Campaign.on_digest_made,
    SnapshotChecked: Campaign.on_snapshot_checked,
    SnapshotInstalled: Campaign.on_snapshot_installed,
    SnapshotRefused: Campaign.on_snapshot_refused,
    Propose: Campaign.refuse_while_electing,
    Query: Campaign.on_query,
    ReadIndex: Campaign.ignore,
    ReadIndexReply: Campaign.ignore,
    Configure: Campaign.refuse_while_electing,
    Transfer: Campaign.refuse_while_electing,
    Reseed: Campaign.refuse_while_electing,
    GrantLead: Campaign.refuse_while_electing,
    ReturnLead: Campaign.ignore,
    TimeoutNow: Campaign.ignore,
}
PreCandidate.handlers = {
    **SHARED,
    RequestPreVote: PreCandidate.on_pre_vote_request,
    Tick: PreCandidate.on_tick,
    PreVoteReply: PreCandidate.on_pre_vote_reply,
    RequestVote: PreCandidate.on_vote_request,
    VoteReply: PreCandidate.ignore,
}
Candidate.handlers = {
    **SHARED,
    RequestPreVote: Candidate.on_pre_vote_request,
    PreVoteReply: Candidate.ignore,
    RequestVote: Candidate.refuse_vote,
    VoteReply: Candidate.on_vote_reply,
}
