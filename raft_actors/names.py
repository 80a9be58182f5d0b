"""Names of nodes, peers and actors, and the short name of this host.

A node is `name@host`. Names go into addresses, file names and log lines, so they are kept to
letters, digits and `_ - .`.
"""

import re
import socket

from raft_actors.errors import BadName

__all__ = ["NO_NODE", "check_name", "check_node_name", "host_of", "node_name", "short_host_name"]

NO_NODE = "nonode@nohost"
"""What a process without a started node is called, as in Erlang."""

NAME_CHARACTERS_MAX = 64
HOST_CHARACTERS_MAX = 190  # with the name and the @ a node name fits a file name and a handshake
LEGAL = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def check_name(name: object, what: str = "name") -> str:
    """Return `name`, or raise BadName with the rule. `what` says in the message what it names."""
    if not isinstance(name, str) or not LEGAL.fullmatch(name):
        raise BadName(f"{what} must be letters, digits, '_', '-' or '.', not {name!r}")
    if len(name) > NAME_CHARACTERS_MAX:
        raise BadName(f"{what} is longer than {NAME_CHARACTERS_MAX} characters: {name!r}")
    return name


def check_node_name(node: object) -> str:
    """Return `node`, a whole node name like `"b@two"`, or raise BadName."""
    if not isinstance(node, str) or node.count("@") != 1:
        raise BadName(f"a node is named name@host, like 'b@two', not {node!r}")
    name, host = node.split("@")
    check_name(name, f"the part before the @ of node name {node!r}")
    if not LEGAL.fullmatch(host) or len(host) > HOST_CHARACTERS_MAX:
        raise BadName(
            f"the host part of node name {node!r} must be up to {HOST_CHARACTERS_MAX} letters, "
            "digits, '_', '-' or '.'"
        )
    return node


def node_name(name: object) -> str:
    """Return the whole name of a node of this host: `"a"` becomes `"a@<short host name>"`.

    A name with an @ is taken whole. Raises BadName.
    """
    if isinstance(name, str) and "@" in name:
        return check_node_name(name)
    return check_node_name(f"{check_name(name, 'node name')}@{short_host_name()}")


def host_of(node: str) -> str:
    return node.partition("@")[2]


def short_host_name() -> str:
    """This host's name up to its first dot."""
    return socket.gethostname().partition(".")[0] or "localhost"
