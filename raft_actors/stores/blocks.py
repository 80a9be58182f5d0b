"""Blocks: a snapshot's file and a backup are sequences of blocks with checksums.

    offset  0   4  bytes of the payload, big-endian; never 0, so that zeros on the disk are damage
            4   4  CRC-32 of the payload
            8   -  payload: one byte for the kind of the block, then its content

The first block is a header, which is small.
"""

from collections.abc import Iterator
from struct import Struct
from zlib import crc32

from raft_actors.errors import StoreCorrupt
from raft_actors.stores.files import Files

__all__ = ["blocks", "framed", "head_of"]

HEAD = Struct(">II")
HEADER_BYTES_MAX = 1 << 20  # most of a header is a configuration, some hundred bytes for each peer
FIRST_BYTES = 4096  # bytes of the first read, for the header: some readers need no more
READ_BYTES = 1 << 20  # bytes of every later read


def framed(payload: bytes) -> bytes:
    return head_of(payload) + payload


def head_of(payload: bytes) -> bytes:
    """Return the 8 bytes before a payload."""
    return HEAD.pack(len(payload), crc32(payload))


def blocks(files: Files, name: str, remedy: str) -> Iterator[bytes]:
    """Yield the payloads of a file. A length that is larger than the rest of the file is damage.

    Raises StoreCorrupt at a block that is damaged or cut off. `remedy` is the advice in its
    message.
    """
    source = Source(files, name)
    file = f"{files.place}/{name}"
    while (offset := source.offset) < source.size:
        head = source.take(HEAD.size)
        length, checksum = HEAD.unpack(head.ljust(HEAD.size, b"\0"))
        if len(head) < HEAD.size or length > source.size - source.offset:
            raise StoreCorrupt(f"{file} is cut off, or damaged at byte {offset}; {remedy}")
        is_possible = offset > 0 or length <= HEADER_BYTES_MAX
        payload = source.take(length) if is_possible else b""
        if not payload or crc32(payload) != checksum:
            raise StoreCorrupt(f"{file} is damaged at byte {offset}; {remedy}")
        yield payload


class Source:
    """A file that is read from its beginning to its end, in large reads.

    offset  offset of the first byte that was not taken yet
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files = files
        self.name = name
        self.size: int = files.size(name)
        self.offset: int = 0
        self.data: bytes = b""  # the bytes that were read last; they begin at `start`
        self.start: int = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer at the end of the file."""
        at = self.offset - self.start
        missing = at + count - len(self.data)
        if missing > 0:
            self.read(at, missing)
            at = 0
        taken = self.data[at : at + count]
        self.offset += len(taken)
        return taken

    def read(self, at: int, missing: int) -> None:
        """Have what was read begin at `at`, with at least `missing` bytes more."""
        parts = [self.data[at:]]
        position = self.start + len(self.data)
        ahead = READ_BYTES if self.start + at > 0 else FIRST_BYTES
        while missing > 0:  # one read returns at most 2 GiB
            part = self.files.read(self.name, position, max(missing, ahead))
            if not part:
                break
            parts.append(part)
            position += len(part)
            missing -= len(part)
        self.data, self.start = b"".join(parts), self.offset
