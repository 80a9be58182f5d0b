"""LocalNode: one node: its connections, its actors and its peers. A process has at most one, except
in tests.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

import supervision
from raft_actors.audit import audit, open_audit_log
from raft_actors.config import Config
from raft_actors.errors import NoConnection, NoNode, RaftError
from raft_actors.future import Future
from raft_actors.names import NONODE, Address, check_name, check_node_name
from raft_actors.node.access import Access, Transport
from raft_actors.node.actor_server import ActorServer
from raft_actors.node.denials import Denials
from raft_actors.node.exposed_actors import ExposedActors
from raft_actors.node.host_name import node_name
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.node.node_watchers import NodeWatchers
from raft_actors.node.remote_ref import RemoteRef
from raft_actors.node.tcp_access import TcpAccess
from raft_actors.node.tls import TlsOption
from raft_actors.paths import absolute
from raft_actors.transport.dispatch import OnFrames
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire import versions
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.frame_codec import FIRST_EXTENSION, PING
from supervision.registry import Registry

__all__ = ["LocalNode"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

SLACK_S = 1.0  # added to the bridge's own deadline, so that the bridge answers first

FORKED = (
    "this process was forked, and does not have the threads and connections of the process that "
    "made this handle or ref: call Node.start(name) here, and make a new handle or ref"
)


class Residents(Protocol):
    """The peers of a node."""

    def names(self) -> list[str]: ...
    def stop_all(self) -> None: ...
    def forget(self) -> None: ...


class LocalNode:
    """One node: a name, a registry of actors, and connections with other nodes.

    access  how other nodes find this one, and this node finds them
    """

    def __init__(
        self,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cookie: str | bytes | Cookie | None = None,
        config: Config | Mapping[str, Any] | None = None,
        tls: TlsOption | None = None,
        allow: Iterable[str] = (),
        audit_log: str | Path | None = None,
        registry: supervision.Registry | None = None,
        limits: BridgeLimits | None = None,
        access: Access | None = None,
    ) -> None:
        """Prepare a node. It has no connections until `start`.

        host    the address to listen at; other hosts reach this node only if it is not loopback
        port    0: any free port; other nodes find it by the node's name
        access  used instead of TcpAccess. host, port, cookie, limits, tls and allow are for
                TcpAccess only

        Raises BadName, UnsafeCookie.
        """
        self.name: str = node_name(name)
        self.config: Config = Config.of(config)
        self.data_dir: Path | None = None
        with suppress(ValueError):  # a node without peers needs no working directory
            self.data_dir = absolute(self.config.data_dir or "data")
        self.registry: Registry = supervision.Registry() if registry is None else registry
        self.exposed: ExposedActors = ExposedActors(self.registry)
        self.access: Access | TcpAccess = access or TcpAccess(
            host=host, port=port, cookie=cookie, limits=limits, tls=tls, allow=allow
        )
        self._audit_log = audit_log
        self._close_audit_log: Callable[[], None] = lambda: None
        self._bridge: Transport | None = None  # None before `start`, and in a forked child
        self._stopped = False
        self.logged_no_node: bool = False
        self.forked = False
        self.residents: Residents | None = None
        self._watchers = NodeWatchers()
        self._handlers: dict[int, OnFrames] = {}
        self._on_link_lost: list[Callable[[str], None]] = []
        self.denials: Denials = Denials()
        self._actors = ActorServer(self, self.exposed.find, self.denials)
        made.add(self)

    def watch_actor(
        self, address: tuple[str, str], callback: Callable[[Any], None]
    ) -> Callable[[], None]:
        """See `RemoteRef.watch`."""
        return self._actors.watch(address, callback)

    @property
    def port(self) -> int:
        """The port at which this node listens; 0 if it does not listen."""
        return self.access.port

    def __repr__(self) -> str:
        return f"<LocalNode {self.name} at {self.access.where}>"

    def start(self) -> "LocalNode":
        """Start the node: from now on other nodes can find it. Returns the node itself.

        Raises what `access.open` raises, and RaftError if this node was started before.
        """
        if self._bridge is not None:
            raise RaftError(f"node {self.name} was started already: make a new LocalNode")
        if self._audit_log is not None:
            self._close_audit_log = open_audit_log(self._audit_log)
        try:
            bridge = self.access.open(self.name, self.config, self._on_node_change)
            self._actors.serve(bridge)
            for kind, handler in self._handlers.items():
                bridge.on_frames(kind, handler)
            self._bridge = bridge
            bridge.start()
        except BaseException as error:  # also for Ctrl-C: the name must be free again
            self._bridge = None
            self.access.close()
            self._close_audit_log()
            if isinstance(error, RuntimeError):  # the system has no thread left
                raise RaftError(f"node {self.name} can't start: {error}") from error
            raise
        if self.port:
            logger.info("node %s listens at %s", self.name, self.access.where)
        audit("node_started", node=self.name, at_address=self.access.where)
        return self

    def stop(self) -> None:
        """Close all connections and free the name. Does nothing in a forked child.

        Idempotent: if Ctrl-C interrupts it, call it again to finish.
        """
        if self._bridge is None or self._stopped:
            return
        self.access.close()
        self._stopped = True
        logger.info("node %s is stopped", self.name)
        audit("node_stopped", node=self.name)
        self._close_audit_log()

    @property
    def running(self) -> bool:
        bridge = self._bridge
        return bridge is not None and not bridge.closed

    # Frames.

    def cast(self, node: str, kind: int, body: Any) -> bool:
        """Queue one frame for `node`; `flush` sends it. Never blocks.

        If there is no connection, the frame waits, and the node is dialed in the background.
        Returns False if the frame was dropped, because the queue is full or this node does not run.
        Raises FrameTooLarge, BadName, TypeError if msgpack can't encode `body`, and NoNode after a
        fork.
        """
        bridge = self._bridge
        if bridge is None or bridge.closed:
            self.check_process()
            return False
        return bridge.cast(node, kind, body)

    def call(self, node: str, kind: int, body: Any, *, long: bool = False) -> Future[Any]:
        """As `cast`, and return a future with the other node's answer.

        long  the call may stay open for long, and no thread waits for it

        The future raises NoConnection if there is no connection or the connection breaks, and
        NoProcess if the other node has no handler for frames of this kind. `call` itself raises
        NoNode after a fork.
        """
        bridge = self._bridge
        if bridge is not None and not bridge.closed:
            return bridge.call(node, kind, body, long=long)
        self.check_process()
        answer: Future[Any] = Future()
        why = self.why_not_running()
        if self.name == NONODE and not self.logged_no_node:
            self.logged_no_node = True  # callers of `Raft` get only "no_node"
            logger.warning("%s", why)
        answer.set_exception(NoConnection(why, was_sent=False))
        return answer

    def check_process(self) -> None:
        """Raise NoNode if this process was forked after it had made this node."""
        if self.forked:
            raise NoNode(FORKED)

    def why_not_running(self) -> str:
        if self.name != NONODE:
            return f"node {self.name} does not run"
        return "this process is no node, so it reaches no other node: call Node.start(name) first"

    def version_with(self, node: str) -> int:
        """Return the protocol version to use with `node`: see wire/versions.py."""
        bridge = self._bridge
        return versions.oldest() if bridge is None else bridge.version_with(node)

    def frame_bytes_max_with(self, node: str) -> int:
        """Return the most bytes of one frame to `node`: the smaller limit of the two nodes."""
        bridge = self._bridge
        if bridge is None:
            return self.config.frame_bytes_max
        return bridge.frame_bytes_max_with(node)

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Call `handler` with the frames of `kind` (16 or more) that this node receives.

        `handler` gets the frames of one poll round in one list, on the bridge thread, and must not
        block. The frames that it sends are flushed at the end of the round.
        """
        if kind < FIRST_EXTENSION:
            raise ValueError(f"kinds below {FIRST_EXTENSION} are the bridge's own, not {kind}")
        self._handlers[kind] = handler
        if self._bridge is not None:
            self._bridge.on_frames(kind, handler)

    def on_link_lost(self, handler: Callable[[str], None]) -> None:
        """Have `handler` called with the name of each node to which the connection is lost, on the
        bridge thread: after all frames that came over it, and before those of the next one.
        """
        self._on_link_lost.append(handler)

    def flush(self) -> None:
        """Send the frames that this thread has queued since its last flush. Never blocks.

        On the bridge thread this does nothing: the end of the round sends them.
        """
        if (bridge := self._bridge) is not None:
            bridge.flush()

    def post(self, work: Callable[[], None]) -> bool:
        """Run `work` on the bridge thread, soon. Returns False if this node does not run."""
        bridge = self._bridge
        if bridge is None or not self.running:
            return False
        bridge.reactor.post(work)
        return True

    def run_rounds_until(self, inbox: supervision.Inbox, until: Callable[[], bool]) -> None:
        """Do the bridge's work on this thread, which is the reader of `inbox`, until `inbox` has a
        message or `until()` is true.

        This is for the only peer of a node: a frame for it need not be handed over from the bridge
        thread. `until` is called after each round; it does not end a round by itself.
        """
        bridge = self._bridge
        if bridge is not None:
            inbox.waker = bridge.reactor.wake_driver
            bridge.reactor.run_rounds_until(lambda: inbox.waiting() > 0 or inbox.closed or until())

    def flush_call(self) -> None:
        """As `flush`, for a thread that waits for the answer to its call next."""
        if (bridge := self._bridge) is not None:
            bridge.flush_call()

    def flush_soon(self) -> None:
        """Let the bridge send the frames of this thread about a millisecond later, together with
        the frames that the thread queues until then. This is for a caller that may queue more at
        once.
        """
        if (bridge := self._bridge) is not None:
            bridge.flush_soon()

    # Other nodes.

    def list(self) -> list[str]:
        """Return the names of the nodes that are connected."""
        return self._up.connected()

    def ping(self, node: str) -> str:
        """Return "pong" if `node` answers within six seconds, else "pang"."""
        if check_node_name(node) == self.name:
            return "pong"
        deadline = time.monotonic() + self._up.connect_timeout_s + SLACK_S
        try:
            if not self._wait(self._up.reach(node)):
                return "pang"
            answer = self._up.call(node, PING, None)
            self.flush()
            self._wait(answer, deadline - time.monotonic())
        except (NoConnection, TimeoutError):
            return "pang"
        return "pong"

    def connect(self, node: str) -> bool:
        """Connect to `node`, and dial again whenever the connection is lost.

        Returns whether the node is connected now. If not, dialing goes on in the background.
        """
        if check_node_name(node) == self.name:
            return True
        try:
            return bool(self._wait(self._up.connect(node)))
        except TimeoutError:
            return False

    def disconnect(self, node: str) -> bool:
        """Close the connection with `node`, and stop dialing. Returns whether there was one.

        The next frame between the two nodes connects them again.
        """
        if check_node_name(node) == self.name:
            return False
        return bool(self._wait(self._up.disconnect(node)))

    def monitor(self, watcher: Any) -> Callable[[], None]:
        """Send `watcher` NodeUp and NodeDown from now on. Returns a function that ends this.

        watcher     an ActorRef, which receives them as messages, or a function, which is called
                    with them on the bridge thread and must be quick
        """
        return self._watchers.add(watcher)

    # Actors.

    def register(self, name: str, ref: Any) -> tuple[str, Any]:
        """See `ExposedActors.register`."""
        return self.exposed.register(name, ref)

    def whereis(self, address: "Address | str") -> Any | None:
        """Return the actor at `(name, node)`, or the actor `name` of this node.

        On this node: its ref, or None if no actor has the name. On another node: a RemoteRef; the
        other node is not asked whether it has such an actor. Raises BadName, and TypeError if
        `address` is neither a name nor a pair.
        """
        if isinstance(address, str):
            return self.registry.whereis(address)
        if not isinstance(address, tuple) or len(address) != 2:
            raise TypeError(f"an actor is looked up by its name, or (name, node), not {address!r}")
        name, node = address
        if node == self.name:
            return self.registry.whereis(name)
        return RemoteRef(self, check_name(name, "an actor's name"), check_node_name(node))

    @property
    def _up(self) -> Transport:
        bridge = self._bridge
        if bridge is None or bridge.closed:
            self.check_process()
            raise NoNode(f"node {self.name} is not running in this process")
        return bridge

    def _wait(self, answer: Future[Any], timeout_s: float | None = None) -> Any:
        bridge = self._up
        if bridge.reactor.is_current():
            raise RuntimeError(
                "the bridge thread can't wait for the bridge thread: call this from another thread"
            )
        try:
            return answer.get(
                bridge.connect_timeout_s + SLACK_S if timeout_s is None else timeout_s
            )
        finally:
            answer.abandon()

    def _on_node_change(self, node: str, reason: str | None, is_client: bool) -> None:
        if reason is not None:
            self._actors.lost(node)
            for handler in self._on_link_lost:
                handler(node)
        if not is_client:
            self._watchers.publish(NodeUp(node) if reason is None else NodeDown(node, reason))


made: WeakSet[LocalNode] = WeakSet()


def forget_nodes() -> None:
    """Forget the nodes, in a forked child: their sockets and threads belong to the parent."""
    for node in tuple(made):
        node.forked = True
        bridge, node._bridge = node._bridge, None
        if bridge is not None:
            bridge.reactor.forget()
        if node.residents is not None:
            node.residents.forget()


os.register_at_fork(after_in_child=forget_nodes)
