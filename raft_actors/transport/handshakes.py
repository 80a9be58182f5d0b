"""Handshakes: how a connection, dialed or accepted, becomes the one link between two nodes.

At most one connection joins two nodes. When both dial at once, the dial of the node with the
smaller name wins: the smaller one parks the other's connection until its own dial has ended, the
larger one gives its own dial up. See docs/decisions/one_connection_for_each_pair.md.
"""

import logging
import socket
from collections.abc import Callable

from raft_actors.errors import NoConnection
from raft_actors.transport.allow_list import AllowList
from raft_actors.transport.connection import Connection
from raft_actors.transport.dialer import Dial, Dialer
from raft_actors.transport.endpoint import Endpoint, EndpointFinder
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.listener import Listener
from raft_actors.transport.reactor import READ, WRITE, Reactor
from raft_actors.transport.tls_errors import TlsFailed
from raft_actors.transport.tls_stream import NotTls, TlsStream, TlsStreams, looks_like_tls
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.handshake import (
    AcceptorHandshake,
    DialerHandshake,
    Identity,
    Refusal,
    RemoteNode,
    refusal_message,
)
from raft_actors.wire.keyring import Keyring

__all__ = ["Handshakes"]

logger = logging.getLogger("raft_actors.node")

BOTH = "start both with TLS (Node.start(tls=...), --tls, RAFT_ACTORS_TLS), or both without"
TLS_DEMANDED = f"the dialed node demands TLS, and the dialing one speaks none: {BOTH}"
TLS_UNKNOWN = f"the dialing node speaks TLS, and the dialed one does not: {BOTH}"


