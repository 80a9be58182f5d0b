"""Roles: what a node may ask of another one. Each cookie is for one role.

The role of a connection is the role of the cookie that both ends have proven. It limits both
directions: a node that has a client's cookie can be at either end of such a connection.
"""

from dataclasses import dataclass

__all__ = ["CLIENT", "MEMBER", "READER", "RIGHTS", "ROLES", "Rights"]

MEMBER, CLIENT, READER = ROLES = ("member", "client", "reader")
"""The role that may do most comes first."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be sent over a connection of a role. Replies and pings are always allowed.

    raft      whether messages of Raft are allowed
    requests  the allowed operations on peers, as in replica/requests.py
    actors    the allowed operations on exposed actors, as in node/actor_server.py
    """

    raft: bool
    requests: frozenset[str]
    actors: frozenset[str]


READS = frozenset({"status", "leader", "read", "read_as", "park", "unpark"})
CHANGES = frozenset(
    {"configure", "stop", "transfer", "snapshot", "snapshot_part", "reseed", "get_entry", "write",
     "limit_sessions"},
)  # fmt: skip
WATCHES = frozenset({"alive", "watch", "unwatch"})
MESSAGES = frozenset({"tell", "ask", "defer", "proxy"})

RIGHTS = {
    MEMBER: Rights(raft=True, requests=READS | CHANGES, actors=WATCHES | MESSAGES | {"stop"}),
    CLIENT: Rights(raft=False, requests=READS | {"write"}, actors=WATCHES | MESSAGES),
    READER: Rights(raft=False, requests=READS, actors=WATCHES),
}
"""Only members may get parts of snapshots and entries of the log: these hold the whole state, and
`handle_read` of a state machine may hide some of it.
"""
