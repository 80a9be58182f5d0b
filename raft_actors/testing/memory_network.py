"""MemoryNetwork: nodes of one process that meet by their names, without sockets.

Frames are packed and unpacked as on their way over TCP, so nothing passes that could not travel,
and no object is shared by two nodes. Each node has its own bridge thread, and frames arrive in the
order in which they were sent. Not there: handshakes, ports, a bound for what waits in a queue, and
the time that a silent network takes to be noticed: `cut` is told at once.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from raft_actors.config import Config
from raft_actors.errors import NameTaken
from raft_actors.node.local_node import LocalNode
from raft_actors.testing.memory_transport import MemoryTransport
from raft_actors.transport.dispatch import OnNews
from raft_actors.wire import versions
from raft_actors.wire.handshake import Identity

__all__ = ["MemoryNetwork"]

INCARNATION_BYTES = 8


class MemoryNetwork:
    """Makes nodes that reach each other, and cuts and restores what connects two of them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # one for all that the nodes share
        self.transports: dict[str, MemoryTransport] = {}
        self.broken: set[frozenset[str]] = set()

    def start_node(
        self, name: str, *, config: Config | Mapping[str, Any] | None = None
    ) -> LocalNode:
        """Start a node of this network. Raises NameTaken, BadName."""
        return LocalNode(name, config=config, access=MemoryAccess(self)).start()

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between two nodes, given by their names. Both are told NodeDown."""
        with self.lock:
            self.broken.add(frozenset((one, other)))
            transport = self.transports.get(one)
            if transport is not None:
                transport.break_off(other, "net_tick_timeout", "net_tick_timeout")

    def restore(self, one: str, other: str) -> None:
        """Let frames pass again. Who wants to stay connected, or has something to send, dials."""
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

    def open(self, name: str, config: Config, on_news: OnNews) -> MemoryTransport:
        versions.check_required(config.require_version)
        me = Identity(
            name, os.urandom(INCARNATION_BYTES), config.frame_bytes_max, config.require_version
        )
        network = self.network
        with network.lock:
            if name in network.transports:
                raise NameTaken(f"a node of this network is called {name} already")
            self.transport = network.transports[name] = MemoryTransport(
                me, on_news, network.lock, find=network.find, leave=network.leave
            )
            for other in network.transports:
                network.meet(other, name)
        return self.transport

    def close(self) -> None:
        if self.transport is not None:
            self.transport.stop()
            self.transport = None
