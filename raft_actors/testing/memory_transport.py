"""MemoryTransport: the connections of one node of a network in memory.

The lock of the network guards everything that two nodes share. Frames that arrive at a node, and
news of nodes that come and go, are posted to the node's reactor, and so keep their order.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from raft_actors.errors import FrameTooLarge, NoConnection
from raft_actors.future import Future
from raft_actors.names import check_node_name
from raft_actors.transport.dispatch import Dispatcher, OnFrames, OnNodeChange
from raft_actors.transport.link import Answer, fail, fail_all
from raft_actors.transport.loopback import Loopback
from raft_actors.transport.reactor import Reactor
from raft_actors.wire import versions
from raft_actors.wire.frame_codec import REPLY, REPLY_NO_HANDLER, make_packer
from raft_actors.wire.handshake import Identity
from raft_actors.wire.roles import MEMBER

__all__ = ["MemoryTransport"]

SOON_S = 0.001
STOP_S = 5.0


class Untagged:
    """In place of a keyed checksum: a frame in memory is never changed, so nothing is checked."""

    def checked(self, frame: memoryview) -> memoryview:
        return frame


class MemoryConnection:
    """One end of a connection with `node`; `far` is the other end."""

    receiving: Untagged = Untagged()
    role = MEMBER
    is_client = False
    far: "MemoryConnection"

    def __init__(self, owner: "MemoryTransport", node: str) -> None:
        self.owner = owner
        self.node = node
        self.is_open = True


class MemoryLink:
    """One other node: what is queued for it, and the calls that wait for its answers."""

    def __init__(self, node: str, frame_bytes_max: int) -> None:
        self.node = node
        self.calls: dict[int, Answer] = {}
        self.numbers: count[int] = count(1)
        self.queue: deque[tuple[int, bytes]] = deque()  # call, or 0; payload
        self.connection: MemoryConnection | None = None
        self.keep_connected = False
        self.is_dialing = False
        self.frame_bytes_max = frame_bytes_max
        self.version: int = versions.oldest()

    def too_large(self, payload: bytes) -> FrameTooLarge:
        return FrameTooLarge(
            f"a message of {len(payload)} bytes to {self.node}: the two nodes agreed on at most "
            f"{self.frame_bytes_max} (Config.frame_bytes_max)"
        )

    def drop_what_is_too_large(self) -> None:
        """Fail the messages in the queue that are larger than the frames of the other node: its
        bound is known only when it is connected.
        """
        waited, self.queue = self.queue, deque()
        for call, payload in waited:
            if len(payload) <= self.frame_bytes_max:
                self.queue.append((call, payload))
            elif (answer := self.calls.pop(call, None)) is not None:
                fail(answer, self.too_large(payload))

    def take_calls(self) -> dict[int, Answer]:
        calls, self.calls = self.calls, {}
        return calls


class Local(threading.local):
    """The objects that each thread has for itself."""

    def __init__(self) -> None:
        self.pack: Callable[[Any], bytes] = make_packer()
        self.dirty: set[MemoryLink] = set()


class MemoryTransport:
    """The connections of one node. The class `Transport` in node/access.py describes its
    methods.
    """

    connect_timeout_s: float = 5.0

    def __init__(
        self,
        me: Identity,
        on_node_change: OnNodeChange,
        lock: threading.RLock,
        *,
        find: "Callable[[str, str], MemoryTransport | str]",
        leave: Callable[[str], None],
    ) -> None:
        """`lock` is the network's. `find(one, other)` returns the transport of the other node, or
        why it can't be reached; `leave(name)` takes the node out of the network.
        """
        self.me = me
        self.lock = lock
        self._find = find
        self._leave = leave
        self.closed: bool = False
        self.reactor: Reactor = Reactor(f"raft_actors-memory-{me.name}", self._end_round)
        self._on_node_change = on_node_change
        self._links: dict[str, MemoryLink] = {}
        self._local = Local()
        self._dispatcher = Dispatcher(self, self._links, self._send_own)
        self._loopback = Loopback(me, self.reactor, self._dispatcher.add)

    def start(self) -> None:
        self.reactor.start()

    def stop(self) -> None:
        """Close every connection, free the name, and end the thread. Idempotent."""
        self._flush()
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self._leave(self.me.name)
            for node in self._links:
                self.break_off(node, "shutdown", "connection_closed")
        self.reactor.stop(self._loopback.close, STOP_S)

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        self._dispatcher.handlers[kind] = handler

    def cast(self, node: str, kind: int, body: Any) -> bool:
        payload = self._local.pack((kind, body))
        if node == self.me.name:
            self._loopback.send(payload)
        else:
            self._queue(self._link_with(node), payload)
        return True

    def call(self, node: str, kind: int, body: Any, *, long: bool = False) -> Future[Any]:  # noqa: ARG002
        if node == self.me.name:
            own = self._loopback.open()
            self._loopback.send(self._local.pack((kind, body, own.number)))
            return own
        link = self._link_with(node)
        answer = Answer(link, next(link.numbers))
        self._queue(link, self._local.pack((kind, body, answer.number)), answer)
        return answer

    def reply(self, connection: MemoryConnection, call: int, body: Any) -> None:
        self._answer(connection, (REPLY, body, call))

    def decline(self, connection: MemoryConnection, call: int, kind: int) -> None:
        self._answer(connection, (REPLY_NO_HANDLER, kind, call))

    def flush(self) -> None:
        if not self.reactor.is_current():  # on the reactor's thread, `_end_round` flushes
            self._flush()

    def flush_call(self) -> None:
        self._flush()

    def flush_soon(self) -> None:
        for link in self._local.dirty:
            self.reactor.post(partial(self._send_soon, link))

    def connect(self, node: str) -> Future[bool]:
        return self._reached(node, keep=True)

    def reach(self, node: str) -> Future[bool]:
        return self._reached(node, keep=False)

    def disconnect(self, node: str) -> Future[bool]:
        check_node_name(node)
        with self.lock:
            link = self._links.get(node)
            if link is not None:
                link.keep_connected = False
            was_up = link is not None and link.connection is not None
            self.break_off(node, "disconnect", "connection_closed")
        gone: Future[bool] = Future()
        self.reactor.post(partial(resolve, gone, was_up))  # after the news
        if self.closed:
            gone.set(False)
        return gone

    def connected(self) -> list[str]:
        return sorted(node for node, link in tuple(self._links.items()) if link.connection)

    def version_with(self, node: str) -> int:
        link = self._links.get(node)
        return versions.oldest() if link is None else link.version

    def frame_bytes_max_with(self, node: str) -> int:
        link = self._links.get(node)
        return self.me.frame_bytes_max if link is None else link.frame_bytes_max

    # Links, under the network's lock.

    def _link_with(self, node: str) -> MemoryLink:
        link = self._links.get(node)
        if link is not None:
            return link
        check_node_name(node)
        if node == self.me.name:
            raise ValueError(f"{node} is this node itself")
        with self.lock:
            if self.closed:
                raise NoConnection(f"node {self.me.name} is stopped", was_sent=False)
            return self._links.setdefault(node, MemoryLink(node, self.me.frame_bytes_max))

    def _queue(self, link: MemoryLink, payload: bytes, answer: Answer | None = None) -> None:
        if len(payload) > link.frame_bytes_max:
            raise link.too_large(payload)
        with self.lock:
            if answer is not None:
                link.calls[answer.number] = answer
            link.queue.append((0 if answer is None else answer.number, payload))
            if link.connection is not None:
                self._local.dirty.add(link)
                return
            if not self.closed:
                self._request_dial(link)
                return
            link.queue.clear()
            failed = link.take_calls()
        fail_all(failed, f"{self.me.name} is stopped", was_sent=False)

    def _answer(self, connection: MemoryConnection, frame: tuple[int, Any, int]) -> None:
        """Answer on the connection on which the call came. If this is closed, drop the answer."""
        payload = self._local.pack(frame)
        with self.lock:
            if connection.is_open:
                self._queue(self._links[connection.node], payload)

    def _send_own(self, node: str, kind: int) -> None:
        """Send a frame of the transport's own."""
        self._queue(self._links[node], self._local.pack((kind, None)))

    def _flush(self) -> None:
        dirty = self._local.dirty
        while dirty:
            self._send(dirty.pop())

    def _send_soon(self, link: MemoryLink) -> None:
        self.reactor.after(SOON_S, partial(self._send, link))

    def _send(self, link: MemoryLink) -> None:
        with self.lock:
            connection = link.connection
            if connection is not None and link.queue:
                payloads = [payload for _call, payload in link.queue]
                link.queue.clear()
                there = connection.far.owner
                there.reactor.post(partial(there._receive, connection.far, payloads))

    def _reached(self, node: str, *, keep: bool) -> Future[bool]:
        link = self._link_with(node)
        link.keep_connected = link.keep_connected or keep
        is_up: Future[bool] = Future()

        def tell() -> None:
            is_up.set(link.connection is not None)

        def dial() -> None:
            self._dial(link)
            self.reactor.post(tell)  # after NodeUp

        self.reactor.post(dial)
        if self.closed:
            is_up.set(False)
        return is_up

    def _request_dial(self, link: MemoryLink) -> None:
        if not link.is_dialing:
            link.is_dialing = True
            self.reactor.post(partial(self._dial, link))

    def redial(self, node: str) -> None:
        link = self._links.get(node)
        if link is not None and link.keep_connected and link.connection is None:
            self._request_dial(link)

    def _dial(self, link: MemoryLink) -> None:
        """Connect, or fail the calls that wait for the connection."""
        failed: dict[int, Answer] = {}
        why = f"{self.me.name} is stopped"
        with self.lock:
            link.is_dialing = False
            if link.connection is None and not self.closed:
                found = self._find(self.me.name, link.node)
                if isinstance(found, MemoryTransport):
                    found = self._establish(link, found)
                why = f"{link.node} can't be reached: {found}"
            if link.connection is None:
                link.queue.clear()
                failed = link.take_calls()
        fail_all(failed, why, was_sent=False)

    def _establish(self, link: MemoryLink, there: "MemoryTransport") -> str:
        """Connect both nodes. Returns why that is impossible, or ""."""
        version = versions.newest_common(self.me.versions, [*there.me.versions])
        if version is None:
            return "it supports no protocol version that this node supports"
        back = there._link_with(self.me.name)
        near, far = MemoryConnection(self, link.node), MemoryConnection(there, self.me.name)
        near.far, far.far = far, near
        for each, end in ((link, near), (back, far)):
            each.connection = end
            each.version = version
            each.frame_bytes_max = min(self.me.frame_bytes_max, there.me.frame_bytes_max)
            each.drop_what_is_too_large()
            end.owner.reactor.post(partial(end.owner._on_node_change, each.node, None, False))
        self._send(link)
        there._send(back)
        return ""

    def break_off(self, node: str, why_here: str, why_there: str) -> None:
        """Close the connection with `node`, if there is one; both ends are told why."""
        link = self._links.get(node)
        if link is None or link.connection is None:
            return
        near = link.connection
        for end, why in ((near, why_here), (near.far, why_there)):
            each = end.owner._links[end.node]
            end.is_open = False
            each.connection = None
            each.queue.clear()
            end.owner.reactor.post(partial(end.owner._lose, each, each.take_calls(), why))

    # On the bridge thread only.

    def _receive(self, connection: MemoryConnection, payloads: list[bytes]) -> None:
        for payload in payloads:
            self._dispatcher.take(connection, memoryview(payload))

    def _lose(self, link: MemoryLink, calls: dict[int, Answer], why: str) -> None:
        """Hand over the frames that came on the connection, and then report that it is closed."""
        self._dispatcher.hand_over()
        fail_all(calls, f"the connection to {link.node} is gone ({why})", was_sent=True)
        self._on_node_change(link.node, why, False)
        if link.keep_connected and not self.closed:
            with self.lock:
                self._request_dial(link)

    def _end_round(self) -> None:
        self._dispatcher.hand_over()
        self._flush()


def resolve(future: Future[bool], value: bool) -> None:
    future.set(value)
