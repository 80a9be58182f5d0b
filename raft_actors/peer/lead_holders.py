"""LeadHolders: who on this node runs something only while a peer of this node leads."""

from typing import Any, Protocol

from raft_actors.config import Config
from raft_actors.core.effects import LeadNews, RoleChange
from raft_actors.names import Address
from supervision import ProcessRef

__all__ = ["LeadHolder", "LeadHolders", "LeadingPeer"]


class LeadingPeer(Protocol):
    """What a holder needs from its peer."""

    name: str
    address: Address
    config: Config

    @property
    def actor_ref(self) -> ProcessRef[Any]: ...


class LeadHolder(Protocol):
    """Runs something only while a peer leads. The methods are called on the peer's thread or on
    another one: they must be quick. `rest` alone may wait.
    """

    def leads(self, peer: LeadingPeer) -> None:
        """Note that the peer leads, maybe in a newer term. It may be called again for a term."""

    def on_news(self, news: LeadNews) -> None: ...

    def lost(self) -> None:
        """Note that the peer does not lead, or not any more, or has ended."""

    def rest(self, peer: LeadingPeer | None) -> None:
        """End what runs before the peer is stopped, and wait for the end, but not for ever. Begin
        again only when another peer leads: one that is started after this one.
        """


class LeadHolders:
    """The holders of each peer of a node, by the peer's name. Any thread may call the methods."""

    def __init__(self) -> None:
        self.by_peer: dict[str, tuple[LeadHolder, ...]] = {}

    def of(self, name: str) -> tuple[LeadHolder, ...]:
        return self.by_peer.get(name, ())

    def add(self, name: str, holder: LeadHolder) -> None:
        self.by_peer[name] = (*self.of(name), holder)

    def remove(self, name: str, holder: LeadHolder) -> None:
        self.by_peer[name] = tuple(other for other in self.of(name) if other is not holder)

    def on_role(self, peer: LeadingPeer, news: RoleChange) -> None:
        for holder in self.of(peer.name):
            if news.role == "leader":
                holder.leads(peer)
            else:
                holder.lost()

    def on_news(self, peer: LeadingPeer, news: LeadNews) -> None:
        for holder in self.of(peer.name):
            holder.on_news(news)

    def clear(self) -> None:
        self.by_peer.clear()
