"""Node events: the messages that a watcher of nodes receives."""

from dataclasses import dataclass

__all__ = ["NodeDown", "NodeEvent", "NodeUp"]


@dataclass(frozen=True, slots=True)
class NodeUp:
    """A node is connected."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeDown:
    """A node is no longer connected. Why is said in Erlang's words:

    "connection_closed", "net_tick_timeout" (it was silent for too long), "disconnect" (we hung
    up), "restarted", "protocol_error", "queue_full" (it does not take its answers), "shutdown"
    (this node is stopped).
    """

    node: str
    reason: str


NodeEvent = NodeUp | NodeDown
