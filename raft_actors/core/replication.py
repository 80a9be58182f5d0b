"""Replication: how a leader sends its log to the followers, and commits what a majority has."""

from raft_actors.config import FRAME_ROOM
from raft_actors.core.effects import Trouble
from raft_actors.core.leader_base import MATCH, ROUND, LeaderBase
from raft_actors.core.messages import (
    NO_FRAMES,
    AppendEntries,
    AppendRejected,
    AppendReply,
    InstallSnapshot,
    ReadIndexReply,
    SnapshotChecked,
    SnapshotReply,
    SnapshotTaken,
)
from raft_actors.core.progress import Progress
from raft_actors.core.snapshot import Shipment, Snapshot
from raft_actors.errors import StoreError
from raft_actors.names import Address

__all__ = ["Replication"]

ENVELOPE_BYTES = 1024
"""A frame with one entry needs less than so many bytes for the names and numbers around it."""

HELD_BACK_MAX = 10
"""Entries that a slow follower still needs are not compacted, but at most so many times
`snapshot_entries`. A follower that is further behind needs the next snapshot."""


class Replication(LeaderBase):
    """The part of a leader that deals with its followers (§5.3, §5.4, §7)."""

    __slots__ = ()
    command_bytes_max: int
    frame_bytes: int

    def send_entries(
        self, member: Address, progress: Progress, cut: dict[int, list[bytes]]
    ) -> None:
        """Send a follower the entries that it lacks. `cut` has the entries that other followers are
        sent in this flush, by their first index, so that they are read once.
        """
        state, config = self.state, self.state.config
        last = state.log.last_index
        if progress.needs_state and progress.next > state.log.base:
            self.send_state(member, progress)
        elif progress.shipment is not None or progress.next <= state.log.base:
            self.send_snapshot(member, progress)
            return
        while progress.next <= last and progress.may_send(config.inflight_max):
            if self.stuck and self.is_stuck(member, progress):
                break
            entries = cut.get(progress.next)
            if entries is None:
                entries = cut[progress.next] = state.log.batch(
                    progress.next, min(config.append_bytes_max, self.frame_bytes // 2)
                )
            if len(entries[0]) > self.frame_bytes - ENVELOPE_BYTES and self.is_too_large(
                len(entries[0]), member, progress
            ):
                break
            self.send_append(member, progress.next - 1, entries)
            progress.sent(len(entries))
        if progress.owes_message:
            self.send_append(member, progress.next - 1, [])
            progress.owes_message = False

    def send_snapshot(self, member: Address, progress: Progress) -> None:
        """Send the newest snapshot to a follower that needs entries before the log's begin (§7).

        A leader that is a witness sends none, because its snapshot has no state, and neither does a
        leader whose state is wrong: the follower waits until another peer leads. A snapshot whose
        file is in doubt is not sent before the file was checked, and a damaged one not at all. A
        follower that has refused several snapshots is sent none until a pause has ended.
        """
        state = self.state
        waits = state.has_doubtful_snapshot() or state.now < progress.rests_until
        if not state.has_no_state and not waits:
            if progress.shipment is None:
                progress.shipment = Shipment(state.snapshot, now=state.now)
            self.send_parts(member, progress, progress.shipment)
        if progress.owes_message:
            self.send_append(member, 0, [])  # a heartbeat: prev index 0 matches every log
            progress.owes_message = False

    def send_state(self, member: Address, progress: Progress) -> None:
        """Send a snapshot to a follower that has asked for a state, see `core.reseeding`; the
        entries go on meanwhile, as its log is right. If the newest snapshot is too old for it, the
        replica takes another one.
        """
        state = self.state
        if state.has_no_state or state.has_doubtful_snapshot() or state.now < progress.rests_until:
            return
        if progress.shipment is None and state.snapshot.index >= progress.needs_state:
            progress.shipment = Shipment(state.snapshot, now=state.now)
        if progress.shipment is not None:
            self.send_parts(member, progress, progress.shipment)

    def note_need(self, progress: Progress, needs_state: int) -> None:
        """Note that a follower asks for a state, or that it has got it."""
        if not needs_state:
            progress.refused = 0
            self.digest_rounds.is_due = True
        shipment = progress.shipment
        if shipment is not None and not 0 < needs_state <= shipment.snapshot.index:
            progress.shipment = None
        progress.needs_state = needs_state
        self.state.wanted = max(each.needs_state for each in self.progress.values())

    def send_parts(self, member: Address, progress: Progress, shipment: Shipment) -> None:
        state, snapshot = self.state, shipment.snapshot
        chunk_bytes = min(state.config.snapshot_chunk_bytes, self.frame_bytes // 2)
        while shipment.may_send(chunk_bytes):
            data = self.part_of(shipment, chunk_bytes)
            if not data or not shipment.is_sound(data):
                progress.shipment = None
                state.doubt(snapshot)
                return
            state.effects.before_save.append(
                InstallSnapshot(
                    source=state.peer, target=member, group=state.group, term=state.term,
                    index=snapshot.index, last_term=snapshot.term, size=snapshot.size,
                    checksum=snapshot.checksum, offset=shipment.sent, data=data,
                    round=self.reads.round,
                )
            )  # fmt: skip
            shipment.sent_more(len(data), now=state.now)
            progress.owes_message = False

    def part_of(self, shipment: Shipment, size: int) -> bytes:
        """Return the next part of a snapshot; empty if its file is gone or can't be read."""
        try:
            return self.state.snapshots.read(shipment.snapshot, shipment.sent, size)
        except StoreError:
            return b""

    def measure(self) -> None:
        """Find out how many bytes the frames to the followers hold now. A node that was restarted
        may have another bound.

        The same batch of entries is sent to several followers, so the smallest frame counts. A
        command that can't be sent to every member is refused, as it would never reach this member.
        For that peers that were removed do not count.
        """
        state = self.state
        holds = {peer: state.frame_bytes_max(peer) for peer in self.progress}
        self.frame_bytes = min(holds.values(), default=NO_FRAMES)
        of_members = [size for peer, size in holds.items() if peer not in self.removed]
        frame_bytes = min(of_members, default=NO_FRAMES)
        self.command_bytes_max = min(state.config.command_bytes_max, frame_bytes - FRAME_ROOM)

    def is_stuck(self, member: Address, progress: Progress) -> bool:
        """Tell whether the next entry was too large for a frame to this follower, and still is. Its
        size was noted, so the entry is not read again.
        """
        index, size = self.stuck.get(member, (0, 0))
        return index == progress.next and self.is_too_large(size, member, progress)

    def is_too_large(self, size: int, member: Address, progress: Progress) -> bool:
        """Return whether the next entry is too large for a frame to this follower, and report it.

        The entry was accepted before the follower's node and this one agreed on the size of a
        frame. Once the entry is committed and a snapshot has replaced it, the snapshot is sent in
        its place, because a snapshot is sent in parts.
        """
        state = self.state
        holds = state.frame_bytes_max(member)
        if size <= holds - ENVELOPE_BYTES:
            return False
        if state.snapshot.index >= progress.next:
            self.send_snapshot(member, progress)
        if progress.shipment is None:
            self.stuck[member] = progress.next, size
            if member not in self.removed:
                detail = f"{progress.next}: it has {size:,} bytes, and one frame holds {holds:,}"
                state.report(Trouble("entry_too_large", member, detail))
        return True

    def forget_who_is_stuck(self) -> None:
        """Forget the followers that have the entry which was too large, or are sent nothing any
        more.
        """
        for member, (index, _size) in list(self.stuck.items()):
            progress = self.progress.get(member)
            if progress is None or progress.match >= index:
                del self.stuck[member]
        if not self.stuck:
            self.state.troubles.pop("entry_too_large", None)

    def send_append(self, member: Address, prev_index: int, entries: list[bytes]) -> None:
        state = self.state
        state.effects.before_save.append(
            AppendEntries(
                source=state.peer, target=member, group=state.group, term=state.term,
                prev_index=prev_index,
                prev_term=state.log.term_at(prev_index) if prev_index else 0,
                commit=state.commit_index, round=self.reads.round, entries=entries,
            )
        )  # fmt: skip

    def on_snapshot_reply(self, reply: SnapshotReply) -> None:
        progress = self.answered_by(reply)
        shipment = progress.shipment if progress is not None else None
        if progress is None or shipment is None or shipment.snapshot.index != reply.index:
            return
        is_refused = shipment.is_sent() and not reply.accepted and not reply.offset
        shipment.answered(reply.offset, accepted=reply.accepted, now=self.state.now)
        if is_refused:
            state = self.state
            progress.snapshot_refused(now=state.now, timeout=state.config.max_election_timeout)
            state.doubt(shipment.snapshot)

    def on_snapshot_checked(self, event: SnapshotChecked) -> None:
        super().on_snapshot_checked(event)
        if self.state.damaged is not None:
            for progress in self.progress.values():
                progress.shipment = None
                progress.refused = 0
        self.report_who_refuses_snapshots()

    def report_who_refuses_snapshots(self) -> None:
        """Report a follower that refuses every snapshot although this peer's file is sound: the
        follower's disk may be bad. The report stands for as long as the follower needs a snapshot.
        """
        state = self.state
        refusing = [
            member
            for member, progress in self.progress.items()
            if progress.refuses_snapshots
            and progress.match < state.log.base
            and member not in self.removed
        ]
        if not refusing:
            state.troubles.pop("refuses_snapshots", None)
        elif not state.has_doubtful_snapshot():
            state.report(Trouble("refuses_snapshots", refusing[0]))

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Compact the log, but keep the entries that living followers still need, up to a bound."""
        state, config = self.state, self.state.config
        heard_since = state.now - config.max_election_timeout
        snapshot = event.snapshot
        needed = [
            progress.wanted + 1
            for progress in self.progress.values()
            if max(progress.heard, self.began) >= heard_since
        ]
        end = snapshot.index + 1
        keep_from = min([end - config.snapshot_trailing, *needed])
        most = max(config.snapshot_trailing, HELD_BACK_MAX * config.snapshot_entries)
        state.snapshot_taken(snapshot, max(keep_from, end - most))

    def snapshots_in_use(self) -> set[Snapshot]:
        """Return the snapshots that are being sent to followers."""
        return {
            progress.shipment.snapshot
            for progress in self.progress.values()
            if progress.shipment is not None
        }

    def on_append_rejected(self, reply: AppendRejected) -> None:
        """Step `next` back over the follower's conflicting term, then over this leader's (§5.3)."""
        progress = self.answered_by(reply)
        if progress is None:
            return
        if reply.prev_index <= progress.match:
            self.suspect(reply, progress)
        else:
            progress.rejected(reply.prev_index, self.agreed(reply))

    def agreed(self, reply: AppendRejected) -> int:
        """Return the highest index at which the logs may agree."""
        log = self.state.log
        if reply.hint <= log.base:  # the follower needs a snapshot
            return reply.hint
        return log.newest_at_or_before(reply.hint, reply.hint_term)

    def suspect(self, reply: AppendRejected, progress: Progress) -> None:
        """Handle the rejection of an entry that the follower had acknowledged. Either the rejection
        is an old message, or the follower's disk has lost entries.

        So the follower is asked again, in a new round. If it also rejects an append that was sent
        after its acknowledgement, it has lost entries, which may be committed because of its
        acknowledgement. Then it no longer counts in any quorum, and is sent the entries again. Its
        incarnation is taken out of the configuration and put in again, see `learn_incarnations`.

        A follower that owes the entries is sent them again too, but still counts: its votes protect
        what it had acknowledged as if its disk were sound (`State.would_elect`), and entries count
        for commits only when it has acknowledged them again.
        """
        if progress.recheck is None or reply.prev_index > progress.recheck[1]:
            # First rejection; or one of an entry that the follower has acknowledged since it was
            # asked again: then the rejection before was a late message.
            self.reads.renew = True
            progress.recheck = self.reads.round + 1, progress.match
            return
        asked, _match = progress.recheck
        if reply.round < asked:
            return
        peer = reply.source
        if not reply.owes_entries:
            self.state.report(Trouble("lost_entries", peer, str(progress.match)))
            self.amnesiacs.add(peer)
        fresh = self.progress[peer] = self.progress_of(peer)
        fresh.incarnation = progress.incarnation
        fresh.is_counted = self.counts(peer, fresh)
        fresh.probe(self.agreed(reply))

    def answered_by(self, reply: AppendReply | AppendRejected | SnapshotReply) -> Progress | None:
        """Note that a follower is alive and which round it has answered; return its progress, or
        None if the reply does not count.
        """
        progress = self.recognised(reply)
        if progress is not None:
            progress.heard = self.state.now
            progress.is_connected = True
            if progress.round < reply.round <= self.reads.round:
                progress.round = reply.round
                self.confirm_reads()
        return progress

    def recognised(self, reply: AppendReply | AppendRejected | SnapshotReply) -> Progress | None:
        """Return the progress of the sender's data directory; None if this leader sends nothing to
        the sender, or knows it with another data directory.

        As long as the configuration has no data directory for the sender, a new one is accepted: a
        newcomer whose disk was wiped starts again from the beginning.
        """
        peer, incarnation = reply.source, reply.source_incarnation
        progress = self.progress.get(peer)
        if progress is None or progress.incarnation == incarnation:
            return progress
        if self.state.configuration.incarnation_of(peer) not in (0, incarnation):
            return None
        if progress.incarnation:
            progress = self.progress[peer] = self.progress_of(peer)
        progress.incarnation = incarnation
        progress.is_counted = self.counts(peer, progress)
        return progress

    def progress_of(self, peer: Address) -> Progress:
        """Return the progress of a peer that has not answered yet."""
        state = self.state
        return Progress(
            next_index=state.log.last_index + 1, incarnation=state.voters.incarnation_of(peer)
        )

    def counts(self, peer: Address, progress: Progress) -> bool:
        return peer not in self.amnesiacs and self.state.voters.counts(peer, progress.incarnation)

    def confirm_reads(self) -> None:
        effects = self.state.effects
        for read in self.reads.confirmed(self.quorum_value(ROUND, own=self.reads.round)):
            if type(read.ticket) is ReadIndexReply:
                effects.before_save.append(read.ticket)
            else:
                effects.reads.append(read)

    def commit(self) -> None:
        """Commit the last entry that a majority has, if it is of this term, and with it all entries
        before it.

        An entry of an older term is not committed by counting: it may be on a majority of the disks
        and still be replaced (§5.4.2, Figure 8).
        """
        state = self.state
        index = self.quorum_value(MATCH, own=self.written)
        if index > state.commit_index and index >= self.first:
            state.commit_to(int(index))
            state.bind_group(state.group)
            self.settle()

    def settle(self) -> None:
        """Continue the changes that wait for a commit, as there was one; see `Reconfiguration`."""
        raise NotImplementedError
