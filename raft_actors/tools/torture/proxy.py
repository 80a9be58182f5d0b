"""Proxy: between every ordered pair of nodes a listener, whose connections can be made bad.

A node dials each other one at a listener of its own (RAFT_ACTORS_NODES), so the proxy knows of
each connection who dialed whom, and each direction of it follows the conditions of its path.
Bytes of a stream can't be lost singly: what TCP makes of lost packets is delay, and in the end a
broken connection, and that is what a path does.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from raft_actors.node.host_name import node_name
from raft_actors.tools.torture.network_paths import Path, Pipe, Reset

__all__ = ["Proxy"]

Pair = tuple[str, str]
Endpoint = tuple[str, int]
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
BACKLOG = 64
IDLE_S = 0.5


@dataclass(slots=True)
class ListeningSocket:
    """Where `pair[0]` dials `pair[1]`."""

    pair: Pair
    socket: socket.socket


@dataclass(slots=True, eq=False)
class Stream:
    """One connection through the proxy: there, as the dialer sends, and back."""

    pair: Pair
    there: Pipe
    back: Pipe

    @property
    def pipes(self) -> tuple[Pipe, Pipe]:
        return self.there, self.back


class Proxy:
    """All wires between `names`. One thread. `find` tells where a node listens now, or None.

    Conditions may be changed at any time, from any thread: `path(a, b)` is from a to b.
    """

    def __init__(
        self, names: Iterable[str], find: Callable[[str], Endpoint | None], *, seed: object = 0
    ) -> None:
        names = tuple(names)
        pairs = [(one, other) for one in names for other in names if one != other]
        self.paths: dict[tuple[str, str], Path] = {pair: Path() for pair in pairs}
        self.endpoints: dict[Pair, Endpoint] = {}
        self.streams: list[Stream] = []
        self.find = find
        self.luck: Random = Random(f"{seed}/proxy")  # noqa: S311 - drawn from a seed on purpose
        self.selector: selectors.DefaultSelector = selectors.DefaultSelector()
        self.interests: dict[socket.socket, int] = {}
        self.woken: socket.socket
        self.waker: socket.socket
        self.waker, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        self.selector.register(self.woken, READ, None)
        for pair in pairs:
            self.listen(pair)
        self.closed: bool = False
        self.thread: threading.Thread = threading.Thread(
            target=self.run, name="torture-proxy", daemon=True
        )
        self.thread.start()

    def listen(self, pair: Pair) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self.endpoints[pair] = listener.getsockname()
        self.selector.register(listener, READ, ListeningSocket(pair, listener))

    # From any thread.

    def path(self, source: str, target: str) -> Path:
        return self.paths[source, target]

    def static_addresses(self, name: str) -> str:
        """RAFT_ACTORS_NODES for node `name`: where it dials the others."""
        return ",".join(
            f"{node_name(other)}={host}:{port}"
            for (one, other), (host, port) in self.endpoints.items()
            if one == name
        )

    def wake(self) -> None:
        """Have changed conditions seen at once."""
        with contextlib.suppress(OSError):
            self.waker.send(b".")

    def close(self) -> None:
        """Close everything. Idempotent."""
        self.closed = True
        self.wake()
        self.thread.join()

    # On the proxy's thread.

    def run(self) -> None:
        while not self.closed:
            for key, events in self.selector.select(self.prepare()):
                match key.data:
                    case None:
                        with contextlib.suppress(BlockingIOError):
                            self.woken.recv(4096)
                    case ListeningSocket() as listener:
                        self.accept(listener)
                    case Stream() as stream:
                        self.on_ready(stream, key.fileobj, events)
        for stream in tuple(self.streams):
            self.drop(stream)
        for key in tuple(self.selector.get_map().values()):
            if isinstance(key.data, ListeningSocket):
                key.data.socket.close()
        self.selector.close()
        self.waker.close()
        self.woken.close()

    def prepare(self) -> float:
        """Deliver what is due and say what to listen for; return for how long nothing is due."""
        timeout = IDLE_S
        for stream in tuple(self.streams):
            if self.is_refused(stream.pair):
                self.drop(stream)
                continue
            now = time.monotonic()
            try:
                for pipe in stream.pipes:
                    if not pipe.full:
                        pipe.deliver(now)
            except Reset:
                self.drop(stream)
                continue
            for pipe in stream.pipes:
                due = pipe.due(now)
                timeout = timeout if due is None else min(timeout, due)
            self.listen_to(stream)
        return timeout

    def listen_to(self, stream: Stream) -> None:
        there, back = stream.pipes
        for sock, outgoing, incoming in ((there.source, there, back), (back.source, back, there)):
            blocked = incoming.full and not incoming.path.blocked
            wanted = (READ if outgoing.wants_more else 0) | (WRITE if blocked else 0)
            known = self.interests.get(sock, 0)
            if wanted == known:
                continue
            self.interests[sock] = wanted
            if not known:
                self.selector.register(sock, wanted, stream)
            elif not wanted:
                self.selector.unregister(sock)
            else:
                self.selector.modify(sock, wanted, stream)

    def on_ready(self, stream: Stream, sock: object, events: int) -> None:
        if stream not in self.streams:
            return
        there, back = stream.pipes
        outgoing, incoming = (there, back) if sock is there.source else (back, there)
        if events & WRITE:
            incoming.full = False
        if events & READ:
            try:
                outgoing.receive(time.monotonic(), self.luck)
            except Reset:
                self.drop(stream)

    def is_refused(self, pair: Pair) -> bool:
        return self.paths[pair].refused or self.paths[pair[::-1]].refused

    def accept(self, listener: ListeningSocket) -> None:
        try:
            near, _ = listener.socket.accept()
        except OSError:
            return
        pair = listener.pair
        endpoint = None if self.is_refused(pair) else self.find(pair[1])
        if endpoint is None:
            reset(near)
            return
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.connect_ex(endpoint)  # how it went, the first recv or send will tell
        there = Pipe(near, far, self.paths[pair])
        back = Pipe(far, near, self.paths[pair[::-1]])
        self.streams.append(Stream(pair, there, back))

    def drop(self, stream: Stream) -> None:
        self.streams.remove(stream)
        for sock in (stream.there.source, stream.back.source):
            if self.interests.pop(sock, 0):
                self.selector.unregister(sock)
            reset(sock)


def reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    sock.close()
