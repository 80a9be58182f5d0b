"""Listener: the listening socket, and its *strangers*: connections that are not authenticated yet.

Strangers are bounded in number (`strangers_max`; one more drops another, see `ExpiringSet`), in
time (`handshake_s`) and in memory (one handshake message). Each dropped one is logged; of a flood
one is logged each second, with the number of the others. The messages of present strangers are read
before new connections are accepted.
"""

import logging
import socket
from collections.abc import Callable

from raft_actors.audit import audit
from raft_actors.transport.connection import Connection
from raft_actors.transport.endpoint import Endpoint
from raft_actors.transport.expiring_set import ExpiringSet
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.reactor import READ, Reactor
from raft_actors.transport.sockets import prepare

__all__ = ["PAUSE_S", "Listener"]

logger = logging.getLogger("raft_actors.node")

ACCEPTS_MAX = 16  # in one poll round, so that strangers can't starve the links
PAUSE_S = 0.2  # without listening, when the process has no file descriptor left


class LogLimit:
    """Lets `burst` lines through at once and then one a second, and counts the rest."""

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._at = 0.0
        self._unsaid = 0

    def warn(self, now: float, text: str) -> bool:
        """Log the line, if there is room for it. Returns whether there was."""
        self._left = min(self._burst, self._left + now - self._at)
        self._at = now
        if self._left < 1:
            self._unsaid += 1
            return False
        self._left -= 1
        more = f" (and {self._unsaid} others before it)" if self._unsaid else ""
        self._unsaid = 0
        logger.warning("%s%s", text, more)
        return True


class Listener:
    """Accepts connections, and bounds their number and their time. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        listener: socket.socket,
        greet: Callable[[socket.socket, Endpoint], Connection],
        hear: Callable[[Connection], None],
    ) -> None:
        """`greet` makes the connection of a stranger, and `hear` reads from it."""
        self._reactor = reactor
        self._socket = listener
        self._greet = greet
        self._hear = hear
        self.strangers: ExpiringSet[Connection] = ExpiringSet(
            reactor, self.drop, count_max=limits.strangers_max, timeout_s=limits.handshake_s
        )
        self.log = LogLimit(limits.log_burst)

    def open(self) -> None:
        self._reactor.watch(self._socket, READ, self._on_listener)

    def close(self) -> None:
        self._reactor.unwatch(self._socket)
        self._socket.close()
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
            if self.log.warn(self._reactor.now, f"dropped {who} at {connection.address}: {why}"):
                audit("refused", node=connection.named, at_address=connection.address, why=why)
        self.strangers.remove(connection)
        self._reactor.unwatch(connection.socket)
        connection.close()

    def _on_listener(self, _events: int) -> None:
        self._reactor.post(self._accept)  # after all that is read in this round

    def _accept(self) -> None:
        for _ in range(ACCEPTS_MAX if self._socket.fileno() >= 0 else 0):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._pause(error)
                return
            prepare(sock)
            stranger = self._greet(sock, Endpoint.of(address))
            self.strangers.add(stranger, address[0])
            self._hear(stranger)  # most have sent their first message by now

    def _pause(self, error: OSError) -> None:
        self.log.warn(self._reactor.now, f"can't take a connection in: {error}")
        self._reactor.unwatch(self._socket)
        self._reactor.after(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self.open()
