"""Endpoint: where a node listens; and who finds that out for the transport."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from raft_actors.errors import RaftError

__all__ = ["Endpoint", "EndpointFinder", "EndpointUnknown"]


class EndpointUnknown(RaftError):
    """No address is known for this node; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node listens: a numeric IP address and a port.

    An address of one link only (RFC 4007) has its zone behind it: fe80::1%2.
    """

    host: str
    port: int

    @classmethod
    def of(cls, address: Any) -> "Endpoint":
        """Return the one in an address of a socket: a tuple of two items, or of four for IPv6."""
        host, port, *rest = address
        zone = rest[1] if rest else 0
        return cls(f"{host}%{zone}" if zone and "%" not in host else host, port)

    @property
    def address(self) -> Any:
        """The address that a socket connects to."""
        host, _, zone = self.host.partition("%")
        return (host, self.port, 0, int(zone)) if zone else (host, self.port)

    def __str__(self) -> str:
        is_bare = ":" in self.host and not self.host.startswith("[")
        return f"[{self.host}]:{self.port}" if is_bare else f"{self.host}:{self.port}"


class EndpointFinder(Protocol):
    """Finds where the node of a name listens; `node.discovery.NodeDirectory` is one."""

    def find(self, node: str) -> list[Endpoint] | Callable[[float], list[Endpoint]]:
        """Return the endpoints, or a function that finds them out.

        The function takes a timeout in seconds and may block, so it does not run on the bridge
        thread. Both raise EndpointUnknown and OSError.
        """
        ...
