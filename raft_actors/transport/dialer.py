"""Dialer: finds out where another node listens and connects to it, in the background.

A node is dialed as long as frames wait for it, or `Node.connect` was called for it. After a failure
the next dial waits: 50 ms at first, then longer, up to a second.
"""

import itertools
import logging
import os
import random
import socket
import threading
from collections.abc import Callable

from raft_actors.audit import audit
from raft_actors.future import Future
from raft_actors.names import is_seed
from raft_actors.transport.connection import Connection
from raft_actors.transport.endpoint import Endpoint, EndpointFinder, EndpointUnknown
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.reactor import WRITE, Reactor, ReactorTimer
from raft_actors.transport.sockets import family_of, prepare
from raft_actors.wire.handshake import DialerHandshake

__all__ = ["Dial", "Dialer"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class Dial:
    """The dialer's record of one node.

    attempt         the attempt that is under way
    parked          a connection that the other node has dialed: it waits for the end of `attempt`
    keep_connected  dial again whenever the connection is lost (`Node.connect`)
    waiters         futures that get the result of the attempt
    failures        failed attempts since the last connection
    retry_at        when the next attempt is allowed, on the reactor's clock; `retry` is its timer
    looking_up      True while a thread finds out where the node listens
    number          the number of the last attempt, which is sent to the node
    last_link_id    the id of the last established connection
    outage_logged   the reason that was logged since the last connection, "" if none was
    """

    __slots__ = (
        "attempt", "failures", "keep_connected", "last_link_id", "link", "looking_up", "number",
        "outage_logged", "parked", "retry", "retry_at", "waiters",
    )  # fmt: skip

    def __init__(self, link: Link) -> None:
        self.link: Link = link
        self.attempt: Attempt | None = None
        self.parked: Connection | None = None
        self.keep_connected: bool = False
        self.waiters: list[Future[bool]] = []
        self.failures: int = 0
        self.retry_at: float = 0.0
        self.retry: ReactorTimer | None = None
        self.looking_up: bool = False
        self.number: int = 0
        self.last_link_id: bytes = b""
        self.outage_logged: str = ""

    @property
    def node(self) -> str:
        return self.link.node

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and no future waits."""
        is_busy = self.attempt or self.parked or self.retry or self.looking_up or self.waiters
        return not (is_busy or self.keep_connected)


class Attempt:
    """One attempt to reach a node. It tries the node's addresses one after another.

    deadline    when the attempt fails, on the reactor's clock
    endpoint    the address that is being tried
    endpoints   the addresses that are still to be tried
    problems    why the connection failed at each address that was tried
    """

    __slots__ = ("connection", "deadline", "dial", "endpoint", "endpoints", "problems")

    def __init__(self, dial: Dial, deadline: float) -> None:
        self.dial: Dial = dial
        self.deadline: float = deadline
        self.connection: Connection | None = None
        self.endpoint: Endpoint | None = None
        self.endpoints: list[Endpoint] = []
        self.problems: list[str] = []

    @property
    def over(self) -> bool:
        return self.dial.attempt is not self


class Dialer:
    """Dials nodes. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        directory: EndpointFinder,
        make_handshake: Callable[[Dial], DialerHandshake],
        on_connected: Callable[[Connection], None],
        on_failed: Callable[[Dial], bool],
        on_idle: Callable[[Link], None],
    ) -> None:
        """`on_connected` gets a connected socket, whose handshake has not begun. `on_failed` is
        called after a failed attempt, and returns whether the link has another connection. If it
        has none, and nobody wants the node dialed again, `on_idle` is called.
        """
        self._reactor = reactor
        self._limits = limits
        self._directory = directory
        self._make_handshake = make_handshake
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._on_idle = on_idle
        self._dials: dict[str, Dial] = {}  # by the names of their nodes
        # One count for all nodes: the other end expects that the numbers of a node's dials grow,
        # also after the record of its dials was forgotten here.
        self._numbers = itertools.count(1)
        self._random = random.Random()  # noqa: S311  # jitter, no secret
        self.closed = False  # no node is dialed any more

    def dial_of(self, link: Link) -> Dial:
        dial = self._dials.get(link.node)
        if dial is None:
            dial = self._dials[link.node] = Dial(link)
        return dial

    def is_dialed(self, node: str) -> bool:
        """Return whether a node is connected, or is being dialed by its name."""
        dial = self._dials.get(node)
        return dial is not None and (dial.link.connection or dial.attempt) is not None

    def is_met_by_seed(self, node: str) -> bool:
        """Return whether the dial of a seed has met `node`, and goes on."""
        attempts = [dial.attempt for seed, dial in self._dials.items() if is_seed(seed)]
        connections = [attempt.connection for attempt in attempts if attempt is not None]
        return any(
            connection is not None
            and isinstance(connection.handshake, DialerHandshake)
            and connection.handshake.answered_by == node
            for connection in connections
        )

    def request(self, link: Link, *, at_once: bool = False) -> None:
        """Dial the node of `link`, unless it is connected or being dialed. After a failure the
        dial waits until `retry_at`, unless `at_once` is set.
        """
        if self.closed or link.connection or link.retired:
            return
        dial = self.dial_of(link)
        if dial.attempt:
            return
        delay = 0.0 if at_once else dial.retry_at - self._reactor.now
        if delay <= 0:
            self._dial(dial)
        elif dial.retry is None:
            dial.retry = self._reactor.after(delay, lambda: self._dial(dial))

    def connect(self, link: Link, is_up: Future[bool], *, keep: bool) -> None:
        """Dial the node of `link` at once, unless it is connected. `is_up` gets the result."""
        dial = self.dial_of(link)
        dial.keep_connected = dial.keep_connected or keep
        if link.connection is not None:
            is_up.set(True)
        else:
            dial.waiters.append(is_up)
            self.request(link, at_once=True)

    def stop(self, dial: Dial) -> None:
        """End the attempt that is under way. Waiters get no result from it."""
        if dial.retry is not None:
            dial.retry.cancel()
            dial.retry = None
        attempt, dial.attempt = dial.attempt, None
        if attempt is not None:
            self._hang_up(attempt)

    def give_up(self, link: Link) -> None:
        """End the attempt that is under way, set its waiters to False, and do not redial."""
        dial = self.dial_of(link)
        dial.keep_connected = False
        self.stop(dial)
        self._set_waiters(dial, up=False)

    def done(self, link: Link) -> None:
        """Note that `link` has a connection, which either node may have dialed."""
        connection, dial = link.connection, self.dial_of(link)
        assert connection is not None
        assert connection.remote is not None
        if dial.attempt is not None and dial.attempt.connection is connection:
            dial.attempt = None  # it has succeeded: `stop` must not close its connection
        self.stop(dial)
        dial.failures = 0
        dial.retry_at = 0.0
        dial.last_link_id = connection.remote.link_id
        dial.outage_logged = ""
        self._set_waiters(dial, up=True)

    def failed(self, connection: Connection, why: str, *, refused: bool = False) -> None:
        """Note that the handshake of a dialed connection has failed."""
        dial = self._dials.get(connection.claimed_name)
        attempt = None if dial is None else dial.attempt
        if attempt is not None and attempt.connection is connection:
            self._fail_address(attempt, why, refused=refused)

    def introduced(self, connection: Connection, node: str) -> None:
        """Note that the dial of a seed has reached `node`, whose name was not known. The connection
        is of the link with `node`; what waits for the seed has to be sent there.
        """
        dial = self._dials[connection.claimed_name]
        attempt, dial.attempt = dial.attempt, None
        assert attempt is not None
        assert attempt.endpoint is not None
        self._stands_for(dial, node, attempt.endpoint)

    def met_again(self, connection: Connection, node: str) -> None:
        """Note that the dial of a seed has reached a node that says it is `node`, which is
        connected or being dialed already.
        """
        dial = self._dials[connection.claimed_name]
        attempt, dial.attempt = dial.attempt, None
        assert attempt is not None
        self._hang_up(attempt)
        self._stands_for(dial, node, None)

    def _stands_for(self, dial: Dial, node: str, endpoint: Endpoint | None) -> None:
        self._directory.learn(dial.node, node, endpoint)
        dial.failures = 0
        dial.link.unreachable(0.0, f"it is {node}")
        self._set_waiters(dial, up=True)
        self._on_idle(dial.link)

    def retire(self, link: Link) -> bool:
        """Retire `link` and forget its dials, if nothing is under way for its node.

        Returns whether the link is retired.
        """
        if not (self.dial_of(link).is_idle and link.retire()):
            return False
        del self._dials[link.node]
        return True

    def _dial(self, dial: Dial) -> None:
        if dial.retry is not None:
            dial.retry.cancel()
            dial.retry = None
        if dial.link.connection is not None or dial.attempt is not None:
            return
        attempt = dial.attempt = Attempt(dial, self._reactor.now + self._limits.handshake_s)
        self._reactor.after(
            self._limits.handshake_s,
            lambda: self._fail(attempt, self._why_late(attempt)),
        )
        try:
            found = self._directory.find(dial.node)
        except (EndpointUnknown, OSError) as error:
            self._fail(attempt, str(error))
            return
        if isinstance(found, list):
            self._try(attempt, found)
        elif not dial.looking_up:  # the look-up of an earlier attempt may still hang
            lookup = threading.Thread(
                target=self._look_up, args=(dial, found), name="raft_actors-look-up", daemon=True
            )
            try:
                lookup.start()
            except RuntimeError as error:  # the system has no thread left
                self._fail(attempt, f"its address can't be looked up: {error}")
            else:
                dial.looking_up = True

    def _look_up(self, dial: Dial, find: Callable[[float], list[Endpoint]]) -> None:
        """Find the endpoints of a node. This has its own thread, because name services block."""
        found: list[Endpoint] | str = "its address could not be looked up"
        try:
            found = find(self._limits.handshake_s)
        except (OSError, EndpointUnknown, ValueError) as error:
            found = str(error)
        finally:
            self._reactor.post(lambda: self._on_found(dial, found))

    def _on_found(self, dial: Dial, found: list[Endpoint] | str) -> None:
        """Use the result for the attempt that is under way now. It may be a later one than the
        attempt that started the look-up.
        """
        dial.looking_up = False
        attempt = dial.attempt
        if attempt is None:  # it was given up before its name service answered
            self._on_idle(dial.link)
            return
        if attempt.endpoint is not None:
            return
        if isinstance(found, list):
            self._try(attempt, found)
        else:
            self._fail(attempt, found)

    def _try(self, attempt: Attempt, endpoints: list[Endpoint]) -> None:
        attempt.endpoints = list(endpoints)
        self._connect_next(attempt)

    def _connect_next(self, attempt: Attempt) -> None:
        """Try the next address. The addresses that are left share the time that is left."""
        attempt.connection = None
        attempt.endpoint = endpoint = attempt.endpoints.pop(0)
        if attempt.endpoints:
            left_s = attempt.deadline - self._reactor.now
            left = len(attempt.endpoints)
            self._reactor.after(
                left_s / (left + 1), lambda: self._on_address_timeout(attempt, left)
            )
        self._connect(attempt, endpoint)

    def _on_address_timeout(self, attempt: Attempt, left: int) -> None:
        """Try the next address, unless the attempt has already gone on to it."""
        if len(attempt.endpoints) == left:
            self._fail_address(attempt, "no answer")

    def _fail_address(self, attempt: Attempt, why: str, *, refused: bool = False) -> None:
        """Note that the node was not reached at the address that is being tried."""
        if attempt.over or not attempt.endpoints:
            self._fail(attempt, why, refused=refused)
            return
        attempt.problems.append(f"{attempt.endpoint}: {why}")
        self._hang_up(attempt)
        self._connect_next(attempt)

    def _connect(self, attempt: Attempt, endpoint: Endpoint) -> None:
        dial = attempt.dial
        try:
            sock = socket.socket(family_of(endpoint.host), socket.SOCK_STREAM)
        except OSError as error:  # no IPv6 in this kernel, or no descriptor left
            self._fail_address(attempt, f"no socket for it: {error.strerror or error}")
            return
        prepare(sock)
        dial.number = next(self._numbers)
        connection = Connection(sock, endpoint, self._make_handshake(dial))
        connection.claimed_name = dial.node
        attempt.connection = connection
        try:
            sock.connect(endpoint.address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail_address(attempt, error.strerror or str(error))
            return
        self._reactor.watch(sock, WRITE, lambda _events: self._on_writable(attempt, connection))

    def _on_writable(self, attempt: Attempt, connection: Connection) -> None:
        if attempt.over or connection.closed:
            return
        problem = why_not_connected(connection.socket)
        if problem:
            self._fail_address(attempt, problem)
        else:
            self._on_connected(connection)

    def _fail(self, attempt: Attempt, why: str, *, refused: bool = False) -> None:
        if attempt.over:
            return
        dial = attempt.dial
        dial.attempt = None
        if attempt.endpoint is not None:
            why = "; ".join([*attempt.problems, f"{attempt.endpoint}: {why}"])
        self._hang_up(attempt)
        if self._on_failed(dial):
            return
        dial.failures += 1
        if refused:
            backoff = self._limits.refused_redial_s
        else:
            doubled = self._limits.redial_min_s * 2 ** min(dial.failures - 1, 20)
            backoff = min(self._limits.redial_max_s, doubled) * self._random.uniform(0.75, 1.25)
        dial.retry_at = self._reactor.now + backoff
        if refused:
            audit("refused_by", node=dial.node, why=why)
        if not dial.outage_logged or (refused and dial.outage_logged != why):
            dial.outage_logged = why
            logger.warning("%s can't be reached: %s", dial.node, why)
        is_wanted = dial.link.unreachable(dial.retry_at, why) or dial.keep_connected
        if is_wanted:
            self.request(dial.link)
        self._set_waiters(dial, up=False)
        if not is_wanted:
            self._on_idle(dial.link)

    def _why_late(self, attempt: Attempt) -> str:
        asked = "" if attempt.endpoint else f" to the question where {attempt.dial.node} listens"
        return f"no answer{asked} within {self._limits.handshake_s:g} s"

    def _hang_up(self, attempt: Attempt) -> None:
        connection = attempt.connection
        if connection is not None and not connection.closed:
            self._reactor.unwatch(connection.socket)
            connection.close()

    def _set_waiters(self, dial: Dial, *, up: bool) -> None:
        waiters, dial.waiters = dial.waiters, []
        for is_up in waiters:
            is_up.set(up)


def why_not_connected(sock: socket.socket) -> str:
    """Return why a non-blocking connect failed; "" if the socket is connected."""
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        return os.strerror(error)
    try:
        # If nobody listens on a port of this host, the kernel may choose the same port for our end.
        # Then the socket is connected to itself (RFC 9293, 3.5).
        return "nobody listens" if sock.getsockname() == sock.getpeername() else ""
    except OSError as reset:  # the connection was reset since SO_ERROR was read
        return reset.strerror or str(reset)
