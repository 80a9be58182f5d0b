"""Bridge: the connections of one node with all other nodes, on one thread."""

import logging
import math
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from raft_actors.errors import NoConnection
from raft_actors.future import Future
from raft_actors.names import check_node_name
from raft_actors.transport.allow_list import AllowList
from raft_actors.transport.connection import Connection
from raft_actors.transport.dispatch import Dispatcher, OnFrames, OnNodeChange
from raft_actors.transport.endpoint import EndpointFinder
from raft_actors.transport.flusher import CALLERS_MAX_OWN_FLUSH, Flusher
from raft_actors.transport.handshakes import Handshakes
from raft_actors.transport.keep_alive import KeepAlive
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Answer, Link, fail
from raft_actors.transport.link_log import LinkLog
from raft_actors.transport.link_sockets import LinkSockets
from raft_actors.transport.link_table import LinkTable
from raft_actors.transport.loopback import Loopback
from raft_actors.transport.reactor import Reactor
from raft_actors.transport.tls_stream import TlsContexts, TlsStreams
from raft_actors.wire import versions
from raft_actors.wire.frame_codec import FIRST_EXTENSION, PING, REPLY, REPLY_NO_HANDLER
from raft_actors.wire.handshake import Identity
from raft_actors.wire.keyring import Keyring

__all__ = ["Bridge"]

REASONS_OF_AN_EXIT = {
    "connection_closed",
    "restarted",
    "net_tick_timeout",
    "role",
    "too_many_guests",
}
"""Reasons with which a connection also ends when a client simply exits."""
STOP_S = 5.0


