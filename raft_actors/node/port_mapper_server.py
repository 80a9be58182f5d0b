"""PortMapperServer: the port mapper's listener on this host's well-known port."""

import contextlib
import errno
import logging
import socket
import threading

from raft_actors.node.mapper_holder import problem_of_holder
from raft_actors.node.port_files import PortEntry, PortFiles
from raft_actors.node.port_mapper import QUESTION_BYTES_MAX, answer
from raft_actors.transport.endpoint import Endpoint
from raft_actors.transport.expiring_set import ExpiringSet
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.listener import PAUSE_S
from raft_actors.transport.reactor import READ, Reactor
from raft_actors.transport.sockets import listen, prepare

__all__ = ["PortMapperServer"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class PortMapperServer:
    """The port mapper's listener. If the port is in use, it tries again until the port is free, and
    meanwhile looks who has it.

    entry  this node's own: what another mapper of this host has to answer for it
    """

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        address: tuple[str, int],
        files: PortFiles,
        entry: PortEntry,
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._address = address
        self._files = files
        self._entry = entry
        self._listener: socket.socket | None = None
        self._closed = False
        self._problem = ""  # the last problem that was found ...
        self._reported = ""  # ... and that was logged
        self._askers: ExpiringSet[socket.socket] = ExpiringSet(
            reactor, self._hang_up, count_max=limits.strangers_max, timeout_s=limits.handshake_s
        )

    def open(self) -> None:
        """Listen. If another node of this host has the port, it answers for this node, too; try
        again later.
        """
        if self._closed:
            return
        try:
            self._listener = listen(*self._address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                self._look_at_holder()
            else:
                self._report(error.strerror or str(error))
                self._reactor.after(self._limits.mapper_retry_s, self.open)
            return
        self._problem = self._reported = ""
        logger.debug("answers port questions at %s:%d", *self._address)
        self._reactor.watch(self._listener, READ, self._on_listener)

    def close(self) -> None:
        self._closed = True
        if self._listener is not None:
            self._reactor.unwatch(self._listener)
            self._listener.close()
        for asker in self._askers:
            self._hang_up(asker)

    def _look_at_holder(self) -> None:
        """Find out on a thread of its own, which may block, who has the port; then try again."""
        look = threading.Thread(target=self._look, name="raft_actors-mapper-check", daemon=True)
        try:
            look.start()
        except RuntimeError:  # the system has no thread left
            self._reactor.after(self._limits.mapper_retry_s, self.open)

    def _look(self) -> None:
        problem = ""
        try:
            problem = problem_of_holder(
                Endpoint(*self._address), self._entry, self._limits.handshake_s
            )
        finally:
            self._reactor.post(lambda: self._on_looked(problem))

    def _on_looked(self, problem: str) -> None:
        """Report what was found twice: a node that ends just now answers nothing, too."""
        if self._closed:
            return
        before, self._problem = self._problem, problem
        if problem == before:
            self._report(problem)
        self._reactor.after(self._limits.mapper_retry_s, self.open)

    def _report(self, problem: str) -> None:
        """Log a problem, once until there is another one."""
        if problem and problem != self._reported:
            logger.warning(
                "no port mapper at %s: %s. Nodes of other hosts can't find this node by its name, "
                "or are sent to somebody else, who can't prove the cookie and is refused: free the "
                "port, set another RAFT_ACTORS_MAPPER_PORT on all hosts, or give this node's "
                "address and port in their Config.nodes or RAFT_ACTORS_NODES",
                Endpoint(*self._address), problem,
            )  # fmt: skip
        self._reported = problem

    def _on_listener(self, _events: int) -> None:
        assert self._listener is not None
        try:
            asker, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # no descriptor left
            self._reactor.unwatch(self._listener)
            self._reactor.after(PAUSE_S, self._listen_again)
            return
        prepare(asker)
        self._askers.add(asker, address[0])
        text = bytearray()
        self._reactor.watch(asker, READ, lambda _events: self._on_question(asker, text))
        self._on_question(asker, text)  # most have sent their question by now

    def _listen_again(self) -> None:
        if self._listener is not None and not self._closed:
            self._reactor.watch(self._listener, READ, self._on_listener)

    def _on_question(self, asker: socket.socket, text: bytearray) -> None:
        if asker not in self._askers:
            return
        with contextlib.suppress(OSError):
            try:
                piece = asker.recv(QUESTION_BYTES_MAX)
            except BlockingIOError:
                return
            text += piece
            if b"\n" in text:
                line, _, _ = bytes(text).partition(b"\n")
                asked_at = Endpoint.of(asker.getsockname()).host
                asker.send(answer(line, asked_at, self._files))
            elif piece and len(text) < QUESTION_BYTES_MAX:
                return
        self._hang_up(asker)

    def _hang_up(self, asker: socket.socket, _why: str = "") -> None:
        self._askers.remove(asker)
        self._reactor.unwatch(asker)
        asker.close()
