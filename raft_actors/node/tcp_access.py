"""TcpAccess: a node listens at a port, is found by its port file, and dials other nodes."""

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

logger: logging.Logger = logging.getLogger("raft_actors.node")

INCARNATION_BYTES = 8


class TcpAccess:
    """Makes the bridge of one node, and its port file and port mapper.

    host, port  where the node listens. With port 0 `open` chooses a free port and sets `port` to it
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
        """Raises UnsafeCookie, and ValueError for a bad entry of `allow`."""
        self._allow = AllowList(allow)
        self.host: str = host
        self.port: int = port
        self.mapper: PortMapperServer | None = None
        self._limits = limits or BridgeLimits()
        self._cookie = cookie if cookie is None or isinstance(cookie, Cookie) else Cookie(cookie)
        self._tls = tls
        self._files = PortFiles()
        self._listener: socket.socket | None = None
        self._bridge: Bridge | None = None
        self._keys: KeySource | None = None
        self._entry: PortEntry | None = None
        self._reported = ""  # the problem of the port file that was logged last

    @property
    def where(self) -> str:
        return str(Endpoint(self.host, self.port))

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> Bridge:
        """Raises NameTaken, UnsafeCookie, BadTls, OSError if the port is in use, and ValueError for
        a bad port, a bad address of another node, or a version that this release does not support.
        """
        keys, tls = KeySource(self._cookie), find_tls(self._tls, name)
        versions.check_required(config.require_version)
        directory = NodeDirectory(self._files, static_addresses(config.nodes))
        self._listener = listen(self.host, self.port)
        endpoint = Endpoint.of(self._listener.getsockname())
        self.host, self.port = endpoint.host, endpoint.port
        mapper_address = (self.host, mapper_port()) if mapper_wanted(self.host) else None
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
        if mapper_address is not None:
            self.mapper = PortMapperServer(
                bridge.reactor, self._limits, mapper_address, self._files, self._entry
            )
            bridge.reactor.post(self.mapper.open)
        bridge.reactor.after(self._limits.port_file_s, self.keep_files)
        return bridge

    def close(self) -> None:
        # An attribute is cleared when its part is closed: after a Ctrl-C the next call goes on.
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
        """Every `port_file_s` seconds: write the port file again if it was removed (a logout may do
        that), and read cookie files that have changed.
        """
        bridge, entry, keys = self._bridge, self._entry, self._keys
        if bridge is None or entry is None or keys is None:
            return
        keys.current()
        try:
            problem = self._files.keep(entry)
        except (OSError, RaftError) as error:
            problem = f"no port file, so nodes of this host may not find this node: {error}"
        if problem and problem != self._reported:
            logger.warning("node %s: %s", bridge.me.name, problem)
        self._reported = problem
        bridge.reactor.after(self._limits.port_file_s, self.keep_files)
