"""Entry: one immutable `bytes` frame, made once by a leader and moved unread until applied.

    offset  0   8  term, big-endian
            8   1  kind: NOOP, COMMAND, CONFIG or VERSION
            9   8  session  } the request id that the client gave the command; of no session
           17   8  sequence } if that is 0
           25   8  time: what the leader's clock said, milliseconds since 1970, 0 to TIME_MAX
           33   -  payload: the command, configuration or machine version, encoded

Frames are compared as bytes: two entries with one index and one term are the same (Raft §5.3).
"""

from struct import Struct

__all__ = ["COMMAND", "CONFIG", "HEADER", "KIND_NAMES", "NOOP", "TERM_BYTES", "TIME_MAX", "VERSION",
           "VERSION_BYTES", "RequestId", "command_of", "encode", "encode_version", "kind_of",
           "payload_of", "request_of", "term_of", "version_of"]  # fmt: skip

NOOP, COMMAND, CONFIG, VERSION = 0, 1, 2, 3
KIND_NAMES = {NOOP: "noop", COMMAND: "command", CONFIG: "config", VERSION: "version"}
TERM_BYTES = 8
VERSION_BYTES = 4
TIME_MAX = 253_402_300_799_999
"""The end of the year 9999, also for a clock that shows more: what looks later is damage."""
HEADER = Struct(">QBQQQ")
REQUEST = Struct(">QQ")
REQUEST_AND_TIME = Struct(">QQQ")

RequestId = tuple[int, int]
"""(session, sequence), both below 2**64."""


def encode(
    term: int, kind: int, payload: bytes = b"", request: RequestId = (0, 0), time_ms: int = 0
) -> bytes:
    return HEADER.pack(term, kind, *request, time_ms) + payload


def encode_version(term: int, version: int) -> bytes:
    """From this entry on the group's machines run as `version`: see docs/upgrades.md."""
    return encode(term, VERSION, version.to_bytes(VERSION_BYTES, "big"))


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
    return frame[33:]


def command_of(frame: bytes) -> tuple[bytes, RequestId, int]:
    """Return payload, request id and time."""
    session, sequence, time_ms = REQUEST_AND_TIME.unpack_from(frame, 9)
    return frame[33:], (session, sequence), time_ms
