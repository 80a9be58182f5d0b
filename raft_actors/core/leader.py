"""Leader: take commands, replicate them, commit what a majority has saved (§5.3, §5.4)."""

from collections.abc import Iterable
from math import inf

from raft_actors.core.digests import ASKING
from raft_actors.core.effects import Read
from raft_actors.core.entry import COMMAND, CONFIG, NOOP, encode
from raft_actors.core.leader_base import HEARD, PROMISED
from raft_actors.core.leadership_transfer import LeadershipTransfer
from raft_actors.core.messages import (
    LEASE,
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
from raft_actors.core.reconfiguration import Reconfiguration
from raft_actors.core.replies import ELECTION_IN_PROGRESS, OUTCOME_UNKNOWN, redirect
from raft_actors.core.reseeding import reseed
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["Leader"]

SLOW_SAVES = 3
"""After so many saves in a row of half an election timeout or more the disk counts as slow."""


class Leader(Reconfiguration, LeadershipTransfer):
    """The one peer of its term that writes the log. Its parts and its state: see `leader_base`."""

    __slots__ = ()
    beat_at: float
    check_disks: bool
    postponed: list[tuple[Configure | Transfer, float]]
    slow: int
    written: int
    name = "leader"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.watch(state.voters.everyone)

    def begin(self) -> None:
        """Append the term's first entry. With it the entries of earlier terms commit (§8).

        The first leader of a group appends the group's first configuration.
        """
        state = self.state
        founding, state.founding = state.founding, None
        if founding is None:
            self.append(NOOP, b"", None)
        else:
            incarnations = {**founding.heard, state.peer: state.incarnation}
            founded = founding.configuration.founded(state.peer, incarnations)
            self.append(CONFIG, founded.encode(), founding.ticket)
            self.watch(())
            if state.machine_version_max > state.machine_version:
                # No command has run yet, so the group can begin with the newest version.
                self.append_version(state.machine_version_max)

    @property
    def alarm(self) -> float:
        works = self.progress or self.postponed or self.wished or self.grants
        return self.beat_at if works or self.may_move_version() else inf

    def hears_a_leader(self) -> bool:
        """True: this peer is the leader, and gives no vote against itself. If no majority answers,
        `on_tick` ends its leadership.
        """
        return True

    # Clients.

    def on_propose(self, event: Propose) -> None:
        state = self.state
        if self.transfer is not None or self.is_removed() or state.has_no_state:
            state.answer(event.ticket, ELECTION_IN_PROGRESS)
            return
        if len(event.command) > self.command_bytes_max:
            # Such an entry could never be sent to a follower, nor could the entries after it.
            state.answer(event.ticket, ("error", "command_too_large"))
            return
        if self.is_overloaded():
            state.answer(event.ticket, ("error", "overloaded"))
            return
        log = state.log
        log.append_one(
            encode(state.term, COMMAND, event.command, event.request, state.wall_ms,
                   index=log.last_index + 1)
        )  # fmt: skip
        self.tickets.append(event.ticket)

    def on_query(self, event: Query) -> None:
        """Note the index that the read must see: everything that is committed now.

        A new leader does not know how far the leaders before it had committed until its own first
        entry is committed. So the read must see that entry at least (thesis 6.4, step 1).
        """
        state = self.state
        if state.has_no_state:
            self.refuse_read(event, ELECTION_IN_PROGRESS)
            return
        if event.consistency == STALE and self.answers_as_it_is(event):
            return
        if self.is_overloaded():
            state.answer(event.ticket, ("error", "overloaded"))
            return
        read = Read(max(state.commit_index, self.first), event.query, event.ticket)
        if event.consistency == LEASE and self.holds_lease():
            state.effects.reads.append(read)
        else:
            self.reads.add(read)

    def on_read_index(self, request: ReadIndex) -> None:
        """Confirm the leadership for a follower's reads as for the leader's own; then answer the
        follower with the index.
        """
        state = self.state
        index = max(state.commit_index, self.first)
        reply = ReadIndexReply(
            source=state.peer, target=request.source, group=state.group, term=state.term,
            number=request.number, index=index,
        )  # fmt: skip
        self.reads.add(Read(index, b"", reply))

    def holds_lease(self) -> bool:
        """Return whether no other peer can be leader now, because of the promises of a majority."""
        if self.lease.broken:
            return False
        return self.state.now < self.quorum_value(PROMISED, own=inf)

    # Followers.

    def flush(self) -> None:
        """Send each follower the entries that it lacks. All reads that wait share one round."""
        if self.reads.start_round(self.state.now):
            self.lease.round_began(self.reads.round, self.state.now)
            for progress in self.progress.values():
                progress.owes_message = True
            self.confirm_reads()  # a single voter is a majority
        if self.check_disks:
            self.check_disks = False
            self.yield_to_a_quicker_disk()
        if self.grants or self.told is not None:
            self.tell_holders()
        cut: dict[int, list[bytes]] = {}
        for member, progress in self.progress.items():
            self.send_entries(member, progress, cut)
        if self.transfer is not None:
            self.finish_transfer(self.transfer)

    def on_return_lead(self, event: ReturnLead) -> None:
        super().on_return_lead(event)
        if self.recalled_until is not None and self.may_hand_over():
            self.judge_postponed()
            if self.change is not None and not self.change.appended:
                self.advance(self.change)
        self.give_grants()

    def watch(self, newcomers: Iterable[Address]) -> None:
        """Also end a leadership transfer to a peer that is no voter any more. A witness begins a
        transfer even during a change, so the change may remove the target.
        """
        super().watch(newcomers)
        if self.transfer is not None and not self.state.voters.votes(self.transfer.target):
            self.end_transfer(("error", "no_such_member"))

    def settle(self) -> None:
        super().settle()
        if self.postponed:
            self.judge_postponed()
        self.give_grants()

    def judge_postponed(self) -> None:
        """Judge the postponed requests again."""
        postponed, self.postponed = self.postponed, []
        for event, until in postponed:
            if isinstance(event, Transfer):
                self.on_transfer(event, until)
            else:
                self.on_configure(event, until)

    def on_append_reply(self, reply: AppendReply) -> None:
        progress = self.answered_by(reply)
        if progress is None:
            return
        if reply.promise_ms:
            until = self.lease.promised_until(reply.round, reply.promise_ms)
            progress.promised_until = max(progress.promised_until, until)
        progress.machine_version_max = reply.machine_version_max
        if reply.digest_index:
            self.digest_rounds.note_reply(reply)
        if reply.needs_state != progress.needs_state:
            self.note_need(progress, reply.needs_state)
        if progress.matched(min(reply.match, self.state.log.last_index)):
            if progress.match > self.state.commit_index:
                self.commit()
            if self.change is not None and not self.change.appended:
                self.advance(self.change)

    def on_written(self, written: Written) -> None:
        """Count the leader's own log for commits: only now, as it is saved (thesis 10.2.1)."""
        log = self.state.log
        slow = written.took_s > self.state.config.min_election_timeout / 2
        self.slow = self.slow + 1 if slow else 0
        self.check_disks = self.slow >= SLOW_SAVES
        if (
            written.last_index > self.written
            and log.term_at(written.last_index) == written.last_term
        ):
            self.written = written.last_index
            self.commit()

    def on_digest_made(self, event: DigestMade) -> None:
        super().on_digest_made(event)
        self.digest_rounds.note_own(event)

    def on_reseed(self, event: Reseed) -> None:
        """Hand over first, as a leader without a state does. Refuse if there is nobody."""
        others = self.transfer_candidates()
        if not any(map(self.is_alive, others)):
            self.state.answer(event.ticket, ("error", ("peers_not_responding", others)))
        else:
            reseed(self.state, event.ticket)

    def look_at_digests(self) -> None:
        """Write down the digests that are reported, and ask for new ones if they are due."""
        state, rounds = self.state, self.digest_rounds
        if self.transfer is not None or state.commit_index < self.first:
            return
        rounds.look()
        replicas = rounds.replicas()
        if not replicas:
            return
        comparison = rounds.comparison(replicas)
        if comparison is not None:
            self.append(NOOP, b"", None, comparison.encode())
        elif rounds.may_ask():
            self.append(NOOP, b"", None, ASKING)
            rounds.asks(state.log.last_index)

    def on_node_lost(self, lost: NodeLost) -> None:
        """Stop sending entries over the broken connection: probe until the follower answers."""
        for (_name, node), progress in self.progress.items():
            if node == lost.node:
                progress.lost()
        if self.transfer is not None and self.transfer.target[1] == lost.node:
            self.end_transfer(("error", ("peers_not_responding", [self.transfer.target])))

    def on_tick(self, _tick: Tick) -> None:
        """Send heartbeats; or step down, if no majority has answered for an election timeout
        (thesis 6.2).
        """
        state, config = self.state, self.state.config
        if state.now < self.beat_at:
            return
        silence = state.now - max(self.began, self.quorum_value(HEARD, own=state.now))
        cut_off = silence > config.max_election_timeout
        if self.transfer is not None and (cut_off or state.now >= self.transfer.give_up_at):
            self.end_transfer(("error", "timeout"))
        if cut_off:
            state.become_follower(leader=None)
            return
        if self.is_removed() and not self.tickets:
            self.step_down()
            return
        if self.change is not None and not self.change.appended:
            # Replies call `advance` only if a log matches further: a complete log does not.
            self.advance(self.change)
        if self.change is not None:
            self.give_up_on_the_slow(self.change)
        self.judge_postponed()
        self.learn_incarnations()
        if state.has_no_state:
            self.hand_over_state()
        self.give_grants()
        self.forget_who_left()
        self.measure()
        self.forget_who_is_stuck()
        self.report_who_refuses_snapshots()
        self.move_version()
        self.look_at_digests()
        if state.wanted > state.log.last_index and self.transfer is None:
            self.append(NOOP, b"", None)  # a snapshot that ends there is wanted
        self.beat_at = state.now + config.heartbeat_timeout
        if not self.lease.broken or self.wished or self.grants:
            self.reads.renew = True
        for progress in self.progress.values():
            progress.owes_message = True
            shipment = progress.shipment
            if shipment is not None and shipment.is_silent(
                now=state.now, timeout=config.max_election_timeout
            ):
                shipment.go_back()

    def on_append(self, request: AppendEntries | InstallSnapshot) -> None:
        """Fail if a member also leads this term: with two leaders in one term nothing is safe, so
        this peer ends, and its supervisor restarts it. A peer that is no member can't be the
        leader of this term, so its message is ignored.
        """
        if request.source in self.state.voters.everyone:
            raise AssertionError(f"{request.source} also leads term {request.term} (§5.2)")

    def leave(self) -> None:
        """Answer each waiting command that its outcome is unknown, and each read that it was not
        done.
        """
        state = self.state
        if self.transfer is not None:
            self.end_transfer(("ok", self.transfer.target))
        state.wanted = 0
        for what in ("entry_too_large", "refuses_snapshots"):
            state.troubles.pop(what, None)
        for event, _until in self.postponed:
            state.answer(event.ticket, ELECTION_IN_PROGRESS)
        for wish in self.wished:
            state.answer(wish.ticket, ELECTION_IN_PROGRESS)
        if self.change is not None:
            state.answer(self.change.ticket, OUTCOME_UNKNOWN)
        for ticket in self.tickets:
            if ticket is not None:
                state.answer(ticket, OUTCOME_UNKNOWN)
        for read in self.reads.abandoned():
            if type(read.ticket) is not ReadIndexReply:
                state.answer(read.ticket, redirect(None))


Leader.handlers = {
    Tick: Leader.on_tick,
    NodeLost: Leader.on_node_lost,
    Written: Leader.on_written,
    AppendEntries: Leader.on_append,
    AppendReply: Leader.on_append_reply,
    AppendRejected: Leader.on_append_rejected,
    InstallSnapshot: Leader.on_append,
    SnapshotReply: Leader.on_snapshot_reply,
    SnapshotTaken: Leader.on_snapshot_taken,
    SnapshotChecked: Leader.on_snapshot_checked,
    SnapshotInstalled: Leader.on_snapshot_installed,
    SnapshotRefused: Leader.on_snapshot_refused,
    RequestPreVote: Leader.on_stranger,
    PreVoteReply: Leader.ignore,
    RequestVote: Leader.refuse_vote,
    VoteReply: Leader.ignore,
    Propose: Leader.on_propose,
    Query: Leader.on_query,
    ReadIndex: Leader.on_read_index,
    ReadIndexReply: Leader.ignore,
    Configure: Leader.on_configure,
    Transfer: Leader.on_transfer,
    Reseed: Leader.on_reseed,
    GrantLead: Leader.on_grant_lead,
    ReturnLead: Leader.on_return_lead,
    TimeoutNow: Leader.ignore,
    DigestMade: Leader.on_digest_made,
}
