"""Digester: makes digests of a peer's state without stopping the peer, see `core.digests`.

capturing   the state is noted on the peer's thread, in slices; nothing is applied meanwhile
hashing     the digest is made on a thread of its own, which sends an event at the end
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raft_actors.core.messages import DigestMade, Event
from raft_actors.core.server import Server
from raft_actors.errors import in_text
from raft_actors.machine.contract import RAISED
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.state_digest import StateDigest
from raft_actors.replica.environment import Environment

__all__ = ["DigestEnded", "DigestWork", "Digester"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

SHARE = 10
"""If a digest took a second of a processor, this peer makes none for the next ten seconds. A leader
asks more rarely than that, see `core.digest_rounds`; but a peer that is behind applies what was
asked in days.
"""


@dataclass(slots=True)
class DigestEnded:
    """The event of a digest that has been made; or None, and `reason` why it could not be made."""

    work: "DigestWork"
    digest: bytes | None
    took_s: float
    reason: str = ""


class DigestWork:
    """Makes one digest, on a thread of its own.

    clock  shows the seconds of a processor that the calling thread has used
    """

    def __init__(
        self,
        index: int,
        digest: StateDigest,
        clock: Callable[[], float],
        done: Callable[[DigestEnded], Any],
    ) -> None:
        self.index = index
        self.digest = digest
        self.clock = clock
        self.done = done
        self.took_s: float = 0.0
        self.given_up = False

    def capture(self, slice_s: float, clock: Callable[[], float]) -> bool:
        began = self.clock()
        is_done = self.digest.capture(clock() + slice_s, clock)
        self.took_s += self.clock() - began
        return is_done

    def __call__(self) -> None:
        began = self.clock()
        digest, reason = None, ""
        try:
            for _ in self.digest.slices():
                time.sleep(0)  # let the peer's thread run first
                if self.given_up:
                    return
            digest = self.digest.digest()
        except RAISED as error:
            reason = ": ".join(in_text(error))
        self.done(DigestEnded(self, digest, self.took_s + self.clock() - began, reason))


class Digester:
    """Makes the digests of one peer's state. All methods run on the peer's thread.

    capturing  the digest whose state is being noted; nothing is applied meanwhile
    hashing    the digest that is being made on another thread
    """

    def __init__(
        self, core: Server, environment: Environment, step: Callable[[Event], None], *,
        slice_s: float,
    ) -> None:  # fmt: skip
        self.core = core
        self.environment = environment
        self.step = step
        self.slice_s = slice_s
        self.name: str = core.peer[0]
        self.capturing: DigestWork | None = None
        self.hashing: DigestWork | None = None
        self.not_before: float = environment.clock()
        self.has_failed: bool = False

    def begin(self, applied: ReplicatedState) -> None:
        """Begin a digest of the state as it is now: the last applied entry asks for it. There is
        none if the state can't be in a snapshot, or this peer is at work on another one.
        """
        digests, environment = self.core.digests, self.environment
        digests.asked = applied.index
        if (
            not applied.keeps_state
            or not applied.can_snapshot
            or self.hashing is not None
            or environment.clock() < self.not_before
        ):
            return
        began = environment.thread_clock()
        try:
            digest = applied.digest()
        except RAISED as error:  # the state machine's `snapshot` raised
            self.log_failure(": ".join(in_text(error)))
            return
        self.capturing = DigestWork(
            applied.index, digest, environment.thread_clock, environment.deliver
        )
        self.capturing.took_s = environment.thread_clock() - began
        digests.making = applied.index

    def go_on(self) -> bool:
        """Note the next slice of the state; return whether there is more of it."""
        work = self.capturing
        if work is None:
            return False
        try:
            if not work.capture(self.slice_s, self.environment.clock):
                return True
            self.capturing, self.hashing = None, work
            self.environment.run_aside(work, "raft-digest")
        except RAISED as error:  # the state can't be encoded; or the system has no thread left
            self.capturing, self.hashing = None, work
            self.ended(DigestEnded(work, None, work.took_s, ": ".join(in_text(error))))
        return False

    def ended(self, event: DigestEnded) -> None:
        if event.work is not self.hashing:  # given up meanwhile
            return
        self.hashing = None
        self.not_before = self.environment.clock() + SHARE * event.took_s
        if event.digest is None:
            self.log_failure(event.reason)
        self.step(DigestMade(event.work.index, event.digest or b"", event.took_s))

    def log_failure(self, reason: str) -> None:
        if not self.has_failed:
            self.has_failed = True
            logger.warning(
                "%s: no digest of the state could be made, so it is not known whether the state is "
                "that of the other replicas: %s", self.name, reason,
            )  # fmt: skip

    def give_up(self) -> None:
        """Give up the digest, because its state is gone."""
        for work in (self.capturing, self.hashing):
            if work is not None:
                work.given_up = True
        self.capturing = self.hashing = None
        self.core.digests.making = 0
