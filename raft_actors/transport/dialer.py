"""Dialer: finds another node and connects to it, in the background and not too often.

A node is dialled while something waits for it or somebody wishes to be connected with it
(`Node.connect`). After a failure the next dial waits, 50 ms at first and up to a second.
"""

import itertools
import logging
import os
import random
import socket
import threading
from collections.abc import Callable

from raft_actors.transport.connection import Connection
from raft_actors.transport.endpoint import Endpoint, EndpointFinder, EndpointUnknown
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.reactor import WRITE, Reactor
from raft_actors.transport.sockets import family_of, prepare
from raft_actors.wire.handshake import DialerHandshake

__all__ = ["Attempt", "Dialer"]

logger = logging.getLogger("raft_actors.node")


class Attempt:
    """One dial of one link.

    deadline    when it has failed, on the reactor's clock
    places      the addresses that are still to be tried
    problems    what was wrong at those that were
    """

    __slots__ = ("connection", "deadline", "link", "places", "problems")

    def __init__(self, link: Link, deadline: float) -> None:
        self.link = link
        self.deadline = deadline
        self.connection: Connection | None = None
        self.places: list[Endpoint] = []
        self.problems: list[str] = []

    @property
    def over(self) -> bool:
        return self.link.attempt is not self


class Dialer:
    """Dials. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        directory: EndpointFinder,
        introduce: Callable[[Link], DialerHandshake],
        on_connected: Callable[[Connection], None],
        on_failed: Callable[[Link], bool],
        on_quiet: Callable[[Link], None],
    ) -> None:
        """Work for `introduce`, which makes a link's handshake, and three that hear how it went.

        `on_failed` returns whether it has another connection for the link. `on_quiet` hears that it
        has none, and that nobody wants the link dialled again.
        """
        self._reactor = reactor
        self._limits = limits
        self._directory = directory
        self._introduce = introduce
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._on_quiet = on_quiet
        self._dials = itertools.count(1)  # of all links: one that is made anew goes on from there
        self._random = random.Random()  # noqa: S311  # jitter, no secret
        self.closed = False  # nothing is dialled any more

    def want(self, link: Link, *, at_once: bool = False) -> None:
        """Dial `link` unless it is up or being dialled; after a failure not too soon."""
        if self.closed or link.connection or link.attempt or link.retired:
            return
        delay = 0.0 if at_once else link.retry_at - self._reactor.now
        if delay <= 0:
            self._dial(link)
        elif link.retry is None:
            link.retry = self._reactor.after(delay, lambda: self._dial(link))

    def stop(self, link: Link) -> None:
        """End a dial under way, without a word."""
        if link.retry is not None:
            link.retry.cancel()
            link.retry = None
        attempt, link.attempt = link.attempt, None
        if attempt is not None:
            self._hang_up(attempt)

    def give_up(self, link: Link) -> None:
        """End a dial under way, and tell those who hope for it."""
        self.stop(link)
        self._tell_hopeful(link, up=False)

    def done(self, link: Link) -> None:
        """Note that `link` is up, over whichever connection."""
        self.stop(link)
        link.failures = 0
        link.retry_at = 0.0
        self._tell_hopeful(link, up=True)

    def failed(self, connection: Connection, why: str, *, refused: bool = False) -> None:
        """Note that a dialled connection did not make it through its handshake."""
        link = connection.link
        assert link is not None
        if link.attempt is not None and link.attempt.connection is connection:
            self._fail_here(link.attempt, why, refused=refused)

    def _dial(self, link: Link) -> None:
        if link.retry is not None:
            link.retry.cancel()
            link.retry = None
        if link.connection is not None or link.attempt is not None:
            return
        attempt = link.attempt = Attempt(link, self._reactor.now + self._limits.handshake_s)
        self._reactor.after(
            self._limits.handshake_s,
            lambda: self._fail(attempt, self._why_late(attempt)),
        )
        try:
            found = self._directory.find(link.node)
        except (EndpointUnknown, OSError) as error:
            self._fail(attempt, str(error))
            return
        if isinstance(found, list):
            self._try(attempt, found)
        elif not link.looking_up:  # an earlier look-up may hang longer than its dial
            looking = threading.Thread(
                target=self._look_up, args=(link, found), name="raft_actors-look-up", daemon=True
            )
            try:
                looking.start()
            except RuntimeError as error:  # the system has no thread left
                self._fail(attempt, f"its address can't be looked up: {error}")
            else:
                link.looking_up = True

    def _look_up(self, link: Link, find: Callable[[float], list[Endpoint]]) -> None:
        """Find the places of a node, on a thread of its own since name services block."""
        found: list[Endpoint] | str = "its address could not be looked up"
        try:
            found = find(self._limits.handshake_s)
        except (OSError, EndpointUnknown, ValueError) as error:
            found = str(error)
        finally:
            self._reactor.post(lambda: self._on_found(link, found))

    def _on_found(self, link: Link, found: list[Endpoint] | str) -> None:
        """Use what was found for the dial of now: the one that it was looked up for may be over."""
        link.looking_up = False
        attempt = link.attempt
        if attempt is None or attempt.connection is not None:
            return
        if isinstance(found, list):
            self._try(attempt, found)
        else:
            self._fail(attempt, found)

    def _try(self, attempt: Attempt, places: list[Endpoint]) -> None:
        attempt.places = list(places)
        self._connect_next(attempt)

    def _connect_next(self, attempt: Attempt) -> None:
        """Try the next address; when others are left, for its share of the time that is left."""
        place = attempt.places.pop(0)
        if attempt.places:
            left_s = attempt.deadline - self._reactor.now
            left = len(attempt.places)
            self._reactor.after(left_s / (left + 1), lambda: self._give_up(attempt, left))
        self._connect(attempt, place)

    def _give_up(self, attempt: Attempt, left: int) -> None:
        """Go on unless that was done meanwhile."""
        if len(attempt.places) == left:
            self._fail_here(attempt, "no answer")

    def _fail_here(self, attempt: Attempt, why: str, *, refused: bool = False) -> None:
        """Note that the node was not reached at the address that is being tried."""
        if attempt.over or not attempt.places:
            self._fail(attempt, why, refused=refused)
            return
        assert attempt.connection is not None
        attempt.problems.append(f"{attempt.connection.address}: {why}")
        self._hang_up(attempt)
        self._connect_next(attempt)

    def _connect(self, attempt: Attempt, place: Endpoint) -> None:
        link = attempt.link
        try:
            sock = socket.socket(family_of(place.host), socket.SOCK_STREAM)
        except OSError as error:  # no descriptor left
            self._fail(attempt, f"no socket for {place}: {error.strerror or error}")
            return
        prepare(sock)
        link.dials = next(self._dials)
        connection = Connection(sock, str(place), self._introduce(link))
        connection.link = link
        connection.named = link.node
        attempt.connection = connection
        try:
            sock.connect(place.address)
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
        link = attempt.link
        link.attempt = None
        if attempt.connection is not None:
            why = "; ".join([*attempt.problems, f"{attempt.connection.address}: {why}"])
        self._hang_up(attempt)
        if self._on_failed(link):
            return
        link.failures += 1
        if refused:
            backoff = self._limits.refused_redial_s
        else:
            doubled = self._limits.redial_min_s * 2 ** min(link.failures - 1, 20)
            backoff = min(self._limits.redial_max_s, doubled) * self._random.uniform(0.75, 1.25)
        link.retry_at = self._reactor.now + backoff
        if not link.outage_told or (refused and link.outage_told != why):
            link.outage_told = why
            logger.warning("%s can't be reached: %s", link.node, why)
        is_wanted = link.away(link.retry_at, why) or link.wished
        if is_wanted:
            self.want(link)
        self._tell_hopeful(link, up=False)
        if not is_wanted:
            self._on_quiet(link)

    def _why_late(self, attempt: Attempt) -> str:
        asked = "" if attempt.connection else f" to the question where {attempt.link.node} listens"
        return f"no answer{asked} within {self._limits.handshake_s:g} s"

    def _hang_up(self, attempt: Attempt) -> None:
        connection = attempt.connection
        if connection is not None and not connection.closed:
            self._reactor.unwatch(connection.socket)
            connection.close()

    def _tell_hopeful(self, link: Link, *, up: bool) -> None:
        hopeful, link.hopeful = link.hopeful, []
        for hope in hopeful:
            hope.set(up)


def why_not_connected(sock: socket.socket) -> str:
    """Say what became of a connect that did not block; an empty string for a connection."""
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        return os.strerror(error)
    try:
        # Dialling a free port of this host, the kernel may pick it as our own: RFC 9293 3.5.
        return "nobody listens" if sock.getsockname() == sock.getpeername() else ""
    except OSError as reset:  # since the look before
        return reset.strerror or str(reset)
