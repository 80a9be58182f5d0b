"""Leadership: tells a state machine that its replica has become the leader, and that it is none any
more.

A machine without `on_leader` and `on_follower` is never looked at here.
"""

from raft_actors.core.server import Server
from raft_actors.machine.contract import is_by_default
from raft_actors.machine.replicated_state import ReplicatedState

__all__ = ["Leadership"]


class Leadership:
    """What a state machine has been told of its replica's role.

    term   the term as whose leader the machine was told to lead; 0 if it does not lead
    wanted whether the machine has a method of its own that is to be called
    """

    __slots__ = ("core", "term", "wanted")

    def __init__(self, core: Server, applied: ReplicatedState) -> None:
        self.core: Server = core
        self.term: int = 0
        kind = type(applied.machine)
        self.wanted: bool = not (is_by_default(kind.on_leader) and is_by_default(kind.on_follower))

    def look(self, applied: ReplicatedState) -> None:
        """Tell the machine if the role has changed.

        A new leader leads only when the first entry of its term is applied: before that, its state
        may lack commands that a leader before it has acknowledged (§8).
        """
        core = self.core
        leads = core.role.leads and applied.keeps_state
        if self.term and not (leads and self.term == core.term):
            self.end(applied)
        if leads and not self.term and applied.last_term() == core.term:
            self.term = core.term
            applied.lead()

    def end(self, applied: ReplicatedState) -> None:
        """Tell the machine that its replica is no leader any more, if it was told that it leads."""
        if self.term:
            self.term = 0
            applied.follow()
