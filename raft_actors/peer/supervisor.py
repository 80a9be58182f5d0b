"""PeerSupervisor: the supervisor of one peer. Repeated crashes of the peer affect nothing else."""

from functools import partial
from typing import Any

from raft_actors.config import Config
from raft_actors.machine.contract import Machine
from raft_actors.names import Address
from raft_actors.peer.host import Host
from raft_actors.peer.peer import Before, Peer
from supervision import Backoff, ChildSpec, Supervisor

__all__ = ["PeerSupervisor"]


class PeerSupervisor(Supervisor):
    """Restarts its peer after a crash, and the peer recovers from its store. The first restart is
    immediate; then the pauses grow.

    A disk that is full for a minute costs this peer a minute. The crashes end only this peer: the
    supervisor above, the other peers and the node run on.
    """

    def init(
        self,
        machine: type[Machine],
        name: str,
        config: Config,
        host: Host,
        members: tuple[Address | str, ...] = (),
    ) -> Any:
        start = partial(
            Peer.start_link, machine, name, config, host, members, Before(),
            name=name, registry=host.registry,
        )  # fmt: skip
        return Supervisor.init([ChildSpec(name, start)], strategy="one_for_one", backoff=Backoff())
