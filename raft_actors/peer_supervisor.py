"""PeerSupervisor: one peer under a supervisor of its own, so that its crash loop ends here."""

from functools import partial
from typing import TYPE_CHECKING, Any

from raft_actors.config import Config
from raft_actors.peer import Peer
from raft_actors.state_machine import StateMachine
from supervision import ChildSpec, Supervisor

if TYPE_CHECKING:
    from raft_actors.peers import Peers

__all__ = ["PeerSupervisor"]


class PeerSupervisor(Supervisor):
    """Restarts its peer after a crash, from its store. Gives up alone when that does not help.

    Giving up is a "shutdown", and its own spec says transient: the supervisor above it, the
    peers beside it and the node go on, and `Supervisor.restart_child` tries again.
    """

    def init(self, machine: type[StateMachine], name: str, config: Config, peers: "Peers") -> Any:
        start = partial(
            Peer.start_link, machine, name, config, peers, name=name, registry=peers.node.registry
        )
        return Supervisor.init([ChildSpec(name, start)], strategy="one_for_one")
