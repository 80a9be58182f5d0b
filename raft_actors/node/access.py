"""Access: how a node is found by other nodes, and finds and reaches them.

`TcpAccess` is the one for sockets. `MemoryAccess` in testing/memory_network.py is the one for nodes
in one process.
"""

from typing import Any, Protocol

from raft_actors.config import Config
from raft_actors.future import Future
from raft_actors.transport.dispatch import OnFrames, OnNodeChange
from raft_actors.transport.reactor import Reactor

__all__ = ["Access", "Transport"]


class Transport(Protocol):
    """The connections of one node with all other nodes. Any thread may call its methods.

    The bridge thread is the thread that runs `reactor`. It calls the handlers of frames, and it
    reports which nodes are up and down. `transport.Bridge` is a transport; its docstrings have the
    details.

    connect_timeout_s  after this time a dial is given up
    """

    reactor: Reactor

    @property
    def closed(self) -> bool: ...

    @property
    def connect_timeout_s(self) -> float: ...

    def start(self) -> None:
        """Start the bridge thread. Raises RuntimeError if the system has no thread left."""

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Call `handler` with all frames of `kind` that are received, on the bridge thread."""

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue a frame. Returns False if it was dropped, because the queue is full for example."""

    def call(self, node: str, kind: int, body: Any, *, long: bool = False) -> Future[Any]:
        """Queue a frame, and return a future: the answer, or NoConnection or NoProcess.

        long  the call may stay open for long, and no thread waits for it
        """

    def flush(self) -> None:
        """Send the frames that this thread has queued."""

    def flush_call(self) -> None:
        """As `flush`, for a thread that waits for the answer to a call next."""

    def flush_soon(self) -> None:
        """As `flush`, but some milliseconds later."""

    def connect(self, node: str) -> Future[bool]:
        """Connect to `node`, and dial again whenever the connection is lost. The future is True if
        it is connected now.
        """

    def reach(self, node: str) -> Future[bool]:
        """As `connect`, but do not dial again when the connection is lost later."""

    def disconnect(self, node: str) -> Future[bool]:
        """Close the connection with `node`. The future is True if there was one."""

    def connected(self) -> list[str]: ...

    def version_with(self, node: str) -> int:
        """Return the protocol version to use with `node`: see wire/versions.py."""

    def frame_bytes_max_with(self, node: str) -> int: ...


class Access(Protocol):
    """How one node is found by other nodes, and finds them.

    where  the address at which other nodes find this one, as a text
    port   the port at which the node listens; 0 if it does not listen
    """

    port: int

    @property
    def where(self) -> str: ...

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> Transport:
        """Claim the name, and return a transport that is not started yet.

        Raises NameTaken, and other errors for which the node can't start.
        """

    def close(self) -> None:
        """Stop the transport, and free the name. Idempotent; also after an `open` that raised."""
