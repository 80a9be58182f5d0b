"""Environment: what a replica reaches for outside itself.

The actor `peer.Peer` is one. The simulation's is another, with pretended clocks, disk and wire.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Effects, RoleChange, Trouble
from raft_actors.core.messages import Message
from raft_actors.names import Address

__all__ = ["Environment"]


class Environment(Protocol):
    """All of it is called on the thread of the replica, `clock` also by a read of a state."""

    random: Random

    def clock(self) -> float:
        """Return the seconds of a clock that never goes back."""

    def wall_clock(self) -> float:
        """Return the seconds since 1970, as this host has them."""

    def send(self, messages: list[Message], *, at_once: bool) -> None:
        """Send to other peers, in order.

        at_once  what goes to other nodes leaves now; else it may wait for `flush`
        """

    def flush(self) -> None:
        """Have everything leave that goes to other nodes: messages, and answers of tickets."""

    def frame_bytes_max_to(self, peer: Address) -> int:
        """Return how many bytes one frame to this peer's node holds."""

    def save(self, persist: Callable[[Effects], None], due: Effects) -> float:
        """Call `persist(due)`, which blocks, and return how many seconds it took."""

    def run_aside(self, work: Callable[[], None], name: str) -> Callable[[float], object]:
        """Run `work` on a thread of its own, and return a function that waits for its end, for so
        many seconds at most. Raises RuntimeError where the system has no thread left.
        """

    def deliver(self, event: Any) -> None:
        """Have the replica handle `event` later. Called from what runs aside, too."""

    def continue_soon(self) -> None:
        """Have `Replica.flush` called again, after what has come meanwhile."""

    def wake_at(self, when: float) -> None:
        """Have the replica handle a Tick at this time of `clock`; inf is never."""

    def on_role(self, news: RoleChange) -> None:
        """The role, the term or the leader is another."""

    def on_trouble(self, trouble: Trouble) -> None:
        """Something has to be looked at by a person."""

    def on_unknown(self, event: Any) -> None:
        """Somebody told the replica what it does not understand."""

    def on_removed(self, configuration: Configuration) -> None:
        """This committed configuration is without the replica, which was a member before."""
