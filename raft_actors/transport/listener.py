"""Listener: the listening socket, and its *strangers*: connections that are not authenticated yet.

Strangers are bounded in number (`strangers_max`; for one more another is dropped, see
`ExpiringSet`), in time (`handshake_s`) and in memory (one handshake message). Each dropped stranger
is logged; in a flood one line is logged each second, with the number of the others. Messages of
strangers are read before new connections are accepted.
"""

import logging
import socket
from collections.abc import Callable

from raft_actors.audit import audit
from raft_actors.transport.connection import Connection
from raft_actors.transport.endpoint import Endpoint
from raft_actors.transport.expiring_set import ExpiringSet
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.log_limit import LogLimit
from raft_actors.transport.reactor import READ, Reactor
from raft_actors.transport.sockets import prepare

__all__ = ["PAUSE_S", "Listener"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

ACCEPTS_MAX = 16  # in one poll round, so that strangers can't starve the links
PAUSE_S = 0.2  # without listening, when the process has no file descriptor left


class Listener:
    """Accepts connections, and bounds their number and their time. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        listener: socket.socket | None,
        make_connection: Callable[[socket.socket, Endpoint], Connection],
        read: Callable[[Connection], None],
    ) -> None:
        """`listener` is None for a node that does not listen. `make_connection` makes the
        Connection of an accepted socket; `read` reads from it.
        """
        self._reactor = reactor
        self._socket = listener
        self._make_connection = make_connection
        self._read = read
        self.strangers: ExpiringSet[Connection] = ExpiringSet(
            reactor, self.drop, count_max=limits.strangers_max, timeout_s=limits.handshake_s
        )
        self.log: LogLimit = LogLimit(limits.log_burst)
        self._usual = LogLimit(limits.log_burst)  # of what is no news, unless there is more of it

    def open(self) -> None:
        if self._socket is not None:
            self._reactor.watch(self._socket, READ, self._on_listener)

    def close(self) -> None:
        if self._socket is None:
            return
        self._reactor.unwatch(self._socket)
        self._socket.close()
        for stranger in self.strangers:
            self.drop(stranger)

    def admit(self, connection: Connection) -> None:
        """The connection is authenticated: it is no stranger any more."""
        self.strangers.remove(connection)

    def drop(self, connection: Connection, why: str = "", *, is_news: bool = True) -> None:
        """Close the connection of a stranger, and log `why`, unless it is empty. What is no news is
        logged at level DEBUG, unless there is much of it."""
        if connection.closed:
            return
        if why:
            claimed = connection.claimed_name
            text = f"dropped {claimed or 'the stranger'} at {connection.address}: {why}"
            if not is_news and self._usual.take(self._reactor.now) is not None:
                logger.debug("%s", text)
            elif self.log.warn(self._reactor.now, text):
                audit("refused", node=claimed, at_address=connection.address, why=why)
        self.strangers.remove(connection)
        self._reactor.unwatch(connection.socket)
        connection.close()

    def _on_listener(self, _events: int) -> None:
        self._reactor.post(self._accept)  # posted work runs after this round has read its sockets

    def _accept(self) -> None:
        assert self._socket is not None
        for _ in range(ACCEPTS_MAX if self._socket.fileno() >= 0 else 0):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._pause(error)
                return
            prepare(sock)
            stranger = self._make_connection(sock, Endpoint.of(address))
            self.strangers.add(stranger, address[0])
            self._read(stranger)  # most dialers have sent their first message by now

    def _pause(self, error: OSError) -> None:
        assert self._socket is not None
        self.log.warn(self._reactor.now, f"can't accept a connection: {error}")
        self._reactor.unwatch(self._socket)
        self._reactor.after(PAUSE_S, self._resume)

    def _resume(self) -> None:
        assert self._socket is not None
        if self._socket.fileno() >= 0:
            self.open()
