"""Node events: the messages that a watcher of nodes receives."""

from dataclasses import dataclass

__all__ = ["NodeDown", "NodeEvent", "NodeUp"]


@dataclass(frozen=True, slots=True)
class NodeUp:
    """A node is connected."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeDown:
    """A node is no longer connected. The reasons have the names that Erlang uses:

    "connection_closed", "net_tick_timeout" (nothing was received for too long), "disconnect" (this
    node closed the connection), "restarted", "protocol_error", "queue_full" (the other node did not
    read its answers), "shutdown" (this node is stopped).
    """

    node: str
    reason: str


NodeEvent = NodeUp | NodeDown
