"""LeaderSupervisor: children that run on one node of a group only, the one whose peer leads."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from raft_actors.client.rpc import PeerRef, address_of
from raft_actors.core.configuration import GRANT_MS_MAX
from raft_actors.lead.children import LeadChild, lead_specs
from raft_actors.lead.coroutine_child import LoopThread
from raft_actors.lead.switch import LeadSwitch
from raft_actors.lead.term import LeadTerm
from raft_actors.peer.peers import peers_here
from raft_actors.timeouts import seconds
from supervision import Backoff, OptionError, Supervisor
from supervision.supervisor_base import call
from supervision.supervisor_flags import Strategy
from supervision.switched_supervisor import SwitchedFlags, SwitchedSupervisor

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["LeadTerm", "LeaderSupervisor"]


def leader_supervisor_flags(
    children: Iterable[LeadChild] = (),
    *,
    of: PeerRef,
    hand_over: float = 5.0,
    stop_within: float | None = None,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    backoff: Backoff | None = None,
    loop: "AbstractEventLoop | None" = None,
) -> SwitchedFlags:
    """Check the options of a LeaderSupervisor and return them; `LeaderSupervisor.init` is this
    function. A subclass returns the result from its own `init`.

    children     as those of a Supervisor; a `Program`; also functions and coroutine functions,
                 alone or as (function, arguments), which are called again in this term only if they
                 raise. Each is started with the argument `term=`, a LeadTerm
    of           the peer, which is on this node; it may be started later
    hand_over    seconds that the children have to end before the leadership is handed over
    stop_within  in so many seconds after the last proof that the peer leads, the children have
                 ended; so long a new leader waits before it starts its own. They begin to stop when
                 half of it is over, and are killed when 90 % are. None: four longest election
                 timeouts of the peer
    loop         a running event loop for the coroutines; None: one on a thread of its own
    strategy, max_restarts, max_seconds, backoff  as those of a Supervisor

    Raises ChildSpecError and OptionError, TypeError and ValueError.

    >>> LeaderSupervisor.init([tick], of="peer1", strategy="one_for_all").strategy
    'one_for_all'
    """
    name, node = address_of(of)
    if node != peers_here().node.name:
        raise OptionError(
            ("other_node", (name, node)),
            f"{name} is on {node}, and a LeaderSupervisor goes with a peer of its own node, "
            f"{peers_here().node.name}: start one on each node, with of={name!r}",
        )
    if not 0 <= seconds(hand_over, "hand_over") <= GRANT_MS_MAX / 1000:
        raise OptionError(
            ("invalid_hand_over", hand_over), "hand_over must be from 0 to 3600 seconds"
        )
    if stop_within is not None and not 0.1 <= seconds(stop_within) <= GRANT_MS_MAX / 1000:
        raise OptionError(
            ("invalid_stop_within", stop_within), "stop_within must be from 0.1 to 3600 seconds"
        )
    loops = LoopThread(loop)
    flags = Supervisor.init(
        lead_specs(children, loops), strategy, max_restarts, max_seconds, backoff
    )
    switch = partial(LeadSwitch, of=name, hand_over_s=hand_over, grant_s=stop_within, loops=loops)
    return SwitchedFlags(
        flags.children, flags.strategy, flags.max_restarts, flags.max_seconds, flags.backoff,
        switch,
    )  # fmt: skip


class LeaderSupervisor(SwitchedSupervisor):
    """A Supervisor whose children run only where a peer of its node leads: each node of a group
    has one, and the children run on one of the nodes at a time.

    Here `peer1` to `peer3` are a group, in one process:

    >>> from raft_actors import LeaderSupervisor, Raft
    >>> ok, leader = Raft.transfer_leadership(Raft.leader(Raft.test_cluster()[0]), "peer1")
    >>> def tick(term):
    ...     while not term.lost.wait(0.1):
    ...         print("only here, as", term.check())
    >>> ok, supervisor = LeaderSupervisor.start_link([tick], of="peer2")

    The children are stopped before the leadership is handed over, and in time after it may be lost:
    see docs/one_leader.md. In every call `supervisor` is a ref, a proxy, or a name.
    """

    init: ClassVar[Any] = staticmethod(leader_supervisor_flags)

    # -- the public calls

    @staticmethod
    def token(supervisor: Any) -> int | None:
        """Return the fencing token with which the children run, or None if they don't run here.

        >>> LeaderSupervisor.token(supervisor) is None
        True
        """
        return cast("int | None", call(supervisor, "token"))

    def _token(self) -> int | None:
        assert isinstance(self._switch, LeadSwitch)
        return self._switch.token()
