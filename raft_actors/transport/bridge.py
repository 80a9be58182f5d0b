"""Bridge: the connections of one node with all others, on one thread."""

import logging
import math
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from raft_actors.audit import audit
from raft_actors.errors import NoConnection
from raft_actors.future import Future
from raft_actors.names import check_node_name
from raft_actors.transport.allow_list import AllowList
from raft_actors.transport.connection import Connection
from raft_actors.transport.dispatch import Dispatcher, OnFrames, OnNews
from raft_actors.transport.endpoint import EndpointFinder
from raft_actors.transport.flusher import CALLERS_MAX_OWN_FLUSH, Flusher
from raft_actors.transport.handshakes import Handshakes
from raft_actors.transport.keep_alive import KeepAlive
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Answer, Link, fail
from raft_actors.transport.loopback import Loopback
from raft_actors.transport.reactor import READ, WRITE, Reactor
from raft_actors.transport.tls_stream import TlsContexts, TlsStreams
from raft_actors.wire import versions
from raft_actors.wire.frame_codec import FIRST_EXTENSION, PING, REPLY, REPLY_NO_HANDLER
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.handshake import Identity
from raft_actors.wire.keyring import Keyring

__all__ = ["Bridge"]

logger = logging.getLogger("raft_actors.node")
links = logging.getLogger("raft_actors.node.links")
"""What NodeUp and NodeDown tell as well."""

GONE = {"connection_closed", "restarted", "net_tick_timeout", "role"}
STOP_S = 5.0


