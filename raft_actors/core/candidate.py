"""Pre-candidate and candidate: ask for a majority, first without any harm, then for real."""

from typing import TYPE_CHECKING

from raft_actors.core.effects import Trouble
from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    AppendReply,
    Configure,
    InstallSnapshot,
    NodeLost,
    PreVoteReply,
    Propose,
    Query,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
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
    """A peer that collects votes until its deadline. The votes are its own and end with it.

    votes  who would have it as a leader
    heard  who has answered, whatever it was, and with which data directory
    """

    __slots__ = ("deadline", "heard", "votes")

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.deadline = state.election_deadline()
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
        """Count a vote, if the data directory that gave it is the member's."""
        if self.state.voters.counts(reply.source, reply.source_incarnation):
            self.votes.add(reply.source)

    def won(self) -> bool:
        return self.state.voters.has_quorum(self.votes)


class PreCandidate(Campaign):
    """Ask who would vote for it, and raise its term only if a majority would (thesis 9.6).

    So a peer that was cut off comes back without a word against the leader it finds.

    gave_way  whether it leaves it to another that asks too
    """

    __slots__ = ("gave_way",)
    name = "pre_candidate"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.gave_way = False

    def on_pre_vote_request(self, request: RequestPreVote) -> None:
        """Of two that ask each other one gives way, or both would stand and split the vote.

        That happens to those who lost one leader at one time. The better log goes first, then
        the greater name. The other waits an election timeout, should the first fail.
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
        """After the deadline, a founder waits no longer for those that are silent."""
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
        """Tell whether a founder knows all that it can: who is there, and of no group.

        It waits until all have answered, or as long as an election takes. One member of a group is
        enough to keep others, whose disks are fresh or gone, from founding a second one. And the
        first entry then names the data directories of all that are there.
        """
        founding = self.state.founding
        return founding is None or founding.has_heard(self.state.others())

    def on_vote_request(self, request: RequestVote) -> None:
        """A pre-candidate has not voted in its term by standing: it judges as a follower does."""
        self.state.become_follower(leader=None)
        self.state.handle(request)


class Candidate(Campaign):
    """Stand in a new term, with a vote for itself (§5.2)."""

    __slots__ = ()
    name = "candidate"

    def on_vote_reply(self, reply: VoteReply) -> None:
        """Count a vote of this very term; the server has dropped those of any other.

        A majority would have voted for it, so who refuses now has voted for another: unless one
        of the two wins the votes are split, and the next attempt need not wait for a whole
        election timeout. It waits for a heartbeat of the other, with jitter.
        """
        state = self.state
        self.heard[reply.source] = reply.source_incarnation
        if reply.granted:
            self.count(reply)
            if self.won():
                state.become_leader()
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
    SnapshotChecked: Campaign.on_snapshot_checked,
    SnapshotInstalled: Campaign.on_snapshot_installed,
    SnapshotRefused: Campaign.on_snapshot_refused,
    Propose: Campaign.refuse_while_electing,
    Query: Campaign.on_query,
    ReadIndex: Campaign.ignore,
    ReadIndexReply: Campaign.ignore,
    Configure: Campaign.refuse_while_electing,
    Transfer: Campaign.refuse_while_electing,
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