class Bridge:
    """Sends and receives frames. Everything public may be called from any thread.

    closed  whether the bridge was stopped
    """

    def __init__(
        self,
        me: Identity,
        keys: Callable[[], Keyring],
        listener: socket.socket | None,
        directory: EndpointFinder,
        on_node_change: OnNodeChange,
        *,
        queue_bytes_max: int,
        limits: BridgeLimits,
        tls: Callable[[], TlsContexts] | None = None,
        allow: AllowList | None = None,
    ) -> None:
        """`listener` is None for a node that does not listen. `keys` returns the cookies for new
        connections, and `tls` the certificates for them; None means that connections are not
        encrypted. `allow` limits who may connect: see `AllowList`.
        """
        self.me = me
        self.limits: BridgeLimits = limits
        self.connect_timeout_s: float = limits.handshake_s
        self.reactor: Reactor = Reactor(f"raft_actors-bridge-{me.name}", self._end_round)
        self._on_node_change = on_node_change
        self._table = LinkTable(me, self.reactor, limits, queue_bytes_max, self._retire)
        self._links = self._table.links
        self.closed: bool = False
        self._dispatcher = Dispatcher(self, self._links, self._send_own)
        self._log = LinkLog(me.name, self.reactor, limits)
        self._sockets = LinkSockets(
            self.reactor, self._links, self._dispatcher, limits.receive_bytes, self._log,
            self._disconnect_lost,
        )  # fmt: skip
        self._flusher = Flusher(self.reactor, self._sockets.watch_writable)
        self._flush, self._local = self._flusher.flush, self._flusher.local
        self.handshakes: Handshakes = Handshakes(
            self.reactor, limits, me, keys, listener, directory, self._table.link_with,
            tls=tls and TlsStreams(tls, limits.receive_bytes), allow=allow or AllowList(),
            on_established=self._establish, on_frame=self._dispatcher.take,
            on_broken=self._disconnect_lost, on_idle=self._table.note_idle,
        )  # fmt: skip
        self._dialer = self.handshakes.dialer
        self._loopback = Loopback(me, self.reactor, self._dispatcher.add)
        self._keep_alive = KeepAlive(
            self.reactor, limits, self._links, lambda link: self._send_own(link.node, PING),
            self._close_link,
        )  # fmt: skip

    # From any thread.

    def start(self) -> None:
        self.reactor.post(self.handshakes.listener.open)
        self.reactor.start()

    def stop(self) -> None:
        """Close every connection and end the thread. Idempotent: after a Ctrl-C in the middle it
        may be called again.
        """
        if not self.closed:
            self._flush()
            self.closed = True
        self._table.close()
        self.reactor.stop(self._close, STOP_S)

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Call `handler` on the bridge thread, after each poll round, with the frames of `kind`
        that the round has received.

        `handler` must not block. The frames that it sends are flushed at the end of the round.
        """
        self._dispatcher.handlers[kind] = handler

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue one frame for `node`; `flush` sends the frame. Never blocks.

        If there is no connection, the frame waits, and the node is dialed in the background.
        Returns False if the frame was dropped, because the queue is full or the node is connected
        as a guest. Raises FrameTooLarge, BadName, TypeError.
        """
        local = self._local
        payload = local.pack((kind, body))
        if node == self.me.name:
            self._loopback.send(payload)
            return True
        link = self._table.link_with(node)
        link.is_used = True
        may_be_guest = link.is_guest or not link.is_equal
        if kind >= FIRST_EXTENSION and may_be_guest and self._is_guest(link):
            return False
        queued = link.send(payload)
        if queued is None:
            return self.cast(node, kind, body)
        if link.connection is None:
            self._request_dial(link)
        else:
            local.dirty.add(link)
        return queued

    def call(self, node: str, kind: int, body: Any, *, long: bool = False) -> Future[Any]:
        """As `cast`, and return a future with the other node's answer.

        long  the call may stay open for long, and no thread waits for it

        The future raises NoConnection if there is no connection or the connection breaks, and
        NoProcess if the other node has no handler for frames of this kind.
        """
        local = self._local
        if node == self.me.name:
            answer = self._loopback.open()
            self._loopback.send(local.pack((kind, body, answer.number)))
            return answer
        link = self._table.link_with(node)
        link.is_used = True
        call = next(link.call_numbers)
        answer = Answer(link, call)
        if long:
            link.long_calls.add(call)
            answer.add_done_callback(partial(forget_long_call, link))
        may_be_guest = link.is_guest or not link.is_equal
        if kind >= FIRST_EXTENSION and may_be_guest and self._is_guest(link):
            fail(answer, NoConnection(f"{node} is connected as a guest only", was_sent=False))
            return answer
        if link.send(local.pack((kind, body, call)), call, answer) is None:
            return self.call(node, kind, body, long=long)
        if link.connection is None:
            self._request_dial(link)
        else:
            local.dirty.add(link)
        return answer

    def reply(self, connection: Connection, call: int, body: Any) -> None:
        """Queue the answer to a call that came over `connection`."""
        link = self._links.get(connection.node)
        if link is None:  # the connection was lost, and the link was forgotten since
            return
        local = self._local
        if not link.send(local.pack((REPLY, body, call)), over=connection):
            # A caller whose answer is dropped would wait for ever. If the connection ends, the
            # caller's future raises NoConnection.
            self.reactor.post(lambda: self._disconnect_lost(connection, "queue_full"))
        local.dirty.add(link)

    def flush(self) -> None:
        """Hand the frames that this thread has queued since its last flush to the kernel. Never
        blocks.

        On the bridge thread this does nothing: the end of the round flushes all its frames.
        """
        if not self.reactor.is_current():
            self._flush()

    def flush_call(self) -> None:
        """As `flush`, for a thread that will wait for the answer next.

        If many threads wait for answers, the bridge thread sends for all of them. Otherwise each
        of them would need Python's interpreter lock again after its own send, only to wait.
        """
        self._flush(CALLERS_MAX_OWN_FLUSH)

    def flush_soon(self) -> None:
        """As `flush`, but about a millisecond later, together with the frames queued until then.

        To wake the bridge thread for each frame would cost more than sending the frame. So the
        bridge thread, once woken, flushes every millisecond as long as it finds frames.
        """
        self._flusher.flush_soon()

    def connect(self, node: str) -> Future[bool]:
        """Dial `node` now and stay connected with it. The future is True when it is connected."""
        return self._reached(node, keep=True)

    def reach(self, node: str) -> Future[bool]:
        """As `connect`, but do not dial again when the connection is lost later."""
        return self._reached(node, keep=False)

    def disconnect(self, node: str) -> Future[bool]:
        """Close the connection with `node`. The future is True if there was one."""
        check_node_name(node)
        gone: Future[bool] = Future()
        self.reactor.post(lambda: self._disconnect(node, gone))
        if self.closed:  # the bridge thread may have ended before
            gone.set(False)
        return gone

    def version_with(self, node: str) -> int:
        """Return the protocol version of the connection; without one the oldest supported."""
        link = self._links.get(node)
        connection = None if link is None else link.connection
        if connection is None or connection.remote is None:
            return versions.oldest()
        return connection.remote.version

    def frame_bytes_max_with(self, node: str) -> int:
        """Return the most bytes of a frame: as the two nodes agreed last, or this node's own."""
        link = self._links.get(node)
        return self.me.frame_bytes_max if link is None else link.agreed_bytes_max

    def connected(self) -> list[str]:
        return sorted(
            node
            for node, link in tuple(self._links.items())
            if link.connection and not link.connection.is_client
        )

    def _is_guest(self, link: Link) -> bool:
        """Return whether the node is connected as a guest, which means with a lesser role than this
        node. Frames for a node of this node's role must not go to a guest that has taken its name.
        So the guest is disconnected, and no guest may use this name from now on.
        """
        link.is_equal = True
        if not link.is_guest:
            return False
        self.reactor.post(partial(self._disconnect_guest, link))
        return True

    def _reached(self, node: str, *, keep: bool) -> Future[bool]:
        self._table.link_with(node)  # raises on the caller's thread if the name is bad
        is_up: Future[bool] = Future()
        self.reactor.post(lambda: self._connect(node, is_up, keep=keep))
        if self.closed:  # the bridge thread may have ended before
            is_up.set(False)
        return is_up

    def _retire(self, link: Link) -> bool:
        return self._dialer.retire(link)

    def _request_dial(self, link: Link) -> None:
        if not link.dial_wanted:
            try:
                link.dial_wanted = True
                self.reactor.post(partial(self._dialer.request, link))
            except BaseException:  # Ctrl-C: with the flag set no later call would dial
                link.dial_wanted = False
                raise

    # From here on: the bridge thread only. Links that come and go.

    def _establish(self, link: Link, connection: Connection) -> None:
        remote = connection.remote
        assert remote is not None
        old = link.connection
        if old is not None:
            assert old.remote is not None
            again = old.remote.incarnation == remote.incarnation
            if not again:
                link.replaced.append((old.remote.incarnation, old.role))
            self._close_link(link, "connection_closed" if again else "restarted")
        connection.use(link.node)
        connection.received_at = self.reactor.now
        is_guest = remote.role != self.handshakes.role or remote.is_client
        if not link.up(connection, remote.frame_bytes_max, is_guest=is_guest):
            self.handshakes.guests.remove(connection)
            self.reactor.unwatch(connection.socket)
            connection.close()
            return
        self._table.note_up(link)
        self._sockets.watch(connection)
        self._local.dirty.add(link)
        self._keep_alive.start()
        self._log.up(connection)
        self._on_node_change(link.node, None, remote.is_client)
        self.handshakes.end_others(link)

    def _disconnect_guest(self, link: Link) -> None:
        if link.is_guest:
            self._close_link(link, "role")
            self._dialer.request(link)

    def _connect(self, node: str, is_up: Future[bool], *, keep: bool) -> None:
        try:
            link = self._table.link_with(node)
        except NoConnection:  # this node is being stopped
            is_up.set(False)
        else:
            self._dialer.connect(link, is_up, keep=keep)

    def _disconnect(self, node: str, gone: Future[bool]) -> None:
        link = self._links.get(node)
        if link is None:
            gone.set(False)
            return
        self._dialer.give_up(link)
        was_up = link.connection is not None
        if was_up:
            self._close_link(link, "disconnect")
        link.drop_queue()
        self._table.note_idle(link)
        gone.set(was_up)

    def _disconnect_lost(self, connection: Connection, reason: str) -> None:
        link = self._links.get(connection.node)
        if link is not None and link.connection is connection:
            self._close_link(link, reason)

    def _close_link(self, link: Link, reason: str) -> None:
        """Close the connection of a link. The frames received from it are handled first, and then
        watchers are told that the node is down."""
        assert link.connection is not None
        self._dispatcher.hand_over()
        dial, level = self._dialer.dial_of(link), logging.NOTSET
        if reason not in {"disconnect", "shutdown"}:
            dial.outage_logged = reason
            # Nothing was sent to this node but answers: it is a client, and clients come and go.
            only_asked = not (link.is_used or dial.keep_connected) and reason in REASONS_OF_AN_EXIT
            level = logging.INFO if only_asked else logging.WARNING
        self._log.down(link.connection, reason, level)
        is_client = link.connection.is_client
        self.handshakes.guests.remove(link.connection)
        self.reactor.unwatch(link.connection.socket)
        link.down(reason)
        self._on_node_change(link.node, reason, is_client)
        if dial.keep_connected and not self.closed:
            self._dialer.request(link)
        self._table.note_idle(link)

    def _close(self) -> None:
        self.handshakes.listener.close()
        self._dialer.closed = True
        for link in tuple(self._links.values()):
            self._dialer.give_up(link)
            if link.connection is not None:
                self._close_link(link, "shutdown")
            link.unreachable(math.inf, f"{self.me.name} is stopped")
            link.drop_queue()
        self._loopback.close()

    # Frames.

    def _send_own(self, node: str, kind: int) -> None:
        """Queue a frame of one of the bridge's own kinds."""
        link = self._links[node]
        link.send(self._local.pack((kind, None)))
        self._local.dirty.add(link)

    def decline(self, connection: Connection, call: int, kind: int) -> None:
        """Answer a call: this node has no handler for frames of `kind`."""
        link = self._links.get(connection.node)
        if link is None:  # the connection was lost, and the link was forgotten since
            return
        link.send(self._local.pack((REPLY_NO_HANDLER, kind, call)), over=connection)
        self._local.dirty.add(link)

    def _end_round(self) -> None:
        self._dispatcher.hand_over()
        self._sockets.serve_guests()
        self._flush()


def forget_long_call(link: Link, answer: Future[Any]) -> None:
    assert isinstance(answer, Answer)
    link.long_calls.discard(answer.number)
