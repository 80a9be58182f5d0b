"""Dialer: finds another node and connects to it, in the background and not too often.

A node is dialed while something waits for it or somebody wishes to be connected with it
(`Node.connect`). After a failure the next dial waits, 50 ms at first and up to a second.
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
from raft_actors.transport.connection import Connection
from raft_actors.transport.endpoint import Endpoint, EndpointFinder, EndpointUnknown
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.reactor import WRITE, Reactor, ReactorTimer
from raft_actors.transport.sockets import family_of, prepare
from raft_actors.wire.handshake import DialerHandshake

__all__ = ["Dial", "Dialer"]

logger = logging.getLogger("raft_actors.node")


class Dial:
    """What a dialer knows of one node.

    attempt         the dial that is under way
    parked          a connection that the node has dialed: it waits for the end of `attempt`
    keep_connected  dial again whenever the connection is lost (`Node.connect`)
    waiters         futures that get the result of the attempt
    failures        failed attempts since the node was last up
    retry_at        when the next is allowed, on the reactor's clock; `retry` is its timer
    looking_up      True while a thread finds out where the node listens
    number          the number of the last attempt, which is sent to the node
    last_link_id    the id of the last connection that was up
    outage_told     what was logged about the node since it was last up
    """

    __slots__ = (
        "attempt", "failures", "keep_connected", "last_link_id", "link", "looking_up", "number",
        "outage_told", "parked", "retry", "retry_at", "waiters",
    )  # fmt: skip

    def __init__(self, link: Link) -> None:
        self.link = link
        self.attempt: Attempt | None = None
        self.parked: Connection | None = None
        self.keep_connected = False
        self.waiters: list[Future[bool]] = []
        self.failures = 0
        self.retry_at = 0.0
        self.retry: ReactorTimer | None = None
        self.looking_up = False
        self.number = 0
        self.last_link_id = b""
        self.outage_told = ""

    @property
    def node(self) -> str:
        return self.link.node

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nobody waits."""
        is_busy = self.attempt or self.parked or self.retry or self.looking_up or self.waiters
        return not (is_busy or self.keep_connected)


class Attempt:
    """One attempt to reach a node, at one of its addresses after the other.

    deadline    when the attempt fails, on the reactor's clock
    endpoint    the address that is being tried
    endpoints   the addresses that are still to be tried
    problems    why the connection failed at each address that was tried
    """

    __slots__ = ("connection", "deadline", "dial", "endpoint", "endpoints", "problems")

    def __init__(self, dial: Dial, deadline: float) -> None:
        self.dial = dial
        self.deadline = deadline
        self.connection: Connection | None = None
        self.endpoint: Endpoint | None = None
        self.endpoints: list[Endpoint] = []
        self.problems: list[str] = []

    @property
    def over(self) -> bool:
        return self.dial.attempt is not self


