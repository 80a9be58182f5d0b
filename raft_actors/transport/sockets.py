"""Sockets: made and set up for the reactor. None of them blocks."""

import socket
from typing import Any

__all__ = ["family_of", "listen", "prepare"]

BACKLOG = 1024
PORT_MAX = 65_535


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listen(host: str, port: int) -> socket.socket:
    """Return a non-blocking listening socket, at the first address of `host` where it can be made.

    An IPv6 address may be in brackets. Raises OSError if the port is in use or the host is unknown,
    and ValueError and TypeError.
    """
    if not isinstance(host, str):
        raise TypeError(f"a host is an address or a name, like '127.0.0.1', not {host!r}")
    if not isinstance(port, int) or not 0 <= port <= PORT_MAX:
        raise ValueError(f"a port is a number from 0 to {PORT_MAX}, not {port!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    every = "0.0.0.0"  # noqa: S104
    try:
        found = socket.getaddrinfo(host or every, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(
            error.errno, f"no address of this host is called {host!r}: {error.strerror}"
        ) from error
    except UnicodeError:
        raise ValueError(
            f"{host!r} is no host name: each part between its dots has 1 to 63 characters"
        ) from None
    problems = []
    for family, *_, address in sorted(found, key=lambda each: each[0] != socket.AF_INET):
        try:
            return listen_at(family, address)
        except OSError as error:
            problems.append(error)
    raise problems[0]


def listen_at(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without this option a port stays in use for a minute after its last connection closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
