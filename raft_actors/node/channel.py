"""Channel: the methods of a node that RemoteRef and ActorServer use."""

from collections.abc import Callable
from typing import Any, Protocol

from raft_actors.future import Future

__all__ = ["Channel"]


class Channel(Protocol):
    """Sends frames to other nodes, and watches their actors. `node.LocalNode` is one."""

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue a frame that has no answer. Raises NoNode and FrameTooLarge."""

    def call(self, node: str, kind: int, body: Any) -> Future[Any]:
        """Queue a frame, and return a future of its answer."""

    def flush(self) -> None:
        """Send the frames that this thread has queued."""

    def watch_actor(
        self, address: tuple[str, str], callback: Callable[[Any], None]
    ) -> Callable[[], None]:
        """Call `callback(reason)` when that actor has ended. Returns a function that cancels."""
