"""Frame MACs: after the handshake every frame ends with a tag, which only the two nodes can make.

| length: 4 bytes | payload | tag: 16 bytes |      (`length` counts the tag)

A tag is the keyed BLAKE2b (RFC 7693) of the frame's number and its payload. Each direction of each
connection has its own key, which the handshake makes, and counts its frames from 0. If a frame was
changed, left out, repeated, moved, or taken from another connection, its tag is wrong.
"""

import hmac
import struct
from hashlib import blake2b

from raft_actors.wire.frames import ProtocolError

__all__ = ["TAG_BYTES", "FrameMac"]

KEY_BYTES = 32
TAG_BYTES = 16
NUMBER = struct.Struct(">Q")


class FrameMac:
    """The tags of one direction of one connection. The sender calls `tag` for each frame, the
    receiver calls `checked`. Two threads must not use one object at the same time.
    """

    __slots__ = ("_keyed", "_number")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"a frame key has {KEY_BYTES} bytes, not {len(key)}: frames may be sent only after "
                "the handshake has made the keys"
            )
        self._keyed = blake2b(key=key, digest_size=TAG_BYTES)
        self._number = 0

    def tag(self, payload: bytes | memoryview) -> bytes:
        """Return the tag of the next frame."""
        mac = self._keyed.copy()  # takes half the time of a new keyed hash
        mac.update(NUMBER.pack(self._number))
        mac.update(payload)
        self._number += 1
        return mac.digest()

    def checked(self, frame: memoryview) -> memoryview:
        """Return the payload of the next frame. Raises ProtocolError when its tag is wrong."""
        payload = frame[:-TAG_BYTES]
        if len(frame) < TAG_BYTES or not hmac.compare_digest(self.tag(payload), frame[-TAG_BYTES:]):
            raise ProtocolError(
                f"frame {self._number} has a wrong tag: this frame was changed on the way, or "
                "frames were left out or repeated"
            )
        return payload
