"""LinkLog: what the log and the audit log are told of links. Bridge thread only.

Clients and readers can connect and leave some hundred times a second. So their lines are limited:
else one of them could fill the disk, or push older events out of the audit log.
"""

import logging

from raft_actors.audit import audit
from raft_actors.transport.connection import Connection
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.log_limit import LogLimit, more
from raft_actors.transport.reactor import Reactor
from raft_actors.wire.roles import MEMBER

__all__ = ["LinkLog"]

logger: logging.Logger = logging.getLogger("raft_actors.node")
links: logging.Logger = logging.getLogger("raft_actors.node.links")
"""The lines of this logger say the same as the events NodeUp and NodeDown."""


class LinkLog:
    """Tells of the links of the node `me`."""

    def __init__(self, me: str, reactor: Reactor, limits: BridgeLimits) -> None:
        self._me = me
        self._reactor = reactor
        self._of_guests = LogLimit(limits.guest_log_burst)

    def up(self, connection: Connection) -> None:
        left_out = self._take(connection)
        if left_out is not None:
            self._audit("up", connection, left_out)
            text = "%s is up, at %s%s"
            level = logging.DEBUG if connection.is_client else logging.INFO
            links.log(level, text, connection.node, connection.address, more(left_out))

    def down(self, connection: Connection, reason: str, level: int) -> None:
        """`level`  of the log line; NOTSET: this node has closed the connection, and logs none"""
        left_out = self._take(connection)
        if left_out is not None:
            self._audit("down", connection, left_out, why=reason)
            if level:
                level = logging.DEBUG if connection.is_client else level
                links.log(level, "%s is gone (%s)%s", connection.node, reason, more(left_out))

    def broken(self, connection: Connection, error: Exception) -> None:
        """Tell what a node has sent that can't be read."""
        left_out = self._take(connection)
        if left_out is not None:
            logger.warning("%s sent %s%s", connection.node, error, more(left_out))

    def _take(self, connection: Connection) -> int | None:
        """Return how many lines were left out before this one; None if this one is left out."""
        is_node = connection.role == MEMBER and not connection.is_client
        return 0 if is_node else self._of_guests.take(self._reactor.now)

    def _audit(self, event: str, connection: Connection, left_out: int, **more: str) -> None:
        fields = {"others_before": left_out, **more} if left_out else more
        audit(event, node=connection.node, by=self._me, role=connection.role,
              at_address=connection.address, **fields)  # fmt: skip
