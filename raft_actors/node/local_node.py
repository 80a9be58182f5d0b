"""LocalNode: one node with all that belongs to it. A process has one at most, but for tests."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

import pykka

import supervision
from raft_actors.audit import audit, open_audit_log
from raft_actors.config import Config
from raft_actors.errors import NoConnection, NoNode, RaftError
from raft_actors.future import Future
from raft_actors.names import NONODE, Address, check_name, check_node_name
from raft_actors.node.access import Access, Transport
from raft_actors.node.actor_server import ActorServer
from raft_actors.node.denials import Denials
from raft_actors.node.host_name import node_name
from raft_actors.node.node_events import NodeDown, NodeEvent, NodeUp
from raft_actors.node.remote_ref import RemoteRef
from raft_actors.node.tcp_access import TcpAccess
from raft_actors.node.tls import TlsOption
from raft_actors.paths import absolute
from raft_actors.transport.dispatch import OnFrames
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire import versions
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.frame_codec import FIRST_EXTENSION, PING

__all__ = ["LocalNode"]

logger = logging.getLogger("raft_actors.node")

SLACK_S = 1.0  # on top of the bridge's own deadline, so that its answer comes first

FORKED = (
    "this process was forked, and has no thread and no connection of the one that made this "
    "handle or ref: call Node.start(name) here, and make a new one"
)


class Residents(Protocol):
    """The peers of a node."""

    def names(self) -> list[str]: ...
    def stop_all(self) -> None: ...
    def forget(self) -> None: ...


class LocalNode:
    """One node: a name, a registry of actors, and connections with other nodes.

    access  how others find it, and it finds them
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
        """Prepare a node; `start` starts it, and until then it reaches nobody.

        host    the address to listen at; only a node at another than loopback is reached from
                other hosts
        port    0: any free one, found by the node's name
        access  instead of one over TCP, which is what host, port, cookie, limits, tls and allow
                are for

        Raises BadName, UnsafeCookie.
        """
        self.name = node_name(name)
        self.config = Config.of(config)
        self.data_dir: Path | None = None
        with suppress(ValueError):  # who starts no peer needs no working directory
            self.data_dir = absolute(self.config.data_dir or "data")
        self.registry = supervision.Registry() if registry is None else registry
        self._exposed = supervision.Registry()
        self.access = access or TcpAccess(
            host=host, port=port, cookie=cookie, limits=limits, tls=tls, allow=allow
        )
        self._audit_log = audit_log
        self._close_audit_log: Callable[[], None] = lambda: None
        self._bridge: Transport | None = None  # nor in a forked child
        self._stopped = False
        self.told_alone = False
        self.forked = False
        self.residents: Residents | None = None
        self._watchers: dict[object, Any] = {}
        self._handlers: dict[int, OnFrames] = {}
        self.denials = Denials()
        self._actors = ActorServer(self, self.offered, self.denials)
        made.add(self)

    def watch_actor(
        self, address: tuple[str, str], callback: Callable[[Any], None]
    ) -> Callable[[], None]:
        """See `RemoteRef.watch`."""
        return self._actors.watch(address, callback)

    @property
    def port(self) -> int:
        """At which this node listens; 0 if at none."""
        return self.access.port

    def __repr__(self) -> str:
        return f"<LocalNode {self.name} at {self.access.where}>"

    def start(self) -> "LocalNode":
        """Be found by others, from now on. Returns itself.

        Raises what `access.open` does, and RaftError when started before.
        """
        if self._bridge is not None:
            raise RaftError(f"node {self.name} was started already; make a new one")
        if self._audit_log is not None:
            self._close_audit_log = open_audit_log(self._audit_log)
        try:
            bridge = self.access.open(self.name, self.config, self._on_node_change)
            self._actors.serve(bridge)
            for kind, handler in self._handlers.items():
                bridge.on_frames(kind, handler)
            self._bridge = bridge
            bridge.start()
        except BaseException as error:  # Ctrl-C, too: its name must be free again
            self._bridge = None
            self.access.close()
            self._close_audit_log()
            if isinstance(error, RuntimeError):  # the system has no thread left
                raise RaftError(f"node {self.name} can't start: {error}") from error
            raise
        logger.info("node %s listens at %s", self.name, self.access.where)
        audit("node_started", node=self.name, at_address=self.access.where)
        return self

    def stop(self) -> None:
        """Close all connections and free the name. Idempotent; in a forked child does nothing.

        One that a Ctrl-C has interrupted goes on when it is called again.
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

        Without a connection it waits while the node is dialed in the background. Returns False
        when it was dropped: for want of room, or because this node does not run. Raises
        FrameTooLarge, BadName, TypeError for what msgpack does not know, and NoNode after a fork.
        """
        bridge = self._bridge
        if bridge is None or bridge.closed:
            self.check_process()
            return False
        return bridge.cast(node, kind, body)

    def call(self, node: str, kind: int, body: Any) -> Future[Any]:
        """As `cast`, for an answer. The future raises NoConnection when the link is, or gets, lost.

        It raises NoProcess when nobody on that node handles frames of this kind. NoNode is raised
        here after a fork.
        """
        bridge = self._bridge
        if bridge is not None and not bridge.closed:
            return bridge.call(node, kind, body)
        self.check_process()
        answer: Future[Any] = Future()
        answer.set_exception(NoConnection(self.why_alone(), was_sent=False))
        return answer

    def check_process(self) -> None:
        """Raise NoNode in a process that was forked from the one which made this node."""
        if self.forked:
            raise NoNode(FORKED)

    def why_alone(self) -> str:
        if self.name != NONODE:
            return f"node {self.name} does not run"
        why = "this process is no node, so it reaches none: call Node.start(name) first"
        if not self.told_alone:  # those who call `Raft` are answered "no_node" only
            self.told_alone = True
            logger.warning("%s", why)
        return why

    def version_with(self, node: str) -> int:
        """Return the protocol version to use with `node`: see wire/versions.py."""
        bridge = self._bridge
        return versions.oldest() if bridge is None else bridge.version_with(node)

    def frame_bytes_max_with(self, node: str) -> int:
        """Return how many bytes one frame to `node` holds: the smaller limit of the two nodes."""
        bridge = self._bridge
        if bridge is None:
            return self.config.frame_bytes_max
        return bridge.frame_bytes_max_with(node)

    def on_frames(self, kind: int, handler: OnFrames) -> None:
        """Have `handler` take all frames of `kind`, 16 or more, that come in.

        It is given those of one poll round in one list, on the bridge thread, and must not
        block. What it sends is flushed when it returns.
        """
        if kind < FIRST_EXTENSION:
            raise ValueError(f"kinds below {FIRST_EXTENSION} are the bridge's own, not {kind}")
        self._handlers[kind] = handler
        if self._bridge is not None:
            self._bridge.on_frames(kind, handler)

    def flush(self) -> None:
        """Send what this thread has queued since its last flush: one `send` a link, no blocking.

        On the bridge thread that comes at the end of its round.
        """
        if (bridge := self._bridge) is not None:
            bridge.flush()

    def post(self, work: Callable[[], None]) -> bool:
        """Have `work` run on the bridge thread soon. Returns False when this node does not run."""
        bridge = self._bridge
        if bridge is None or not self.running:
            return False
        bridge.reactor.post(work)
        return True

    def run_rounds_until(self, inbox: supervision.Inbox, until: Callable[[], bool]) -> None:
        """Do the bridge's work on the thread that reads `inbox`, until that has a message.

        For an actor that has the node to itself: what comes for it is not handed over from
        another thread. `until` ends it as well, at the next thing that happens.
        """
        bridge = self._bridge
        if bridge is not None:
            inbox.waker = bridge.reactor.wake_driver
            bridge.reactor.run_rounds_until(lambda: inbox.waiting() > 0 or inbox.closed or until())

    def flush_call(self) -> None:
        """As `flush`, for a thread that waits for the answer to what it has queued."""
        if (bridge := self._bridge) is not None:
            bridge.flush_call()

    def flush_soon(self) -> None:
        """Have the bridge send soon what this thread has queued, with everything that the thread
        queues until then. It is for a caller that may queue more right away, or may not.
        """
        if (bridge := self._bridge) is not None:
            bridge.flush_soon()

    # Other nodes.

    def list(self) -> list[str]:
        """Return the names of the nodes that are connected."""
        return self._up.connected()

    def ping(self, node: str) -> str:
        """Return "pong" if `node` answers, "pang" if not; within six seconds."""
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
        """Connect with `node` and stay so, dialing again whenever it is lost.

        Returns whether it is connected now. If not, it goes on trying in the background.
        """
        if check_node_name(node) == self.name:
            return True
        try:
            return bool(self._wait(self._up.connect(node)))
        except TimeoutError:
            return False

    def disconnect(self, node: str) -> bool:
        """Hang up, and stop trying to be connected. Returns whether it was connected.

        What either node sends to the other connects them again.
        """
        if check_node_name(node) == self.name:
            return False
        return bool(self._wait(self._up.disconnect(node)))

    def monitor(self, watcher: Any) -> Callable[[], None]:
        """Give `watcher` NodeUp and NodeDown from now on; returns a function that ends it.

        watcher     an ActorRef, which is told them, or a function, which is called with them on
                    the bridge thread and must be quick
        """
        if not callable(watcher) and not hasattr(watcher, "tell"):
            raise TypeError(f"a watcher is an ActorRef or a function, not {watcher!r}")
        key = object()
        self._watchers[key] = watcher
        cancels: list[Callable[[], None]] = []

        def end(_reason: Any = None) -> None:
            self._watchers.pop(key, None)
            for cancel in cancels:
                cancel()

        if isinstance(watcher, supervision.ProcessRef):  # of others no end can be noticed
            cancels.append(watcher.watch(end))
        return end

    # Actors.

    def register(self, name: str, ref: Any) -> tuple[str, Any]:
        """Give an actor of this node a name that other nodes reach it by.

        Returns `("ok", ref)` or `("error", ("already_registered", other))`. Raises BadName, and
        TypeError for an actor whose end can't be watched.
        """
        if isinstance(ref, pykka.ActorProxy):
            ref = ref.actor_ref
        if not hasattr(ref, "watch"):
            raise TypeError(
                f"{ref} can't be watched, so its name would outlive it: start its class as "
                "supervision.as_process(cls).start()"
            )
        answer = self.registry.register(check_name(name, "an actor's name"), ref)
        if answer == ("ok", ref):
            self._exposed.unregister(name)  # of one who gave the name up here
            self._exposed.register(name, ref)
        return answer

    def offered(self, name: str) -> Any | None:
        """Return the actor that other nodes reach by this name, or None.

        They reach what was registered with the node, and a process by the name that it was started
        with. Any other name in `supervision.names` is for use in this program.
        """
        ref = self.registry.whereis(name)
        own = ref is not None and getattr(ref, "name", None) == name
        return ref if own or self._exposed.whereis(name) is ref else None

    def whereis(self, address: "Address | str") -> Any | None:
        """Return the actor at `(name, node)`, or of this `name` here.

        Here: its ref, or None if nobody has the name. Elsewhere: a RemoteRef, without asking
        whether anybody is there. Raises BadName, and TypeError for what is neither.
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
            raise RuntimeError("this would wait on the bridge thread for the bridge thread")
        try:
            return answer.get(
                bridge.connect_timeout_s + SLACK_S if timeout_s is None else timeout_s
            )
        finally:
            answer.abandon()

    def _on_node_change(self, node: str, reason: str | None) -> None:
        if reason is not None:
            self._actors.lost(node)
        news: NodeEvent = NodeUp(node) if reason is None else NodeDown(node, reason)
        for key, watcher in tuple(self._watchers.items()):
            try:
                (watcher.tell if hasattr(watcher, "tell") else watcher)(news)
            except pykka.ActorDeadError:
                self._watchers.pop(key, None)
            except BaseException:  # SystemExit, say: the others are to hear, too
                logger.exception("a watcher of nodes raised on %r", news)


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
