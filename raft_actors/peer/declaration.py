"""Declaration: the members of a group as the child specification of a peer names them."""

import logging
from dataclasses import dataclass

from raft_actors import encoding
from raft_actors.names import Address

__all__ = ["FormedTicket", "declaration"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")


@dataclass(frozen=True, slots=True)
class FormedTicket:
    """The ticket of a peer that declares its members: it logs when their group is formed."""

    name: str

    def set(self, answer: bytes) -> None:
        match encoding.loads_stored(answer):
            case ("ok", {"members": members}):
                logger.info("%s has formed the declared group: %s", self.name, members)


def declaration(members: tuple[Address | str, ...], peer: Address) -> tuple[Address, ...]:
    """Return the addresses of the declared members; a name without a node is a peer of this node.

    Raises BadName for a bad name, and ValueError if the peer itself is not among the members.
    """
    addresses = tuple(
        sorted({(member, peer[1]) if isinstance(member, str) else member for member in members})
    )
    if peer not in addresses:
        raise ValueError(
            f"{peer} is not among the members that it declares: {list(addresses)}. Give each "
            "member the same list, with all members; a peer that joins a group later declares no "
            "members, and calls Raft.join"
        )
    return addresses
