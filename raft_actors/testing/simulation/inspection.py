"""Inspection: the state of a whole world: who leads, who is a stranger, and whether all agree."""

from collections.abc import Iterator

from raft_actors.core.configuration import Configuration
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.network import Network
from raft_actors.testing.simulation.peer import SimulatedPeer

__all__ = ["Inspection"]


class Inspection(Network):
    """A network of whole peers, as somebody sees it who sees all of them at once.

    peers  the peers that run
    disks  the disk of each peer, also of one that does not run
    """

    peers: dict[str, SimulatedPeer]
    disks: dict[str, PretendDisk]

    def leaders(self) -> Iterator[SimulatedPeer]:
        for peer in self.peers.values():
            if peer.core.role.name == "leader":
                yield peer

    def leader(self) -> SimulatedPeer | None:
        """The leader of the newest term that has one running."""
        return max(self.leaders(), key=lambda peer: peer.core.term, default=None)

    def is_founded(self) -> bool:
        """Return whether a peer that runs has heard of a configuration."""
        return any(peer.core.configuration.members for peer in self.peers.values())

    def described(self) -> str:
        return "; ".join(
            f"{name} {peer.core.role.name} term {peer.core.term} "
            f"log {peer.core.log.last_index} commit {peer.core.commit_index}"
            for name, peer in sorted(self.peers.items())
        )

    def strangers(self, configuration: Configuration) -> set[str]:
        """Return the members whose disks differ from those that the group knows."""
        return {
            name
            for (name, _node), incarnation in configuration.incarnations
            if self.disks[name].incarnation != incarnation
        }

    def agrees(self) -> bool:
        """Return whether there is a leader, and all its members that run have its whole log,
        committed and applied. A member whose disk differs from the one that the group knows is left
        out.
        """
        leader = self.leader()
        if leader is None or not leader.core.commit_index:
            return False
        core = leader.core
        term, last = core.term, core.log.last_index
        members = {name for name, _node in core.configuration.everyone}
        members -= self.strangers(core.configuration)
        return not core.configuration.old and all(
            peer.core.term == term and peer.core.commit_index == peer.applied.index == last
            for peer in self.peers.values()
            if peer.name in members
        )
