"""Endpoint: the address and port where a node listens, and the Protocol that finds them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from raft_actors.errors import RaftError

__all__ = ["Endpoint", "EndpointFinder", "EndpointUnknown"]


class EndpointUnknown(RaftError):
    """No address is known for this node. The text says where the address was searched."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node listens: a numeric IP address and a port.

    An IPv6 address that is valid on one network link only ends with its zone (RFC 4007): fe80::1%2.
    """

    host: str
    port: int

    @classmethod
    def of(cls, address: Any) -> "Endpoint":
        """Return the endpoint of a socket's address: a tuple of two items, or of four for IPv6."""
        host, port, *rest = address
        zone = rest[1] if rest else 0
        return cls(f"{host}%{zone}" if zone and "%" not in host else host, port)

    @property
    def address(self) -> Any:
        """The address in the form that `socket.connect` needs."""
        host, _, zone = self.host.partition("%")
        return (host, self.port, 0, int(zone)) if zone else (host, self.port)

    def __str__(self) -> str:
        is_bare = ":" in self.host and not self.host.startswith("[")
        return f"[{self.host}]:{self.port}" if is_bare else f"{self.host}:{self.port}"


class EndpointFinder(Protocol):
    """Finds the endpoints of a node by its name; `node.discovery.NodeDirectory` is one."""

    def find(self, node: str) -> list[Endpoint] | Callable[[float], list[Endpoint]]:
        """Return the endpoints, or a function that finds them.

        The function takes a timeout in seconds. It may block, so it must not run on the bridge
        thread. `find` and the function raise EndpointUnknown and OSError.
        """
        ...

    def learn(self, seed: str, node: str, endpoint: Endpoint | None) -> None:
        """Note that `node` is the one for which `seed` stands; it was reached at `endpoint`, or its
        name is not proven (None)."""
