"""Entry: one immutable `bytes` frame, made once by a leader and moved unread until applied.

    offset  0   8  term, big-endian
            8   1  kind: NOOP, COMMAND, CONFIG or VERSION
            9   8  session  } the request id that the client gave the command; of no session
           17   8  sequence } if that is 0
           25   8  time: what the leader's clock said, milliseconds since 1970, 0 to TIME_MAX
           33   2  bytes of the extensions, mostly 0
           35   -  extensions: rows of a tag, 2 bytes, a size, 2 bytes, and as many bytes. Who does
                   not know a tag keeps it as it is
            -   -  payload: the command, configuration or machine version, encoded
            -   4  checksum, little-endian: CRC-32 of all before it, begun with the entry's index

Frames are compared as bytes: two entries with one index and one term are the same (Raft §5.3).

The checksum is the leader's, and goes wherever the entry goes: so whoever takes an entry in, sends
it or applies it knows that it is what the leader wrote, at the index where the leader wrote it, and
trusts no disk and no wire between (docs/decisions/checksums.md).
"""

from struct import Struct
from zlib import crc32

__all__ = ["CHECKSUM_BYTES", "COMMAND", "CONFIG", "HEADER", "KIND_NAMES", "NOOP", "TERM_BYTES",
           "TIME_MAX", "VERSION", "VERSION_BYTES", "RequestId", "command_of", "encode",
           "extensions_of", "first_damaged", "kind_of", "payload_of", "request_of", "term_of",
           "version_bytes", "version_of"]  # fmt: skip

NOOP, COMMAND, CONFIG, VERSION = 0, 1, 2, 3
KIND_NAMES = {NOOP: "noop", COMMAND: "command", CONFIG: "config", VERSION: "version"}
TERM_BYTES = 8
VERSION_BYTES = 4
CHECKSUM_BYTES = 4
TIME_MAX = 253_402_300_799_999
"""The end of the year 9999, also for a clock that shows more: what looks later is damage."""
HEADER = Struct(">QBQQQH")
REQUEST = Struct(">QQ")
REQUEST_TO_SIZE = Struct(">QQQH")
SIZE = Struct(">H")
TAG_AND_SIZE = Struct(">HH")
CHECKSUM = Struct("<I")

RESIDUE = 0x2144DF1C
"""The CRC-32 of any bytes that are followed by their own CRC-32, whatever it began with: so a check
is one call, and nothing is cut off a frame for it."""

RequestId = tuple[int, int]
"""(session, sequence), both below 2**64."""


def encode(
    term: int, kind: int, payload: bytes = b"", request: RequestId = (0, 0), time_ms: int = 0, *,
    index: int, extensions: bytes = b"",
) -> bytes:  # fmt: skip
    """Return the frame of the entry at `index`. `extensions` are rows as they are said above."""
    content = HEADER.pack(term, kind, *request, time_ms, len(extensions)) + extensions + payload
    return content + CHECKSUM.pack(crc32(content, index))


def first_damaged(entries: list[bytes], first: int) -> int:
    """Return the index of the first of `entries`, which begin at `first`, that is not what a leader
    wrote there; 0 if each is.
    """
    for index, frame in enumerate(entries, first):
        if crc32(frame, index) != RESIDUE:
            return index
    return 0


def version_bytes(version: int) -> bytes:
    """Return a VERSION entry's payload: from it on the group's machines run as `version`."""
    return version.to_bytes(VERSION_BYTES, "big")


def version_of(frame: bytes) -> int:
    """Return the machine version in a VERSION entry."""
    return int.from_bytes(payload_of(frame), "big")


def term_of(frame: bytes) -> int:
    return int.from_bytes(frame[:TERM_BYTES], "big")


def kind_of(frame: bytes) -> int:
    return frame[8]


def request_of(frame: bytes) -> RequestId:
    return REQUEST.unpack_from(frame, 9)


def payload_of(frame: bytes) -> bytes:
    return frame[payload_at(frame) : -CHECKSUM_BYTES]


def payload_at(frame: bytes) -> int:
    """Return where the payload begins, and the extensions end."""
    size: int = SIZE.unpack_from(frame, HEADER.size - SIZE.size)[0]
    return HEADER.size + size


def command_of(frame: bytes) -> tuple[bytes, RequestId, int]:
    """Return payload, request id and time."""
    session, sequence, time_ms, size = REQUEST_TO_SIZE.unpack_from(frame, 9)
    return frame[HEADER.size + size : -CHECKSUM_BYTES], (session, sequence), time_ms


def extensions_of(frame: bytes) -> list[tuple[int, bytes]]:
    """Return (tag, value) of each extension. Raises ValueError where they are no rows of those."""
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
