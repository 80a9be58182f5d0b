"""Mapper holder: which process has the port of the port mapper, where this node can't have it.

Any user of a host may be the first to listen at that port. Usually it is a node of the same user,
which answers for all of this user's nodes. Another program may answer what it likes.
"""

import os
import pwd
import socket
import struct
from contextlib import suppress
from pathlib import Path

from raft_actors.node.discovery import reachable
from raft_actors.node.port_files import PortEntry
from raft_actors.node.port_mapper import ask_mapper
from raft_actors.transport.endpoint import Endpoint

__all__ = ["problem_of_holder", "users_of"]

LISTENING = "0A"
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104


def problem_of_holder(mapper: Endpoint, entry: PortEntry, timeout_s: float) -> str:
    """Return what is wrong with the program that listens at `mapper`; "" if it answers for the node
    of `entry` as a node of the same user does. Blocks.
    """
    others = users_of(mapper) - {os.getuid()}
    if others:
        return f"a program of {' and '.join(map(user_name, sorted(others)))} has the port"
    try:
        port = ask_mapper(reachable(mapper.host), mapper.port, entry.node, timeout_s)
    except ConnectionRefusedError:  # it has gone, or listens at another address of this host
        return ""
    except OSError as error:
        return f"what listens there does not answer as a port mapper does ({error})"
    if port is None:
        return f"a port mapper listens there that does not know {entry.node}"
    if port != entry.port:
        return f"what listens there gives port {port} for {entry.node}, and not {entry.port}"
    return ""


def users_of(endpoint: Endpoint) -> set[int]:
    """Return the ids of the users whose processes listen at `endpoint`, or at all addresses of its
    port; none where the system does not tell (Linux does, in /proc/net).
    """
    users = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                _number, local, _remote, state, _queues, _timer, _again, user, *_ = line.split()
                address, _, port = local.partition(":")
                if state == LISTENING and int(port, 16) == endpoint.port:
                    host = socket.inet_ntop(family, in_order(address)).removeprefix("::ffff:")
                    if host == endpoint.host or EVERYWHERE & {host, endpoint.host}:
                        users.add(int(user))
    return users


def in_order(address: str) -> bytes:
    """Return the bytes of an address, which the kernel prints as numbers of its own byte order."""
    words = [address[start : start + 8] for start in range(0, len(address), 8)]
    return b"".join(struct.pack("=I", int(word, 16)) for word in words)


def user_name(user: int) -> str:
    try:
        return f"user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"user {user}"
