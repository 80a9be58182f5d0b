"""Frames: a stream of bytes cut into payloads by a 4-byte big-endian length.

| length: 4 bytes | payload: `length` bytes | length | payload | ...
"""

import struct
from collections.abc import Callable, Iterator

from raft_actors.errors import RaftError

__all__ = ["HEADER_BYTES", "FrameReader", "ProtocolError", "header"]

LENGTH = struct.Struct(">I")
HEADER_BYTES = LENGTH.size
header: Callable[[int], bytes] = LENGTH.pack  # the bytes that go before a payload of this length


class ProtocolError(RaftError):
    """The other node sent bytes that the format does not allow: the connection must be closed."""


class FrameReader:
    """Cuts a stream of bytes into payloads. The stream may arrive in pieces of any size.

    The reader holds only bytes that have arrived: a header that announces a huge frame allocates
    nothing. A frame over `limit` bytes is a ProtocolError as soon as its header is read. `limit`
    may be changed between two payloads.
    """

    __slots__ = ("_partial", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self._partial = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[memoryview]:
        """Yield each payload that `data` completes.

        The payloads are views of `data`: use each before the buffer of `data` changes. Run the
        iterator to its end, or the rest of `data` is lost.
        """
        stream: bytes | bytearray | memoryview = data
        if self._partial:
            self._partial += data
            stream = self._partial
        end = len(stream)
        start = 0
        with memoryview(stream) as view:
            while end - start >= HEADER_BYTES:
                (length,) = LENGTH.unpack_from(view, start)
                if length > self.limit:
                    raise ProtocolError(
                        f"a frame of {length} bytes, over the limit of {self.limit}"
                        f" (first bytes {bytes(view[start : start + HEADER_BYTES])!r})"
                    )
                stop = start + HEADER_BYTES + length
                if stop > end:
                    break
                with view[start + HEADER_BYTES : stop] as payload:
                    yield payload
                start = stop
            if start or stream is not self._partial:
                self._partial = bytearray(view[start:])
