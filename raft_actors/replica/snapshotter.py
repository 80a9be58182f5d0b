"""Snapshotting: when a peer's snapshot is due, and how it is taken without stopping the peer.

taking in   on the peer's thread, in slices; nothing is applied meanwhile
writing     on a thread of its own, which tells the peer at the end
ended       the core lets the log begin later; older snapshots are removed
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raft_actors import encoding
from raft_actors.core.leader import Leader
from raft_actors.core.messages import SnapshotChecked, SnapshotTaken
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import RaftError, in_text
from raft_actors.machine.state_image import StateImage
from raft_actors.stores.snapshots import Draft, Header
from supervision import tell_if_alive

if TYPE_CHECKING:
    from raft_actors.core.configuration import Configuration
    from raft_actors.core.server import Server
    from raft_actors.peer.peer import Peer
    from raft_actors.replica.requests import Ticket

__all__ = ["Snapshotting", "Writer", "WriterEnded"]

logger = logging.getLogger("raft_actors.peer")

RETRY_S = 30.0
"""After a snapshot that failed."""
WRITER_S = 5.0
"""How long the end of a peer waits for its writer, which may hang in the disk."""


@dataclass(slots=True)
class WriterEnded:
    """A writer tells its peer what has become of its snapshot; without one, `reason` says why."""

    writer: "Writer"
    snapshot: Snapshot | None
    reason: str = ""


class Writer:
    """Writes one snapshot, on a thread of its own."""

    def __init__(self, draft: Draft, image: StateImage, done: Callable[[WriterEnded], Any]) -> None:
        self.draft = draft
        self.image = image
        self.done = done
        self.given_up = False
        self.thread = threading.Thread(target=self.write, name="raft-snapshot", daemon=True)

    def write(self) -> None:
        draft = self.draft
        try:
            for payload in self.image.payloads():
                draft.add(payload)
                time.sleep(0)  # the peer's thread is the one that matters
                if self.given_up:
                    draft.abandon()
                    return
            ended = WriterEnded(self, draft.finish(reached=True))
        except Exception as error:
            ended = WriterEnded(self, None, ": ".join(in_text(error)))
            with suppress(RaftError):  # it may have filled the disk: the log needs the room
                draft.abandon()
        self.done(ended)


class Snapshotting:
    """The snapshots of one peer's own state. All of it happens on the peer's thread.

    image      the state that is being taken in; nothing is applied while there is one
    log_bytes  of the entries that were applied since the last snapshot
    tickets    who waits for the next snapshot
    served     who waits for the one that is being taken, which holds all from before they asked
    slice_s    how long the peer's thread takes a state in before it looks around
    """

    slice_s = 0.01

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.config = peer.config
        self.image: StateImage | None = None
        self.header: Header | None = None
        self.writer: Writer | None = None
        self.log_bytes = 0
        self.tickets: list[Ticket] = []
        self.served: list[Ticket] = []
        self.not_before = 0.0
        self.last_at = peer.clock()

    def is_due(self) -> bool:
        """Tell whether enough was applied since the last snapshot.

        The bigger the state, the rarer: what is written for snapshots is at most twice what is
        written for entries.
        """
        peer, config = self.peer, self.config
        snapshot, now = peer.core.snapshot, peer.core.now
        if not peer.applied.can_snapshot or now < self.not_before:
            return False
        if peer.core.damaged is not None:
            return True
        entries = peer.applied.index - snapshot.index
        if not entries:
            return False
        if now - self.last_at >= config.snapshot_interval:
            return True
        return 2 * self.log_bytes >= snapshot.size and (
            entries >= config.snapshot_entries or self.log_bytes >= config.snapshot_bytes
        )

    def ask(self, ticket: "Ticket") -> None:
        """Take one for a client."""
        self.tickets.append(ticket)

    def has_work(self) -> bool:
        """Tell whether `go_on` would do something: it calls the machine."""
        if self.image is not None:
            return True
        return self.writer is None and (bool(self.tickets) or self.is_due())

    def go_on(self) -> bool:
        """Begin a snapshot if one is due, or take more of it in; return whether there is more."""
        if not self.has_work() or (self.image is None and not self.begin()):
            return False
        assert self.image is not None
        clock = self.peer.clock
        try:
            if not self.image.take_in(clock() + self.slice_s, clock):
                return True
        except Exception as error:  # the machine's, or a state that can't be encoded
            self.failed(": ".join(in_text(error)))
            return False
        self.write()
        return False

    def begin(self) -> bool:
        peer = self.peer
        core, applied = peer.core, peer.applied
        self.served, self.tickets = self.tickets, []
        if applied.index == core.snapshot.index and core.damaged is None:
            self.answer(("ok", applied.index))
            return False
        configuration = configuration_before(core, applied.index)
        try:
            self.image = applied.image()
        except RaftError as error:
            self.failed(str(error))
            return False
        except Exception as error:  # of the machine's own `snapshot`
            self.failed(": ".join(in_text(error)), error)
            return False
        self.header = Header(
            applied.index, core.log.term_at(applied.index), configuration.encode(),
            configuration.index, self.image.kind, applied.version,
        )  # fmt: skip
        return True

    def write(self) -> None:
        image, header, self.image = self.image, self.header, None
        assert image is not None
        assert header is not None
        try:
            draft = self.peer.store.snapshots.draft(header)
        except RaftError as error:
            self.failed(str(error))
            return
        ref = self.peer.actor_ref
        self.writer = Writer(draft, image, lambda ended: tell_if_alive(ref, ended))
        self.log_bytes = 0
        self.last_at = self.peer.core.now
        try:
            self.run(self.writer)
        except RuntimeError as error:  # the system has no thread left
            with suppress(RaftError):
                draft.abandon()
            self.failed(str(error))

    @staticmethod
    def run(writer: Writer) -> None:
        writer.thread.start()

    def ended(self, event: WriterEnded) -> None:
        """Let the log begin after the snapshot, and remove those before it.

        One that was given up may hang in the disk and be heard of late: another may write by then.
        """
        if event.writer is not self.writer:
            return
        if event.snapshot is None:
            self.failed(event.reason)
            return
        self.writer = None
        peer = self.peer
        core = peer.core
        if event.snapshot.index > core.snapshot.index or core.damaged is not None:
            # Else a leader's was faster.
            peer.step(SnapshotTaken(event.snapshot))
        self.prune()
        self.answer(("ok", peer.core.snapshot.index))

    def look_at(self, snapshot: Snapshot) -> None:
        """Find out whether its file is what was written; the core hears of it."""
        snapshots, ref = self.peer.store.snapshots, self.peer.actor_ref
        try:
            self.beside(
                lambda: tell_if_alive(ref, SnapshotChecked(snapshot, snapshots.look_at(snapshot)))
            )
        except RuntimeError:  # the system has no thread left: when it is doubted again, then
            tell_if_alive(ref, SnapshotChecked(snapshot, ""))

    @staticmethod
    def beside(look: Callable[[], Any]) -> None:
        threading.Thread(target=look, name="raft-snapshot-check", daemon=True).start()

    def prune(self) -> None:
        """Remove those before the newest that nobody is being sent."""
        core = self.peer.core
        role = core.role
        sent = role.snapshots_in_use() if isinstance(role, Leader) else set()
        try:
            self.peer.store.snapshots.prune({core.snapshot, *sent})
        except RaftError as error:
            logger.warning("%s: old snapshots could not be removed: %s", self.peer.name, error)

    def failed(self, reason: str, bug: Exception | None = None) -> None:
        """Say why there is none. The log is kept, so nothing is lost; it is tried again.

        bug  what the machine raised: where it did so is told, too
        """
        logger.error(
            "%s: no snapshot could be taken, so the log grows; next try in %d s: %s",
            self.peer.name, RETRY_S, reason, exc_info=bug,
        )  # fmt: skip
        self.image = self.writer = None
        self.not_before = self.peer.core.now + RETRY_S
        self.answer(("error", ("snapshot_failed", reason)))

    def answer(self, answer: Any) -> None:
        tickets, self.served = self.served, []
        for ticket in tickets:
            ticket.set(encoding.dumps(answer))

    def answer_all(self, answer: Any) -> None:
        """Answer everybody who waits: there is no next one."""
        self.served, self.tickets = self.served + self.tickets, []
        self.answer(answer)

    def give_up(self) -> None:
        """Leave what is being taken: the peer ends, or has got a newer state from its leader.

        Who waited for it waits for the next.
        """
        writer, self.image, self.writer = self.writer, None, None
        self.tickets, self.served = self.served + self.tickets, []
        if writer is not None:
            writer.given_up = True
            if writer.thread.is_alive():
                writer.thread.join(WRITER_S)


def configuration_before(core: "Server", index: int) -> "Configuration":
    """Return the newest configuration at or before `index`, an applied entry."""
    configuration = core.configuration
    while configuration.index > index:
        configuration = core.configuration_at(configuration.previous)
    return configuration
