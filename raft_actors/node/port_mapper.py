"""The port mapper: answers other hosts at which port a node of this host listens, like epmd.

A question is one line, `port b@two`. The answer is one line, `4001` or `none`. Then the connection
is closed. One node of a host has the well-known port, and answers for all nodes of its user on this
host. It answers only for nodes that listen at the address to which the question was sent.
"""

import os
import socket
import time

from raft_actors.errors import BadName
from raft_actors.names import check_node_name
from raft_actors.node.port_files import PortFiles

__all__ = [
    "QUESTION_BYTES_MAX",
    "answer",
    "ask_mapper",
    "is_loopback",
    "mapper_port",
    "mapper_wanted",
]

MAPPER_PORT = 4370
QUESTION_BYTES_MAX = 300  # "port ", the longest legal node name and the end of the line
ANSWER_BYTES_MAX = 16


def mapper_port() -> int:
    """Return the well-known port: RAFT_ACTORS_MAPPER_PORT or 4370. Raises ValueError."""
    text = os.environ.get("RAFT_ACTORS_MAPPER_PORT", str(MAPPER_PORT))
    if not text.isdecimal() or not 0 < int(text) <= 65535:
        raise ValueError(f"RAFT_ACTORS_MAPPER_PORT must be a port from 1 to 65535, not {text!r}")
    return int(text)


def mapper_wanted(listen_host: str) -> bool:
    """Return whether a node that listens at `listen_host` runs the port mapper there.

    On loopback only if the environment names a port: nodes of the same host use the port files.
    """
    return not is_loopback(listen_host) or "RAFT_ACTORS_MAPPER_PORT" in os.environ


def is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def answer(question: bytes, asked_at: str, files: PortFiles) -> bytes:
    """Return the answer to one whole line, which was sent to the local address `asked_at`."""
    verb, _, name = question.decode("ascii", "replace").strip().partition(" ")
    try:
        entry = files.read(check_node_name(name)) if verb == "port" else None
    except BadName:
        entry = None
    if entry is None or not is_reached(entry.host, asked_at):
        return b"none\n"
    return b"%d\n" % entry.port


def is_reached(listens_at: str, address: str) -> bool:
    """Return whether a connection to `address` reaches a node that listens at `listens_at`.

    A listener at all IPv6 addresses also accepts IPv4 connections; their addresses begin with
    ::ffff:.
    """
    address = address.removeprefix("::ffff:")
    every = {"::"} if ":" in address else {"::", "0.0.0.0"}  # noqa: S104
    return listens_at == address or listens_at in every


def ask_mapper(host: str, port: int, node: str, timeout_s: float) -> int | None:
    """Ask the port mapper at `host` for the port of `node`; None if it knows no such node. Blocks.

    Raises OSError if there is no answer in time, or no valid one.
    """
    deadline = time.monotonic() + timeout_s
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(f"port {node}\n".encode("ascii"))
        text = b""
        while not text.endswith(b"\n") and len(text) < ANSWER_BYTES_MAX:
            connection.settimeout(max(0.001, deadline - time.monotonic()))  # 0 would not block
            piece = connection.recv(ANSWER_BYTES_MAX)
            if not piece:
                break
            text += piece
    if text == b"none\n":
        return None
    if not text.strip().isdigit() or not 0 < int(text) <= 65535:
        raise OSError(f"the server at {host}:{port} is no port mapper")
    return int(text)
