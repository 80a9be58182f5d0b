"""LeaderSupervisor: children that run on one node of a group only, the one whose peer leads."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from raft_actors.client.rpc import PeerRef, address_of
from raft_actors.clock import since_boot
from raft_actors.core.configuration import GRANT_MS_MAX
from raft_actors.lead.children import LeadChild, given, lead_specs
from raft_actors.lead.coroutine_child import LoopThread
from raft_actors.lead.holder import Begin, End, Holder
from raft_actors.lead.term import LeadTerm
from raft_actors.peer.peers import peers_here
from raft_actors.timeouts import optional_seconds, seconds
from supervision import Backoff, ChildSpec, OptionError, Supervisor, SupervisorFlags, timer
from supervision.supervisor import Strategy
from supervision.supervisor_base import call
from supervision.switched_supervisor import SwitchedSupervisor

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["LeadTerm", "LeaderSupervisor", "LeaderSupervisorFlags"]

logger = logging.getLogger("raft_actors.lead")

LOOK_AROUND = object()
LOOK_AROUND_S = 10.0
"""If the peer does not run by then, this is logged: its name may be misspelt."""


@dataclass(frozen=True, slots=True)
class LeaderSupervisorFlags(SupervisorFlags):
    """What the `init` of a LeaderSupervisor returns; made by `LeaderSupervisor.init`."""

    of: str
    hand_over: float
    stop_within: float | None
    loops: LoopThread


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
) -> LeaderSupervisorFlags:
    """Check the options of a LeaderSupervisor and return them; `LeaderSupervisor.init` is this
    function. A subclass returns the result from its own `init`.

    children     as those of a Supervisor; also functions and coroutine functions, alone or as
                 (function, arguments), and a `Program`. Each is started with the argument `term=`,
                 a LeadTerm
    of           the peer, which is on this node; it may be started later
    hand_over    seconds that the children have to end before the leadership is handed over
    stop_within  in so many seconds after the last proof that the peer leads, the children have
                 ended; so long a new leader waits before it starts its own. They begin to stop when
                 half of it is over, and are killed when 90 % are. None: four longest election
                 timeouts of the peer
    loop         a running event loop for the coroutines; None: one on a thread of its own
    strategy, max_restarts, max_seconds, backoff  as those of a Supervisor

    Raises ChildSpecError and OptionError, TypeError and ValueError.

    >>> LeaderSupervisor.init([tick], of="peer1", hand_over=2.0).of
    'peer1'
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
    return LeaderSupervisorFlags(
        flags.children, flags.strategy, flags.max_restarts, flags.max_seconds, flags.backoff,
        of=name, hand_over=hand_over, stop_within=optional_seconds(stop_within), loops=loops,
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

    # -- switching

    def flags_are(self, flags: LeaderSupervisorFlags) -> None:
        self.lead: LeadTerm | None = None
        self.peer_name = flags.of
        self.loops = flags.loops
        self.holder = Holder(self.actor_ref, flags.stop_within, flags.hand_over)
        self.let_go = peers_here().hold(flags.of, self.holder)
        timer.send_after(LOOK_AROUND_S, self.actor_ref, LOOK_AROUND)

    def prepared(self, spec: ChildSpec) -> ChildSpec:
        assert self.lead is not None
        return given(spec, self.lead)

    def on_receive(self, message: Any) -> Any:
        if type(message) is Begin:
            self.begin(message.term)
        elif type(message) is End:
            self.end(message.term)
        elif message is LOOK_AROUND:
            self.look_around()
        else:
            return super().on_receive(message)
        return None

    def begin(self, term: LeadTerm) -> None:
        if term.lost.is_set():
            return  # the message End follows
        self.lead = term
        logger.info("%s leads: its children start here, grant %d", self.peer_name, term.token)
        self.switch_on()

    def end(self, term: LeadTerm) -> None:
        """Stop the children by the deadlines of their grant, and give it back."""
        within_s = max(0.0, term._deadlines.over_at - since_boot())
        self.ended(term, all_have=self.switch_off(within_s))

    def ended(self, term: LeadTerm, *, all_have: bool) -> None:
        if not all_have:
            logger.warning(
                "%s: not all children have ended in time, grant %d; Python can't end a thread. "
                "Where one may run on, term.check() raises",
                self.peer_name, term.token,
            )  # fmt: skip
        self.lead = None
        self.holder.give_back(term, ended=all_have)

    def look_around(self) -> None:
        """Log that the peer does not run, if it does not."""
        running = peers_here().names()
        if self.peer_name not in running:
            logger.warning(
                "a LeaderSupervisor waits for a peer %r, which does not run on %s; these do: %s",
                self.peer_name, peers_here().node.name, ", ".join(running) or "none",
            )  # fmt: skip

    def may_restart(self) -> bool:
        return self.lead is not None and not self.lead.lost.is_set()

    # -- the end

    def time_to_end_s(self) -> float:
        self.let_go()
        self.holder.close()
        if self.lead is None:
            return 0.0
        return max(0.0, self.lead._deadlines.over_at - since_boot())

    def children_ended(self, *, all_have: bool) -> None:
        if self.lead is not None:
            self.ended(self.lead, all_have=all_have)
        self.loops.close()

    def abandoned(self) -> None:
        """Give nothing back after a kill: what runs may run on, until its time is over."""
        self.let_go()
        self.holder.close()

    # -- answers

    def _token(self) -> int | None:
        return None if self.lead is None else self.lead.token
