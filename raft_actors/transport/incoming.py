"""Incoming: one frame from another node, and how to answer the frame."""

from dataclasses import dataclass
from typing import Any, Protocol

from raft_actors.transport.expiring_set import network_of
from raft_actors.wire.roles import MEMBER

__all__ = ["Incoming", "Source"]


class Source(Protocol):
    """The part of a transport that answers calls."""

    def reply(self, connection: Any, call: int, body: Any) -> None: ...
    def decline(self, connection: Any, call: int, kind: int) -> None: ...


@dataclass(slots=True)
class Incoming:
    """One frame from another node. `call` is None if the sender does not wait for a reply."""

    node: str
    body: Any
    call: int | None
    connection: Any
    source: Source

    @property
    def role(self) -> str:
        """What the sender may ask of this node. A node may ask everything of itself."""
        return MEMBER if self.connection is None else str(self.connection.role)

    @property
    def network(self) -> str:
        """The network from which a guest has sent it, so that all connections from one host count
        together; "" if the sender is no guest.
        """
        connection = self.connection
        if connection is None or (connection.role == MEMBER and not connection.is_client):
            return ""
        return network_of(connection.host)

    def reply(self, body: Any) -> None:
        """Queue the answer. The thread's next `flush` sends it; on the bridge thread the end of the
        round does.

        The answer is dropped if the connection of the call is closed. Raises FrameTooLarge.
        """
        assert self.call is not None, "a cast has no reply"
        self.source.reply(self.connection, self.call, body)
