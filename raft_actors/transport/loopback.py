"""Loopback: frames of a node to itself. They are packed and unpacked like frames between nodes."""

import itertools
from collections.abc import Callable
from typing import Any

from raft_actors.errors import FrameTooLarge, NoConnection, NoProcess
from raft_actors.transport.incoming import Incoming
from raft_actors.transport.link import Answer
from raft_actors.transport.reactor import Reactor
from raft_actors.wire.frame_codec import PING, make_packer, unpack, unpack_frame
from raft_actors.wire.handshake import Identity

__all__ = ["Loopback"]


class Loopback:
    """The open calls of a node to itself."""

    def __init__(
        self, me: Identity, reactor: Reactor, on_frame: Callable[[Incoming, int], None]
    ) -> None:
        self._node = me.name
        self._frame_bytes_max = me.frame_bytes_max
        self._reactor = reactor
        self._on_frame = on_frame
        self.calls: dict[int, Answer] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    def open(self) -> Answer:
        """Return the answer of a new call. From any thread."""
        answer = Answer(self, next(self._numbers))
        self.calls[answer.number] = answer
        if self._closed:
            self._fail(answer.number)
        return answer

    def send(self, payload: bytes) -> None:
        """Let the bridge thread receive a frame. From any thread. Raises FrameTooLarge."""
        if len(payload) > self._frame_bytes_max:
            raise FrameTooLarge(
                f"a message of {len(payload)} bytes is over Config.frame_bytes_max "
                f"({self._frame_bytes_max})"
            )
        self._reactor.post(lambda: self._deliver(payload))

    def _deliver(self, payload: bytes) -> None:
        frame = unpack_frame(payload)
        call = frame[2] if len(frame) == 3 else None
        if frame[0] == PING:
            if call is not None:
                self.reply(None, call, None)
        else:
            self._on_frame(Incoming(self._node, frame[1], call, None, self), frame[0])

    def reply(self, _connection: None, call: int, body: Any) -> None:
        answer = self.calls.pop(call, None)
        if answer is not None:
            answer.set(unpack(make_packer()(body)))

    def decline(self, _connection: None, call: int, kind: int) -> None:
        answer = self.calls.pop(call, None)
        if answer is not None:
            answer.set_exception(
                NoProcess(f"{self._node} has no handler for frames of kind {kind!r}")
            )

    def close(self) -> None:
        self._closed = True  # first, so that a thread that opens a call meanwhile fails its call
        for call in tuple(self.calls):
            self._fail(call)

    def _fail(self, call: int) -> None:
        answer = self.calls.pop(call, None)
        if answer is not None:
            answer.set_exception(NoConnection(f"node {self._node} is stopped"))
