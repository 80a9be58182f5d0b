"""ClientAccess: the access of a client without a name of its own. It dials members, and nobody can
dial it: it does not listen, and has no port file.
"""

import os
import secrets
from collections.abc import Callable, Iterable

from raft_actors.config import Config
from raft_actors.node.discovery import NodeDirectory, static_addresses
from raft_actors.node.host_name import short_host_name
from raft_actors.node.key_source import KeySource
from raft_actors.node.port_files import PortFiles
from raft_actors.node.tcp_access import INCARNATION_BYTES
from raft_actors.node.tls import TlsOption, find_tls
from raft_actors.transport.bridge import Bridge
from raft_actors.transport.dispatch import OnNodeChange
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire import versions
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.handshake import Identity

__all__ = ["ClientAccess", "client_name"]


class ClientAccess:
    """Makes the bridge of one client.

    seeds       the addresses `host:port` at which members listen, see `names.is_seed`
    on_learned  called on the bridge thread when a seed was reached, with the seed and the name of
                the member
    """

    port = 0
    where = "no address"

    def __init__(
        self,
        seeds: Iterable[str],
        *,
        cookie: str | bytes | Cookie | None = None,
        tls: TlsOption | None = None,
        on_learned: Callable[[str, str], None],
    ) -> None:
        self._seeds = {seed: seed for seed in seeds}
        self._cookie = cookie if cookie is None or isinstance(cookie, Cookie) else Cookie(cookie)
        self._tls = tls
        self._on_learned = on_learned
        self._bridge: Bridge | None = None

    def open(self, name: str, config: Config, on_node_change: OnNodeChange) -> Bridge:
        """Raises UnsafeCookie, BadTls, and ValueError for a bad address of another node."""
        keys, tls = KeySource(self._cookie), find_tls(self._tls, name)
        versions.check_required(config.require_version)
        known = static_addresses(config.nodes) | self._seeds
        me = Identity(
            name, os.urandom(INCARNATION_BYTES), config.frame_bytes_max, config.require_version,
            is_client=True,
        )  # fmt: skip
        self._bridge = Bridge(
            me, keys.current, None, NodeDirectory(PortFiles(), known, self._on_learned),
            on_node_change, queue_bytes_max=config.link_queue_bytes, limits=BridgeLimits(), tls=tls,
        )  # fmt: skip
        return self._bridge

    def close(self) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.stop()


def client_name() -> str:
    """Make up the name of a client: no other client has it."""
    return f"client-{secrets.token_hex(8)}@{short_host_name()}"
