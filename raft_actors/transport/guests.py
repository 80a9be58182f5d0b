"""Guests: connections of clients and readers, bounded so that this process can still open files.

Each connection takes a file descriptor. When a process has none left, the store of a peer can't
open its next file, and the peer ends. So the holder of a reader's cookie, with enough connections,
could stop every peer of a group.
"""

import resource
import sys

from raft_actors.transport.connection import Connection
from raft_actors.transport.expiring_set import network_of
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire.handshake import Refusal
from raft_actors.wire.roles import MEMBER

__all__ = ["Guests", "is_member"]


class Guests:
    """The connections that were accepted from clients and readers. Bridge thread only.

    When they are too many, the network with the most of them gives way: a newcomer from a network
    with fewer takes the place of its oldest, and any other newcomer is refused. So whoever opens
    many connections from one host keeps out no client on another host.
    """

    def __init__(self, limits: BridgeLimits) -> None:
        self._limits = limits
        self._networks: dict[str, dict[Connection, None]] = {}

    def make_room(self, newcomer: Connection) -> Connection | None:
        """Return the connection that must be closed before `newcomer` is used, if any must.

        Raises Refusal if the newcomer can't be used.
        """
        count_max = self._limits.guests_max or half_of_the_files()
        if is_member(newcomer) or sum(map(len, self._networks.values())) < count_max:
            return None
        largest = max(self._networks.values(), key=len)
        own = self._networks.get(network_of(newcomer.host), ())
        if len(own) + 1 < len(largest):
            return next(iter(largest))
        raise Refusal(
            "full",
            f"the dialed node has {count_max} connections of clients and readers, and takes no "
            "more: close some, or let the dialed node open more files (ulimit -n)",
        )

    def add(self, connection: Connection) -> None:
        if not is_member(connection):
            self._networks.setdefault(network_of(connection.host), {})[connection] = None

    def remove(self, connection: Connection) -> None:
        network = self._networks.get(network_of(connection.host), {})
        network.pop(connection, None)
        if not network:
            self._networks.pop(network_of(connection.host), None)


def is_member(connection: Connection) -> bool:
    return connection.role == MEMBER and not connection.is_client


def half_of_the_files() -> int:
    """Return half of the number of files that this process may open."""
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if files == resource.RLIM_INFINITY else files // 2
