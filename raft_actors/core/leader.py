"""Leader: take commands, copy them to the followers, commit what a majority holds (§5.3, §5.4)."""

from collections.abc import Iterable
from math import inf

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
from raft_actors.core.reconfiguration import Reconfiguration
from raft_actors.core.replies import ELECTION_IN_PROGRESS, OUTCOME_UNKNOWN, redirect
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["Leader"]

SLOW_SAVES = 3
"""So many saves in a row that each took half an election timeout are no hiccup of the disk."""


class Leader(Reconfiguration, LeadershipTransfer):
    """The one peer of its term that writes the log. Its parts and its state: see `leader_base`."""

    __slots__ = ()
    name = "leader"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.watch(state.voters.everyone)

    def begin(self) -> None:
        """Write the term's first entry: what the terms before left commits with it (§8).

        The first leader of a group writes the configuration that it was founded with.
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
                # No command has run, so nobody need know how it ran as an older version.
                self.append_version(state.machine_version_max)

    @property
    def alarm(self) -> float:
        works = self.progress or self.postponed or self.may_move_version()
        return self.beat_at if works else inf

    def hears_a_leader(self) -> bool:
        """It is the leader, and while a majority answers it is not to be deposed."""
        return True

    # Clients.

    def on_propose(self, event: Propose) -> None:
        state = self.state
        if self.transfer is not None or self.is_removed() or state.is_witness:
            state.answer(event.ticket, ELECTION_IN_PROGRESS)
            return
        if len(event.command) > self.command_bytes_max:
            # In the log it could never be sent, and nothing after it either.
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
        """Remember what the read must see: all that is committed now.

        A new leader knows only once its first entry commits how far its predecessors had
        committed, so the read waits for that entry at least (thesis 6.4, step 1).
        """
        state = self.state
        if state.is_witness:
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
        """A follower's reads are confirmed as the leader's own are; only the answer differs."""
        state = self.state
        index = max(state.commit_index, self.first)
        reply = ReadIndexReply(
            source=state.peer, target=request.source, group=state.group, term=state.term,
            number=request.number, index=index,
        )  # fmt: skip
        self.reads.add(Read(index, b"", reply))

    def holds_lease(self) -> bool:
        """Tell whether nobody else can lead now, by the promises of a majority."""
        if self.lease.broken:
            return False
        return self.state.now < self.quorum_value(PROMISED, own=inf)

    # Followers.

    def flush(self) -> None:
        """Send each follower what it lacks, in one round for all reads that wait."""
        if self.reads.start_round():
            self.lease.round_began(self.reads.round, self.state.now)
            for progress in self.progress.values():
                progress.owes_message = True
            self.confirm_reads()  # a lone voter is its own majority
        if self.check_disks:
            self.check_disks = False
            self.yield_to_a_quicker_disk()
        cut: dict[int, list[bytes]] = {}
        for member, progress in self.progress.items():
            self.send_entries(member, progress, cut)
        if self.transfer is not None:
            self.finish_transfer(self.transfer)

    def watch(self, newcomers: Iterable[Address]) -> None:
        """And hand over to nobody who has left: a witness does so in the middle of a change, and
        whom it makes room for may be the one that the change removes.
        """
        super().watch(newcomers)
        if self.transfer is not None and not self.state.voters.votes(self.transfer.target):
            self.end_transfer(("error", "no_such_member"))

    def settle(self) -> None:
        super().settle()
        if self.postponed:
            self.judge_postponed()

    def judge_postponed(self) -> None:
        """Look again at what could not be judged when it came."""
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
        if progress.matched(min(reply.match, self.state.log.last_index)):
            if progress.match > self.state.commit_index:
                self.commit()
            if self.change is not None and not self.change.appended:
                self.advance(self.change)

    def on_written(self, written: Written) -> None:
        """Count the own log only now that it is durable (thesis 10.2.1)."""
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

    def on_node_lost(self, lost: NodeLost) -> None:
        """Don't send entries into a broken link: probe until its peer answers again."""
        for (_name, node), progress in self.progress.items():
            if node == lost.node:
                progress.lost()
        if self.transfer is not None and self.transfer.target[1] == lost.node:
            self.end_transfer(("error", ("peers_not_responding", [self.transfer.target])))

    def on_tick(self, _tick: Tick) -> None:
        """Speak to everyone, or give up an office that no majority has answered for (6.2)."""
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
            self.advance(self.change)  # a newcomer that has all there is sends no more news
        if self.change is not None:
            self.give_up_on_the_slow(self.change)
        self.judge_postponed()
        self.learn_incarnations()
        if state.is_witness:
            self.hand_over_state()
        self.forget_who_left()
        self.measure()
        self.forget_who_is_stuck()
        self.report_who_refuses_snapshots()
        self.move_version()
        self.beat_at = state.now + config.heartbeat_timeout
        if not self.lease.broken:
            self.reads.renew = True
        for progress in self.progress.values():
            progress.owes_message = True
            shipment = progress.shipment
            if shipment is not None and shipment.is_silent(
                now=state.now, timeout=config.max_election_timeout
            ):
                shipment.go_back()

    def on_append(self, request: AppendEntries | InstallSnapshot) -> None:
        """Two leaders in one term would end all promises: stop here and be restarted. What is no
        member can't lead this term, whatever it says.
        """
        if request.source in self.state.voters.everyone:
            raise AssertionError(f"{request.source} also leads term {request.term} (§5.2)")

    def leave(self) -> None:
        """Say of each command that its outcome is unknown, of each read that it was not done."""
        state = self.state
        if self.transfer is not None:
            self.end_transfer(("ok", self.transfer.target))
        for what in ("entry_too_large", "refuses_snapshots"):
            state.troubles.pop(what, None)
        for event, _until in self.postponed:
            state.answer(event.ticket, ELECTION_IN_PROGRESS)
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
    TimeoutNow: Leader.ignore,
}
