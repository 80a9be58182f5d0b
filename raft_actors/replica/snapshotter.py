"""Snapshotter: decides when a peer's snapshot is due, and takes it without stopping the peer.

capturing   the state is copied on the peer's thread, in slices; nothing is applied meanwhile
writing     the copy is written to disk on another thread, which sends an event at the end
ended       the core removes entries that the snapshot has replaced; older snapshots are removed
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.messages import Event, SnapshotChecked, SnapshotTaken
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import RaftError, in_text
from raft_actors.machine.contract import RAISED
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.state_image import StateImage
from raft_actors.replica.environment import Environment
from raft_actors.replica.requests import Ticket
from raft_actors.stores.snapshots import Draft, Header, Snapshots

__all__ = ["SLICE_S", "Snapshotter", "Writer", "WriterEnded"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

SLICE_S = 0.01
"""How long a slice of copying takes, in seconds. Between slices the peer handles other events."""
RETRY_S = 30.0
"""Pause after a snapshot that failed."""
WRITER_S = 5.0
"""How long a peer that ends waits for its writer, which may hang in a call to the disk."""


def nothing(_timeout_s: float) -> None:
    """Don't wait: the writer's thread was not started."""


@dataclass(slots=True)
class WriterEnded:
    """The event of a writer that has ended: the snapshot; or None, and `reason` why it failed."""

    writer: "Writer"
    snapshot: Snapshot | None
    reason: str = ""


class Writer:
    """Writes one snapshot, on another thread than the peer's."""

    def __init__(self, draft: Draft, image: StateImage, done: Callable[[WriterEnded], Any]) -> None:
        self.draft = draft
        self.image = image
        self.done = done
        self.given_up = False
        self.wait: Callable[[float], object] = nothing  # waits for the end of the thread

    def __call__(self) -> None:
        draft = self.draft
        try:
            for payload in self.image.payloads():
                draft.add(payload)
                time.sleep(0)  # let the peer's thread run first
                if self.given_up:
                    draft.abandon()
                    return
            ended = WriterEnded(self, draft.finish(reached=True))
        except RAISED as error:
            ended = WriterEnded(self, None, ": ".join(in_text(error)))
            with suppress(RaftError):  # the draft may have filled the disk, and the log needs space
                draft.abandon()
        self.done(ended)


