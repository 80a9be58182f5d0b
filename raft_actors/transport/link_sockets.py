"""LinkSockets: reads and resumes links when their sockets are ready. Bridge thread only."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from raft_actors.transport.connection import Connection
from raft_actors.transport.dispatch import Dispatcher
from raft_actors.transport.guests import is_member
from raft_actors.transport.link import Link
from raft_actors.transport.link_log import LinkLog
from raft_actors.transport.reactor import READ, WRITE, Reactor
from raft_actors.wire.frames import ProtocolError

__all__ = ["LinkSockets"]

GUESTS_S = 0.01
"""In each round guests are served for so many seconds; then the members get their turn again."""


class LinkSockets:
    """Watches the sockets of established connections.

    A readable socket is read, and the frames go to the dispatcher. A writable one is watched only
    after the kernel's buffer was full: then the link goes on sending.

    What members have sent is read at once. Guests are served after them, in turn: so however many
    guests send as fast as they can, a message of Raft waits for little more than `GUESTS_S`.
    """

    def __init__(
        self,
        reactor: Reactor,
        links: Mapping[str, Link],
        dispatcher: Dispatcher,
        receive_bytes: int,
        log: LinkLog,
        on_broken: Callable[[Connection, str], None],
    ) -> None:
        """`on_broken` gets a connection that must be closed, and the reason for NodeDown."""
        self._reactor = reactor
        self._links = links
        self._dispatcher = dispatcher
        self._buffer = memoryview(bytearray(receive_bytes))
        self._log = log
        self._on_broken = on_broken
        self._waiting: dict[Connection, None] = {}  # guests that have sent something

    def watch(self, connection: Connection) -> None:
        self._watch(connection, READ)

    def watch_writable(self, link: Link) -> None:
        """Continue to send on `link` when the kernel has space in its buffer again."""
        if link.connection is not None:
            self._watch(link.connection, READ | WRITE)

    def _watch(self, connection: Connection, events: int) -> None:
        self._reactor.watch(connection.socket, events, partial(self.on_ready, connection))

    def on_ready(self, connection: Connection, events: int) -> None:
        if events & READ and not is_member(connection):
            connection.received_at = self._reactor.now
            self._waiting[connection] = None
            events &= ~READ
        self._serve(connection, events)

    def serve_guests(self) -> None:
        """Read what guests have sent, and have it handled, one guest after the other, until the
        time for it is over. The others are first in the next round, which begins at once, because
        their sockets are ready.
        """
        until = time.monotonic() + GUESTS_S
        while self._waiting:
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            self._serve(connection, READ)
            self._dispatcher.hand_over()
            if time.monotonic() >= until:
                break

    def _serve(self, connection: Connection, events: int) -> None:
        link = self._links.get(connection.node)
        if link is None or link.connection is not connection:  # lost earlier in this round
            return
        try:
            if events & WRITE:
                # The other node reads what we send, so it is alive. It can't answer a ping yet,
                # because the ping waits behind a long queue.
                connection.received_at = self._reactor.now
                if not link.resume():
                    self._watch(connection, READ)
            if events & READ:
                self._receive(connection)
        except BlockingIOError:
            return
        except ProtocolError as error:
            self._log.broken(connection, error)
            self._on_broken(connection, "protocol_error")
        except OSError:
            self._on_broken(connection, "connection_closed")
        except Exception:
            self._on_broken(connection, "defect")
            raise

    def _receive(self, connection: Connection) -> None:
        connection.received_at = self._reactor.now
        count = connection.stream.recv_into(self._buffer)
        if not count:
            self._on_broken(connection, "connection_closed")
            return
        for payload in connection.reader.feed(self._buffer[:count]):
            self._dispatcher.take(connection, payload)
