"""Network: the messages between peers, the links between them, and the time.

Nothing happens by itself. The caller lets messages arrive (`deliver`, `settle`) and time pass
(`ring`). A subclass defines the peers: those of `World` are whole replicas, and those of the tests
of the core are cores alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence

from raft_actors.core.messages import Event, Message
from raft_actors.testing.simulation.broken import Broken

__all__ = ["Network"]

WIRE_MAX = 400
"""How many messages are under way at most; then the oldest are lost, as on a real link."""
DELIVERIES_MAX = 20_000
ALARMS_MAX = 10_000
"""More than any part of a simulation needs: a simulation with more would never end."""
ALARM_DELAY_S = 1e-6
"""An alarm rings so much late, so that the peer's own clock has reached it in spite of rounding."""


class Network(ABC):
    """Peers with names of one letter, and the messages between them.

    now    seconds since the beginning
    wire   messages under way, oldest first
    late   (when, message): messages that leave their sender later, at `when`
    cut    (source, target): links on which all messages are lost
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names: list[str] = list(names)
        self.now: float = 0.0
        self.wire: list[Message] = []
        self.late: list[tuple[float, Message]] = []
        self.cut: set[tuple[str, str]] = set()

    # The peers.

    @abstractmethod
    def is_up(self, name: str) -> bool:
        """Return whether this peer runs, so that messages reach it."""

    @abstractmethod
    def step(self, name: str, *events: Event) -> None:
        """Let a peer handle the events in one batch, and do the effects."""

    @abstractmethod
    def received(self, message: Message) -> Message:
        """Return the message as its target receives it."""

    @abstractmethod
    def unfinished(self) -> Collection[str]:
        """Return the peers that have work to do if they are stepped without an event."""

    @abstractmethod
    def alarms(self) -> Iterable[tuple[float, str]]:
        """Return for each running peer when its alarm rings, in the time of `now`."""

    @abstractmethod
    def ring_at(self, name: str) -> None:
        """Let the alarm of a peer ring."""

    # The wire.

    def carry(self, messages: list[Message]) -> None:
        """Put messages on the wire."""
        wire = self.wire
        wire += messages
        if len(wire) > WIRE_MAX:
            del wire[: len(wire) - WIRE_MAX]

    def passes(self, source: str, target: str) -> bool:
        return self.is_up(target) and (source, target) not in self.cut

    def deliver(self, messages: Sequence[Message]) -> None:
        """Deliver messages, all to one peer, in one batch; those on a cut link are lost."""
        target = messages[0].target[0]
        arriving = [each for each in messages if self.passes(each.source[0], target)]
        if arriving:
            self.step(target, *map(self.received, arriving))

    def settle(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(DELIVERIES_MAX):
            unfinished = self.unfinished()
            for name in unfinished:
                self.step(name)
            if self.wire:
                self.deliver([self.wire.pop(0)])
            elif not unfinished:
                return
        raise Broken(f"still {len(self.wire)} messages after {DELIVERIES_MAX}")

    # Links.

    def isolate(self, name: str) -> None:
        for other in self.names:
            if other != name:
                self.cut |= {(name, other), (other, name)}

    def split(self, side: set[str]) -> None:
        """Cut all links between the peers of `side` and the others, and mend all other links."""
        self.cut = {(a, b) for a in self.names for b in self.names if (a in side) != (b in side)}

    def heal(self) -> None:
        """Mend all links."""
        self.cut.clear()

    # Time.

    def elapse(self, seconds: float) -> None:
        """Let time pass without ringing an alarm."""
        self.now += seconds
        if self.late:
            self.wire += [message for when, message in self.late if when <= self.now]
            self.late = [each for each in self.late if each[0] > self.now]

    def ring(self, seconds: float) -> None:
        """Let time pass: every alarm that falls due rings, and every message arrives."""
        until = self.now + seconds
        for _ in range(ALARMS_MAX):
            self.settle()
            when, name = min(self.alarms(), default=(until, ""))
            if when >= until:
                self.now = until
                return
            self.now = max(self.now, when + ALARM_DELAY_S)
            self.ring_at(name)
        raise Broken(f"{ALARMS_MAX} alarms within {seconds} s")
