"""Names of nodes, peers and actors, and addresses of peers.

A node is `name@host`. Names go into addresses, file names and log lines, so they are kept to
letters, digits and `_ - .`.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from raft_actors.errors import BadName

__all__ = [
    "NONODE",
    "Address",
    "check_name",
    "check_node_name",
    "check_peer_name",
    "checked_member",
    "host_of",
    "is_seed",
    "listed",
]

T = TypeVar("T")

NONODE = "nonode@nohost"
"""The node name of a process that has not started a node, as in Erlang."""
NAME_CHARACTERS_MAX = 64
HOST_CHARACTERS_MAX = 190  # name, @ and host together fit into a file name and into a handshake
LEGAL = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def check_name(name: object, what: str = "name") -> str:
    """Return `name`, or raise BadName, whose message has the rule. `what` is the word for the name
    in that message.
    """
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


def host_of(node: str) -> str:
    return node.partition("@")[2]


def is_seed(node: str) -> bool:
    """Return whether this is no name of a node, but a seed: the address of a node whose name is not
    known yet, `host:port`, takes its place. No name of a node has a colon.
    """
    return ":" in node


Address = tuple[str, str]
"""(peer name, node name)."""

PEER_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,128}", re.ASCII)


def check_peer_name(name: object) -> str:
    """Return `name`, or raise BadName. A peer's name is a part of addresses, and names its data
    directory.
    """
    if not isinstance(name, str) or not PEER_NAME.fullmatch(name) or name in {".", ".."}:
        raise BadName(
            f"a peer's name is up to 128 letters, digits, '_', '-', '.' or '@', not {name!r}"
        )
    return name


def listed(peers: Iterable[T]) -> Iterable[T]:
    """Return `peers`. Raises TypeError if it is one peer instead of a list: a name and an address
    can be iterated, too, so the mistake would not be noticed.
    """
    match peers:
        case (str(), str() as node) if isinstance(peers, tuple):
            alone = "@" in node
        case _:
            alone = isinstance(peers, str) or not isinstance(peers, Iterable)
    if alone:
        raise TypeError(f"members are a list of peers, not {peers!r}: write [peer] for one alone")
    return peers


def checked_member(member: Any) -> Address | str:
    """Return `member`, a name or an address. Raises BadName or TypeError for anything else."""
    if isinstance(member, str):
        return check_peer_name(member)
    if not isinstance(member, tuple | list) or len(member) != 2:
        raise TypeError(f"a member is declared by its address (name, node), not {member!r}")
    return check_peer_name(member[0]), check_node_name(member[1])
