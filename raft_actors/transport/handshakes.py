"""Handshakes: runs both sides of handshakes, and decides which connection a link uses.

Two nodes have at most one connection with each other. When both dial at the same time, the dial of
the node with the smaller name is used: the node with the smaller name parks the other's connection
until its own dial has ended, and the node with the larger name gives up its own dial. See
docs/decisions/one_connection_for_each_pair.md.
"""

import logging
import socket
from collections.abc import Callable

from raft_actors.errors import NoConnection
from raft_actors.names import is_seed
from raft_actors.transport.allow_list import AllowList
from raft_actors.transport.connection import Connection
from raft_actors.transport.dialer import Dial, Dialer
from raft_actors.transport.endpoint import Endpoint, EndpointFinder
from raft_actors.transport.guests import Guests
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

logger: logging.Logger = logging.getLogger("raft_actors.node")

BOTH = "start both with TLS (Node.start(tls=...), --tls, RAFT_ACTORS_TLS), or both without"
TLS_DEMANDED = f"the dialed node uses TLS, and the dialing node does not: {BOTH}"
TLS_UNKNOWN = f"the dialing node uses TLS, and the dialed node does not: {BOTH}"

HUNG_UP = "it hung up in the middle of the handshake"
SEED_S = 0.005
"""How long the dial of a node waits for that of a seed before it looks again."""


