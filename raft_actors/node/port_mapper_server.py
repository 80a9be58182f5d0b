"""PortMapperServer: the port mapper's listener on this host's well-known port."""

import contextlib
import errno
import logging
import socket

from raft_actors.node.port_files import PortFiles
from raft_actors.node.port_mapper import QUESTION_BYTES_MAX, answer
from raft_actors.transport.endpoint import Endpoint
from raft_actors.transport.expiring_set import ExpiringSet
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.listener import PAUSE_S
from raft_actors.transport.reactor import READ, Reactor
from raft_actors.transport.sockets import listen, prepare

__all__ = ["PortMapperServer"]

logger = logging.getLogger("raft_actors.node")


class PortMapperServer:
    """The port mapper's listener. If the port is in use, it tries again until the port is free."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        address: tuple[str, int],
        files: PortFiles,
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._address = address
        self._files = files
        self._listener: socket.socket | None = None
        self._closed = False
        self._problem = ""  # the last problem that was logged
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
            self._report(error)
            self._reactor.after(self._limits.mapper_retry_s, self.open)
            return
        logger.debug("answers port questions at %s:%d", *self._address)
        self._reactor.watch(self._listener, READ, self._on_listener)

    def close(self) -> None:
        self._closed = True
        if self._listener is not None:
            self._reactor.unwatch(self._listener)
            self._listener.close()
        for asker in self._askers:
            self._hang_up(asker)

    def _report(self, error: OSError) -> None:
        """Log once why the port can't be used, unless another node of this host has it."""
        problem = "" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        if problem and problem != self._problem:
            logger.warning(
                "no port mapper at %s: %s. Nodes of other hosts can't find this node by its name: "
                "set another RAFT_ACTORS_MAPPER_PORT on all hosts, or give this node's port in "
                "their Config.nodes",
                Endpoint(*self._address), problem,
            )  # fmt: skip
        self._problem = problem

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
