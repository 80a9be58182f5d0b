"""Entry: one immutable `bytes` frame. A leader makes it once; it is sent and saved as it is, and
decoded to be applied.

    offset  0   8  term, big-endian
            8   1  kind: NOOP, COMMAND, CONFIG or VERSION
            9   8  session  } the request id that the client gave the command; session 0 means
           17   8  sequence } that there is no session
           25   8  time of the leader's clock, milliseconds since 1970, 0 to TIME_MAX
           33   2  number of bytes of the extensions, mostly 0
           35   -  extensions, each with a tag, 2 bytes, a size, 2 bytes, and as many bytes. A peer
                   that does not know a tag keeps the extension unchanged
            -   -  payload: the command, configuration or machine version, encoded
            -   4  checksum, little-endian: CRC-32 of all bytes before it, started with the entry's
                   index

Frames are compared as bytes: two entries with the same index and term are equal (Raft §5.3).

The leader makes the checksum, and the checksum stays with the entry. So every peer that writes,
sends or applies an entry can check that the leader wrote these bytes at this index, and need not
trust a disk or a network (docs/decisions/checksums.md).
"""

from collections.abc import Callable
from operator import itemgetter
from struct import Struct
from zlib import crc32

__all__ = ["CHECKSUM_BYTES", "COMMAND", "CONFIG", "HEADER", "KIND_NAMES", "NOOP", "TERM_BYTES",
           "TIME_MAX", "VERSION", "VERSION_BYTES", "RequestId", "command_of", "encode",
           "extension", "extensions_of", "first_damaged", "has_extensions", "kind_of",
           "payload_of", "request_of", "term_of", "version_bytes", "version_of"]  # fmt: skip

NOOP, COMMAND, CONFIG, VERSION = 0, 1, 2, 3
KIND_NAMES = {NOOP: "noop", COMMAND: "command", CONFIG: "config", VERSION: "version"}
TERM_BYTES = 8
VERSION_BYTES = 4
CHECKSUM_BYTES = 4
TIME_MAX = 253_402_300_799_999
"""The end of the year 9999. A clock that shows a later time is taken for this one, so an entry with
a later time is damaged."""
HEADER = Struct(">QBQQQH")
REQUEST = Struct(">QQ")
REQUEST_TO_SIZE = Struct(">QQQH")
SIZE = Struct(">H")
TAG_AND_SIZE = Struct(">HH")
CHECKSUM = Struct("<I")

RESIDUE = 0x2144DF1C
"""The CRC-32 of any bytes that end with their own CRC-32, whatever value both were started with. So
a check is one call for the whole frame."""

RequestId = tuple[int, int]
"""(session, sequence), both below 2**64."""


kind_of: Callable[[bytes], int] = itemgetter(8)
"""Return the kind of an entry. It is no Python function, as a follower calls it four times for each
entry."""


def encode(
    term: int, kind: int, payload: bytes = b"", request: RequestId = (0, 0), time_ms: int = 0, *,
    index: int, extensions: bytes = b"",
) -> bytes:  # fmt: skip
    """Return the frame of the entry at `index`. `extensions` are encoded, see above."""
    content = HEADER.pack(term, kind, *request, time_ms, len(extensions)) + extensions + payload
    return content + CHECKSUM.pack(crc32(content, index))


def first_damaged(entries: list[bytes], first: int) -> int:
    """Return the index of the first entry with a wrong checksum, which is not what a leader wrote
    at this index; 0 if there is none. `entries` begin at the index `first`.
    """
    for index, frame in enumerate(entries, first):
        if crc32(frame, index) != RESIDUE:
            return index
    return 0


def version_bytes(version: int) -> bytes:
    """Return the payload of a VERSION entry: after it the state machines run as `version`."""
    return version.to_bytes(VERSION_BYTES, "big")


def version_of(frame: bytes) -> int:
    """Return the machine version in a VERSION entry."""
    return int.from_bytes(payload_of(frame), "big")


def term_of(frame: bytes) -> int:
    return int.from_bytes(frame[:TERM_BYTES], "big")


def request_of(frame: bytes) -> RequestId:
    return REQUEST.unpack_from(frame, 9)


def payload_of(frame: bytes) -> bytes:
    return frame[payload_at(frame) : -CHECKSUM_BYTES]


def payload_at(frame: bytes) -> int:
    """Return the offset at which the extensions end and the payload begins."""
    size: int = SIZE.unpack_from(frame, HEADER.size - SIZE.size)[0]
    return HEADER.size + size


def command_of(frame: bytes) -> tuple[bytes, RequestId, int]:
    """Return payload, request id and time."""
    session, sequence, time_ms, size = REQUEST_TO_SIZE.unpack_from(frame, 9)
    return frame[HEADER.size + size : -CHECKSUM_BYTES], (session, sequence), time_ms


def extension(tag: int, value: bytes) -> bytes:
    """Return an extension, encoded. All extensions of an entry have fewer than 64 KiB."""
    return TAG_AND_SIZE.pack(tag, len(value)) + value


def has_extensions(frame: bytes) -> bool:
    return payload_at(frame) > HEADER.size


def extensions_of(frame: bytes) -> list[tuple[int, bytes]]:
    """Return (tag, value) of each extension. Raises ValueError for extensions of another form."""
    at, end = HEADER.size, payload_at(frame)
    found: list[tuple[int, bytes]] = []
    if end > len(frame) - CHECKSUM_BYTES:
        raise ValueError("extensions that are longer than the entry")
    while at < end:
        if end - at < TAG_AND_SIZE.size:
            raise ValueError("extensions that end within one")
        tag, size = TAG_AND_SIZE.unpack_from(frame, at)
        at += TAG_AND_SIZE.size
        if size > end - at:
            raise ValueError(f"an extension {tag} that is longer than all of them")
        found.append((tag, frame[at : at + size]))
        at += size
    return found
