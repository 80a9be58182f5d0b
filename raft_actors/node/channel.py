"""Channel: what a remote ref, and the server of a node's actors, need from their node."""

from collections.abc import Callable
from typing import Any, Protocol

from raft_actors.future import Future

__all__ = ["Channel"]


class Channel(Protocol):
    """Frames to other nodes, and actors there that are watched. `node.LocalNode` is one."""

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue a frame that wants no answer. Raises NoNode and FrameTooLarge."""

    def call(self, node: str, kind: int, body: Any) -> Future[Any]:
        """Queue a frame, and return what is set to its answer."""

    def flush(self) -> None:
        """Send what this thread has queued."""

    def watch_actor(
        self, address: tuple[str, str], callback: Callable[[Any], None]
    ) -> Callable[[], None]:
        """Have `callback(reason)` called once that actor has ended; returns the cancel."""
