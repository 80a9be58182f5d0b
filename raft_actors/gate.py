"""Gate: the listener, and the strangers at it until they have proven themselves.

Strangers are few (`strangers_max`; one more drops another, see `Crowd`), have little time
(`handshake_s`) and hold little memory (one handshake message). Each that is dropped gets one log
line; a flood of them gets one a second, which counts the others. What those who are here have to
say is read before others are taken in.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any

from raft_actors.connection import Connection, prepare
from raft_actors.crowd import Crowd
from raft_actors.discovery import Place
from raft_actors.limits import BridgeLimits
from raft_actors.reactor import READ, Reactor

__all__ = ["PAUSE_S", "Gate", "family_of", "listen"]

logger = logging.getLogger("raft_actors.node")

ACCEPTS_MAX = 16  # in one poll round, so that strangers can't starve the links
BACKLOG = 1024
PORT_MAX = 65_535
PAUSE_S = 0.2  # without listening, when the process has no file descriptor left


class LogLimit:
    """Lets `burst` lines through at once and then one a second, and counts the rest."""

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._at = 0.0
        self._unsaid = 0

    def warn(self, now: float, text: str) -> None:
        self._left = min(self._burst, self._left + now - self._at)
        self._at = now
        if self._left < 1:
            self._unsaid += 1
            return
        self._left -= 1
        more = f" (and {self._unsaid} others before it)" if self._unsaid else ""
        self._unsaid = 0
        logger.warning("%s%s", text, more)


class Gate:
    """Takes connections in and bounds their number and their time. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        listener: socket.socket,
        greet: Callable[[socket.socket, str], Connection],
        hear: Callable[[Connection], None],
    ) -> None:
        """`greet` makes the connection of a stranger, and `hear` reads from it."""
        self._reactor = reactor
        self._listener = listener
        self._greet = greet
        self._hear = hear
        self.strangers: Crowd[Connection] = Crowd(
            reactor, self.drop, count_max=limits.strangers_max, patience_s=limits.handshake_s
        )
        self.log = LogLimit(limits.log_burst)

    def open(self) -> None:
        self._reactor.watch(self._listener, READ, self._on_listener)

    def close(self) -> None:
        self._reactor.unwatch(self._listener)
        self._listener.close()
        for stranger in self.strangers:
            self.drop(stranger)

    def admit(self, connection: Connection) -> None:
        """Forget that `connection` was a stranger."""
        self.strangers.remove(connection)

    def drop(self, connection: Connection, why: str = "") -> None:
        """Close the connection of a stranger; `why` is for the log."""
        if connection.closed:
            return
        if why:
            who = connection.named or "the stranger"
            self.log.warn(self._reactor.now, f"dropped {who} at {connection.address}: {why}")
        self.strangers.remove(connection)
        self._reactor.unwatch(connection.socket)
        connection.close()

    def _on_listener(self, _events: int) -> None:
        self._reactor.post(self._accept)  # after all that is read in this round

    def _accept(self) -> None:
        for _ in range(ACCEPTS_MAX if self._listener.fileno() >= 0 else 0):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._pause(error)
                return
            prepare(sock)
            stranger = self._greet(sock, str(Place.of(address)))
            self.strangers.add(stranger, address[0])
            self._hear(stranger)  # most have sent their first message by now

    def _pause(self, error: OSError) -> None:
        self.log.warn(self._reactor.now, f"can't take a connection in: {error}")
        self._reactor.unwatch(self._listener)
        self._reactor.after(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self.open()


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listen(host: str, port: int) -> socket.socket:
    """Return a non-blocking listener, at the first address of `host` that can be listened at.

    An IPv6 address may stand in brackets. Raises OSError when the port is taken, or nobody knows
    the host; ValueError and TypeError.
    """
    if not isinstance(host, str):
        raise TypeError(f"a host is an address or a name, '127.0.0.1' say, not {host!r}")
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
            f"{host!r} is no host name: between its dots are 1 to 63 letters"
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
        # Without it a port stays taken for a minute after its last connection was closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
