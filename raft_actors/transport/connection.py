"""Connection: one TCP stream between two nodes, from the first byte of the handshake on."""

import contextlib
import socket

from raft_actors.transport.endpoint import Endpoint
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

TcpSocket = socket.socket
"""In Connection the name `socket` stands for the attribute."""


class Connection:
    """Used on the bridge thread only; but other threads send to `stream`, with the link's lock.

    socket  the socket, which the reactor watches
    stream  the object that sends and receives: the socket itself, or a TlsStream around the socket
    """

    __slots__ = (
        "address", "claimed_name", "closed", "handshake", "host", "node", "pinged_at",
        "reader", "received_at", "receiving", "remote", "role", "sending", "socket", "stream",
    )  # fmt: skip

    def __init__(
        self,
        sock: TcpSocket,
        endpoint: Endpoint,
        handshake: DialerHandshake | AcceptorHandshake,
    ) -> None:
        self.socket: TcpSocket = sock
        self.stream: TcpSocket | TlsStream = sock
        self.address: str = str(endpoint)
        self.host: str = endpoint.host
        self.handshake: DialerHandshake | AcceptorHandshake = handshake
        self.reader: FrameReader = FrameReader(HANDSHAKE_BYTES_MAX)
        # The next four are set when the other end has proven its cookie.
        self.remote: RemoteNode | None = None
        self.role: str = ""  # what both ends may ask of each other
        self.sending: FrameMac
        self.receiving: FrameMac
        self.node: str = ""  # the name of the other node, as soon as its link uses this connection
        self.claimed_name: str = ""  # the name that the other end gave, proven or not
        self.closed: bool = False
        # The time of the last bytes, on the reactor's clock; 0.0: none yet.
        self.received_at: float = 0.0
        self.pinged_at: float = 0.0

    def __repr__(self) -> str:
        return f"<Connection with {self.claimed_name or 'a stranger'} at {self.address}>"

    @property
    def dialed(self) -> bool:
        """Whether this node dialed, and not the other one."""
        return isinstance(self.handshake, DialerHandshake)

    @property
    def is_client(self) -> bool:
        """Whether the other end is a client without a name of its own."""
        return self.remote is not None and self.remote.is_client

    def prove(self, remote: RemoteNode) -> None:
        """Note which node is at the other end, and make the tags of frames with its keys."""
        self.remote, self.role = remote, remote.role
        self.sending = FrameMac(remote.send_key)
        self.receiving = FrameMac(remote.receive_key)

    def use(self, node: str) -> None:
        """The handshake is over: what arrives from now on are frames."""
        assert self.remote is not None
        self.node = self.claimed_name = node
        self.reader.limit = self.remote.frame_bytes_max + TAG_BYTES

    def send_now(self, payload: bytes) -> None:
        """Send one message of the handshake. The kernel's buffer is empty, so the message fits."""
        data = header(len(payload)) + payload
        if self.stream.send(data) != len(data):
            raise ConnectionError("the socket did not accept a whole handshake message")

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self.stream.close()
