"""LeadSwitch: switches a LeaderSupervisor on where its peer leads, and off in time."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from raft_actors.clock import since_boot
from raft_actors.lead.children import given
from raft_actors.lead.coroutine_child import LoopThread
from raft_actors.lead.holder import Holder
from raft_actors.lead.term import LeadTerm
from raft_actors.peer.peers import peers_here
from supervision import ChildSpec, tell_if_alive, timer
from supervision.switched_supervisor import SwitchedSupervisor, Turn

__all__ = ["LeadSwitch"]

logger: logging.Logger = logging.getLogger("raft_actors.lead")

LOOK = object()
LOOK_AROUND_S = 10.0
"""If the peer does not run by then, this is logged: its name may be misspelt."""


class LeadSwitch:
    """The switch of one LeaderSupervisor.

    of    the name of the peer
    lead  the grant by which the children run; None: they don't
    """

    def __init__(
        self, supervisor: SwitchedSupervisor, *,
        of: str, hand_over_s: float, grant_s: float | None, loops: LoopThread,
    ) -> None:  # fmt: skip
        self.supervisor = supervisor
        self.of = of
        self.loops = loops
        self.lead: LeadTerm | None = None
        self.holder: Holder = Holder(self, grant_s, hand_over_s)
        self.let_go: Callable[[], None] = peers_here().hold(of, self.holder)
        timer.send_after(LOOK_AROUND_S, LookingAround(self), LOOK)

    # What the holder calls, on any thread.

    def begin_soon(self, term: LeadTerm) -> None:
        tell_if_alive(self.supervisor.actor_ref, Turn(partial(self.begin, term)))

    def end_soon(self, term: LeadTerm) -> None:
        tell_if_alive(self.supervisor.actor_ref, Turn(partial(self.end, term)))

    # On the supervisor's thread.

    def begin(self, term: LeadTerm) -> None:
        if term.lost.is_set():
            return  # it is ended soon
        self.lead = term
        logger.info("%s leads: its children start here, grant %d", self.of, term.token)
        self.supervisor._switch_on()

    def end(self, term: LeadTerm) -> None:
        """Stop the children by the deadlines of their grant, and give it back."""
        within_s = max(0.0, term._deadlines.over_at - since_boot())
        self.ended(term, all_have=self.supervisor._switch_off(within_s))

    def ended(self, term: LeadTerm, *, all_have: bool) -> None:
        if not all_have:
            logger.warning(
                "%s: not all children have ended in time, grant %d; Python can't end a thread. "
                "Where one may run on, term.check() raises",
                self.of, term.token,
            )  # fmt: skip
        self.lead = None
        self.holder.give_back(term, ended=all_have)

    def prepared(self, spec: ChildSpec) -> ChildSpec:
        assert self.lead is not None
        return given(spec, self.lead)

    def may_restart(self) -> bool:
        return self.lead is not None and not self.lead.lost.is_set()

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

    def killed(self) -> None:
        self.let_go()
        self.holder.close()

    def token(self) -> int | None:
        return None if self.lead is None else self.lead.token

    def look_around(self) -> None:
        """Log that the peer does not run, if it does not."""
        running = peers_here().names()
        if self.of not in running and not self.holder.closed:
            logger.warning(
                "a LeaderSupervisor waits for a peer %r, which does not run on %s; these do: %s",
                self.of, peers_here().node.name, ", ".join(running) or "none",
            )  # fmt: skip


class LookingAround:
    """The receiver of an alarm. It works on the thread of the timer."""

    def __init__(self, switch: LeadSwitch) -> None:
        self.switch = switch

    def tell(self, _message: Any) -> None:
        self.switch.look_around()
