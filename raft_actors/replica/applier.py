"""Applier: applies committed entries, and snapshots of the leader, to a peer's state."""

import logging
from collections.abc import Callable

from raft_actors.audit import audit
from raft_actors.config import Config
from raft_actors.core.configuration import NOBODY, Configuration, named
from raft_actors.core.digests import asks_for_digests, comparison_in
from raft_actors.core.divergence import note_comparison
from raft_actors.core.effects import Read, Trouble
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    NOOP,
    VERSION,
    command_of,
    first_damaged,
    has_extensions,
    kind_of,
    payload_of,
    version_of,
)
from raft_actors.core.messages import Event, InstallSnapshot, SnapshotInstalled, SnapshotRefused
from raft_actors.core.replies import ELECTION_IN_PROGRESS, OUTCOME_UNKNOWN, redirect
from raft_actors.core.server import Server
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.errors import StoreCorrupt
from raft_actors.machine.command_guard import RUNNING
from raft_actors.machine.contract import Machine
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.names import Address
from raft_actors.replica.digester import Digester
from raft_actors.replica.environment import Environment
from raft_actors.replica.requests import encoded
from raft_actors.replica.snapshotter import Snapshotter
from raft_actors.stores.snapshots import Snapshots

__all__ = ["Applier"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

LOG_AGAIN_S = 10.0
"""A state machine that stays slow is logged at most once in so many seconds."""


class Applier:
    """Applies committed entries to the user's state machine, and answers the clients that wait.

    applied       the present state
    reads         the reads that wait until their index is applied
    is_asked      whether the last applied entry asks for a digest of the state
    logged        the configuration whose members were logged last
    log_slow_next  when a slow state machine is logged again
    """

    def __init__(
        self,
        core: Server,
        snapshots: Snapshots,
        config: Config,
        environment: Environment,
        step: Callable[[Event], None],
        snapshotter: Snapshotter,
        digester: Digester,
        applied: ReplicatedState,
        make_witness: Callable[[Machine, str, int], ReplicatedState],
    ) -> None:
        self.core = core
        self.snapshots = snapshots
        self.config = config
        self.environment = environment
        self.step = step
        self.snapshotter = snapshotter
        self.digester = digester
        self.applied: ReplicatedState = applied
        self.make_witness = make_witness
        self.address: Address = core.peer
        self.name: str = core.peer[0]
        self.reads: list[Read] = []
        self.is_asked: bool = False
        self.logged: Configuration = NOBODY
        self.log_slow_next: float = 0.0

    def apply(self) -> None:
        """Apply committed entries, but only `apply_max` of them and only for the time of a
        heartbeat. Then the peer handles other events, so that a leader with a long backlog still
        sends its heartbeats.
        """
        applied, core = self.applied, self.core
        first = applied.index + 1
        last = min(core.commit_index, applied.index + self.config.apply_max)
        if last < first:
            return
        began = self.environment.clock()
        entries = core.log.some(first, last)
        if damaged := first_damaged(entries, first):
            raise StoreCorrupt(
                f"{self.name}: entry {damaged} is not what its leader wrote, and is not applied: "
                "check the memory and the disk of this host"
            )
        applied.begin_batch()
        RUNNING.machine = type(applied.machine)
        try:
            replies = self.run(entries, began, began + self.config.heartbeat_timeout)
        finally:
            RUNNING.machine = None
        applied.end_batch()
        if self.is_asked:
            self.is_asked = False
            self.digester.begin(applied)
        if self.core.has_witness_directory and applied.keeps_state:
            self.forget_state()
        self.snapshotter.log_bytes += sum(map(len, entries[: len(replies)]))
        tickets = core.take_tickets(applied.index)
        own = replies[len(replies) - len(tickets) :]
        is_wrong = core.digests.is_wrong
        for reply, ticket in zip(own, tickets, strict=True):
            if ticket is None:
                continue
            if reply and is_wrong:
                reply = encoded(OUTCOME_UNKNOWN)
            ticket.set(reply or encoded(("ok", core.configuration)))

    def run(self, entries: list[bytes], began: float, until: float) -> list[bytes]:
        """Apply `entries`, or as many of them as there is time for. Return a reply for each applied
        entry.
        """
        applied, core, clock = self.applied, self.core, self.environment.clock
        replies: list[bytes] = []
        for entry in entries:
            applied.entry = entry
            kind = kind_of(entry)
            reply = b""
            if kind == COMMAND:
                reply = applied.write(*command_of(entry))
            elif kind == CONFIG:
                self.take_part(Configuration.decode(payload_of(entry), applied.index + 1))
            elif kind == VERSION:
                applied.upgrade(version_of(entry))
                core.machine_version = applied.version
            elif kind == NOOP:
                self.take_empty(entry)
            else:
                raise StoreCorrupt(
                    f"{self.name}: entry {applied.index + 1} is of kind {kind}, which this version "
                    "of raft_actors does not know: install the version that the leader runs"
                )
            applied.index += 1
            replies.append(reply)
            if self.is_asked:
                break
            if (now := clock()) >= until:
                self.log_if_slow(began, now, "entry %d", applied.index)
                break
        return replies

    def take_empty(self, entry: bytes) -> None:
        """Note what an entry without a command asks or tells of digests."""
        if not has_extensions(entry):
            return
        self.is_asked = asks_for_digests(entry)
        comparison = comparison_in(entry)
        if comparison is not None:
            note_comparison(self.core, comparison)
            self.environment.continue_soon()  # for what the core reports

    def take_chunk(self, chunk: InstallSnapshot) -> None:
        """Write a part of a leader's snapshot. After the last part, continue from the snapshot."""
        incoming = SnapshotReceipt(chunk.index, chunk.last_term, chunk.size, chunk.checksum)
        snapshots = self.snapshots
        snapshots.receive(incoming, chunk.offset, chunk.data)
        if chunk.offset + len(chunk.data) < chunk.size or not self.core.takes(chunk.index):
            return
        try:
            snapshot = snapshots.finish(incoming, self.applied.forget)
        except StoreCorrupt as error:
            logger.warning("%s: the snapshot that %s has sent is damaged, and is not used: %s",
                           self.name, chunk.source, error)  # fmt: skip
            self.step(SnapshotRefused(chunk.index))
        else:
            self.snapshotter.give_up()
            self.digester.give_up()
            if snapshot.configuration.makes_stateless(self.address, self.core.incarnation):
                self.core.has_witness_directory = True
                self.forget_state()
            self.applied.restore(snapshots, snapshot)
            self.core.machine_version = self.applied.version
            self.step(SnapshotInstalled(snapshot))
            self.snapshotter.prune()
            logger.info("%s: continues from a leader's snapshot, which ends at entry %d",
                        self.name, snapshot.index)  # fmt: skip
        self.environment.continue_soon()

    def take_part(self, configuration: Configuration) -> None:
        """Handle a committed configuration: this peer may become a witness or be removed by it."""
        if configuration.makes_stateless(self.address, self.core.incarnation):
            self.core.has_witness_directory = True
        self.report_missing_state(configuration)
        self.log_who_changed(configuration)
        self.note_if_removed(configuration)

    def report_missing_state(self, configuration: Configuration) -> None:
        core = self.core
        if configuration.makes_stateless(self.address, core.incarnation) or (
            self.address not in configuration.everyone
        ):
            core.troubles.pop("no_state", None)
        elif core.has_witness_directory and configuration.index == core.configuration.index:
            core.report(Trouble("no_state", self.address))

    def log_who_changed(self, configuration: Configuration) -> None:
        """Log how the members have changed, but only for the newest configuration in the log: after
        a restart all older ones are applied again.
        """
        if configuration.index == self.core.configuration.index:
            if changes := changes_of(self.logged, configuration):
                logger.info("%s: since entry %d %s", self.name, configuration.index, changes)
                audit("members", peer=self.core.peer, entry=configuration.index,
                      members=configuration.members, learners=configuration.learners,
                      witnesses=configuration.witnesses, old=configuration.old)  # fmt: skip
            self.logged = configuration

    def forget_state(self) -> None:
        """Drop the state, because this peer is a witness: from now on it keeps only the log. No
        command waits for a reply of a witness, because a witness that leads accepts no commands.
        """
        before = self.applied
        self.snapshotter.give_up()
        self.digester.give_up()
        before.close()
        self.applied = self.make_witness(before.machine, self.name, before.index)
        self.applied.found_at(before.version)

    def note_if_removed(self, configuration: Configuration) -> None:
        """Call `on_removed` if `configuration` removes this peer. A peer that has become a member
        later, or again, also applies the older configurations without it: these are ignored.
        """
        address, core = self.address, self.core
        if (
            address not in configuration.everyone
            and address in core.configuration_at(configuration.previous).everyone
            and address not in core.configuration.everyone
        ):
            self.environment.on_removed(configuration)

    def log_if_slow(self, began: float, now: float, what: str, number: int) -> None:
        """Log that the state machine was slow for `what`, a text with the place of a number. While
        the state machine works, its peer handles no message of a leader, and sends no heartbeat if
        it is the leader.
        """
        timeout_s = self.config.min_election_timeout
        if now - began < timeout_s or now < self.log_slow_next:
            return
        self.log_slow_next = now + LOG_AGAIN_S
        logger.warning(
            "%s: %s took %.2f s for %s; during that time this peer received and sent nothing, and "
            "if it was the leader, the others elect another one. Stay well below "
            "min_election_timeout (%g s), or raise it on every member",
            self.name, type(self.applied.machine).__name__, now - began, what % number, timeout_s,
        )  # fmt: skip

    def answer_reads(self, due: list[Read]) -> None:
        """Answer the reads whose index is applied, of `due` and of those that wait; but only for
        the time of a heartbeat, see `apply`.
        """
        if due:
            self.reads += due
        if not self.reads:
            return
        if self.core.digests.is_wrong:
            self.refuse_reads()
            return
        clock = self.environment.clock
        began = now = clock()
        until = began + self.config.heartbeat_timeout
        reads, waiting, answered = self.reads, [], 0
        for place, read in enumerate(reads):
            if read.index > self.applied.index:
                waiting.append(read)
                continue
            if now >= until and answered:
                waiting += reads[place:]
                self.environment.continue_soon()
                break
            read.ticket.set(self.applied.read(read.query))
            answered += 1
            now = clock()
        self.reads = waiting
        self.log_if_slow(began, now, "reads (%d of them)", answered)

    def refuse_reads(self) -> None:
        """Refuse the reads that came before this peer knew that its state is wrong."""
        leader = self.core.role.leader
        answer = ELECTION_IN_PROGRESS if leader == self.address else redirect(leader)
        reads, self.reads = self.reads, []
        for read in reads:
            read.ticket.set(encoded(answer))


def changes_of(before: Configuration, after: Configuration) -> str:
    """Return a text with the members, and with those that were added or removed. It is empty if
    nothing has changed.
    """
    if after.is_like(before) and after.old == before.old:
        return ""
    old = before.old or before.members
    verb = "are being changed to" if after.old else "are"
    text = f"the members {verb} {named(after.members)}"
    for part in ("learners", "witnesses"):
        if peers := getattr(after, part):
            text += f", the {part} {named(peers)}"
    if came := sorted({*after.members}.difference(old or after.members)):
        text += f"; new: {named(came)}"
    if left := sorted({*old}.difference(after.members)):
        text += f"; no more: {named(left)}"
    return text
