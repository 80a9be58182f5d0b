"""Discovery: finds the address and port of a node by its name.

It looks in this order: the static addresses (`Config.nodes`, then RAFT_ACTORS_NODES), the port
files of this user's nodes on this host, the port mapper on the host in the node's name.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping

from raft_actors.names import check_node_name, host_of
from raft_actors.node.host_name import short_host_name
from raft_actors.node.port_files import PortFiles
from raft_actors.node.port_mapper import ask_mapper, mapper_port
from raft_actors.transport.endpoint import Endpoint, EndpointUnknown

__all__ = ["NodeDirectory", "static_addresses"]

ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d+))?"
)

UNKNOWN: set[int] = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NodeDirectory:
    """Finds nodes by name.

    on_learned  called when a seed was reached, with the seed and the name of the node
    """

    def __init__(
        self,
        files: PortFiles,
        static: Mapping[str, str],
        on_learned: Callable[[str, str], None] = lambda _seed, _node: None,
    ) -> None:
        self._files = files
        self._static = dict(static)
        self._learned: dict[str, Endpoint] = {}
        self._on_learned = on_learned

    def learn(self, seed: str, node: str, endpoint: Endpoint | None) -> None:
        if endpoint is not None:
            self._learned[node] = endpoint
        self._on_learned(seed, node)

    def find(self, node: str) -> list[Endpoint] | Callable[[float], list[Endpoint]]:
        """Return the endpoints of `node`, or a function that finds them; it takes a timeout in
        seconds.

        The function asks the name service and another host's port mapper. It may block, so it must
        not run on the bridge thread. `find` and the function raise EndpointUnknown and OSError.
        """
        if node in self._learned:
            return [self._learned[node]]
        host, port = host_of(node), 0
        address = self._static.get(node)
        if address is not None:
            host, port = parse_address(address)
            if port and is_numeric(host):
                return [Endpoint(host, port)]
        else:
            entry = self._files.read(node)
            if entry is not None:
                return [Endpoint(reachable(entry.host), entry.port)]
            here = short_host_name()
            if host.lower() == here.lower():
                spelled = "" if host == here else f", whose name is spelled {here}"
                raise EndpointUnknown(f"no node {node} of this user runs on this host{spelled}")
        return lambda timeout_s: look_up(node, host, port, timeout_s)


def look_up(node: str, host: str, port: int, timeout_s: float) -> list[Endpoint]:
    """Return the endpoints of a node at all addresses of `host`. If `port` is 0, ask the port
    mapper there. Blocks.
    """
    deadline = time.monotonic() + timeout_s
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno not in UNKNOWN:
            raise EndpointUnknown(f"host {host!r} can't be looked up: {error.strerror}") from None
        raise EndpointUnknown(
            f"no host {host!r} is known ({error.strerror}): give the node's address in "
            "Config.nodes or RAFT_ACTORS_NODES"
        ) from None
    except UnicodeError:
        raise EndpointUnknown(
            f"{host!r} is no host name: each part between its dots has 1 to 63 characters"
        ) from None
    hosts = list(dict.fromkeys(Endpoint.of(address).host for *_, address in found))
    if port:
        return [Endpoint(each, port) for each in hosts]
    mapper = mapper_port()
    asked, problems = [], []
    for number, each in enumerate(hosts):
        share_s = max(0.1, (deadline - time.monotonic()) / (len(hosts) - number))
        try:
            found_port = ask_mapper(each, mapper, node, share_s)
        except OSError as error:
            problems.append(f"{Endpoint(each, mapper)} ({error.strerror or error})")
            continue
        if found_port is not None:
            return [Endpoint(each, found_port)]
        asked.append(each)  # a mapper knows only the nodes that listen at the address asked
    if asked:
        raise EndpointUnknown(
            f"the port mapper of {host}, at {', '.join(asked)}, knows no node {node}"
        )
    raise EndpointUnknown(
        f"no port mapper answers at {', '.join(problems)}: start a node there that listens for "
        "other hosts, or give the port of this node in Config.nodes or RAFT_ACTORS_NODES"
    )


def static_addresses(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses in RAFT_ACTORS_NODES and `configured`, which goes first. Raises
    ValueError.

    RAFT_ACTORS_NODES has the form `b@two=10.0.0.2:4001,c@three=[fd00::3]:4001`. If a port is left
    out, the port mapper at that address is asked.
    """
    addresses: dict[str, str] = {}
    for item in os.environ.get("RAFT_ACTORS_NODES", "").split(","):
        if item.strip():
            node, equals, address = item.strip().partition("=")
            if not equals:
                raise ValueError(f"RAFT_ACTORS_NODES has {item!r}, not name@host=address:port")
            addresses[node.strip()] = address.strip()
    addresses |= configured
    for node, address in addresses.items():
        check_node_name(node)
        parse_address(address)
    return addresses


def parse_address(address: str) -> tuple[str, int]:
    """Return the host and the port of `host:port`, `[ipv6]:port` or a host alone (port 0)."""
    if ":" in address and is_numeric(address):  # an IPv6 address: without brackets it has no port
        return address, 0
    parts = ADDRESS.fullmatch(address)
    port = int(parts["port"] or 0) if parts else -1
    if parts is None or not 0 <= port <= 65535:
        raise ValueError(f"{address!r} is no address: write host:port or [ipv6]:port")
    return parts["six"] or parts["host"], port


def is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


def reachable(host: str) -> str:
    """Return an address at which this host reaches a listener on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
