"""Access: how a node is found by other nodes and finds them. `TcpAccess` does it with sockets.

`MemoryAccess` in testing/memory_network.py does it for nodes in one process.
"""

from typing import Any, Protocol

from raft_actors.config import Config
from raft_actors.future import Future
from raft_actors.transport.dispatch import OnFrames, OnNodeChange
from raft_actors.transport.reactor import Reactor

__all__ = ["Access", "Transport"]


class Transport(Protocol):
    """The connections of one node with all others. Any thread may call its methods.

    The bridge thread is the one that runs `reactor`: frames are handed over on it, and nodes that
    come and go are told on it. `transport.Bridge` is a transport; its docstrings have the details.

    connect_timeout_s  how long connecting with a node may take until it is given up
    """

    reactor: Reactor

    @property
    def closed(self) -> bool: ...

    @property
    def connect_timeout_s(self) -> float: ...

    def start(self) -> None:
        """Start the bridge thread. Raises RuntimeError when the system has no thread left."""

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Have `handler` take all frames of `kind` that come in, on the bridge thread."""

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue a frame. Returns False when it was dropped for want of room."""

    def call(self, node: str, kind: int, body: Any) -> Future[Any]:
        """Queue a frame, and return the answer to it, which may be NoConnection or NoProcess."""

    def flush(self) -> None:
        """Send what this thread has queued."""

    def flush_call(self) -> None:
        """As `flush`, for a thread that is about to wait for the answer."""

    def flush_soon(self) -> None:
        """As `flush`, within some milliseconds."""

    def connect(self, node: str) -> Future[bool]:
        """Connect, and stay connected; the answer is whether it worked at once."""

    def reach(self, node: str) -> Future[bool]:
        """Connect, without the wish to stay connected."""

    def disconnect(self, node: str) -> Future[bool]:
        """Close the connection, if there is one; the answer is whether there was one."""

    def connected(self) -> list[str]: ...

    def version_with(self, node: str) -> int:
        """Return the protocol version to use with `node`: see wire/versions.py."""

    def frame_bytes_max_with(self, node: str) -> int: ...


class Access(Protocol):
    """How one node is found by other nodes, and finds them.

    where  the address at which others find the node, in words
    port   at which it listens; 0 if at none
    """

    port: int

    @property
    def where(self) -> str: ...

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> Transport:
        """Take the name, and return a transport that is not started yet.

        Raises NameTaken, and whatever else keeps a node from being there.
        """

    def close(self) -> None:
        """Stop the transport, and free the name; also after an `open` that raised. Idempotent."""
