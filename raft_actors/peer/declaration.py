"""Declaration: a peer names the members of its group in the supervision tree."""

import logging
from dataclasses import dataclass

from raft_actors import encoding
from raft_actors.names import Address

__all__ = ["FormedTicket", "declaration"]

logger = logging.getLogger("raft_actors.peer")


@dataclass(frozen=True, slots=True)
class FormedTicket:
    """The ticket of a peer that declares its members: its log says when their group is formed."""

    name: str

    def set(self, answer: bytes) -> None:
        match encoding.loads_stored(answer):
            case ("ok", {"members": members}):
                logger.info("%s has formed the declared group: %s", self.name, members)


def declaration(members: tuple[Address | str, ...], peer: Address) -> tuple[Address, ...]:
    """Return the addresses of declared members; a bare name is a peer of this node.

    Raises BadName for what is none, and ValueError if the peer itself is not among them.
    """
    addresses = tuple(
        sorted({(member, peer[1]) if isinstance(member, str) else member for member in members})
    )
    if peer not in addresses:
        raise ValueError(
            f"{peer} declares members without itself: {list(addresses)}. Give each of them the "
            "same list, with all of them; a peer that is to join a group later declares none and "
            "calls Raft.join"
        )
    return addresses
