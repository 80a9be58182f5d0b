"""Applying: how what is committed, and what comes as a snapshot, becomes a peer's state."""

import logging
from collections.abc import Callable
from pathlib import Path

from raft_actors.answers import encoded
from raft_actors.applied import Applied
from raft_actors.config import Config
from raft_actors.core.effects import Read, Trouble
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    NOOP,
    VERSION,
    command_of,
    kind_of,
    payload_of,
    version_of,
)
from raft_actors.core.membership import NOBODY, Address, Configuration, named
from raft_actors.core.messages import InstallSnapshot, SnapshotInstalled, SnapshotRefused
from raft_actors.core.server import Event, Server
from raft_actors.core.snapshot import Incoming
from raft_actors.errors import StoreCorrupt
from raft_actors.snapshotting import Snapshotting
from raft_actors.state_machine import StateMachine
from raft_actors.stores import LogStore
from raft_actors.witness import Witnessed

__all__ = ["Applying"]

logger = logging.getLogger("raft_actors.peer")

SAY_AGAIN_S = 10.0
"""A machine that stays slow is said to be so once in this time."""

REMOVED_S = 1.0
"""How long a peer that was taken out of its group runs on before it says so."""


class Applying:
    """The part of a `Peer` that runs the user's machine, and answers who waits for it."""

    clock: Callable[[], float]
    name: str
    address: Address
    path: Path
    config: Config
    core: Server
    step: Callable[[Event], None]
    store: LogStore
    applied: Applied
    snapshotting: Snapshotting
    reads: list[Read]
    silent_until: float = 0.0
    members_told: Configuration = NOBODY
    """Of whom the log has told last that they are the members."""
    removed: tuple[Configuration, float] | None = None
    """The configuration that has left this peer out, and when it was applied; None once told."""

    def go_on_soon(self) -> None:
        """Have what is left done after what has come meanwhile."""
        raise NotImplementedError

    def make(self, machine: type[StateMachine]) -> StateMachine:
        return machine()

    def fresh_state(self, machine: type[StateMachine]) -> Applied:
        return Applied(self.make(machine), self.name, self.path / "machine")

    def no_state(self, machine: StateMachine, index: int = 0) -> Applied:
        return Witnessed(machine, self.name, index)

    def apply(self) -> None:
        """Apply what is committed, then look around: after `apply_max` entries, or a heartbeat's
        time if that is sooner, so that a long backlog costs no leader its office.
        """
        applied, core, clock = self.applied, self.core, self.clock
        first = applied.index + 1
        last = min(core.commit_index, applied.index + self.config.apply_max)
        if last < first:
            return
        began = clock()
        until = began + self.config.heartbeat_timeout
        replies: list[bytes] = []
        entries = core.log.some(first, last)
        for entry in entries:
            kind = kind_of(entry)
            reply = b""
            if kind == COMMAND:
                reply = applied.write(*command_of(entry))
            elif kind == CONFIG:
                self.take_part(Configuration.decode(payload_of(entry), applied.index + 1))
            elif kind == VERSION:
                applied.upgrade(version_of(entry))
                core.version = applied.version
            elif kind != NOOP:
                raise StoreCorrupt(
                    f"{self.name}: entry {applied.index + 1} is of kind {kind}, which this version "
                    "of raft_actors does not know: run the one that its leader runs"
                )
            applied.index += 1
            replies.append(reply)
            if (now := clock()) >= until:
                self.say_if_slow(began, now, "entry", applied.index)
                break
        applied.end_batch()
        if self.core.stateless and not isinstance(applied, Witnessed):
            self.forget_state()
        self.snapshotting.log_bytes += sum(map(len, entries[: len(replies)]))
        tickets = core.take_tickets(applied.index)
        own = replies[len(replies) - len(tickets) :]
        for reply, ticket in zip(own, tickets, strict=True):
            if ticket is not None:
                ticket.set(reply or encoded(("ok", core.configuration)))

    def may_apply(self) -> bool:
        return self.applied.index < self.core.commit_index and self.snapshotting.image is None

    def take_chunk(self, chunk: InstallSnapshot) -> None:
        """Write a part of a leader's snapshot; with the last one, go on from it."""
        incoming = Incoming(chunk.index, chunk.last_term, chunk.size, chunk.checksum)
        snapshots = self.store.snapshots
        snapshots.receive(incoming, chunk.offset, chunk.data)
        if chunk.offset + len(chunk.data) < chunk.size or chunk.index <= self.core.commit_index:
            return
        try:
            snapshot = snapshots.finish(incoming)
        except StoreCorrupt as error:
            logger.warning("%s: what %s sent of its snapshot is damaged, and nothing here is: %s",
                           self.name, chunk.source, error)  # fmt: skip
            self.step(SnapshotRefused(chunk.index))
        else:
            self.snapshotting.give_up()
            if snapshot.configuration.makes_stateless(self.address, self.core.incarnation):
                self.core.stateless = True
                self.forget_state()
            self.applied.restore(snapshots, snapshot)
            self.core.version = self.applied.version
            self.step(SnapshotInstalled(snapshot))
            self.snapshotting.prune()
            logger.info("%s: goes on from a snapshot that ends at entry %d",
                        self.name, snapshot.index)  # fmt: skip
        self.go_on_soon()

    def take_part(self, configuration: Configuration) -> None:
        """Take the part that a committed configuration gives this peer."""
        if configuration.makes_stateless(self.address, self.core.incarnation):
            self.core.stateless = True
        self.say_if_state_is_missing(configuration)
        self.say_who_changed(configuration)
        self.note_if_removed(configuration)

    def say_if_state_is_missing(self, configuration: Configuration) -> None:
        core = self.core
        if configuration.makes_stateless(self.address, core.incarnation) or (
            self.address not in configuration.everyone
        ):
            core.troubles.pop("no_state", None)
        elif core.stateless and configuration.index == core.configuration.index:
            core.note(Trouble("no_state", self.address))

    def say_who_changed(self, configuration: Configuration) -> None:
        """Not of one that a later one in the log stands for: a restart applies them all again."""
        if configuration.index == self.core.configuration.index:
            if changes := changes_of(self.members_told, configuration):
                logger.info("%s: since entry %d %s", self.name, configuration.index, changes)
            self.members_told = configuration

    def forget_state(self) -> None:
        """From here on only the log is kept. A witness never owes a command's answer: it leads
        for no longer than it takes to hand over.
        """
        before = self.applied
        self.snapshotting.give_up()
        before.close()
        self.applied = self.no_state(before.machine, before.index)
        self.applied.found_at(before.version)

    def note_if_removed(self, configuration: Configuration) -> None:
        """Not of one that came, or came back, later and applies what was before."""
        address, core = self.address, self.core
        if (
            address not in configuration.everyone
            and address in core.configuration_at(configuration.previous).everyone
            and address not in core.configuration.everyone
        ):
            self.removed = configuration, self.clock()

    def say_if_removed(self) -> None:
        """Not at once: `Raft.leave` stops the peer that it has taken out."""
        if self.removed is None or self.clock() < self.removed[1] + REMOVED_S:
            return
        (configuration, _at), self.removed = self.removed, None
        if self.address not in self.core.configuration.everyone:
            logger.warning(
                "%s is no member of its group since entry %d: %s; stop it, or add it again",
                self.name,
                configuration.index,
                configuration.members,
            )

    def say_if_slow(self, began: float, now: float, what: str, which: int) -> None:
        """While the machine works, its peer hears no leader, and as one it does not speak."""
        patience_s = self.config.min_election_timeout
        if now - began < patience_s or now < self.silent_until:
            return
        self.silent_until = now + SAY_AGAIN_S
        logger.warning(
            "%s: %s took %.2f s for %s %d; until then this peer heard and said nothing, and if it "
            "led, the others elect another. Stay well below min_election_timeout (%g s), or raise "
            "it on every member",
            self.name, type(self.applied.machine).__name__, now - began, what, which, patience_s,
        )  # fmt: skip

    def answer_reads(self) -> None:
        """Answer what the state is fresh enough for."""
        began = self.clock()
        waiting: list[Read] = []
        for read in self.reads:
            if read.index <= self.applied.index:
                read.ticket.set(self.applied.read(read.query))
            else:
                waiting.append(read)
        answered = len(self.reads) - len(waiting)
        self.reads = waiting
        self.say_if_slow(began, self.clock(), "reads, of which there were", answered)


def changes_of(before: Configuration, after: Configuration) -> str:
    """Say who the members are, and who came or went; nothing where all have the part they had."""
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
