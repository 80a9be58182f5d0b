"""LeadTerm: what a child of a LeaderSupervisor knows of the lead by which it runs."""

import threading

from raft_actors.clock import since_boot
from raft_actors.errors import LeadLost
from raft_actors.lead.deadlines import Deadlines
from raft_actors.names import Address

__all__ = ["LeadTerm"]

SILENCE = "no majority of its group has answered it for too long"


class LeadTerm:
    """Each child of a `LeaderSupervisor` gets one as `term=`.

    token  the fencing token: the index of the log entry that granted the lead. Each later grant, on
           whatever node, has a higher one, also after restarts. `int(term)` is the token too
    peer   address of the peer that leads
    lost   a `threading.Event`, set as soon as the child is to end, for whatever reason

    >>> term.check() == int(term) == term.token
    True
    >>> term.lost.wait(0.01)  # a pause, which ends early if the child is to end
    False
    """

    def __init__(self, token: int, peer: Address, deadlines: Deadlines) -> None:
        self.token = token
        self.peer = peer
        self.lost: threading.Event = threading.Event()
        self._deadlines = deadlines
        self._why = SILENCE
        self._of_children: tuple[LeadTerm, ...] = ()

    def check(self) -> int:
        """Return the token if this node certainly leads; raise LeadLost if it may not.

        Call it before each step that only one node may do. A process can be paused between the
        call and the step. So what the step changes should get the token too, and refuse a lower
        one than it has seen.

        >>> term.check() > 0
        True
        """
        if not self.is_certain():
            name, node = self.peer
            raise LeadLost(
                f"the grant {self.token} of {name} on {node} is over, because {self._why}: end "
                "here, and leave the rest to the node that leads"
            )
        return self.token

    def is_certain(self) -> bool:
        """Return whether this node certainly leads; see `check`.

        >>> term.is_certain()
        True
        """
        return not self.lost.is_set() and since_boot() < self._deadlines.stop_at

    def __int__(self) -> int:
        return self.token

    def __repr__(self) -> str:
        state = "lost" if self.lost.is_set() else "held"
        return f"<LeadTerm {self.token} of {self.peer[0]} on {self.peer[1]}, {state}>"

    def _end(self, why: str) -> None:
        """Tell the child that it is to end."""
        if not self.lost.is_set():
            self._why = why
            self.lost.set()
        for term in self._of_children:
            term._end(why)

    def _for_child(self) -> "LeadTerm":
        """Return a term that also ends alone, with the child that it is for. Called on the thread
        of the supervisor.
        """
        term = LeadTerm(self.token, self.peer, self._deadlines)
        self._of_children = (*(each for each in self._of_children if not each.lost.is_set()), term)
        if self.lost.is_set():
            term._end(self._why)
        return term
