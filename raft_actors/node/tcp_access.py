"""TcpAccess: a node listens at a port, is found by its port file, and dials others."""

import logging
import os
import socket
from collections.abc import Iterable

from raft_actors.config import Config
from raft_actors.errors import RaftError
from raft_actors.node.discovery import NodeDirectory, static_addresses
from raft_actors.node.key_source import KeySource
from raft_actors.node.port_files import PortEntry, PortFiles
from raft_actors.node.port_mapper import mapper_port, mapper_wanted
from raft_actors.node.port_mapper_server import PortMapperServer
from raft_actors.node.tls import TlsOption, find_tls
from raft_actors.transport.allow_list import AllowList
from raft_actors.transport.bridge import Bridge
from raft_actors.transport.dispatch import OnNodeChange
from raft_actors.transport.endpoint import Endpoint
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.sockets import listen
from raft_actors.wire import versions
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.handshake import Identity

__all__ = ["TcpAccess"]

logger = logging.getLogger("raft_actors.node")

INCARNATION_BYTES = 8


class TcpAccess:
    """Makes the bridge of one node, and whatever makes the node be found.

    host, port  where it listens; 0 is any free port, and `open` notes which one it got
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cookie: str | bytes | Cookie | None = None,
        limits: BridgeLimits | None = None,
        tls: TlsOption | None = None,
        allow: Iterable[str] = (),
    ) -> None:
        """Raises UnsafeCookie, and ValueError for what `AllowList` does not take."""
        self._allow = AllowList(allow)
        self.host = host
        self.port = port
        self.mapper: PortMapperServer | None = None
        self._limits = limits or BridgeLimits()
        self._cookie = cookie if cookie is None or isinstance(cookie, Cookie) else Cookie(cookie)
        self._tls = tls
        self._files = PortFiles()
        self._listener: socket.socket | None = None
        self._bridge: Bridge | None = None
        self._keys: KeySource | None = None
        self._entry: PortEntry | None = None
        self._reported = ""  # what was wrong with the port file

    @property
    def where(self) -> str:
        return str(Endpoint(self.host, self.port))

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> Bridge:
        """Raises NameTaken, UnsafeCookie, BadTls, OSError when the port is taken, ValueError for a
        port that is none, a bad address of another node or a version that this release does not
        speak.
        """
        keys, tls = KeySource(self._cookie), find_tls(self._tls, name)
        versions.check_required(config.require_version)
        directory = NodeDirectory(self._files, static_addresses(config.nodes))
        self._listener = listen(self.host, self.port)
        place = Endpoint.of(self._listener.getsockname())
        self.host, self.port = place.host, place.port
        mapper_place = (self.host, mapper_port()) if mapper_wanted(self.host) else None
        self._entry = self._files.claim(name, self.host, self.port)
        me = Identity(
            name, os.urandom(INCARNATION_BYTES), config.frame_bytes_max, config.require_version
        )
        self._keys = keys
        self._bridge = bridge = Bridge(
            me, keys.current, self._listener, directory, on_node_change,
            queue_bytes_max=config.link_queue_bytes, limits=self._limits, tls=tls,
            allow=self._allow,
        )  # fmt: skip
        if mapper_place is not None:
            self.mapper = PortMapperServer(bridge.reactor, self._limits, mapper_place, self._files)
            bridge.reactor.post(self.mapper.open)
        bridge.reactor.after(self._limits.port_file_s, self.keep_files)
        return bridge

    def close(self) -> None:
        # Each is forgotten when it is done with, so one whom a Ctrl-C interrupted here goes on.
        if self._bridge is not None:
            if self.mapper is not None:
                self._bridge.reactor.post(self.mapper.close)
            self._bridge.stop()
            self._bridge = None
        if self._entry is not None:
            self._files.release(self._entry)
            self._entry = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def keep_files(self) -> None:
        """Write the port file again when it was swept, as a logout does, and read cookie files that
        have changed; now and then, for ever.
        """
        bridge, entry, keys = self._bridge, self._entry, self._keys
        if bridge is None or entry is None or keys is None:
            return
        keys.current()
        try:
            problem = self._files.keep(entry)
        except (OSError, RaftError) as error:
            problem = f"its port file can't be kept, so nodes of this host may not find it: {error}"
        if problem and problem != self._reported:
            logger.warning("node %s: %s", bridge.me.name, problem)
        self._reported = problem
        bridge.reactor.after(self._limits.port_file_s, self.keep_files)
