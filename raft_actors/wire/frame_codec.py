"""Frame contents: msgpack lists, `[kind, body]`, or `[kind, body, call]` when a reply is wanted.

A payload is one frame, or a list of several frames that were sent together. Kinds below
FIRST_EXTENSION belong to the bridge. A body is made of None, booleans, ints, floats, str, bytes,
lists and dicts; a tuple arrives as a list.
"""

from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]

from raft_actors.wire.depth_check import check_containers
from raft_actors.wire.frames import ProtocolError

__all__ = [
    "ACTOR",
    "FIRST_EXTENSION",
    "FRAMES_MAX",
    "PING",
    "PONG",
    "REPLY",
    "REPLY_NO_HANDLER",
    "join_frames",
    "make_packer",
    "unpack",
    "unpack_frame",
    "unpack_frames",
]

PING = 0  # with a call number it is answered by REPLY; without (keep-alive) by PONG
PONG = 1
REPLY = 2  # [REPLY, body, call]
REPLY_NO_HANDLER = 3  # [REPLY_NO_HANDLER, kind, call]: that node has no handler for this kind
ACTOR = 4  # messages to actors, and watching them: see raft_actors/node/remote_ref.py
FIRST_EXTENSION = 16

FRAMES_MAX = 4096
"""The most frames of one payload. All of them are handled before the bridge thread does anything
else, so one payload of another node must not have millions.
"""
CONTAINERS_MAX = 1 << 16
"""The most lists and dicts of one payload. Joined frames have a few each, and values that are large
travel as bytes.
"""


def make_packer() -> Callable[[Any], bytes]:
    """Return a function that packs one value. Each thread needs its own: packers keep a buffer."""
    pack: Callable[[Any], bytes] = msgpack.Packer(autoreset=True).pack
    return pack


def unpack(payload: bytes | memoryview, items_max: int = -1) -> Any:
    """Return the value in `payload`. Raises ProtocolError, and nothing else, for any bytes.

    msgpack allocates memory for all items that a list claims to have before it reads one: set
    `items_max` for the bytes of a stranger.
    """
    try:
        return msgpack.unpackb(payload, strict_map_key=False, max_array_len=items_max)
    except Exception as error:
        raise ProtocolError(f"a payload that is not msgpack ({error})") from error


def join_frames(packed: list[bytes]) -> bytes:
    """Return one payload that holds these packed frames, at least two, and FRAMES_MAX at most."""
    return b"".join((b"\xdc", len(packed).to_bytes(2, "big"), *packed))  # msgpack's list 16


def unpack_frame(payload: bytes | memoryview) -> list[Any]:
    """Return `[kind, body]` or `[kind, body, call]`. Raises ProtocolError for anything else."""
    frame: list[Any] = unpack(payload)
    check_frame(frame)
    return frame


def unpack_frames(payload: bytes | memoryview) -> list[list[Any]]:
    """Return the frames of one payload, oldest first. Raises ProtocolError for anything else."""
    if len(payload) > CONTAINERS_MAX:
        check_containers(payload, CONTAINERS_MAX)
    try:
        value = unpack(payload, FRAMES_MAX)
    except ProtocolError:
        if len(payload) <= FRAMES_MAX:
            raise
        check_whole(payload)
        value = unpack(payload)
    if type(value) is list and value and type(value[0]) is list:
        if len(value) > FRAMES_MAX:
            raise ProtocolError(f"a payload of {len(value)} frames, over the limit of {FRAMES_MAX}")
        for frame in value:
            check_frame(frame)
        return value
    check_frame(value)
    return [value]


def check_whole(payload: bytes | memoryview) -> None:
    """Raise ProtocolError if a list in `payload` claims more items than there are. Allocates no
    list: a thousand nested lists which claim 65,535 items each would take half a gigabyte.
    """
    walker = msgpack.Unpacker(max_buffer_size=len(payload))
    walker.feed(payload)
    try:
        walker.skip()
    except Exception as error:
        raise ProtocolError("a payload that ends in the middle, or is not msgpack") from error


def check_frame(frame: Any) -> None:
    if type(frame) is not list or not 2 <= len(frame) <= 3 or type(frame[0]) is not int:
        raise ProtocolError("a frame that is not [kind, body] or [kind, body, call]")
    if len(frame) == 3 and type(frame[2]) is not int:
        raise ProtocolError("a frame whose call number is not an int")
