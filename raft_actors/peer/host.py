"""Host: what a peer needs of the node that it lives on. `peers.Peers` is one.

`Routes` is the part of it by which messages come and go, `routing.Router`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from raft_actors.config import Config
from raft_actors.core.messages import Message
from raft_actors.names import Address

__all__ = ["Host", "Routes"]


class Routes(Protocol):
    """`peer` is everywhere the `Peer` that calls."""

    def send(self, messages: list[Message], *, at_once: bool = False) -> None:
        """Bring messages to other peers, here or elsewhere; what can't be sent is dropped."""

    def flush(self) -> None: ...

    def frame_bytes_max_to(self, peer: Address) -> int: ...

    def deliver_soon(self, peer: Any, message: Any) -> None:
        """Have the peer handle `message`, on the bridge's thread if its own has nothing to do."""

    def is_alone(self, peer: Any) -> bool:
        """Tell whether it is the only peer of its node."""

    def work_for_bridge(self, peer: Any) -> None:
        """Do the bridge's work while the peer has none, if it is alone."""


class Host(Protocol):
    """`peer` is everywhere the `Peer` that calls."""

    @property
    def name(self) -> str:
        """The node's, as in addresses of its peers."""

    @property
    def config(self) -> Config: ...

    @property
    def data_dir(self) -> Path | None: ...

    @property
    def registry(self) -> Any:
        """Where the node's processes have their names."""

    @property
    def router(self) -> Routes: ...

    def await_release(self, path: Path) -> None:
        """Wait until the thread of a killed peer has let go of its store, or for a while."""

    def register(self, peer: Any) -> None:
        """Have the peer found by its name: it has started."""

    def unregister(self, peer: Any) -> None: ...

    def watch_nodes(self, ref: Any) -> Callable[[], Any]:
        """Tell `ref` of nodes that come and go, until the function is called that is returned."""