class Snapshotter:
    """Takes the snapshots of one peer's own state. All methods run on the peer's thread.

    image      the copy of the state while it is being made; nothing is applied meanwhile
    log_bytes  bytes of the entries that were applied since the last snapshot
    tickets    the clients that wait for the next snapshot
    served     the clients that wait for the snapshot that is being taken: it includes everything
               that was applied before they asked
    slice_s    how long a slice of copying takes, in seconds
    """

    def __init__(
        self,
        core: Server,
        snapshots: Snapshots,
        config: Config,
        environment: Environment,
        step: Callable[[Event], None],
        *,
        slice_s: float,
    ) -> None:
        self.core = core
        self.snapshots = snapshots
        self.config = config
        self.environment = environment
        self.step = step
        self.slice_s = slice_s
        self.name: str = core.peer[0]
        self.image: StateImage | None = None
        self.header: Header | None = None
        self.writer: Writer | None = None
        self.log_bytes: int = 0
        self.tickets: list[Ticket] = []
        self.served: list[Ticket] = []
        self.not_before: float = 0.0
        self.last_at: float = environment.clock()

    def is_due(self, applied: ReplicatedState) -> bool:
        """Return whether enough was applied since the last snapshot.

        A wrong state has none: this peer would start with it, and the log that shows the difference
        would be gone. A larger state has rarer snapshots: the bytes written for snapshots are at
        most twice the bytes written for entries.
        """
        core, config = self.core, self.config
        snapshot, now = core.snapshot, core.now
        if not applied.can_snapshot or now < self.not_before or core.digests.is_wrong:
            return False
        if core.damaged is not None or snapshot.index < core.wanted <= applied.index:
            return True
        entries = applied.index - snapshot.index
        if not entries:
            return False
        if now - self.last_at >= config.snapshot_interval:
            return True
        return 2 * self.log_bytes >= snapshot.size and (
            entries >= config.snapshot_entries or self.log_bytes >= config.snapshot_bytes
        )

    def ask(self, ticket: Ticket) -> None:
        """Take a snapshot for a client, as soon as possible."""
        self.tickets.append(ticket)

    def has_work(self, applied: ReplicatedState) -> bool:
        """Return whether `go_on` would do anything. It would call the user's state machine."""
        if self.image is not None:
            return True
        return self.writer is None and (bool(self.tickets) or self.is_due(applied))

    def go_on(self, applied: ReplicatedState) -> bool:
        """Begin a snapshot if one is due, or copy the next slice of the state; return whether there
        is more to copy.
        """
        if not self.has_work(applied) or (self.image is None and not self.begin(applied)):
            return False
        assert self.image is not None
        clock = self.environment.clock
        try:
            if not self.image.capture(clock() + self.slice_s, clock):
                return True
        except RAISED as error:  # the state machine raised, or the state can't be encoded
            self.failed(": ".join(in_text(error)))
            return False
        self.write()
        return False

    def begin(self, applied: ReplicatedState) -> bool:
        core = self.core
        self.served, self.tickets = self.tickets, []
        if core.digests.is_wrong:
            self.answer(("error", "diverged"))
            return False
        if applied.index == core.snapshot.index and core.damaged is None:
            self.answer(("ok", applied.index))
            return False
        configuration = configuration_before(core, applied.index)
        try:
            self.image = applied.image()
        except RaftError as error:
            self.failed(str(error))
            return False
        except RAISED as error:  # the state machine's `snapshot` raised
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
            draft = self.snapshots.draft(header)
        except RaftError as error:
            self.failed(str(error))
            return
        self.writer = writer = Writer(draft, image, self.environment.deliver)
        self.log_bytes = 0
        self.last_at = self.core.now
        try:
            writer.wait = self.environment.run_aside(writer, "raft-snapshot")
        except RuntimeError as error:  # the system has no thread left
            with suppress(RaftError):
                draft.abandon()
            self.failed(str(error))

    def ended(self, event: WriterEnded) -> None:
        """Let the core remove the entries that the new snapshot has replaced, and remove older
        snapshots.

        The event of a writer that was given up is ignored: its thread may have hung in a call to
        the disk, and another writer may run now.
        """
        if event.writer is not self.writer:
            return
        if event.snapshot is None:
            self.failed(event.reason)
            return
        self.writer = None
        core = self.core
        if event.snapshot.index > core.snapshot.index or core.damaged is not None:
            # Otherwise a newer snapshot of the leader came first.
            self.step(SnapshotTaken(event.snapshot))
        self.prune()
        self.answer(("ok", core.snapshot.index))

    def look_at(self, snapshot: Snapshot) -> None:
        """Check the file of a snapshot on another thread; the core gets a SnapshotChecked."""
        snapshots, deliver = self.snapshots, self.environment.deliver
        try:
            self.environment.run_aside(
                lambda: deliver(SnapshotChecked(snapshot, snapshots.look_at(snapshot))),
                "raft-snapshot-check",
            )
        except RuntimeError:  # the system has no thread left: the next refusal checks it again
            deliver(SnapshotChecked(snapshot, ""))

    def prune(self) -> None:
        """Remove all snapshots but the newest and those that are being sent to followers."""
        core = self.core
        sent = core.role.snapshots_in_use()
        try:
            self.snapshots.prune({core.snapshot, *sent})
        except RaftError as error:
            logger.warning("%s: old snapshots could not be removed: %s", self.name, error)

    def failed(self, reason: str, bug: BaseException | None = None) -> None:
        """Log why the snapshot failed, and try again after a pause. Nothing is lost, because the
        log stays.

        bug  the exception of the state machine, if it raised one: its traceback is logged
        """
        logger.error(
            "%s: no snapshot could be taken, so the log grows; next try in %d s: %s",
            self.name, RETRY_S, reason, exc_info=bug,
        )  # fmt: skip
        self.image = self.writer = None
        self.not_before = self.core.now + RETRY_S
        self.answer(("error", ("snapshot_failed", reason)))

    def answer(self, answer: Any) -> None:
        tickets, self.served = self.served, []
        for ticket in tickets:
            ticket.set(encoding.dumps(answer))

    def answer_all(self, answer: Any) -> None:
        """Give `answer` to all clients that wait, because no snapshot will be taken any more."""
        self.served, self.tickets = self.served + self.tickets, []
        self.answer(answer)

    def give_up(self) -> None:
        """Give up the snapshot that is being taken, because the peer ends, or has received a newer
        state from its leader. Its clients wait for the next snapshot.
        """
        writer, self.image, self.writer = self.writer, None, None
        self.tickets, self.served = self.served + self.tickets, []
        if writer is not None:
            writer.given_up = True
            writer.wait(WRITER_S)


def configuration_before(core: Server, index: int) -> Configuration:
    """Return the newest configuration at or before `index`, an applied entry."""
    configuration = core.configuration
    while configuration.index > index:
        configuration = core.configuration_at(configuration.previous)
    return configuration
