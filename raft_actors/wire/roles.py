"""Roles: what a node may ask of another one. The cookie that both have proven says the role.

The role belongs to the connection and holds in both directions: whoever knows a client's cookie may
be at either end of a client's connection.
"""

from dataclasses import dataclass

__all__ = ["CLIENT", "MEMBER", "READER", "RIGHTS", "ROLES", "Rights"]

MEMBER, CLIENT, READER = ROLES = ("member", "client", "reader")
"""The one that may do most comes first."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be sent over a connection of a role. Answers and pings always may.

    raft      whether messages of Raft may
    requests  the operations on peers, as in replica/requests.py
    actors    what may be asked of actors that are exposed, as in node/actor_server.py
    """

    raft: bool
    requests: frozenset[str]
    actors: frozenset[str]


READS = frozenset({"status", "leader", "read", "read_as"})
CHANGES = frozenset(
    {"configure", "stop", "transfer", "snapshot", "snapshot_part", "get_entry", "write"}
)
LOOKS = frozenset({"alive", "watch", "unwatch"})
MESSAGES = frozenset({"tell", "ask", "defer", "proxy"})

RIGHTS = {
    MEMBER: Rights(raft=True, requests=READS | CHANGES, actors=LOOKS | MESSAGES | {"stop"}),
    CLIENT: Rights(raft=False, requests=READS | {"write"}, actors=LOOKS | MESSAGES),
    READER: Rights(raft=False, requests=READS, actors=LOOKS),
}
"""A snapshot's parts and the entries of the log hold what a machine's `handle_read` may hide."""
