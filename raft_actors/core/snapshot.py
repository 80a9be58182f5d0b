"""Snapshot: what stands for the beginning of the log (Raft §7, thesis 5), and how it travels.

A leader sends it to a follower whose log ends before the leader's begins, in chunks:

    probing     one chunk under way; the follower says how much it has, perhaps from an earlier try
    streaming   a few chunks under way, each answered
"""

from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from raft_actors.core.configuration import NOBODY, Configuration

__all__ = ["CHUNKS_MAX", "NO_SNAPSHOT", "Shipment", "Snapshot", "SnapshotReader", "SnapshotReceipt"]

CHUNKS_MAX = 4
"""Unanswered chunks under way to one follower."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A durable snapshot: the state after the entry `index`, which is of `term`.

    configuration  the newest at or before `index`
    size           bytes of all of it; with `checksum`, a CRC-32 of them, it tells this one from
                   another peer's of the same entries
    """

    index: int = 0
    term: int = 0
    configuration: Configuration = NOBODY
    size: int = 0
    checksum: int = 0


NO_SNAPSHOT = Snapshot()


class SnapshotReader(Protocol):
    """Where a leader reads what it sends."""

    def read(self, snapshot: Snapshot, offset: int, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SnapshotReceipt:
    """A snapshot that a follower has the first `offset` bytes of."""

    index: int
    term: int
    size: int
    checksum: int
    offset: int = 0

    def is_of(self, other: "SnapshotReceipt") -> bool:
        """Tell whether both are parts of one snapshot."""
        return (self.index, self.term, self.size, self.checksum) == (
            other.index, other.term, other.size, other.checksum,
        )  # fmt: skip


class Shipment:
    """A snapshot on its way to one follower, seen from the leader.

    acked    bytes that the follower has
    checksums  by offset, the CRC-32 of all bytes before it, as they were read for this shipment
    sent     bytes that were sent, acknowledged or not
    touched  when a chunk or an answer was last on its way; seconds of `server.now`
    """

    __slots__ = ("acked", "checksums", "probing", "sent", "snapshot", "touched")

    def __init__(self, snapshot: Snapshot, *, now: float) -> None:
        self.snapshot = snapshot
        self.acked = self.sent = 0
        self.checksums = {0: 0}
        self.probing = True
        self.touched = now

    def may_send(self, chunk_bytes: int) -> bool:
        """Tell whether one more chunk may leave now."""
        room = chunk_bytes * (1 if self.probing else CHUNKS_MAX)
        return self.sent < self.snapshot.size and self.sent - self.acked < room

    def is_sent(self) -> bool:
        return self.sent == self.snapshot.size

    def is_sound(self, data: bytes) -> bool:
        """Tell whether `data`, read to be sent next, may leave: with its last part a snapshot must
        have its checksum. Where a follower has the beginning from an earlier try, only it can tell.
        """
        before = self.checksums.get(self.sent)
        if before is None:
            return True
        end, checksum = self.sent + len(data), crc32(data, before)
        self.checksums[end] = checksum
        return end < self.snapshot.size or checksum == self.snapshot.checksum

    def sent_more(self, size: int, *, now: float) -> None:
        self.sent += size
        self.touched = now

    def answered(self, offset: int, *, accepted: bool, now: float) -> None:
        """Note that the follower has `offset` bytes, and whether the last chunk fitted.

        A chunk that did not fit makes the leader go back once; what was sent after it does not
        fit either, and says nothing new.
        """
        self.touched = now
        if accepted:
            self.acked = max(self.acked, offset)
            self.sent = max(self.sent, offset)
            self.probing = False
        elif not self.probing or offset != self.acked:
            self.acked = offset
            self.go_back()
        self.checksums = {at: each for at, each in self.checksums.items() if at >= self.acked}

    def is_silent(self, *, now: float, timeout: float) -> bool:
        """Tell whether what is under way has been without an answer for `timeout` seconds."""
        return self.sent > self.acked and now - self.touched > timeout

    def go_back(self) -> None:
        """Send again what is not acknowledged, and nothing more until an answer comes."""
        self.sent = self.acked
        self.probing = True
