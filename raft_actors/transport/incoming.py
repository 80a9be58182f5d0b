"""Incoming: one frame from another node, and how to answer it."""

from dataclasses import dataclass
from typing import Any, Protocol

from raft_actors.wire.roles import MEMBER

__all__ = ["Incoming", "Source"]


class Source(Protocol):
    """Where a call came from."""

    def reply(self, connection: Any, call: int, body: Any) -> None: ...
    def decline(self, connection: Any, call: int, kind: int) -> None: ...


@dataclass(slots=True)
class Incoming:
    """One frame from another node. `call` is None unless the sender waits for `reply`."""

    node: str
    body: Any
    call: int | None
    connection: Any
    source: Source

    @property
    def role(self) -> str:
        """What its sender may ask of this node; a node may ask anything of itself."""
        return MEMBER if self.connection is None else str(self.connection.role)

    def reply(self, body: Any) -> None:
        """Queue the answer; the thread's next `flush` sends it, the bridge thread's by itself.

        Dropped if the connection that the call came over is gone. Raises FrameTooLarge.
        """
        assert self.call is not None, "nobody waits for an answer to a cast"
        self.source.reply(self.connection, self.call, body)
