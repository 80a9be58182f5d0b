"""Follower: accept the leader's entries, give one vote a term (§5.1 to §5.4)."""

from math import inf
from typing import TYPE_CHECKING

from raft_actors.core.membership import Address
from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    AppendReply,
    Configure,
    NodeLost,
    PreVoteReply,
    Propose,
    Query,
    RequestPreVote,
    RequestVote,
    Tick,
    TimeoutNow,
    Transfer,
    VoteReply,
    Written,
)
from raft_actors.core.role import ELECTION_IN_PROGRESS, Role, redirect

if TYPE_CHECKING:
    from raft_actors.core.server import Server

__all__ = ["Follower"]


class Follower(Role):
    """A peer that waits for a leader's word.

    leader    who leads this term, once heard of
    heard     when it last spoke; minus infinity before that
    deadline  when its silence starts an election
    reply     the append reply that this batch owes the leader
    """

    __slots__ = ("deadline", "heard", "leader", "reply")
    name = "follower"

    def __init__(self, server: "Server", leader: Address | None = None) -> None:
        super().__init__(server)
        self.leader = leader
        self.heard = -inf
        self.deadline = server.election_deadline()
        self.reply: AppendReply | None = None

    @property
    def alarm(self) -> float:
        return self.deadline if self.server.may_stand() else inf

    def hears_a_leader(self) -> bool:
        return self.server.now < self.heard + self.server.config.min_election_timeout

    def flush(self) -> None:
        if self.reply is not None:
            self.server.send(self.reply)
            self.reply = None

    def on_tick(self, _tick: Tick) -> None:
        server = self.server
        if server.now >= self.deadline and server.may_stand():
            server.become_pre_candidate()

    def on_node_lost(self, lost: NodeLost) -> None:
        """A leader whose process is gone need not be waited for: ask at once, with jitter.

        Should the leader live and only the link be cut, the others still hear it and refuse.
        """
        server = self.server
        if self.leader is not None and self.leader[1] == lost.node:
            self.heard = -inf
            jitter = server.random.uniform(0, server.config.heartbeat_timeout)
            self.deadline = min(self.deadline, server.now + jitter)

    def on_append(self, request: AppendEntries) -> None:
        server, log = self.server, self.server.log
        self.leader, self.heard = request.source, server.now
        self.deadline = server.election_deadline()
        prev, entries = request.prev_index, request.entries
        # Only what this request proves to match counts: a longer log may end in entries of
        # another leader (Figure 2, AppendEntries 5: "index of last new entry").
        match = prev + len(entries)
        if prev < log.base:
            # What is compacted here was committed, so it is the same there.
            entries, prev = entries[log.base - prev :], log.base
        elif log.term_at(prev) != request.prev_term:
            self.reject(request)
            return

        server.extend(prev, entries)
        server.commit_to(min(request.commit, match))
        owed = self.reply
        self.reply = AppendReply(
            source=server.peer, target=request.source, group=server.group, term=server.term,
            match=match if owed is None else max(match, owed.match),
            round=request.round if owed is None else max(request.round, owed.round),
        )  # fmt: skip

    def reject(self, request: AppendEntries) -> None:
        server, log = self.server, self.server.log
        hint = log.newest_at_or_before(request.prev_index - 1, request.prev_term)
        server.send(
            AppendRejected(
                source=server.peer, target=request.source, group=server.group, term=server.term,
                prev_index=request.prev_index, round=request.round,
                hint=hint, hint_term=log.term_at(hint),
            )
        )  # fmt: skip

    def on_vote_request(self, request: RequestVote) -> None:
        """Vote once a term, and only for a log that holds all that is committed (§5.4.1)."""
        server = self.server
        granted = server.voted_for in (None, request.source) and server.log.is_no_newer_than(
            last_index=request.last_index, last_term=request.last_term
        )
        if granted:
            server.vote(request.source)
            self.deadline = server.election_deadline()
        server.send(server.reply_vote(request, granted=granted))

    def on_timeout_now(self, _order: TimeoutNow) -> None:
        """Stand without asking who would vote: the leader itself makes room (thesis 3.10)."""
        if self.server.may_stand():
            self.server.become_candidate(forced=True)

    def refuse_request(self, event: Propose | Query | Transfer) -> None:
        self.server.answer(event.ticket, redirect(self.leader))

    def on_configure(self, event: Configure) -> None:
        """Found the group if there is none yet; else only its leader may change it."""
        server = self.server
        if server.configuration.members or server.founding:
            server.answer(
                event.ticket, redirect(self.leader) if self.leader else ELECTION_IN_PROGRESS
            )
        else:
            server.found(event)


Follower.handlers = {
    Tick: Follower.on_tick,
    NodeLost: Follower.on_node_lost,
    Written: Follower.ignore,
    AppendEntries: Follower.on_append,
    AppendReply: Follower.ignore,
    AppendRejected: Follower.ignore,
    RequestPreVote: Follower.on_pre_vote_request,
    PreVoteReply: Follower.ignore,
    RequestVote: Follower.on_vote_request,
    VoteReply: Follower.ignore,
    TimeoutNow: Follower.on_timeout_now,
    Transfer: Follower.refuse_request,
    Propose: Follower.refuse_request,
    Query: Follower.refuse_request,
    Configure: Follower.on_configure,
}