class Handshakes:
    """Leads both sides of handshakes, settles which connection is used. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        me: Identity,
        keys: Callable[[], Keyring],
        listener: socket.socket,
        directory: EndpointFinder,
        link_with: Callable[[str], Link],
        *,
        tls: TlsStreams | None,
        allow: AllowList,
        on_met: Callable[[Link, Connection], None],
        on_frame: Callable[[Connection, memoryview], None],
        on_broken: Callable[[Connection, str], None],
        on_quiet: Callable[[Link], None],
    ) -> None:
        """Tell `on_met` of each connection to be used from now on.

        `on_frame` is given what came right behind the welcome, and `on_broken` what made no sense;
        `on_quiet` a link that came to nothing, or was dialed in vain, and won't be again before
        somebody wants it.
        """
        self._reactor = reactor
        self._limits = limits
        self._me = me
        self._keys = keys
        self.role = keys().role
        self._link_with = link_with
        self._tls = tls
        self._allow = allow
        self._on_met = on_met
        self._on_frame = on_frame
        self._on_broken = on_broken
        self._on_quiet = on_quiet
        self.listener = Listener(reactor, limits, listener, self._greet, self._on_handshake)
        self.dialer = Dialer(
            reactor, limits, directory, self._introduce, self._on_connected, self._on_failed,
            on_quiet,
        )  # fmt: skip

    def over(self, link: Link) -> None:
        """Note that `link` is up: every other attempt to get there ends."""
        self.dialer.done(link)
        self._unpark(self.dialer.dial_of(link))

    def _greet(self, sock: socket.socket, place: Endpoint) -> Connection:
        handshake = AcceptorHandshake(self._me, self._keys())
        if objection := self._allow.objection_to_host(place.host):
            handshake.refusal = Refusal("not_allowed", objection)
        connection = Connection(sock, str(place), handshake)
        if self._tls is not None:
            connection.stream = self._tls.accepted(sock)
        self._watch(connection)
        return connection

    def _watch(self, connection: Connection) -> None:
        stream = connection.stream
        events = READ | WRITE if isinstance(stream, TlsStream) and stream.is_behind else READ
        self._reactor.watch(
            connection.socket, events, lambda _events: self._on_handshake(connection)
        )

    def _introduce(self, dial: Dial) -> DialerHandshake:
        return DialerHandshake(
            self._me, self._keys(), dial.node, dial=dial.number, last_link_id=dial.last_link_id
        )

    def _on_connected(self, connection: Connection) -> None:
        assert isinstance(connection.handshake, DialerHandshake)
        try:
            if self._tls is None:
                connection.send_now(connection.handshake.hello)
            else:
                connection.stream = stream = self._tls.dialed(connection.socket)
                stream.begin()
        except OSError as error:
            self._drop(connection, str(error))
            return
        self._watch(connection)

    def _on_handshake(self, connection: Connection) -> None:
        if connection.closed:
            return
        try:
            data = self._read(connection)
            if not data:
                raise ConnectionResetError("it hung up in the middle of the handshake")
            for payload in connection.reader.feed(data):
                if connection.node:
                    self._on_frame(connection, payload)  # what came right behind the welcome
                else:
                    self._advance(connection, bytes(payload))
                if connection.closed:
                    return
        except (BlockingIOError, NoConnection):  # nothing there; or this node is being stopped
            return
        except Refusal as refusal:
            self._refuse(connection, refusal)
        except TlsFailed as error:
            self._drop(connection, str(error), refused=True)
        except ProtocolError as error:
            self._drop(connection, f"it sent {error}")
        except OSError as error:
            self._drop(connection, error.strerror or str(error))

    def _read(self, connection: Connection) -> bytes:
        """Return what has come in, but for what was TLS's own. Raises BlockingIOError when there is
        nothing, and Refusal when one end speaks TLS and the other does not.
        """
        stream = connection.stream
        if not isinstance(stream, TlsStream):
            data = stream.recv(connection.reader.limit)
            if not connection.heard_at and looks_like_tls(data):
                raise Refusal("tls", TLS_DEMANDED if connection.dialed else TLS_UNKNOWN)
            connection.heard_at = self._reactor.now
            return data
        try:
            return self._decrypt(connection, stream)
        except NotTls as plain:
            connection.stream = connection.socket  # to hear who it is, and to say why
            connection.handshake.refusal = Refusal(
                "tls", TLS_UNKNOWN if connection.dialed else TLS_DEMANDED
            )
            return plain.data
        finally:
            connection.heard_at = self._reactor.now
            self._watch(connection)

    def _decrypt(self, connection: Connection, stream: TlsStream) -> bytes:
        if not stream.is_complete:
            stream.go_on()
            if not stream.is_complete:
                raise BlockingIOError
            connection.handshake.use_tls(stream.channel())
            if isinstance(connection.handshake, DialerHandshake):
                connection.send_now(connection.handshake.hello)
        return stream.recv(connection.reader.limit)

    def _advance(self, connection: Connection, payload: bytes) -> None:
        """Take one handshake message."""
        if connection.remote is not None:
            raise ProtocolError("more before it was welcomed")
        answer = connection.handshake.receive(payload)
        if isinstance(connection.handshake, AcceptorHandshake):
            connection.named = connection.handshake.claimed_name
            if objection := self._allow.objection_to_name(connection.named):
                raise Refusal("not_allowed", objection)
        if isinstance(answer, RemoteNode):
            connection.prove(answer)
            if connection.dialed:
                self._on_met(self._link_with(answer.name), connection)
            else:
                self._settle(connection, answer)
        else:
            connection.send_now(answer)
            if isinstance(connection.handshake, AcceptorHandshake):
                self.listener.strangers.heard(connection)

    def _refuse(self, connection: Connection, refusal: Refusal) -> None:
        if connection.dialed:
            self.dialer.failed(connection, str(refusal), refused=refusal.code != "duplicate")
            return
        assert isinstance(connection.handshake, AcceptorHandshake)
        connection.named = connection.handshake.claimed_name
        try:
            connection.send_now(refusal_message(refusal.code, str(refusal)))
        except OSError:
            logger.debug("%r left before it could be refused", connection)
        self.listener.drop(connection, "" if refusal.code == "duplicate" else str(refusal))

    def _drop(self, connection: Connection, why: str, *, refused: bool = False) -> None:
        """End a connection whose handshake went wrong, or, if it is in use, its link."""
        if connection.node:
            self._on_broken(connection, "protocol_error")
        elif connection.dialed:
            self.dialer.failed(connection, why, refused=refused)
        else:
            # Who gave a name and hung up has most likely lost a race of two dials: no news.
            hung_up = connection.named and "hung up" in why
            self.listener.drop(connection, "" if hung_up else why)

    def _settle(self, connection: Connection, remote: RemoteNode) -> None:
        """Decide whether to use a proven connection which `remote` has dialed."""
        link = self._link_with(remote.name)
        dial = self.dialer.dial_of(link)
        current = link.connection
        is_guest = remote.role != self.role
        if is_guest and link.is_equal:
            raise Refusal(
                "role",
                f"{remote.name} is the name of a {self.role} for {self._me.name}: give the "
                f"{remote.role} another",
            )
        if current is not None and link.is_guest and not is_guest:
            pass  # a guest has taken its name
        elif current is not None:
            assert current.remote is not None
            if remote.incarnation in link.replaced:  # a node that was restarted has a new one
                raise Refusal(
                    "name",
                    f"{self._me.name} is connected with another node that calls itself "
                    f"{remote.name}, at {current.address}: give one of the two another name",
                )
            news = (
                remote.incarnation != current.remote.incarnation  # it was restarted
                or (not current.dialed and remote.dial > current.remote.dial)  # it dialed anew
                or (current.dialed and remote.last_link_id == current.remote.link_id)  # lost ours
            )
            if not news:
                raise Refusal(
                    "duplicate", f"{self._me.name} and {remote.name} are connected already"
                )
        elif dial.attempt is not None and self._me.name < remote.name:
            self._unpark(dial)
            dial.parked = connection
            self._reactor.after(self._limits.parked_s, lambda: self._on_timeout(dial, connection))
            return
        self._welcome(dial, connection)

    def _welcome(self, dial: Dial, connection: Connection) -> None:
        assert isinstance(connection.handshake, AcceptorHandshake)
        dial.parked = None
        try:
            if connection.closed:
                return
            connection.send_now(connection.handshake.welcome())
        except OSError:  # it has hung up
            self.listener.drop(connection)
            self._on_quiet(dial.link)
            return
        self.listener.admit(connection)
        self._on_met(dial.link, connection)

    def _unpark(self, dial: Dial) -> None:
        parked, dial.parked = dial.parked, None
        if parked is not None:
            self._refuse(parked, Refusal("duplicate", "another connection is used"))

    def _on_timeout(self, dial: Dial, connection: Connection) -> None:
        if dial.parked is connection:
            self.dialer.stop(dial)
            self._welcome(dial, connection)
            if dial.link.connection is None:
                self.dialer.request(dial.link)

    def _on_failed(self, dial: Dial) -> bool:
        """A dial failed: fall back to the connection that the other node has dialed, if any."""
        if dial.parked is None:
            return False
        self._welcome(dial, dial.parked)
        return dial.link.connection is not None
