"""LinkSockets: reads and resumes links when their sockets are ready. Bridge thread only."""

from collections.abc import Callable, Mapping
from functools import partial

from raft_actors.transport.connection import Connection
from raft_actors.transport.dispatch import Dispatcher
from raft_actors.transport.link import Link
from raft_actors.transport.link_log import LinkLog
from raft_actors.transport.reactor import READ, WRITE, Reactor
from raft_actors.wire.frames import ProtocolError

__all__ = ["LinkSockets"]


class LinkSockets:
    """Watches the sockets of established connections.

    A readable socket is read, and the frames go to the dispatcher. A writable one is watched only
    after the kernel's buffer was full: then the link goes on sending.
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

    def watch(self, connection: Connection) -> None:
        self._watch(connection, READ)

    def watch_writable(self, link: Link) -> None:
        """Continue to send on `link` when the kernel has space in its buffer again."""
        if link.connection is not None:
            self._watch(link.connection, READ | WRITE)

    def _watch(self, connection: Connection, events: int) -> None:
        self._reactor.watch(connection.socket, events, partial(self.on_ready, connection))

    def on_ready(self, connection: Connection, events: int) -> None:
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
