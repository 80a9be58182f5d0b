"""Discovery: where the node of a name listens.

Asked in this order: the static addresses (`Config.nodes`, then RAFT_ACTORS_NODES), the port files
of this user's nodes on this host, the port mapper on the host that the name gives.
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

UNKNOWN = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NodeDirectory:
    """Finds nodes by name."""

    def __init__(self, files: PortFiles, static: Mapping[str, str]) -> None:
        self._files = files
        self._static = dict(static)

    def find(self, node: str) -> list[Endpoint] | Callable[[float], list[Endpoint]]:
        """Return where `node` may listen, or a function of a timeout in seconds that finds it out.

        The function asks the name service or another host's port mapper and so must not run on
        the bridge thread; it raises EndpointUnknown or OSError. Raises EndpointUnknown where
        there is nobody to ask, and OSError.
        """
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
                written = "" if host == here else f", which is written {here}"
                raise EndpointUnknown(f"no node {node} of this user runs on this host{written}")
        return lambda timeout_s: look_up(node, host, port, timeout_s)


def look_up(node: str, host: str, port: int, timeout_s: float) -> list[Endpoint]:
    """Return all addresses of `host`; its port mapper is asked unless the port is known. Blocks."""
    deadline = time.monotonic() + timeout_s
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno not in UNKNOWN:
            raise EndpointUnknown(f"host {host!r} can't be looked up: {error.strerror}") from None
        raise EndpointUnknown(
            f"nobody knows a host {host!r} ({error.strerror}): give the node's address in "
            "Config.nodes or RAFT_ACTORS_NODES"
        ) from None
    except UnicodeError:
        raise EndpointUnknown(
            f"{host!r} is no host name: between its dots are 1 to 63 letters"
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
        asked.append(each)  # it answers only for nodes that are reached at this address
    if asked:
        raise EndpointUnknown(
            f"the port mapper of {host}, at {', '.join(asked)}, knows no node {node}"
        )
    raise EndpointUnknown(
        f"no port mapper answers at {', '.join(problems)}: see that a node listens there for other "
        "hosts, or give this node's own port in Config.nodes or RAFT_ACTORS_NODES"
    )


def static_addresses(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of RAFT_ACTORS_NODES, overridden by `configured`. Raises ValueError.

    The form is `b@two=10.0.0.2:4001,c@three=[fd00::3]:4001`. Without a port the port mapper
    of that address is asked.
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
    """Return host and port, 0 for none, of `host:port`, `[ipv6]:port` or a host alone."""
    if ":" in address and is_numeric(address):  # all of it is the host: a port needs brackets
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
    """Return an address of this host at which a listener on `host` can be reached."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
