"""PeerSupervisor: one peer under a supervisor of its own, so that its crash loop ends here."""

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
    """Restarts its peer after a crash, from its store; at once, then after longer and longer.

    A disk that is full for a minute costs this peer a minute. Its crash loop stays here: the
    supervisor above, the peers beside it and the node never hear of it.
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
