"""Frame MACs: after the handshake every frame ends with a tag that only the two nodes can make.

| length: 4 bytes | payload | tag: 16 bytes |      (`length` counts the tag)

A tag is the keyed BLAKE2b (RFC 7693) of the frame's number and its payload. Each direction of each
connection has a key of its own, from the handshake, and counts its frames from 0. A frame that was
changed, left out, sent twice or out of order, or comes from another connection, has a wrong tag.
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
    """One direction of one connection: the sender calls `tag` for each frame, the receiver
    `checked`. Not for two threads at once.
    """

    __slots__ = ("_keyed", "_number")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a connection that nobody has proven yet has no frames")
        self._keyed = blake2b(key=key, digest_size=TAG_BYTES)
        self._number = 0

    def tag(self, payload: bytes | memoryview) -> bytes:
        """Return the tag of the next frame."""
        mac = self._keyed.copy()  # half the time of making a new one
        mac.update(NUMBER.pack(self._number))
        mac.update(payload)
        self._number += 1
        return mac.digest()

    def checked(self, frame: memoryview) -> memoryview:
        """Return the payload of the next frame. Raises ProtocolError when its tag is wrong."""
        payload = frame[:-TAG_BYTES]
        if len(frame) < TAG_BYTES or not hmac.compare_digest(self.tag(payload), frame[-TAG_BYTES:]):
            raise ProtocolError(
                f"frame {self._number} with a wrong tag: it was changed, left out or repeated on "
                "the way"
            )
        return payload
