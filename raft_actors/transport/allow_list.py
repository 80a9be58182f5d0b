"""AllowList: which nodes may connect to this one, by their names and their addresses."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["AllowList"]


class AllowList:
    """Names like `a@one` or `a@*`, and networks like `10.0.0.0/8` or `10.0.0.1`.

    If the list has names, a node must have one of them. If it has networks, a node must connect
    from one of them. An empty list allows every node.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Raises ValueError for an entry that is neither a name nor a network."""
        if isinstance(entries, str):
            raise ValueError(f"allow is a list of names and networks, not {entries!r}")  # noqa: TRY004
        self.names: list[str] = []
        self.networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            if "@" in entry:
                self.names.append(entry)
                continue
            try:
                self.networks.append(ip_network(entry))
            except ValueError as error:
                raise ValueError(
                    f"allow takes names of nodes, like a@one or a@*, and networks, like "
                    f"10.0.0.0/8: {error}"
                ) from None

    def objection_to_host(self, host: str) -> str:
        """Return why a node may not connect from the address `host`; "" if it may."""
        if not self.networks:
            return ""
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self.networks):
            return ""
        return f"{host} is in no network of the dialed node's allow-list"

    def objection_to_name(self, name: str) -> str:
        if not self.names or any(fnmatchcase(name, pattern) for pattern in self.names):
            return ""
        return f"{name} matches no name in the dialed node's allow-list"
