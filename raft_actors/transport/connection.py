"""Connection: one TCP stream between two nodes, from the first byte of its handshake on."""

import contextlib
import socket

from raft_actors.transport.tls_stream import TlsStream
from raft_actors.wire.frame_mac import TAG_BYTES, FrameMac
from raft_actors.wire.frames import FrameReader, header
from raft_actors.wire.handshake import (
    HANDSHAKE_BYTES_MAX,
    AcceptorHandshake,
    DialerHandshake,
    RemoteNode,
)

__all__ = ["Connection"]


class Connection:
    """Lives on the bridge thread, but for `stream`: senders use it under the lock of its link.

    socket  what the reactor watches
    stream  what is sent to and received from: the socket, or the encryption around it
    """

    __slots__ = (
        "address", "closed", "handshake", "heard_at", "named", "node",
        "pinged_at", "reader", "receiving", "remote", "role", "sending", "socket", "stream",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, address: str, handshake: DialerHandshake | AcceptorHandshake
    ) -> None:
        self.socket = sock
        self.stream: socket.socket | TlsStream = sock
        self.address = address
        self.handshake = handshake
        self.reader = FrameReader(HANDSHAKE_BYTES_MAX)
        self.remote: RemoteNode | None = None  # once proven
        self.role = ""  # what both ends may ask of each other, once proven
        self.sending: FrameMac  # once proven, as the next
        self.receiving: FrameMac
        self.node = ""  # the name of the node that it is used with, once it is
        self.named = ""  # what the other end says it is called, proven or not
        self.closed = False
        self.heard_at = 0.0  # 0.0: not yet
        self.pinged_at = 0.0

    def __repr__(self) -> str:
        return f"<Connection with {self.named or 'a stranger'} at {self.address}>"

    @property
    def dialed(self) -> bool:
        """Whether this end dialed."""
        return isinstance(self.handshake, DialerHandshake)

    def prove(self, remote: RemoteNode) -> None:
        """Note who is at the other end. What follows the handshake are frames with tags."""
        self.remote, self.role = remote, remote.role
        self.sending = FrameMac(remote.send_key)
        self.receiving = FrameMac(remote.receive_key)

    def use(self, node: str) -> None:
        """Take frames from now on, no more messages of the handshake."""
        assert self.remote is not None
        self.node = self.named = node
        self.reader.limit = self.remote.frame_bytes_max + TAG_BYTES

    def send_now(self, payload: bytes) -> None:
        """Send one message of the handshake. An empty socket takes it whole, or is broken."""
        data = header(len(payload)) + payload
        if self.stream.send(data) != len(data):
            raise ConnectionError("the socket takes not even a handshake")

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self.stream.close()