class Bridge:
    """Sends and receives frames. Everything public may be called from any thread."""

    def __init__(
        self,
        me: Identity,
        keys: Callable[[], Keyring],
        listener: socket.socket,
        directory: EndpointFinder,
        on_news: OnNews,
        *,
        queue_bytes_max: int,
        limits: BridgeLimits,
        tls: Callable[[], TlsContexts] | None = None,
        allow: AllowList | None = None,
    ) -> None:
        """`keys` returns the cookies that new connections are proven with, and `tls` what they are
        encrypted with; without it none is. `allow` says who may connect: see `AllowList`.
        """
        self.me = me
        self.limits, self.connect_timeout_s = limits, limits.handshake_s
        self.reactor = Reactor(f"raft_actors-bridge-{me.name}", self._end_round)
        self._queue_bytes_max = queue_bytes_max
        self._on_news = on_news
        self._links: dict[str, Link] = {}
        self._links_lock = threading.Lock()
        self._quiet: dict[Link, None] = {}  # new, once up, or dialed in vain, and not since
        self._flusher = Flusher(self.reactor, self._watch_writable)
        self._flush, self._local = self._flusher.flush, self._flusher.local
        self._dispatcher = Dispatcher(self, self._links, self._send_own)
        self.handshakes = Handshakes(
            self.reactor, limits, me, keys, listener, directory, self._link_with,
            tls=tls and TlsStreams(tls, limits.receive_bytes), allow=allow or AllowList(),
            on_met=self._establish, on_frame=self._dispatcher.take, on_broken=self._disconnect_lost,
            on_quiet=self._fall_quiet,
        )  # fmt: skip
        self._dialer = self.handshakes.dialer
        self._loopback = Loopback(me, self.reactor, self._dispatcher.add)
        self._buffer = memoryview(bytearray(limits.receive_bytes))
        self._keep_alive = KeepAlive(
            self.reactor, limits, self._links, lambda link: self._send_own(link.node, PING),
            self._close_link,
        )  # fmt: skip
        self.closed = False

    # From any thread.

    def start(self) -> None:
        self.reactor.post(self.handshakes.listener.open)
        self.reactor.start()

    def stop(self) -> None:
        """Close every connection and end the thread. Idempotent; after a Ctrl-C has interrupted it,
        it may be called again.
        """
        if not self.closed:
            self._flush()
            with self._links_lock:  # every link was made before, and is closed, or never
                self.closed = True
        self.reactor.stop(self._close, STOP_S)

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Have `handler` take all frames of `kind` that a poll round brings, on the bridge thread.

        It must not block. What it sends is flushed when it returns.
        """
        self._dispatcher.handlers[kind] = handler

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue one frame for `node`; `flush` sends it. Never blocks.

        Without a connection it waits while the node is dialed in the background. Returns False
        when it was dropped for want of room. Raises FrameTooLarge, BadName, TypeError.
        """
        local = self._local
        payload = local.pack((kind, body))
        if node == self.me.name:
            self._loopback.send(payload)
            return True
        link = self._link_with(node)
        link.is_used = True
        if kind >= FIRST_EXTENSION and self._is_guest(link):
            return False
        queued = link.send(payload)
        if queued is None:
            return self.cast(node, kind, body)
        if link.connection is None:
            self._request_dial(link)
        else:
            local.dirty.add(link)
        return queued

    def call(self, node: str, kind: int, body: Any) -> Future[Any]:
        """As `cast`, for an answer. The future raises NoConnection when the link is, or gets, lost.

        It raises NoProcess when nobody on that node handles frames of this kind.
        """
        local = self._local
        if node == self.me.name:
            answer = self._loopback.open()
            self._loopback.send(local.pack((kind, body, answer.number)))
            return answer
        link = self._link_with(node)
        link.is_used = True
        call = next(link.call_numbers)
        answer = Answer(link, call)
        if kind >= FIRST_EXTENSION and self._is_guest(link):
            fail(answer, NoConnection(f"{node} is connected as a guest only", was_sent=False))
            return answer
        if link.send(local.pack((kind, body, call)), call, answer) is None:
            return self.call(node, kind, body)
        if link.connection is None:
            self._request_dial(link)
        else:
            local.dirty.add(link)
        return answer

    def reply(self, connection: Connection, call: int, body: Any) -> None:
        """Queue the answer to a call that came over `connection`."""
        link = self._links.get(connection.node)
        if link is None:  # lost, and its node forgotten since
            return
        local = self._local
        if not link.send(local.pack((REPLY, body, call)), over=connection):
            # Dropping an answer would leave its caller waiting for ever; a lost link is news.
            self.reactor.post(lambda: self._disconnect_lost(connection, "queue_full"))
        local.dirty.add(link)

    def flush(self) -> None:
        """Hand what this thread has queued since its last flush to the kernel; never blocks.

        On the bridge thread the end of the round does it, for all that was queued in it.
        """
        if not self.reactor.is_current():
            self._flush()

    def flush_call(self) -> None:
        """As `flush`, for a thread that will wait for the answer next.

        If many threads wait already, the bridge thread sends for all of them. Else each thread
        would need the interpreter again after its own send, only to begin its wait.
        """
        self._flush(CALLERS_MAX_OWN_FLUSH)

    def flush_soon(self) -> None:
        """As `flush`, but about a millisecond later, together with the frames queued meanwhile.

        To wake the bridge thread for each frame would cost more than the send itself. So the bridge
        thread flushes again and again while it finds frames.
        """
        self._flusher.flush_soon()

    def connect(self, node: str) -> Future[bool]:
        """Dial `node` now and stay connected with it; the future tells whether it worked."""
        return self._reached(node, keep=True)

    def reach(self, node: str) -> Future[bool]:
        """As `connect`, without the wish to stay connected."""
        return self._reached(node, keep=False)

    def disconnect(self, node: str) -> Future[bool]:
        """Close the connection with `node`; the future tells whether there was one."""
        check_node_name(node)
        gone: Future[bool] = Future()
        self.reactor.post(lambda: self._disconnect(node, gone))
        if self.closed:  # as with `_reached`
            gone.set(False)
        return gone

    def version_with(self, node: str) -> int:
        """The version agreed on; while there's no connection the oldest, which all understand."""
        link = self._links.get(node)
        connection = None if link is None else link.connection
        if connection is None or connection.remote is None:
            return versions.oldest()
        return connection.remote.version

    def frame_bytes_max_with(self, node: str) -> int:
        """What one frame holds: as agreed on when they last met, else as this node has it."""
        link = self._links.get(node)
        return self.me.frame_bytes_max if link is None else link.agreed_bytes_max

    def connected(self) -> list[str]:
        return sorted(node for node, link in tuple(self._links.items()) if link.connection)

    def _link_with(self, node: str) -> Link:
        link = self._links.get(node)
        if link is not None:
            return link
        check_node_name(node)
        if node == self.me.name:
            raise ValueError(f"{node} is this node itself")
        with self._links_lock:
            if self.closed:
                raise NoConnection(f"node {self.me.name} is stopped", was_sent=False)
            if node not in self._links:
                link = self._links[node] = Link(
                    node,
                    frame_bytes_max=self.me.frame_bytes_max,
                    queue_bytes_max=self._queue_bytes_max,
                    limits=self.limits,
                )
                # What it is made for may come to nothing: a first frame that is too large, say.
                self.reactor.post(partial(self._fall_quiet, link))
            return self._links[node]

    def _is_guest(self, link: Link) -> bool:
        """Tell whether what is meant for a node of this one's role would go to a guest, who has
        taken its name. From now on no guest may; the one that is here is asked to leave.
        """
        link.is_equal = True
        if not link.is_guest:
            return False
        self.reactor.post(partial(self._part_with_guest, link))
        return True

    def _reached(self, node: str, *, keep: bool) -> Future[bool]:
        self._link_with(node)  # it says what is wrong with a name
        is_up: Future[bool] = Future()
        self.reactor.post(lambda: self._connect(node, is_up, keep=keep))
        if self.closed:  # the bridge thread may have ended before
            is_up.set(False)
        return is_up

    def _request_dial(self, link: Link) -> None:
        if not link.dial_wanted:
            try:
                link.dial_wanted = True
                self.reactor.post(partial(self._dialer.request, link))
            except BaseException:  # Ctrl-C: else nobody would want it again
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
                link.replaced.append(old.remote.incarnation)
            self._close_link(link, "connection_closed" if again else "restarted")
        connection.use(link.node)
        connection.heard_at = self.reactor.now
        is_guest = remote.role != self.handshakes.role
        if not link.up(connection, remote.frame_bytes_max, is_guest=is_guest):
            self.reactor.unwatch(connection.socket)
            connection.close()
            return
        self._quiet.pop(link, None)
        self._watch(connection, READ)
        self._local.dirty.add(link)
        self._keep_alive.start()
        links.info("%s is up, at %s", link.node, connection.address)
        audit("up", node=link.node, by=self.me.name, role=remote.role,
              at_address=connection.address)  # fmt: skip
        self._on_news(link.node, None)
        self.handshakes.over(link)

    def _part_with_guest(self, link: Link) -> None:
        if link.is_guest:
            self._close_link(link, "role")
            self._dialer.request(link)

    def _connect(self, node: str, is_up: Future[bool], *, keep: bool) -> None:
        try:
            link = self._link_with(node)
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
        self._fall_quiet(link)
        gone.set(was_up)

    def _disconnect_lost(self, connection: Connection, reason: str) -> None:
        link = self._links.get(connection.node)
        if link is not None and link.connection is connection:
            self._close_link(link, reason)

    def _close_link(self, link: Link, reason: str) -> None:
        """Close the link's connection: first what came over it, then the news that it's gone."""
        assert link.connection is not None
        self._dispatcher.hand_over()
        dial = self._dialer.dial_of(link)
        if reason not in {"disconnect", "shutdown"}:
            dial.outage_told = reason
            # Clients, to which nobody here has anything to say, come and go.
            is_client = not (link.is_used or dial.keep_connected) and reason in GONE
            level = logging.INFO if is_client else logging.WARNING
            links.log(level, "%s is gone (%s)", link.node, reason)
        audit("down", node=link.node, by=self.me.name, role=link.connection.role,
              at_address=link.connection.address, why=reason)  # fmt: skip
        self.reactor.unwatch(link.connection.socket)
        link.down(reason)
        self._on_news(link.node, reason)
        if dial.keep_connected and not self.closed:
            self._dialer.request(link)
        self._fall_quiet(link)

    def _fall_quiet(self, link: Link) -> None:
        """Nothing is left to do for a link: forget the one that has been quiet for longest, if they
        are too many. Names come and go, and a node stays."""
        if link.connection is not None:
            return
        quiet = self._quiet
        quiet.pop(link, None)
        quiet[link] = None
        while len(quiet) > self.limits.quiet_links_max:
            oldest = next(iter(quiet))
            del quiet[oldest]
            with self._links_lock:  # nobody finds it in between
                del self._links[oldest.node]
                if not self._dialer.retire(oldest):
                    self._links[oldest.node] = oldest

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
        """Send a frame of the bridge's own."""
        link = self._links[node]
        link.send(self._local.pack((kind, None)))
        self._local.dirty.add(link)

    def _on_ready(self, connection: Connection, events: int) -> None:
        link = self._links.get(connection.node)
        if link is None or link.connection is not connection:  # lost earlier in this round
            return
        try:
            if events & WRITE:
                # It takes what we send: a sign of life, while a ping waits behind a long queue.
                connection.heard_at = self.reactor.now
                if not link.resume():
                    self._watch(connection, READ)
            if events & READ:
                self._receive(connection)
        except BlockingIOError:
            return
        except ProtocolError as error:
            logger.warning("%s sent %s", link.node, error)
            self._disconnect_lost(connection, "protocol_error")
        except OSError:
            self._disconnect_lost(connection, "connection_closed")
        except Exception:
            self._disconnect_lost(connection, "defect")
            raise

    def _receive(self, connection: Connection) -> None:
        connection.heard_at = self.reactor.now
        count = connection.stream.recv_into(self._buffer)
        if not count:
            self._disconnect_lost(connection, "connection_closed")
            return
        for payload in connection.reader.feed(self._buffer[:count]):
            self._dispatcher.take(connection, payload)

    def decline(self, connection: Connection, call: int, kind: int) -> None:
        """Answer that nobody here handles frames of `kind`."""
        link = self._links.get(connection.node)
        if link is None:  # as with `reply`
            return
        link.send(self._local.pack((REPLY_NO_HANDLER, kind, call)), over=connection)
        self._local.dirty.add(link)

    def _end_round(self) -> None:
        self._dispatcher.hand_over()
        self._flush()

    def _watch_writable(self, link: Link) -> None:
        if link.connection is not None:
            self._watch(link.connection, READ | WRITE)

    def _watch(self, connection: Connection, events: int) -> None:
        self.reactor.watch(connection.socket, events, partial(self._on_ready, connection))
