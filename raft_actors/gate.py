"""Gate: the listener, and the strangers at it until they have proven themselves.

Strangers are few (`strangers_max`; one more drops the oldest), have little time (`handshake_s`)
and hold little memory (one handshake message). Each that is dropped gets one log line; a flood of
them gets one a second, which counts the others.
"""

import contextlib
import logging
import socket
from collections.abc import Callable

from raft_actors.connection import Connection, prepare
from raft_actors.limits import BridgeLimits
from raft_actors.port_files import PortFiles
from raft_actors.port_mapper import QUESTION_BYTES_MAX, answer
from raft_actors.reactor import READ, Reactor

__all__ = ["Gate", "MapperGate", "family_of", "listen"]

logger = logging.getLogger("raft_actors.node")

ACCEPTS_MAX = 64  # in one poll round, so that strangers can't starve the links
BACKLOG = 128
PAUSE_S = 0.2  # without listening, when the process has no file descriptor left


class LogLimit:
    """Lets `burst` lines through at once and then one a second, and counts the rest."""

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._at = 0.0
        self._unsaid = 0

    def warn(self, now: float, text: str) -> None:
        self._left = min(self._burst, self._left + now - self._at)
        self._at = now
        if self._left < 1:
            self._unsaid += 1
            return
        self._left -= 1
        more = f" (and {self._unsaid} others before it)" if self._unsaid else ""
        self._unsaid = 0
        logger.warning("%s%s", text, more)


class Gate:
    """Takes connections in and bounds their number and their time. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        listener: socket.socket,
        greet: Callable[[socket.socket, str], Connection],
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._listener = listener
        self._greet = greet
        self._strangers: dict[Connection, float] = {}  # and when their time is up, in order
        self._deadline_set = False
        self.log = LogLimit(limits.log_burst)

    def open(self) -> None:
        self._reactor.watch(self._listener, READ, self._on_listener)

    def close(self) -> None:
        self._reactor.unwatch(self._listener)
        self._listener.close()
        for stranger in tuple(self._strangers):
            self.drop(stranger)

    def admit(self, connection: Connection) -> None:
        """Forget that `connection` was a stranger."""
        self._strangers.pop(connection, None)

    def drop(self, connection: Connection, why: str = "") -> None:
        """Close the connection of a stranger; `why` is for the log."""
        if connection.closed:
            return
        self._strangers.pop(connection, None)
        self._reactor.unwatch(connection.socket)
        connection.close()
        if why:
            who = f"{connection.named} at {connection.address}" if connection.named else (
                f"the stranger at {connection.address}"
            )  # fmt: skip
            self.log.warn(self._reactor.now, f"dropped {who}: {why}")

    def _on_listener(self, _events: int) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._pause(error)
                return
            prepare(sock)
            if len(self._strangers) >= self._limits.strangers_max:
                self.drop(next(iter(self._strangers)), "too many strangers at once")
            connection = self._greet(sock, f"{address[0]}:{address[1]}")
            self._strangers[connection] = self._reactor.now + self._limits.handshake_s
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self._strangers and not self._deadline_set:
            self._deadline_set = True
            due = next(iter(self._strangers.values()))
            self._reactor.after(due - self._reactor.now, self._on_deadline)

    def _on_deadline(self) -> None:
        self._deadline_set = False
        for stranger, due in tuple(self._strangers.items()):
            if due > self._reactor.now:
                break
            self.drop(stranger, f"no handshake within {self._limits.handshake_s:g} s")
        self._set_deadline()

    def _pause(self, error: OSError) -> None:
        self.log.warn(self._reactor.now, f"can't take a connection in: {error}")
        self._reactor.unwatch(self._listener)
        self._reactor.after(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self.open()


class MapperGate:
    """The port mapper's listener. Takes the port when it is free, and waits for it when not."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        place: tuple[str, int],
        files: PortFiles,
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._place = place
        self._files = files
        self._listener: socket.socket | None = None
        self._closed = False
        self._askers: dict[socket.socket, tuple[float, bytearray]] = {}

    def open(self) -> None:
        """Listen, or try again later: another node of this host answers for us until then."""
        if self._closed:
            return
        try:
            self._listener = listen(*self._place)
        except OSError:
            self._reactor.after(self._limits.mapper_retry_s, self.open)
            return
        logger.debug("answers port questions at %s:%d", *self._place)
        self._reactor.watch(self._listener, READ, self._on_listener)

    def close(self) -> None:
        self._closed = True
        if self._listener is not None:
            self._reactor.unwatch(self._listener)
            self._listener.close()
        for asker in tuple(self._askers):
            self._hang_up(asker)

    def _on_listener(self, _events: int) -> None:
        assert self._listener is not None
        try:
            asker, _address = self._listener.accept()
        except OSError:
            return
        prepare(asker)
        if len(self._askers) >= self._limits.strangers_max:
            self._hang_up(next(iter(self._askers)))
        self._askers[asker] = (self._reactor.now + self._limits.handshake_s, bytearray())
        self._reactor.watch(asker, READ, lambda _events: self._on_question(asker))
        self._reactor.after(self._limits.handshake_s, self._hang_up_late)

    def _on_question(self, asker: socket.socket) -> None:
        if asker not in self._askers:
            return
        text = self._askers[asker][1]
        with contextlib.suppress(OSError):
            piece = asker.recv(QUESTION_BYTES_MAX)
            text += piece
            if piece and b"\n" not in text and len(text) < QUESTION_BYTES_MAX:
                return
            if b"\n" in text:
                line, _, _ = bytes(text).partition(b"\n")
                asker.send(answer(line, asker.getsockname()[0], self._files))
        self._hang_up(asker)

    def _hang_up_late(self) -> None:
        for asker, (due, _text) in tuple(self._askers.items()):
            if due <= self._reactor.now:
                self._hang_up(asker)

    def _hang_up(self, asker: socket.socket) -> None:
        del self._askers[asker]
        self._reactor.unwatch(asker)
        asker.close()


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listen(host: str, port: int) -> socket.socket:
    """Return a non-blocking listener. Raises OSError when the port is taken."""
    listener = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        # Without it a port stays taken for a minute after its last connection was closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
