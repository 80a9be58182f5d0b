"""Follower: accept the leader's entries, give one vote a term (§5.1 to §5.4)."""

from dataclasses import replace
from math import inf

from raft_actors.core.append_check import are_a_leaders, rejection
from raft_actors.core.effects import Read, Trouble
from raft_actors.core.entry import first_damaged
from raft_actors.core.follower_reads import FollowerReads, WaitingRead
from raft_actors.core.founding import Founding
from raft_actors.core.messages import (
    FOLLOWER,
    STALE,
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
from raft_actors.core.replies import ELECTION_IN_PROGRESS, redirect
from raft_actors.core.reports import report_leaderless, report_no_group
from raft_actors.core.reseeding import reseed
from raft_actors.core.role import Role
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["Follower"]

NUMBER_BITS = 60
"""Random bits of the number of a follower's first question. They make it improbable that a peer
that was restarted uses a number again; and few enough, so that counting up from there fits."""


class Follower(Role):
    """A peer that accepts the entries of a leader, and waits for messages of one.

    leader    the leader of this term; None until a message of it came
    group     the group id in the leader's messages, and in the answers to it. It may differ from
              the id in this peer's log, if that is of a group that was never founded
    heard     when the last message of the leader came; minus infinity before the first
    deadline  when the peer starts an election, if no message of a leader comes before
    reply     the append reply to the leader that the next flush sends
    reads     the reads that clients have sent to this peer
    """

    __slots__ = ("deadline", "group", "heard", "leader", "reads", "reply")
    name = "follower"

    def __init__(self, state: State, leader: Address | None = None) -> None:
        super().__init__(state)
        self.leader = leader
        self.group: str = state.group
        self.heard: float = -inf
        self.deadline: float = state.election_deadline()
        self.reply: AppendReply | None = None
        self.reads: FollowerReads = FollowerReads()

    @property
    def alarm(self) -> float:
        alarm = self.stands_at if self.state.is_electable() else self.misses_at
        if self.reads.count:
            alarm = min(alarm, self.reads.oldest() + self.state.config.max_election_timeout)
        return alarm

    @property
    def stands_at(self) -> float:
        """When this peer becomes a pre-candidate. Not before `promised_until`: a vote for itself
        would break the promise to elect no other leader.
        """
        return max(self.deadline, self.state.promised_until)

    @property
    def misses_at(self) -> float:
        """When a peer that may not ask for votes, a learner or a peer whose log is damaged, decides
        that it has no leader any more, or reports that it has none.
        """
        state = self.state
        if state.peer not in state.voters.learners and not state.owes_entries():
            return inf
        return state.tell_at if self.leader is None else self.deadline

    def hears_a_leader(self) -> bool:
        return self.state.now < self.heard + self.state.config.min_election_timeout

    def flush(self) -> None:
        if self.reply is not None:
            self.state.send(self.reply)
            self.reply = None
        if self.reads.count:
            self.serve_reads()

    def on_tick(self, _tick: Tick) -> None:
        state = self.state
        if self.reads.count:
            for waiting in self.reads.given_up(state.now, state.config.max_election_timeout):
                self.refuse_read(waiting.event, redirect(None))
        if state.is_electable():
            if state.now >= self.stands_at:
                state.become_pre_candidate()
        elif state.now >= self.misses_at:
            if self.leader is None:
                report_leaderless(state)
            self.leader = None

    def on_node_lost(self, lost: NodeLost) -> None:
        """Ask for pre-votes soon if the connection to the leader's node broke: its process has
        probably ended. A random delay keeps the followers from asking at once.

        If only the connection broke and the leader lives, the other followers still receive its
        messages and refuse. A promise to the leader holds all the same, because the leader may
        have a lease (thesis 6.4.1).
        """
        state = self.state
        if self.leader is not None and self.leader[1] == lost.node:
            self.heard = -inf
            jitter = state.random.uniform(0, state.config.heartbeat_timeout)
            if not state.has_no_state:  # else the other members try first
                soon = max(state.now, state.promised_until) + jitter
                self.deadline = min(self.deadline, soon)

    def hear(self, message: AppendEntries | InstallSnapshot) -> None:
        """Note the leader, and belong to its group for good once the group has committed an entry.

        This peer may have no entry of the group yet. It belongs to the group all the same, so that
        it does not found a second one.
        """
        self.leader, self.group, self.heard = message.source, message.group, self.state.now
        if isinstance(message, InstallSnapshot) or message.commit:
            self.state.bind_group(message.group)
        self.deadline = self.state.election_deadline()

    def on_append(self, request: AppendEntries) -> None:
        state, log = self.state, self.state.log
        self.hear(request)
        prev, entries = request.prev_index, request.entries
        # Only what this request proves to match counts: a longer log may end in entries of
        # another leader (Figure 2, AppendEntries 5: "index of last new entry").
        match = prev + len(entries)
        if prev < log.base:
            # Entries that are compacted here were committed, so the leader has the same ones.
            entries, prev = entries[log.base - prev :], log.base
        elif log.term_at(prev) != request.prev_term:
            state.send(rejection(state, request))
            return

        if first_damaged(entries, prev + 1):
            # Handled like a lost message: nothing is acknowledged, so the leader sends it again.
            state.report(Trouble("damaged_on_the_way", request.source))
            return
        if entries and not are_a_leaders(state, prev, entries):
            state.report(Trouble("impossible_entries", request.source))
            return
        if entries:
            state.troubles.pop("damaged_on_the_way", None)
        state.extend(request.source, prev, entries)
        state.commit_to(min(request.commit, match))
        self.agree(request.source, match, request.round)

    def agree(self, leader: Address, match: int, round: int) -> None:  # noqa: A002
        """Prepare the reply to the leader. All messages of a batch get one reply, with the highest
        `match` and `round` of them.
        """
        state, owed = self.state, self.reply
        self.reply = AppendReply(
            source=state.peer, target=leader, group=self.group, term=state.term,
            match=match if owed is None else max(match, owed.match),
            round=round if owed is None else max(round, owed.round),
            promise_ms=state.promise(), machine_version_max=state.machine_version_max,
            digest_index=state.digests.owed[0], digest=state.digests.owed[1],
            needs_state=state.needs_state(),
        )  # fmt: skip
        if self.reads.count:
            self.reads.repeat(state.now - state.config.heartbeat_timeout)

    def on_install_snapshot(self, chunk: InstallSnapshot) -> None:
        """Write the next part of a snapshot, or answer which part this peer needs (Figure 13)."""
        state = self.state
        self.hear(chunk)
        if not state.takes(chunk.index):
            # The leader's log has every entry that is committed here (§5.4, leader completeness).
            self.agree(chunk.source, state.commit_index, chunk.round)
            return
        offered = SnapshotReceipt(chunk.index, chunk.last_term, chunk.size, chunk.checksum)
        incoming = state.incoming
        if incoming is None or not incoming.is_of(offered):
            incoming = offered
        accepted = chunk.offset == incoming.offset
        if accepted:
            incoming = replace(incoming, offset=chunk.offset + len(chunk.data))
            state.effects.chunks.append(chunk)
            state.incoming = incoming
        if incoming.offset < chunk.size:
            self.reply_snapshot(chunk.index, incoming.offset, accepted=accepted, round=chunk.round)

    def reply_snapshot(
        self,
        index: int,
        offset: int,
        *,
        accepted: bool,
        round: int = 0,  # noqa: A002
    ) -> None:
        state = self.state
        assert self.leader is not None
        state.send(
            SnapshotReply(
                source=state.peer, target=self.leader, group=self.group, term=state.term,
                index=index, offset=offset, accepted=accepted, round=round,
            )
        )  # fmt: skip

    def on_snapshot_installed(self, event: SnapshotInstalled) -> None:
        """Acknowledge the log up to the snapshot's end: up to there it is equal to the leader's."""
        super().on_snapshot_installed(event)
        if self.leader is not None:
            self.agree(self.leader, event.snapshot.index, 0)

    def on_snapshot_refused(self, event: SnapshotRefused) -> None:
        super().on_snapshot_refused(event)
        if self.leader is not None:
            self.reply_snapshot(event.index, 0, accepted=False)

    def on_vote_request(self, request: RequestVote) -> None:
        """Vote once in a term, and only for a candidate whose log is at least as up to date as this
        one. So a candidate that a majority votes for has all committed entries (§5.4.1).
        """
        state = self.state
        granted = state.voted_for in (None, request.source) and state.would_elect(
            last_index=request.last_index, last_term=request.last_term
        )
        if state.now < state.promised_until and not request.forced:
            granted = False  # this peer promised so to a leader, maybe in an earlier term
        if granted:
            state.vote(request.source)
            self.deadline = state.election_deadline()
        state.send(state.reply_vote(request, granted=granted))

    def on_timeout_now(self, order: TimeoutNow) -> None:
        """Become a candidate at once, without pre-votes: the leader itself gives up the leadership
        (thesis 3.10).
        """
        if self.leader in (None, order.source) and self.state.is_electable():
            self.state.become_candidate(order)

    def refuse_request(self, event: Propose | Transfer | GrantLead) -> None:
        if type(event) is Propose:  # no report for a Transfer: the node that sent it may be ending
            report_no_group(self.state)
        self.state.answer(event.ticket, redirect(self.leader))

    def on_reseed(self, event: Reseed) -> None:
        report_no_group(self.state)
        if self.state.group:
            reseed(self.state, event.ticket)
        else:
            self.state.answer(event.ticket, redirect(None))

    def leave(self) -> None:
        """Answer each waiting read that it was not done."""
        for waiting in self.reads.all():
            self.refuse_read(waiting.event, redirect(None))

    # Reads.

    def on_query(self, event: Query) -> None:
        """Take the reads that a follower may answer: it answers at once, or as soon as it has
        committed the entries that the read must see.
        """
        state, reads = self.state, self.reads
        stale = event.consistency == STALE
        if stale and self.answers_as_it_is(event):
            return
        serves = (stale or event.consistency == FOLLOWER) and not state.has_no_state
        if self.leader is None or not serves:
            report_no_group(state)
            self.refuse_read(event, redirect(self.leader))
        elif reads.count >= state.config.proposals_max:
            state.answer(event.ticket, ("error", "overloaded"))
        else:
            reads.add(
                WaitingRead(event, state.now, event.after),
                ask=not stale or event.staleness_s is not None,
            )

    def serve_reads(self) -> None:
        """Ask the leader for the index of the new reads, and answer those whose index is committed
        here.
        """
        state, reads = self.state, self.reads
        if not reads.number:
            reads.number = reads.first = state.random.getrandbits(NUMBER_BITS)
        number = reads.question(state.now)
        if number is not None:
            assert self.leader is not None, "nobody to ask"
            state.effects.before_save.append(
                ReadIndex(
                    source=state.peer, target=self.leader, group=state.group,
                    term=state.term, number=number,
                )
            )  # fmt: skip
        for waiting in reads.ready(state.commit_index):
            event = waiting.event
            state.effects.reads.append(Read(waiting.index, event.query, event.ticket))

    def on_read_index_reply(self, reply: ReadIndexReply) -> None:
        """Note `index` for the reads of this question and of earlier ones.

        A peer that has applied `index` has everything that was committed when the leader was
        asked.
        """
        asked_at = self.reads.answered(reply.number, reply.index)
        if asked_at > self.state.read_floor[0]:
            self.state.read_floor = asked_at, reply.index

    # Founding a group.

    def on_configure(self, event: Configure) -> None:
        """Found a group if this peer has none. Otherwise refuse: only the leader may change it."""
        state = self.state
        if state.group or state.founding or state.owes_entries():
            state.answer(
                event.ticket, redirect(self.leader) if self.leader else ELECTION_IN_PROGRESS
            )
            return
        objection = Founding.objection(event, state.peer)
        if objection is not None:
            state.answer(event.ticket, ("error", objection))
            return
        self.found(event)

    def found(self, event: Configure) -> None:
        """Ask for votes with a configuration that is in no log yet. If this peer wins, it writes
        the configuration as the first entry.

        Peers that declare their members are often started together. So only the first member asks
        at once; the others wait for an election timeout.
        """
        state = self.state
        founding = state.founding = Founding.of(event, now=state.now, config=state.config)
        if event.declared and state.peer != founding.configuration.members[0]:
            state.become_follower(leader=None)
        else:
            state.become_pre_candidate()


Follower.handlers = {
    Tick: Follower.on_tick,
    NodeLost: Follower.on_node_lost,
    Written: Follower.ignore,
    AppendEntries: Follower.on_append,
    AppendReply: Follower.ignore,
    AppendRejected: Follower.ignore,
    InstallSnapshot: Follower.on_install_snapshot,
    SnapshotReply: Follower.ignore,
    SnapshotTaken: Follower.on_snapshot_taken,
    SnapshotChecked: Follower.on_snapshot_checked,
    SnapshotInstalled: Follower.on_snapshot_installed,
    SnapshotRefused: Follower.on_snapshot_refused,
    RequestPreVote: Follower.on_pre_vote_request,
    PreVoteReply: Follower.ignore,
    RequestVote: Follower.on_vote_request,
    VoteReply: Follower.ignore,
    TimeoutNow: Follower.on_timeout_now,
    Transfer: Follower.refuse_request,
    Reseed: Follower.on_reseed,
    GrantLead: Follower.refuse_request,
    ReturnLead: Follower.ignore,
    Propose: Follower.refuse_request,
    Query: Follower.on_query,
    ReadIndex: Follower.ignore,
    ReadIndexReply: Follower.on_read_index_reply,
    Configure: Follower.on_configure,
    DigestMade: Follower.on_digest_made,
}
