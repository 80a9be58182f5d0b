"""Snapshot: the state that replaces the beginning of the log (Raft §7, thesis 5), and how it is
sent.

A leader sends its snapshot to a follower that needs entries from before the log's begin, in chunks:

    probing     one chunk is sent; the follower answers how many bytes it has, maybe from an earlier
                attempt
    streaming   a few chunks are sent before the answers to them come
"""

from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from raft_actors.core.configuration import NOBODY, Configuration

__all__ = ["CHUNKS_MAX", "NO_SNAPSHOT", "Shipment", "Snapshot", "SnapshotReader", "SnapshotReceipt"]

CHUNKS_MAX = 4
"""Most chunks that are sent to one follower and not answered yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that is saved: the state after the entry `index`, which is of `term`.

    configuration  the newest configuration at or before `index`
    size           bytes of the whole snapshot. Size and `checksum`, a CRC-32 of these bytes, may
                   differ between two peers' snapshots at the same index
    """

    index: int = 0
    term: int = 0
    configuration: Configuration = NOBODY
    size: int = 0
    checksum: int = 0


NO_SNAPSHOT = Snapshot()


class SnapshotReader(Protocol):
    """The source from which a leader reads the snapshots that it sends."""

    def read(self, snapshot: Snapshot, offset: int, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SnapshotReceipt:
    """A snapshot that a follower is receiving: it has the first `offset` bytes."""

    index: int
    term: int
    size: int
    checksum: int
    offset: int = 0

    def is_of(self, other: "SnapshotReceipt") -> bool:
        """Return whether both are of the same snapshot."""
        return (self.index, self.term, self.size, self.checksum) == (
            other.index, other.term, other.size, other.checksum,
        )  # fmt: skip


class Shipment:
    """The sending of a snapshot to one follower, as its leader knows it.

    acked    bytes that the follower has acknowledged
    checksums  for an offset, the CRC-32 of all bytes before it, as they were read for this shipment
    sent     bytes that were sent, acknowledged or not
    touched  when the last chunk was sent or the last answer came; seconds of `server.now`
    """

    __slots__ = ("acked", "checksums", "probing", "sent", "snapshot", "touched")

    def __init__(self, snapshot: Snapshot, *, now: float) -> None:
        self.snapshot: Snapshot = snapshot
        self.acked: int = 0
        self.sent: int = 0
        self.checksums: dict[int, int] = {0: 0}
        self.probing: bool = True
        self.touched: float = now

    def may_send(self, chunk_bytes: int) -> bool:
        """Return whether one more chunk may be sent now."""
        room = chunk_bytes * (1 if self.probing else CHUNKS_MAX)
        return self.sent < self.snapshot.size and self.sent - self.acked < room

    def is_sent(self) -> bool:
        return self.sent == self.snapshot.size

    def is_sound(self, data: bytes) -> bool:
        """Return whether `data`, the next chunk, may be sent. With its last chunk a snapshot must
        have its checksum. If the follower has the beginning from an earlier attempt, this leader
        has not read all bytes and can't check: then only the follower can.
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
        """Note that the follower has `offset` bytes, and whether it has accepted the last chunk.

        For the first chunk that was not accepted the leader goes back to `offset`. The chunks that
        were sent after that one are not accepted either; their answers are ignored.
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
        """Return whether the sent chunks have had no answer for `timeout` seconds."""
        return self.sent > self.acked and now - self.touched > timeout

    def go_back(self) -> None:
        """Send the first unacknowledged chunk again, and no other until its answer comes."""
        self.sent = self.acked
        self.probing = True
