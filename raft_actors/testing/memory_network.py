"""MemoryNetwork: nodes in one process that reach each other by their names, without sockets.

Frames are encoded and decoded as for TCP, so only what TCP could send arrives, and two nodes never
share an object. Each node has its own bridge thread, and frames arrive in the order in which they
were sent. There are no handshakes, no ports, and no bound for the length of a queue. A `cut` is
reported at once, while a broken TCP connection is noticed only after some seconds.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from raft_actors.config import Config
from raft_actors.errors import NameTaken
from raft_actors.node.local_node import LocalNode
from raft_actors.testing.memory_transport import MemoryTransport
from raft_actors.transport.dispatch import OnNodeChange
from raft_actors.wire import versions
from raft_actors.wire.handshake import Identity

__all__ = ["MemoryNetwork"]

INCARNATION_BYTES = 8


class MemoryNetwork:
    """Makes nodes that reach each other, and cuts and restores what connects two of them."""

    def __init__(self) -> None:
        self.lock: threading.RLock = threading.RLock()  # guards everything that the nodes share
        self.transports: dict[str, MemoryTransport] = {}
        self.broken: set[frozenset[str]] = set()

    def start_node(
        self, name: str, *, config: Config | Mapping[str, Any] | None = None
    ) -> LocalNode:
        """Start a node of this network. Raises NameTaken, BadName."""
        return LocalNode(name, config=config, access=MemoryAccess(self)).start()

    def cut(self, one: str, other: str) -> None:
        """Cut the connection between two nodes, given by name. Both get a NodeDown."""
        with self.lock:
            self.broken.add(frozenset((one, other)))
            transport = self.transports.get(one)
            if transport is not None:
                transport.break_off(other, "net_tick_timeout", "net_tick_timeout")

    def restore(self, one: str, other: str) -> None:
        """Let frames pass again. A node that wants to stay connected dials now; another one dials
        when it has something to send.
        """
        with self.lock:
            self.broken.discard(frozenset((one, other)))
            self.meet(one, other)
            self.meet(other, one)

    def meet(self, one: str, other: str) -> None:
        """Have `one` dial `other` if it wants to stay connected with it."""
        transport = self.transports.get(one)
        if transport is not None and other in self.transports:
            transport.redial(other)

    def leave(self, name: str) -> None:
        del self.transports[name]

    def find(self, one: str, other: str) -> MemoryTransport | str:
        """Return the transport of `other`, or why `one` can't reach it."""
        found = self.transports.get(other)
        if found is None:
            return "there is no such node in this network"
        if frozenset((one, other)) in self.broken:
            return "the network between them is cut"
        return found


class MemoryAccess:
    """One node's access to a network in memory."""

    where = "a place in memory"
    port = 0

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.transport: MemoryTransport | None = None

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> MemoryTransport:
        versions.check_required(config.require_version)
        me = Identity(
            name, os.urandom(INCARNATION_BYTES), config.frame_bytes_max, config.require_version
        )
        network = self.network
        with network.lock:
            if name in network.transports:
                raise NameTaken(f"a node of this network is called {name} already")
            self.transport = network.transports[name] = MemoryTransport(
                me, on_node_change, network.lock, find=network.find, leave=network.leave
            )
            for other in network.transports:
                network.meet(other, name)
        return self.transport

    def close(self) -> None:
        if self.transport is not None:
            self.transport.stop()
            self.transport = None
