"""Environment: everything outside a replica that the replica uses: clocks, other peers, its owner.

The actor `peer.Peer` is one implementation. The simulation has another, with simulated clocks,
disks and network.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Effects, LeadNews, RoleChange, Trouble
from raft_actors.core.messages import Message
from raft_actors.names import Address

__all__ = ["Environment"]


class Environment(Protocol):
    """The methods are called on the replica's thread. `clock` is also called during a read."""

    random: Random

    def clock(self) -> float:
        """Return the seconds of a clock that never goes back."""

    def thread_clock(self) -> float:
        """Return the seconds of a processor that the calling thread has used. Threads of
        `run_aside` call this, too.
        """

    def wall_clock(self) -> float:
        """Return the seconds since 1970 by this host's clock, which may be wrong."""

    def send(self, messages: list[Message], *, at_once: bool) -> None:
        """Send messages to other peers, in order.

        at_once  messages to other nodes leave now; otherwise they may wait for `flush`
        """

    def tell_actor(self, to: Address | str, message: bytes) -> None:
        """Send an encoded message to an actor, for an effect. It may get lost."""

    def ask_actor(
        self, to: Address | str, name: str, message: bytes, when_answered: Callable[[bool], None]
    ) -> None:
        """Send the message `name` of the outbox to an actor. `when_answered` is called later, on
        any thread: with True if the actor has answered, with False if it can't. It may also never
        be called.
        """

    def flush(self) -> None:
        """Send everything that waits for other nodes: messages, and answers of tickets."""

    def frame_bytes_max_to(self, peer: Address) -> int:
        """Return how many bytes one frame to this peer's node holds."""

    def save(self, persist: Callable[[Effects], None], due: Effects) -> float:
        """Call `persist(due)`, which blocks, and return how many seconds it took."""

    def run_aside(self, work: Callable[[], None], name: str) -> Callable[[float], object]:
        """Run `work` on a thread of its own. Return a function that waits for its end, at most for
        the given seconds. Raises RuntimeError if the system has no thread left.
        """

    def deliver(self, event: Any) -> None:
        """Let the replica handle `event` later. Threads of `run_aside` call this, too."""

    def continue_soon(self) -> None:
        """Call `Replica.flush` again, after the events that have arrived meanwhile."""

    def wake_at(self, when: float) -> None:
        """Let the replica handle a Tick at this time of `clock`; infinity means never."""

    def on_role(self, news: RoleChange) -> None:
        """Publish that the replica's role, term or leader has changed."""

    def on_lead(self, news: LeadNews) -> None:
        """Tell the news to the holders of grants of the lead."""

    def on_trouble(self, trouble: Trouble) -> None:
        """Report a problem that needs an operator."""

    def on_unknown(self, event: Any) -> None:
        """Report that the replica got an event that it does not understand."""

    def on_removed(self, configuration: Configuration) -> None:
        """Handle that this committed configuration has removed the replica from its group."""
