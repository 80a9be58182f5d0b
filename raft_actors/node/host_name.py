"""Host name: the short name of this host, and the full names of its nodes."""

import socket

from raft_actors.names import check_name, check_node_name

__all__ = ["node_name", "short_host_name"]


def node_name(name: object) -> str:
    """Return the full name of a node of this host: `"a"` becomes `"a@<short host name>"`.

    A name with an @ is returned as it is. Raises BadName.
    """
    if isinstance(name, str) and "@" in name:
        return check_node_name(name)
    return check_node_name(f"{check_name(name, 'node name')}@{short_host_name()}")


def short_host_name() -> str:
    """Return this host's name up to its first dot."""
    return socket.gethostname().partition(".")[0] or "localhost"
