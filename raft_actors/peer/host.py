"""Host: what a peer needs from its node. The class `Peers` in peers.py is a Host.

`Routes` is the part that sends and delivers messages. The class `Router` in router.py is one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from raft_actors.config import Config
from raft_actors.core.messages import Message
from raft_actors.names import Address
from raft_actors.peer.lead_holders import LeadHolders

__all__ = ["Host", "Routes"]


class Routes(Protocol):
    """How a peer sends messages, and does work for the bridge. The argument `peer` is always the
    calling Peer.
    """

    def send(self, messages: list[Message], *, at_once: bool = False) -> None:
        """Send messages to peers of this node and other nodes. A message that can't be sent is
        dropped.
        """

    def flush(self) -> None: ...

    def frame_bytes_max_to(self, peer: Address) -> int: ...

    def deliver_soon(self, peer: Any, message: Any) -> None:
        """Let the peer handle `message`: on the bridge's thread if the peer's own thread waits."""

    def is_alone(self, peer: Any) -> bool:
        """Return whether this peer is the only one of its node."""

    def work_for_bridge(self, peer: Any) -> None:
        """Do the bridge's work while no message waits for the peer, if it is the only peer."""


class Host(Protocol):
    """What a peer needs from its node. The argument `peer` is always the calling Peer."""

    @property
    def name(self) -> str:
        """The name of the node, as in the addresses of its peers."""

    @property
    def config(self) -> Config: ...

    @property
    def data_dir(self) -> Path | None: ...

    @property
    def registry(self) -> Any:
        """The registry in which the node's processes have their names."""

    @property
    def holders(self) -> LeadHolders:
        """Who runs something only while a peer of the node leads."""

    @property
    def router(self) -> Routes: ...

    def whereis(self, address: Address | str) -> Any:
        """Return the ref of an actor of this node or another one; None if this node has no actor of
        the name.
        """

    def await_release(self, path: Path) -> None:
        """Wait until the thread of a killed peer has closed its store; some seconds at most."""

    def register(self, peer: Any) -> None:
        """Record a peer that has started, so that it is found by its name."""

    def unregister(self, peer: Any) -> None: ...

    def watch_nodes(self, ref: Any) -> Callable[[], Any]:
        """Send `ref` a NodeUp or NodeDown when a node connects or disconnects, until the returned
        function is called.
        """
