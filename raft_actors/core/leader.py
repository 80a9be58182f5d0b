"""Leader: take commands, copy them to the followers, commit what a majority holds (§5.3, §5.4)."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from raft_actors.core.change import CATCH_UP_TIMEOUTS, Change
from raft_actors.core.effects import Read, Trouble
from raft_actors.core.entry import COMMAND, CONFIG, NOOP, encode, encode_version
from raft_actors.core.lease import Lease
from raft_actors.core.membership import Address, Configuration
from raft_actors.core.messages import (
    LEASE,
    STALE,
    AppendEntries,
    AppendRejected,
    AppendReply,
    Configure,
    InstallSnapshot,
    Message,
    NodeLost,
    PreVoteReply,
    Propose,
    Query,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
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
from raft_actors.core.progress import Progress
from raft_actors.core.reads import Reads
from raft_actors.core.role import ELECTION_IN_PROGRESS, OUTCOME_UNKNOWN, Role, redirect
from raft_actors.core.snapshot import Shipment

if TYPE_CHECKING:
    from raft_actors.core.server import Server

__all__ = ["Leader"]


MATCH, ROUND, HEARD, PROMISED = map(attrgetter, ("match", "round", "heard", "promised_until"))
HEARTBEATS_MISSED_MAX = 4
HELD_BACK_MAX = 10
"""A follower that is behind keeps entries from being compacted, but not more than so many times
`snapshot_entries`: then it needs the next snapshot."""
HAND_OVER_S_MAX = 1.0
"""Writers are sent away meanwhile, so not for long, whatever the election timeout."""
SLOW_SAVES = 3
"""So many saves in a row that each took half an election timeout are no hiccup of the disk."""


@dataclass(frozen=True, slots=True)
class HandingOver:
    """A leader that makes room for `target`, until `give_up_at`; `ticket` hears how it ends.

    Nobody does if the leader itself wished it: then `ticket` is None.
    """

    target: Address
    ticket: Any
    give_up_at: float


class Leader(Role):
    """The one peer of its term that writes the log.

    first     index of this term's first entry; nothing is committed or read before it commits
    written   how far its own log is durable: its own vote in the count
    progress  what it knows of every other member
    tickets   who waits for the entries from `answered + 1` on; None where nobody does
    handing   whom it makes room for, if it does
    change    the change of members that is under way here, if one is
    leaving   who was removed and may not have heard of it yet, and until when it is told
    lost      who has lost what it had acknowledged, and is to be learned anew
    slow      how many of its last saves took long, in a row
    weighing  whether the next flush looks whose disk is quicker
    version   what it has moved the group's machines to, or found them at
    lease     until when reads need no round
    """

    __slots__ = ("answered", "beat_at", "change", "first", "handing", "leader", "lease",
                 "leaving", "lost", "progress", "reads", "slow", "tickets", "version",
                 "weighing", "written")  # fmt: skip
    name = "leader"

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        log, now = server.log, server.now
        self.leader = server.peer
        self.first = log.last_index + 1
        self.written = 0
        self.progress: dict[Address, Progress] = {}
        self.leaving: dict[Address, float] = {}
        self.lost: set[Address] = set()
        self.change: Change | None = None
        self.reads = Reads()
        config = server.config
        self.lease = Lease(config.lease_clock_drift_max, config.max_election_timeout)
        self.tickets: deque[Any] = deque()
        self.answered = log.last_index
        self.beat_at = now
        self.handing: HandingOver | None = None
        self.slow = 0
        self.weighing = False
        self.version = server.version
        self.watch(server.voters.everyone)

    def begin(self) -> None:
        """Write the term's first entry: what the terms before left commits with it (§8).

        The first leader of a group writes the configuration that it was founded with.
        """
        server = self.server
        founding, server.founding = server.founding, None
        if founding is None:
            self.append(encode(server.term, NOOP), None)
        else:
            incarnations = {**founding.heard, server.peer: server.incarnation}
            founded = founding.configuration.founded(server.peer, incarnations)
            self.append(encode(server.term, CONFIG, founded.encode()), founding.ticket)
            self.watch(())
            if server.machine > server.version:
                # No command has run, so nobody need know how it ran as an older version.
                self.append_version(server.machine)

    @property
    def alarm(self) -> float:
        return self.beat_at if self.progress or self.may_move_version() else inf

    def hears_a_leader(self) -> bool:
        """It is the leader, and while a majority answers it is not to be deposed."""
        return True

    def append(self, entry: bytes, ticket: Any) -> None:
        self.server.append([entry])
        self.tickets.append(ticket)

    def take_tickets(self, through: int) -> list[Any]:
        """Return the tickets of the entries after the last ones taken, up to `through`."""
        taken = [self.tickets.popleft() for _ in range(through - self.answered)]
        self.answered = max(self.answered, through)
        return taken

    # Clients.

    def on_propose(self, event: Propose) -> None:
        server = self.server
        if self.handing is not None or self.is_removed() or server.keeps_no_state:
            server.answer(event.ticket, ELECTION_IN_PROGRESS)
            return
        if len(event.command) > server.config.command_bytes_max:
            # In the log it could never be sent, and nothing after it either.
            server.answer(event.ticket, ("error", "command_too_large"))
            return
        if self.is_overloaded():
            server.answer(event.ticket, ("error", "overloaded"))
            return
        command, request = event.command, event.request
        server.log.append_one(encode(server.term, COMMAND, command, request, server.wall_ms))
        self.tickets.append(event.ticket)

    def on_query(self, event: Query) -> None:
        """Remember what the read must see: all that is committed now.

        A new leader knows only once its first entry commits how far its predecessors had
        committed, so the read waits for that entry at least (thesis 6.4, step 1).
        """
        server = self.server
        if server.keeps_no_state:
            self.refuse_read(event, ELECTION_IN_PROGRESS)
            return
        if event.consistency == STALE and self.answers_as_it_is(event):
            return
        if self.is_overloaded():
            server.answer(event.ticket, ("error", "overloaded"))
            return
        read = Read(max(server.commit_index, self.first), event.query, event.ticket)
        if event.consistency == LEASE and self.holds_lease():
            server.effects.reads.append(read)
        else:
            self.reads.add(read)

    def on_read_index(self, request: ReadIndex) -> None:
        """A follower's reads are confirmed as the leader's own are; only the answer differs."""
        server = self.server
        index = max(server.commit_index, self.first)
        reply = ReadIndexReply(
            source=server.peer, target=request.source, group=server.group, term=server.term,
            number=request.number, index=index,
        )  # fmt: skip
        self.reads.add(Read(index, b"", reply))

    def holds_lease(self) -> bool:
        """Tell whether nobody else can lead now, by the promises of a majority."""
        if self.lease.broken:
            return False
        return self.server.now < self.reached(PROMISED, own=inf)

    def is_overloaded(self) -> bool:
        return len(self.tickets) + self.reads.count >= self.server.config.proposals_max

    # Members.

    def on_configure(self, event: Configure) -> None:
        """Begin a change of members, unless it is made already, or can't go well."""
        server = self.server
        in_force = server.configuration
        target = in_force.changed(
            members=event.members, learners=event.learners, witnesses=event.witnesses
        )
        problem = self.objection(event, target)
        if problem is not None:
            server.answer(event.ticket, ("error", problem))
        elif event.dry_run:
            server.answer(event.ticket, ("ok", target.settled()))
        elif target.is_like(in_force):
            server.answer(event.ticket, ("ok", in_force))
        else:
            newcomers = set(target.members) - {*in_force.members, server.peer}
            self.watch(newcomers)
            self.change = Change(
                target, event.ticket, newcomers, goal=server.log.last_index, now=server.now
            )
            self.advance(self.change)

    def objection(self, event: Configure, target: Configuration) -> Any:
        """Return why not, or None."""
        server = self.server
        in_force = server.configuration
        if set(event.members) <= set(target.witnesses):
            return "no_members"
        changing = target.changes_parts(in_force)
        if changing:
            return ("remove_first", changing)
        if self.handing is not None or self.is_removed():
            return "election_in_progress"
        if event.expected not in (None, in_force.index):
            return ("configuration_changed", in_force.index)
        if self.is_unsettled():
            return "change_in_progress"
        heard_since = server.now - server.config.max_election_timeout
        staying = set(target.members).intersection(in_force.everyone)
        silent = [
            peer
            for peer, progress in self.progress.items()
            if peer in staying and (progress.heard < heard_since or not progress.counts)
        ]
        if 2 * (len(target.members) - len(silent)) <= len(target.members):
            return ("would_lose_quorum", silent)
        return None

    def is_unsettled(self) -> bool:
        """One change after the other, and none before the term's first entry commits: else two
        leaders may take configurations for committed that share no majority.
        """
        in_force = self.server.configuration
        return (
            self.change is not None
            or bool(in_force.old)
            or max(in_force.index, self.first) > self.server.commit_index
        )

    def learn_incarnations(self) -> None:
        """Write down the data directories that were heard of, one change like any other.

        Who lost what it had acknowledged is taken for one never heard of, and then learned anew:
        in between it counts nowhere, so that what is committed then needs nothing of it.
        """
        server = self.server
        if self.is_unsettled() or self.handing is not None:
            return
        known = server.configuration
        if self.lost.intersection(dict(known.incarnations)):
            learned = known.unbound(self.lost)
        else:
            self.lost.clear()
            learned = known.bound(self.heard_incarnations())
        if learned.incarnations != known.incarnations:
            self.append_configuration(learned, None)
            self.commit()

    def heard_incarnations(self) -> dict[Address, int]:
        """The data directories that have answered, and its own."""
        heard = {peer: progress.incarnation for peer, progress in self.progress.items()}
        return {**heard, self.server.peer: self.server.incarnation}

    def advance(self, change: Change) -> None:
        """Wait for the newcomers to keep up with the log; then append the configuration."""
        server = self.server
        for peer, race in list(change.racing.items()):
            if race.keeps_up(
                self.progress[peer],
                last_index=server.log.last_index,
                now=server.now,
                within=server.config.min_election_timeout,
            ):
                del change.racing[peer]
        if change.racing:
            return
        change.appended = True
        target = change.target.bound(self.heard_incarnations())
        if target.old:
            self.append_configuration(target, None)
        else:
            self.change = None
            self.append_configuration(target, change.ticket)
        self.commit()

    def give_up_on_the_silent(self, change: Change) -> None:
        silent = change.silent(now=self.server.now, patience=self.patience)
        if silent:
            self.change = None
            self.watch(())
            self.server.answer(change.ticket, ("error", ("peers_not_responding", silent)))

    def settle(self) -> None:
        """End a joint configuration that has committed, whoever began it (§6)."""
        configuration = self.server.configuration
        if configuration.old and configuration.index <= self.server.commit_index:
            change, self.change = self.change, None
            self.append_configuration(configuration.settled(), change and change.ticket)
            self.commit()

    def append_configuration(self, configuration: Configuration, ticket: Any) -> None:
        self.append(encode(self.server.term, CONFIG, configuration.encode()), ticket)
        self.watch(())

    @property
    def patience(self) -> float:
        """How long it goes on with one that doesn't answer, seconds."""
        return CATCH_UP_TIMEOUTS * self.server.config.max_election_timeout

    def watch(self, newcomers: Iterable[Address]) -> None:
        """Send to everyone of the configuration and to these; others are told that they left."""
        server = self.server
        voters = server.voters
        wanted = {*voters.everyone, *newcomers} - {server.peer}
        for peer in wanted & self.leaving.keys():  # back again, maybe with another disk
            del self.leaving[peer], self.progress[peer]
        for peer in sorted(wanted - self.progress.keys()):
            self.progress[peer] = self.progress_of(peer)
        for peer in self.progress.keys() - wanted:
            self.leaving.setdefault(peer, server.now + self.patience)
        for peer, progress in self.progress.items():
            progress.incarnation = progress.incarnation or voters.incarnation_of(peer)
            progress.counts = self.counts(peer, progress)

    def progress_of(self, peer: Address) -> Progress:
        """What is known of one that has not answered yet."""
        server = self.server
        return Progress(
            next_index=server.log.last_index + 1, now=server.now,
            incarnation=server.voters.incarnation_of(peer),
        )  # fmt: skip

    def counts(self, peer: Address, progress: Progress) -> bool:
        return peer not in self.lost and self.server.voters.counts(peer, progress.incarnation)

    def on_stranger(self, request: RequestPreVote) -> None:
        """Refuse it; and one of this group that is no member any more was away when it was
        removed: it is told now, and asks nobody again.
        """
        server, peer = self.server, request.source
        self.on_pre_vote_request(request)
        if request.group == server.group and peer not in self.progress:
            self.progress[peer] = self.progress_of(peer)
            self.leaving[peer] = server.now + self.patience

    def forget_who_left(self) -> None:
        """Who was removed is told until its log says so; or for a while, if it is away."""
        known = self.server.configuration.index
        for peer, until in list(self.leaving.items()):
            if self.server.now > until:
                del self.leaving[peer], self.progress[peer]
            elif min(self.progress[peer].match, self.server.commit_index) >= known:
                self.leaving[peer] = min(until, self.server.now)  # after this heartbeat

    # The version that the group's machines run as.

    def move_version(self) -> None:
        """Move the group on to the newest version that every member's machine has.

        Every member, learners too, and not a majority: one that can't follow must stop. The log
        has the move, so each replica makes it between the same two commands. A new leader waits
        for its first entry to commit: what its predecessors moved may still be in doubt.
        """
        server = self.server
        if not self.may_move_version() or server.commit_index < self.first or self.handing:
            return
        others = {*server.voters.everyone} - {server.peer}
        newest = min([server.machine, *(self.progress[other].machine for other in others)])
        if newest > max(self.version, server.version):
            self.append_version(newest)

    def may_move_version(self) -> bool:
        return self.server.machine > max(self.version, self.server.version)

    def append_version(self, version: int) -> None:
        self.version = version
        self.append(encode_version(self.server.term, version), None)

    def is_removed(self) -> bool:
        """A leader that is no member leads until that is committed (thesis 4.2.2)."""
        configuration = self.server.configuration
        return configuration.index <= self.server.commit_index and not configuration.votes(
            self.server.peer
        )

    def depart(self) -> None:
        """Name a successor, and lead no more."""
        server = self.server
        successor = self.fittest()
        if successor != server.peer:
            server.send(self.order_to_stand(successor))
        server.become_follower(leader=None)

    def on_transfer(self, event: Transfer) -> None:
        """Make room for another member: take no more commands, and wait until it has them all.

        Then nothing is lost by the change, and nothing is left with an unknown outcome.
        """
        server = self.server
        target = event.target or self.fittest()
        if target == server.peer and event.target is not None:
            server.answer(event.ticket, ("ok", target))
        elif target == server.peer and self.heirs():
            server.answer(event.ticket, ("error", ("peers_not_responding", self.heirs())))
        elif target not in server.others():
            server.answer(event.ticket, ("error", "no_such_member"))
        elif target in server.configuration.witnesses:
            server.answer(event.ticket, ("error", "keeps_no_state"))
        elif self.handing is not None and self.handing.ticket is not None:
            server.answer(event.ticket, ("error", "transfer_in_progress"))
        elif self.is_changing():
            server.answer(event.ticket, ("error", "change_in_progress"))
        elif not self.lives(target):
            server.answer(event.ticket, ("error", ("peers_not_responding", [target])))
        else:
            self.make_room(target, event.ticket)

    def heirs(self) -> list[Address]:
        """Who could lead after it, if they live: a witness has no state to lead with."""
        witnesses = self.server.configuration.witnesses
        return [member for member in self.server.others() if member not in witnesses]

    def lives(self, member: Address) -> bool:
        """Tell whether it has answered one of the last few heartbeats: else it can't take over."""
        server, progress = self.server, self.progress[member]
        heard_since = server.now - HEARTBEATS_MISSED_MAX * server.config.heartbeat_timeout
        return progress.linked and progress.heard >= heard_since

    def is_changing(self) -> bool:
        return self.change is not None or bool(self.server.configuration.old)

    def make_room(self, target: Address, ticket: Any) -> None:
        server = self.server
        give_up_at = server.now + min(server.config.max_election_timeout, HAND_OVER_S_MAX)
        self.handing = HandingOver(target, ticket, give_up_at)
        self.progress[target].due = True

    def end_handing(self, answer: Any) -> None:
        handing, self.handing = self.handing, None
        if handing is not None and handing.ticket is not None:
            self.server.answer(handing.ticket, answer)

    def fittest(self, match_min: int = 0) -> Address:
        """The voter with the longest log, of those the one heard last; this peer if there's none.

        Only who lives can take an office over, and has the log up to `match_min` at least.
        """
        fitness = {
            member: (progress.match, progress.heard)
            for member in self.heirs()
            if (progress := self.progress[member]).match >= match_min and self.lives(member)
        }
        return max(fitness, key=fitness.__getitem__, default=self.server.peer)

    def yield_to_a_quicker_disk(self) -> None:
        """Hand over to a follower that had saved all by the time this peer's slow save was done.

        Its answer waited here while the save kept this peer from reading it, and from speaking:
        one more hiccup, and the followers elect by themselves. If all disks are slow nobody is
        quicker, and the office stays where it is.
        """
        quicker = self.fittest(self.written)
        if self.handing is None and not self.is_changing() and quicker != self.server.peer:
            self.make_room(quicker, None)

    def hand_over_state(self) -> None:
        """A witness makes room for one that keeps the state, as soon as there is one."""
        keeper = self.fittest()
        if self.handing is None and not self.is_changing() and keeper != self.server.peer:
            self.make_room(keeper, None)

    def hand_over(self, handing: HandingOver) -> None:
        """Tell the successor to stand, once it lacks nothing (thesis 3.10)."""
        if not self.tickets:
            last_index = self.server.log.last_index
            if self.progress[handing.target].match == last_index:
                self.server.send(self.order_to_stand(handing.target))

    def order_to_stand(self, successor: Address) -> Message:
        server = self.server
        self.lease.broken = True  # from now on somebody may be elected against all promises
        return TimeoutNow(
            source=server.peer, target=successor, group=server.group, term=server.term
        )

    # Followers.

    def flush(self) -> None:
        """Send each follower what it lacks, in one round for all reads that wait."""
        if self.reads.start_round():
            self.lease.round_began(self.reads.round, self.server.now)
            for progress in self.progress.values():
                progress.due = True
            self.confirm_reads()  # a lone voter is its own majority
        if self.weighing:
            self.weighing = False
            self.yield_to_a_quicker_disk()
        for member, progress in self.progress.items():
            self.send_entries(member, progress)
        if self.handing is not None:
            self.hand_over(self.handing)

    def send_entries(self, member: Address, progress: Progress) -> None:
        server, config = self.server, self.server.config
        last = server.log.last_index
        if progress.shipment is not None or progress.next <= server.log.base:
            self.send_snapshot(member, progress)
            return
        while progress.next <= last and progress.may_send(config.inflight_max):
            entries = server.log.batch(progress.next, config.append_bytes_max)
            self.send_append(member, progress.next - 1, entries)
            progress.sent(len(entries))
        if progress.due:
            self.send_append(member, progress.next - 1, [])
            progress.due = False

    def send_snapshot(self, member: Address, progress: Progress) -> None:
        """Send the newest snapshot to whom the log can't help any more (§7).

        A witness's holds nothing: it waits until another leads.
        """
        server, chunk_bytes = self.server, self.server.config.snapshot_chunk_bytes
        shipment = progress.shipment
        if server.keeps_no_state:
            if progress.due:
                self.send_append(member, 0, [])
                progress.due = False
            return
        if shipment is None:
            shipment = progress.shipment = Shipment(server.snapshot, now=server.now)
        snapshot = shipment.snapshot
        while shipment.may_send(chunk_bytes):
            data = server.snapshots.read(snapshot, shipment.sent, chunk_bytes)
            server.effects.early.append(
                InstallSnapshot(
                    source=server.peer, target=member, group=server.group, term=server.term,
                    index=snapshot.index, last_term=snapshot.term, size=snapshot.size,
                    checksum=snapshot.checksum, offset=shipment.sent, data=data,
                    round=self.reads.round,
                )
            )  # fmt: skip
            shipment.sent_more(len(data), now=server.now)
            progress.due = False
        if progress.due:
            self.send_append(member, 0, [])  # where all logs agree: no more than a heartbeat
            progress.due = False

    def on_snapshot_reply(self, reply: SnapshotReply) -> None:
        progress = self.answered_by(reply)
        shipment = progress.shipment if progress is not None else None
        if shipment is not None and shipment.snapshot.index == reply.index:
            shipment.answered(reply.offset, accepted=reply.accepted, now=self.server.now)

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Keep what followers need that are behind, and alive, within a bound."""
        server, config = self.server, self.server.config
        heard_since = server.now - config.max_election_timeout
        snapshot = event.snapshot
        needed = [
            progress.wanted + 1
            for progress in self.progress.values()
            if progress.heard >= heard_since
        ]
        end = snapshot.index + 1
        keep_from = min([end - config.snapshot_trailing, *needed])
        most = max(config.snapshot_trailing, HELD_BACK_MAX * config.snapshot_entries)
        server.snapshot_taken(snapshot, max(keep_from, end - most))

    def snapshots_in_use(self) -> set[int]:
        """Return the indexes of the snapshots that are on their way to followers."""
        return {
            progress.shipment.snapshot.index
            for progress in self.progress.values()
            if progress.shipment is not None
        }

    def send_append(self, member: Address, prev_index: int, entries: list[bytes]) -> None:
        server = self.server
        server.effects.early.append(
            AppendEntries(
                source=server.peer, target=member, group=server.group, term=server.term,
                prev_index=prev_index,
                prev_term=server.log.term_at(prev_index) if prev_index else 0,
                commit=server.commit_index, round=self.reads.round, entries=entries,
            )
        )  # fmt: skip

    def on_append_reply(self, reply: AppendReply) -> None:
        progress = self.answered_by(reply)
        if progress is None:
            return
        if reply.promise_ms:
            until = self.lease.promised_until(reply.round, reply.promise_ms)
            progress.promised_until = max(progress.promised_until, until)
        progress.machine = reply.machine
        if progress.matched(min(reply.match, self.server.log.last_index)):
            self.commit()
            if self.change is not None and not self.change.appended:
                self.advance(self.change)

    def on_append_rejected(self, reply: AppendRejected) -> None:
        """Skip back over the follower's conflicting term, and then over ours (§5.3)."""
        progress = self.answered_by(reply)
        if progress is None:
            return
        if reply.prev_index <= progress.match:
            self.suspect(reply, progress)
        else:
            progress.rejected(reply.prev_index, self.agreed(reply))

    def agreed(self, reply: AppendRejected) -> int:
        """Return where the logs may agree at best."""
        log = self.server.log
        if reply.hint <= log.base:  # only a snapshot helps
            return reply.hint
        return log.newest_at_or_before(reply.hint, reply.hint_term)

    def suspect(self, reply: AppendRejected, progress: Progress) -> None:
        """A follower denies what it had acknowledged: an old reply, or a disk that went back.

        It is asked again. If it denies in answer to what was sent after its acknowledgement, then
        it has lost entries that may have been committed by its word; so it counts no longer, is
        sent them again, and is learned anew once the others have made up for it.
        """
        if progress.suspected is None:
            self.reads.renew = True
            progress.suspected = self.reads.round + 1, progress.match
            return
        asked, match = progress.suspected
        if reply.round < asked or reply.prev_index > match:
            return
        server, peer = self.server, reply.source
        server.note(Trouble("lost_entries", peer, str(progress.match)))
        self.lost.add(peer)
        fresh = self.progress[peer] = self.progress_of(peer)
        fresh.incarnation = progress.incarnation
        fresh.probe(self.agreed(reply))

    def answered_by(self, reply: AppendReply | AppendRejected | SnapshotReply) -> Progress | None:
        """Note that a follower of this term lives, and which round it has answered."""
        progress = self.recognised(reply)
        if progress is not None:
            progress.heard = self.server.now
            progress.linked = True
            if reply.round > progress.round:
                progress.round = reply.round
                self.confirm_reads()
        return progress

    def recognised(self, reply: AppendReply | AppendRejected | SnapshotReply) -> Progress | None:
        """Return what is known of the sender's data directory; None if it is no member's.

        One that is in no configuration yet may be another than the last time: a newcomer whose
        disk was wiped starts over.
        """
        peer, incarnation = reply.source, reply.source_incarnation
        progress = self.progress.get(peer)
        if progress is None or progress.incarnation == incarnation:
            return progress
        if self.server.configuration.incarnation_of(peer) not in (0, incarnation):
            return None
        if progress.incarnation:
            progress = self.progress[peer] = self.progress_of(peer)
        progress.incarnation = incarnation
        progress.counts = self.counts(peer, progress)
        return progress

    def reached(self, what: Callable[[Progress], float], *, own: float) -> float:
        """Return the largest value that a majority has reached; who doesn't count has none."""
        values = {peer: what(known) for peer, known in self.progress.items() if known.counts}
        values[self.server.peer] = own
        return self.server.voters.quorum_value(values)

    def on_written(self, written: Written) -> None:
        """Count the own log only now that it is durable (thesis 10.2.1)."""
        log = self.server.log
        slow = written.took_s > self.server.config.min_election_timeout / 2
        self.slow = self.slow + 1 if slow else 0
        self.weighing = self.slow >= SLOW_SAVES
        if (
            written.last_index > self.written
            and log.term_at(written.last_index) == written.last_term
        ):
            self.written = written.last_index
            self.commit()

    def commit(self) -> None:
        """Commit what a majority holds, if it is of this term; what lies before it follows.

        An entry of an older term may be on a majority and still be replaced (§5.4.2, Figure 8).
        """
        server = self.server
        index = self.reached(MATCH, own=self.written)
        if index > server.commit_index and index >= self.first:
            server.commit_to(int(index))
            self.settle()

    def confirm_reads(self) -> None:
        effects = self.server.effects
        for read in self.reads.confirmed(self.reached(ROUND, own=self.reads.round)):
            if type(read.ticket) is ReadIndexReply:
                effects.early.append(read.ticket)
            else:
                effects.reads.append(read)

    def on_node_lost(self, lost: NodeLost) -> None:
        """Don't send entries into a broken link: probe until its peer answers again."""
        for (_name, node), progress in self.progress.items():
            if node == lost.node:
                progress.lost()
        if self.handing is not None and self.handing.target[1] == lost.node:
            self.end_handing(("error", ("peers_not_responding", [self.handing.target])))

    def on_tick(self, _tick: Tick) -> None:
        """Speak to everyone, or give up an office that no majority has answered for (6.2)."""
        server, config = self.server, self.server.config
        if server.now < self.beat_at:
            return
        silence = server.now - self.reached(HEARD, own=server.now)
        cut_off = silence > config.max_election_timeout
        if self.handing is not None and (cut_off or server.now >= self.handing.give_up_at):
            self.end_handing(("error", "timeout"))
        if cut_off:
            server.become_follower(leader=None)
            return
        if self.is_removed() and not self.tickets:
            self.depart()
            return
        if self.change is not None and not self.change.appended:
            self.advance(self.change)  # a newcomer that has all there is sends no more news
        if self.change is not None:
            self.give_up_on_the_silent(self.change)
        self.learn_incarnations()
        if server.keeps_no_state:
            self.hand_over_state()
        self.forget_who_left()
        self.move_version()
        self.beat_at = server.now + config.heartbeat_timeout
        if not self.lease.broken:
            self.reads.renew = True
        for progress in self.progress.values():
            progress.due = True
            shipment = progress.shipment
            if shipment is not None and shipment.is_silent(
                now=server.now, patience=config.max_election_timeout
            ):
                shipment.go_back()

    def on_append(self, request: AppendEntries | InstallSnapshot) -> None:
        """Two leaders in one term would end all promises: stop here and be restarted."""
        raise AssertionError(f"{request.source} also leads term {request.term} (§5.2)")

    def farewell(self) -> list[Message]:
        """Name a successor: else the others wait for an election timeout.

        Who is to follow a leader that can't save what it has sent already lacks nothing that is
        committed: it is elected by a majority like anyone (§5.4.1).
        """
        successor = self.fittest()
        return [] if successor == self.server.peer else [self.order_to_stand(successor)]

    def leave(self) -> None:
        """Say of each command that its outcome is unknown, of each read that it was not done."""
        server = self.server
        if self.handing is not None:
            self.end_handing(("ok", self.handing.target))
        if self.change is not None:
            server.answer(self.change.ticket, OUTCOME_UNKNOWN)
        for ticket in self.tickets:
            if ticket is not None:
                server.answer(ticket, OUTCOME_UNKNOWN)
        for read in self.reads.abandoned():
            if type(read.ticket) is not ReadIndexReply:
                server.answer(read.ticket, redirect(None))


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
