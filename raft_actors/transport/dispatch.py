"""Dispatch: gives the received frames to their handlers at the end of a poll round, kind by kind.

Frames of one kind from one node are handled in the order in which they were sent. An answer is
handled after every frame that was sent before it.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from raft_actors.errors import NoProcess
from raft_actors.transport.incoming import Incoming, Source
from raft_actors.transport.link import Answer, fail
from raft_actors.wire.frame_codec import (
    FIRST_EXTENSION,
    PING,
    PONG,
    REPLY,
    REPLY_NO_HANDLER,
    unpack_frames,
)  # fmt: skip

__all__ = ["Dispatcher", "OnFrames", "OnNodeChange"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

OnFrames = Callable[[list[Incoming]], None]
OnNodeChange = Callable[[str, str | None, bool], None]
"""Called with the name of a node and None when it is connected, or the reason when it is down."""


class Check(Protocol):
    def checked(self, frame: memoryview) -> memoryview:
        """Return the payload of the next frame. Raises ProtocolError if the frame was changed."""


class Arrival(Protocol):
    """The connection over which frames arrive: a TCP stream, or one in memory."""

    @property
    def node(self) -> str: ...

    @property
    def receiving(self) -> Check: ...


class OpenCalls(Protocol):
    """An object with the calls that wait for answers of one node."""

    @property
    def calls(self) -> dict[int, Answer]: ...


class Dispatcher:
    """Sorts frames by kind, and gives them to `handlers`. Bridge thread only; but other threads may
    add handlers.
    """

    def __init__(
        self, source: Source, links: Mapping[str, OpenCalls], send_own: Callable[[str, int], None]
    ) -> None:
        """`source` answers calls. `send_own(node, kind)` sends a frame of a bridge's own kind."""
        self.handlers: dict[int, OnFrames] = {}
        self._source = source
        self._links = links
        self._send_own = send_own
        self._batches: dict[int, list[Incoming]] = {}
        self._replies: list[tuple[Answer, Any, Exception | None]] = []

    def take(self, connection: Arrival, payload: memoryview) -> None:
        """Sort the frames of `payload`. Raises ProtocolError."""
        node, batches, source = connection.node, self._batches, self._source
        for frame in unpack_frames(connection.receiving.checked(payload)):
            kind = frame[0]
            if kind < FIRST_EXTENSION:
                self._take_own(connection, frame)
                continue
            call = frame[2] if len(frame) == 3 else None
            incoming = Incoming(node, frame[1], call, connection, source)
            batch = batches.get(kind)
            if batch is None:
                batches[kind] = [incoming]
            else:
                batch.append(incoming)

    def add(self, incoming: Incoming, kind: int) -> None:
        self._batches.setdefault(kind, []).append(incoming)

    def hand_over(self) -> None:
        """Handle what was received: the frames of each kind together, then the answers."""
        if self._batches:
            batches, self._batches = self._batches, {}
            for kind, batch in batches.items():
                self._hand_over_batch(kind, batch)
        if self._replies:
            replies, self._replies = self._replies, []
            for answer, body, error in replies:
                if error is not None:
                    fail(answer, error)
                    continue
                try:
                    answer.set(body)
                except Exception:
                    logger.exception("a callback of an answer raised")

    def _hand_over_batch(self, kind: int, batch: list[Incoming]) -> None:
        handler = self.handlers.get(kind)
        try:
            if handler is not None:
                handler(batch)
            else:
                decline(kind, batch)
        except Exception:
            logger.exception("the handler of frames of kind %d raised", kind)

    def _take_own(self, connection: Arrival, frame: list[Any]) -> None:
        """Handle a frame of one of the bridge's own kinds."""
        kind, body = frame[0], frame[1]
        call = frame[2] if len(frame) == 3 else None
        node = connection.node
        if kind in {REPLY, REPLY_NO_HANDLER} and call is not None:
            answer = self._links[node].calls.pop(call, None)
            if answer is not None:
                error = None if kind == REPLY else no_handler(node, body)
                self._replies.append((answer, body, error))
        elif kind == PING:
            if call is None:
                self._send_own(node, PONG)
            else:
                self._source.reply(connection, call, None)
        elif kind != PONG:
            self.add(Incoming(node, body, call, connection, self._source), kind)


def decline(kind: int, batch: list[Incoming]) -> None:
    logger.debug("received %d frames of kind %d, which have no handler here", len(batch), kind)
    for incoming in batch:
        if incoming.call is not None:
            incoming.source.decline(incoming.connection, incoming.call, kind)


def no_handler(node: str, kind: object) -> NoProcess:
    return NoProcess(f"{node} has no handler for frames of kind {kind!r}")