class Handshakes:
    """Takes each connection through its handshake, to `on_established` or to its end. Bridge thread
    only.
    """

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        me: Identity,
        keys: Callable[[], Keyring],
        listener: socket.socket | None,
        directory: EndpointFinder,
        link_with: Callable[[str], Link],
        *,
        tls: TlsStreams | None,
        allow: AllowList,
        on_established: Callable[[Link, Connection], None],
        on_frame: Callable[[Connection, memoryview], None],
        on_broken: Callable[[Connection, str], None],
        on_idle: Callable[[Link], None],
    ) -> None:
        """`on_established`  gets a link and the connection that it uses from now on
        `on_frame`        gets a payload that was received together with WELCOME
        `on_broken`       gets an established connection that must be closed, and the reason
        `on_idle`         gets a link that has no connection and will not be dialed
        """
        self._reactor = reactor
        self._limits = limits
        self._me = me
        self._keys = keys
        self.role: str = keys().role
        self._link_with = link_with
        self._tls = tls
        self._allow = allow
        self._on_established = on_established
        self._on_frame = on_frame
        self._on_broken = on_broken
        self._on_idle = on_idle
        self.guests: Guests = Guests(limits)
        self.listener: Listener = Listener(
            reactor, limits, listener, self._on_accepted, self._on_handshake
        )
        self.dialer: Dialer = Dialer(
            reactor, limits, directory, self._make_dialer_handshake, self._on_connected,
            self._on_failed, on_idle,
        )  # fmt: skip

    def end_others(self, link: Link) -> None:
        """End every other attempt to connect `link`, which has a connection now."""
        self.dialer.done(link)
        self._unpark(self.dialer.dial_of(link))

    def _on_accepted(self, sock: socket.socket, endpoint: Endpoint) -> Connection:
        handshake = AcceptorHandshake(self._me, self._keys())
        if objection := self._allow.objection_to_host(endpoint.host):
            handshake.refusal = Refusal("not_allowed", objection)
        connection = Connection(sock, endpoint, handshake)
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

    def _make_dialer_handshake(self, dial: Dial) -> DialerHandshake:
        return DialerHandshake(
            self._me, self._keys(), "" if is_seed(dial.node) else dial.node,
            dial=dial.number, last_link_id=dial.last_link_id,
        )  # fmt: skip

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
                raise ConnectionResetError
            for payload in connection.reader.feed(data):
                if connection.node:
                    self._on_frame(connection, payload)  # received together with WELCOME
                else:
                    self._advance(connection, bytes(payload))
                if connection.closed:
                    return
        except (BlockingIOError, NoConnection):  # nothing to read; or this node is being stopped
            return
        except Refusal as refusal:
            self._refuse(connection, refusal)
        except TlsFailed as error:
            self._drop(connection, str(error), refused=True)
        except ProtocolError as error:
            self._drop(connection, f"it sent {error}")
        except ConnectionError:
            self._drop(connection, HUNG_UP)
        except OSError as error:
            self._drop(connection, error.strerror or str(error))

    def _read(self, connection: Connection) -> bytes:
        """Return the bytes that were received, decrypted. Raises BlockingIOError if there are none,
        and Refusal if one end uses TLS and the other does not.
        """
        stream = connection.stream
        if not isinstance(stream, TlsStream):
            data = stream.recv(connection.reader.limit)
            if not connection.received_at and looks_like_tls(data):
                raise Refusal("tls", TLS_DEMANDED if connection.dialed else TLS_UNKNOWN)
            connection.received_at = self._reactor.now
            return data
        try:
            return self._decrypt(connection, stream)
        except NotTls as plain:
            # Continue without TLS: read the other end's name, and refuse it with a text.
            connection.stream = connection.socket
            connection.handshake.refusal = Refusal(
                "tls", TLS_UNKNOWN if connection.dialed else TLS_DEMANDED
            )
            return plain.data
        finally:
            connection.received_at = self._reactor.now
            self._watch(connection)

    def _decrypt(self, connection: Connection, stream: TlsStream) -> bytes:
        if not stream.is_complete:
            stream.advance()
            if not stream.is_complete:
                raise BlockingIOError
            connection.handshake.use_tls(stream.channel())
            if isinstance(connection.handshake, DialerHandshake):
                connection.send_now(connection.handshake.hello)
        return stream.recv(connection.reader.limit)

    def _advance(self, connection: Connection, payload: bytes) -> None:
        """Handle one handshake message."""
        if connection.remote is not None:
            raise ProtocolError("a message after its PROOF and before the WELCOME")
        answer = connection.handshake.receive(payload)
        if isinstance(connection.handshake, AcceptorHandshake):
            connection.claimed_name = connection.handshake.claimed_name
            if objection := self._allow.objection_to_name(connection.claimed_name):
                raise Refusal("not_allowed", objection)
        if isinstance(answer, RemoteNode):
            connection.prove(answer)
            if connection.dialed:
                if is_seed(connection.claimed_name):
                    self.dialer.introduced(connection, answer.name)
                self._on_established(self._link_with(answer.name), connection)
            else:
                self._decide(connection, answer)
        elif isinstance(connection.handshake, DialerHandshake):
            self._prove(connection, connection.handshake, answer)
        else:
            connection.send_now(answer)
            self.listener.strangers.mark_active(connection)

    def _prove(self, connection: Connection, handshake: DialerHandshake, proof: bytes) -> None:
        """Send the PROOF, unless the node is, or is about to be, connected by another dial, of a
        seed or by its name: the node would take this connection in place of the other one, and what
        was sent on that one would be lost.
        """
        if connection.closed:
            return
        node = handshake.answered_by
        if is_seed(connection.claimed_name):
            if self.dialer.is_dialed(node):
                self.dialer.met_again(connection, node)
                return
        elif self.dialer.is_met_by_seed(node):
            self._reactor.after(SEED_S, lambda: self._prove(connection, handshake, proof))
            return
        try:
            connection.send_now(proof)
        except OSError as error:
            self._drop(connection, error.strerror or str(error))

    def _refuse(self, connection: Connection, refusal: Refusal) -> None:
        if connection.dialed:
            self.dialer.failed(connection, str(refusal), refused=refusal.code != "duplicate")
            return
        assert isinstance(connection.handshake, AcceptorHandshake)
        connection.claimed_name = connection.handshake.claimed_name
        try:
            connection.send_now(refusal_message(refusal.code, str(refusal)))
        except OSError:
            logger.debug("%r has closed before the refusal was sent", connection)
        self.listener.drop(connection, "" if refusal.code == "duplicate" else str(refusal))

    def _drop(self, connection: Connection, why: str, *, refused: bool = False) -> None:
        """Close a connection that sent something wrong, in its handshake or just after it."""
        if connection.node:
            self._on_broken(connection, "protocol_error")
        elif connection.dialed:
            self.dialer.failed(connection, why, refused=refused)
        else:
            # A node that gave its name and hung up has usually given up its own dial, because both
            # nodes dialed at the same time. That is not worth a line in the log. With TLS it gives
            # up before it could say its name.
            stream = connection.stream
            begun = connection.claimed_name or (isinstance(stream, TlsStream) and stream.has_begun)
            self.listener.drop(connection, why, is_news=not (begun and why == HUNG_UP))

    def _decide(self, connection: Connection, remote: RemoteNode) -> None:
        """Decide whether to use an authenticated connection, which `remote` has dialed."""
        link = self._link_with(remote.name)
        dial = self.dialer.dial_of(link)
        current = link.connection
        is_guest = remote.role != self.role or remote.is_client
        if is_guest and link.is_equal:
            raise Refusal(
                "role",
                f"{remote.name} is the name of a {self.role} for {self._me.name}: give the "
                f"{remote.role} another name",
            )
        if current is not None and link.is_guest and not is_guest:
            pass  # a guest has used this name: the new connection replaces it
        elif current is not None:
            assert current.remote is not None
            # A restarted node has a new incarnation. A guest can give that of a member.
            if (remote.incarnation, remote.role) in link.replaced:
                raise Refusal(
                    "name",
                    f"{self._me.name} is connected with another node that is also called "
                    f"{remote.name}, at {current.address}: give one of the two another name",
                )
            replaces_current = (
                remote.incarnation != current.remote.incarnation  # the other node was restarted
                or (not current.dialed and remote.dial > current.remote.dial)  # it dialed again
                # We dialed the current connection, and the other node has lost it.
                or (current.dialed and remote.last_link_id == current.remote.link_id)
            )
            if not replaces_current:
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
            if dial.link.connection is None and (oldest := self.guests.make_room(connection)):
                self._on_broken(oldest, "too_many_guests")
            connection.send_now(connection.handshake.welcome())
        except Refusal as refusal:
            self._refuse(connection, refusal)
            self._on_idle(dial.link)
            return
        except OSError:  # the other node has hung up
            self.listener.drop(connection)
            self._on_idle(dial.link)
            return
        self.listener.admit(connection)
        self.guests.add(connection)
        self._on_established(dial.link, connection)

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
        """Our dial failed: use the parked connection instead, if there is one. Returns whether the
        link has a connection now.
        """
        if dial.parked is None:
            return False
        self._welcome(dial, dial.parked)
        return dial.link.connection is not None