class Dialer:
    """Dials. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        directory: EndpointFinder,
        introduce: Callable[[Dial], DialerHandshake],
        on_connected: Callable[[Connection], None],
        on_failed: Callable[[Dial], bool],
        on_quiet: Callable[[Link], None],
    ) -> None:
        """Work for `introduce`, which makes the handshake, and three that hear how it went.

        `on_failed` returns whether it has another connection for the node. `on_quiet` hears that it
        has none, and that nobody wants the node dialed again.
        """
        self._reactor = reactor
        self._limits = limits
        self._directory = directory
        self._introduce = introduce
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._on_quiet = on_quiet
        self._dials: dict[str, Dial] = {}  # by the names of their nodes
        # For all nodes: one that was forgotten goes on from there, as the other end expects.
        self._numbers = itertools.count(1)
        self._random = random.Random()  # noqa: S311  # jitter, no secret
        self.closed = False  # nothing is dialed any more

    def dial_of(self, link: Link) -> Dial:
        dial = self._dials.get(link.node)
        if dial is None:
            dial = self._dials[link.node] = Dial(link)
        return dial

    def request(self, link: Link, *, at_once: bool = False) -> None:
        """Dial `link` unless it is up or being dialed; after a failure not too soon."""
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
        """Dial `link` at once unless it is up; `is_up` is told how that ends."""
        dial = self.dial_of(link)
        dial.keep_connected = dial.keep_connected or keep
        if link.connection is not None:
            is_up.set(True)
        else:
            dial.waiters.append(is_up)
            self.request(link, at_once=True)

    def stop(self, dial: Dial) -> None:
        """End an attempt under way, without a word."""
        if dial.retry is not None:
            dial.retry.cancel()
            dial.retry = None
        attempt, dial.attempt = dial.attempt, None
        if attempt is not None:
            self._hang_up(attempt)

    def give_up(self, link: Link) -> None:
        """End an attempt under way, tell those who wait for it, and stay connected no more."""
        dial = self.dial_of(link)
        dial.keep_connected = False
        self.stop(dial)
        self._tell_waiters(dial, up=False)

    def done(self, link: Link) -> None:
        """Note that `link` is up, over whichever connection."""
        connection, dial = link.connection, self.dial_of(link)
        assert connection is not None
        assert connection.remote is not None
        if dial.attempt is not None and dial.attempt.connection is connection:
            dial.attempt = None  # this one has succeeded, and is not to be hung up
        self.stop(dial)
        dial.failures = 0
        dial.retry_at = 0.0
        dial.last_link_id = connection.remote.link_id
        dial.outage_told = ""
        self._tell_waiters(dial, up=True)

    def failed(self, connection: Connection, why: str, *, refused: bool = False) -> None:
        """Note that a dialed connection did not make it through its handshake."""
        dial = self._dials.get(connection.named)
        attempt = None if dial is None else dial.attempt
        if attempt is not None and attempt.connection is connection:
            self._fail_here(attempt, why, refused=refused)

    def retire(self, link: Link) -> bool:
        """Forget `link`, which takes nothing more, if nothing is under way for it.

        Returns whether that is so.
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
        elif not dial.looking_up:  # an earlier look-up may hang longer than its dial
            looking = threading.Thread(
                target=self._look_up, args=(dial, found), name="raft_actors-look-up", daemon=True
            )
            try:
                looking.start()
            except RuntimeError as error:  # the system has no thread left
                self._fail(attempt, f"its address can't be looked up: {error}")
            else:
                dial.looking_up = True

    def _look_up(self, dial: Dial, find: Callable[[float], list[Endpoint]]) -> None:
        """Find the endpoints of a node, on a thread of its own since name services block."""
        found: list[Endpoint] | str = "its address could not be looked up"
        try:
            found = find(self._limits.handshake_s)
        except (OSError, EndpointUnknown, ValueError) as error:
            found = str(error)
        finally:
            self._reactor.post(lambda: self._on_found(dial, found))

    def _on_found(self, dial: Dial, found: list[Endpoint] | str) -> None:
        """Use what was found for the dial of now: the one that it was looked up for may be over."""
        dial.looking_up = False
        attempt = dial.attempt
        if attempt is None or attempt.endpoint is not None:
            return
        if isinstance(found, list):
            self._try(attempt, found)
        else:
            self._fail(attempt, found)

    def _try(self, attempt: Attempt, endpoints: list[Endpoint]) -> None:
        attempt.endpoints = list(endpoints)
        self._connect_next(attempt)

    def _connect_next(self, attempt: Attempt) -> None:
        """Try the next address; when others are left, for its share of the time that is left."""
        attempt.connection = None
        attempt.endpoint = endpoint = attempt.endpoints.pop(0)
        if attempt.endpoints:
            left_s = attempt.deadline - self._reactor.now
            left = len(attempt.endpoints)
            self._reactor.after(left_s / (left + 1), lambda: self._give_up(attempt, left))
        self._connect(attempt, endpoint)

    def _give_up(self, attempt: Attempt, left: int) -> None:
        """Go on unless that was done meanwhile."""
        if len(attempt.endpoints) == left:
            self._fail_here(attempt, "no answer")

    def _fail_here(self, attempt: Attempt, why: str, *, refused: bool = False) -> None:
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
            self._fail_here(attempt, f"no socket for it: {error.strerror or error}")
            return
        prepare(sock)
        dial.number = next(self._numbers)
        connection = Connection(sock, str(endpoint), self._introduce(dial))
        connection.named = dial.node
        attempt.connection = connection
        try:
            sock.connect(endpoint.address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail_here(attempt, error.strerror or str(error))
            return
        self._reactor.watch(sock, WRITE, lambda _events: self._on_writable(attempt, connection))

    def _on_writable(self, attempt: Attempt, connection: Connection) -> None:
        if attempt.over or connection.closed:
            return
        problem = why_not_connected(connection.socket)
        if problem:
            self._fail_here(attempt, problem)
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
        if not dial.outage_told or (refused and dial.outage_told != why):
            dial.outage_told = why
            logger.warning("%s can't be reached: %s", dial.node, why)
        is_wanted = dial.link.unreachable(dial.retry_at, why) or dial.keep_connected
        if is_wanted:
            self.request(dial.link)
        self._tell_waiters(dial, up=False)
        if not is_wanted:
            self._on_quiet(dial.link)

    def _why_late(self, attempt: Attempt) -> str:
        asked = "" if attempt.endpoint else f" to the question where {attempt.dial.node} listens"
        return f"no answer{asked} within {self._limits.handshake_s:g} s"

    def _hang_up(self, attempt: Attempt) -> None:
        connection = attempt.connection
        if connection is not None and not connection.closed:
            self._reactor.unwatch(connection.socket)
            connection.close()

    def _tell_waiters(self, dial: Dial, *, up: bool) -> None:
        waiters, dial.waiters = dial.waiters, []
        for is_up in waiters:
            is_up.set(up)


def why_not_connected(sock: socket.socket) -> str:
    """Say what became of a connect that did not block; an empty string for a connection."""
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        return os.strerror(error)
    try:
        # Dialing a free port of this host, the kernel may pick it as our own: RFC 9293 3.5.
        return "nobody listens" if sock.getsockname() == sock.getpeername() else ""
    except OSError as reset:  # since the look before
        return reset.strerror or str(reset)
