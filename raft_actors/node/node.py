"""Node: this operating-system process under a name. Other nodes reach its actors by this name."""

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import supervision
from raft_actors.config import Config
from raft_actors.errors import NoNode, RaftError
from raft_actors.names import NONODE, Address
from raft_actors.node.local_node import LocalNode
from raft_actors.node.tls import TlsOption
from raft_actors.wire.cookie import Cookie

__all__ = ["Node"]


class Node:
    """This process as a node. Before `Node.start` the process is no node.

    >>> from raft_actors import Node
    """

    _current: LocalNode | None = None
    _nobody: LocalNode | None = None
    _lock = threading.RLock()  # a signal handler may interrupt a method, and call another

    @classmethod
    def start(
        cls,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cookie: str | bytes | Cookie | None = None,
        config: Config | Mapping[str, Any] | None = None,
        tls: TlsOption | None = None,
        allow: Iterable[str] = (),
        audit_log: str | Path | None = None,
    ) -> str:
        """Make this process the node `name@<short host name>` and return that name.

        name     a name with an @ is used as it is
        host     the address to listen at; the default is loopback, which other hosts can't reach
        port     the port to listen at; 0: any free port. Nodes of the same user on the same host
                 find this node by its name
        cookie   the secret that all nodes of a group share; None: the one in the environment or
                 in this user's file, see docs/nodes.md
        config   the defaults of all peers of this node
        tls      encrypt all connections: `"auto"`, which needs nothing but the cookie, or
                 `Tls(cert, key, ca)`; None: as the environment says, or no encryption
        allow    which nodes may connect, by name (`a@*`) and by network (`10.0.0.0/8`); empty:
                 all that have the cookie
        audit_log  a file for events that concern security, as lines of JSON: see docs/nodes.md

        Raises NameTaken; BadName; UnsafeCookie; BadTls; OSError if the port is in use; ValueError
        for a bad port; and RaftError if this process is a node already, or if peers already run in
        this process: no node could reach them.

        >>> Node.start("a@localhost")
        'a@localhost'
        """
        with cls._lock:
            if cls._current is not None and cls._current.running:
                raise RaftError(
                    f"this process is node {cls._current.name} already: call Node.stop() first"
                )
            peers = cls._nobody and cls._nobody.residents and cls._nobody.residents.names()
            if peers:
                raise RaftError(
                    f"peers run in this process already, and belong to no node: {peers}. Start "
                    "the node before its peers; call Raft.stop_peer for each of these first"
                )
            node = LocalNode(
                name, host=host, port=port, cookie=cookie, config=config, tls=tls,
                allow=allow, audit_log=audit_log,
                registry=supervision.names,
            )  # fmt: skip
            atexit.register(node.stop)
            try:
                cls._current = node  # before `start`: Ctrl-C may come just after the start
                node.start()
            except BaseException:
                atexit.unregister(node.stop)
                raise
            return node.name

    @classmethod
    def stop(cls) -> None:
        """Stop all peers of this node, and then the node. This process is no node any more.

        A peer that leads first transfers its leadership, as with `Raft.stop_peer`. A second call
        does nothing; if Ctrl-C has interrupted the first call, the second does the rest.

        >>> Node.stop()
        >>> Node.self()
        'nonode@nohost'
        >>> name = Node.start("a@localhost")
        """
        node = cls._current
        if node is None:
            return
        if node.residents is not None:
            node.residents.stop_all()  # first: the peers reach other nodes only through this node
        node.stop()  # without the lock: it calls watchers on another thread, which may need it
        atexit.unregister(node.stop)
        with cls._lock:
            if cls._current is node:
                cls._current = None

    @classmethod
    def self(cls) -> str:
        """Return this node's name; "nonode@nohost" before `start`.

        >>> Node.self()
        'a@localhost'
        """
        return cls.current().name

    @classmethod
    def current(cls) -> LocalNode:
        """Return this process's node; before `start` "nonode@nohost", which has no connections."""
        node = cls._current
        if node is not None and node.running:
            return node
        with cls._lock:
            if cls._nobody is None:
                cls._nobody = LocalNode(NONODE, registry=supervision.names)
            return cls._nobody

    @classmethod
    def local(cls) -> LocalNode:
        """Return this process's node. Raises NoNode before `start`."""
        node = cls.current()
        if not node.running:
            raise NoNode("this process is no node yet: call Node.start(name) first")
        return node

    @classmethod
    def list(cls) -> list[str]:
        """Return the names of the nodes that are connected; none before `start`.

        >>> Node.list()
        []
        """
        node = cls.current()
        return node.list() if node.running else []

    @classmethod
    def ping(cls, node: str) -> str:
        """Return "pong" if `node` answers within six seconds, else "pang".

        >>> Node.ping("a@localhost"), Node.ping("b@localhost")
        ('pong', 'pang')
        """
        return cls.local().ping(node)

    @classmethod
    def connect(cls, node: str) -> bool:
        """Connect to `node`, and connect again whenever the connection breaks.

        Returns whether `node` is connected now.

        >>> Node.connect("b@localhost")
        False
        """
        return cls.local().connect(node)

    @classmethod
    def disconnect(cls, node: str) -> bool:
        """Close the connection with `node`. Returns whether there was one.

        >>> Node.disconnect("b@localhost")
        False
        """
        return cls.local().disconnect(node)

    @classmethod
    def monitor(cls, watcher: Any) -> Callable[[], None]:
        """Send NodeUp and NodeDown to `watcher`, an ActorRef or a function, from now on.

        Returns a function that ends this. Raises NoNode before `start`.

        >>> end = Node.monitor(print)
        >>> end()
        """
        return cls.local().monitor(watcher)

    @classmethod
    def register(cls, name: str, ref: Any) -> tuple[str, Any]:
        """Register an actor of this process under a name by which other nodes reach the actor.

        Returns `("ok", ref)`, or `("error", ("already_registered", other_ref))`.

        >>> from supervision import Process
        >>> answer, ref = Node.register("printer", Process.start())
        >>> answer
        'ok'
        """
        return cls.current().register(name, ref)

    @classmethod
    def whereis(cls, address: Address | str) -> Any | None:
        """Return the ref of the actor at `(name, node)`, or of the actor `name` of this node.

        On this node: None if there is no such actor. On another node: a RemoteRef; the other node
        is not asked whether it has such an actor.

        >>> Node.whereis("printer") is ref
        True
        >>> Node.whereis(("printer", "b@localhost"))
        <RemoteRef 'printer' on b@localhost>
        """
        return cls.current().whereis(address)


def forget_node() -> None:
    """Forget the node, in a forked child: the child has no node until it starts one."""
    Node._current = Node._nobody = None
    Node._lock = threading.RLock()  # the thread that may have held the old one is not in the child


os.register_at_fork(after_in_child=forget_node)
