"""Holders: on each simulated host something that runs only while the host's peer leads.

It behaves as a LeaderSupervisor may at worst: it runs for as long as its grant allows, it outlives
the process of its peer, and it gives a recalled grant back late, or never.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from raft_actors.core.effects import LeadNews
from raft_actors.core.messages import GrantLead, ReturnLead
from raft_actors.machine.sessions import said_in
from raft_actors.testing.simulation.broken import Broken

__all__ = ["Holders", "HoldingPeer"]

NEVER = float("inf")


class HoldersWorld(Protocol):
    """What holders need from their world; see `World`."""

    now: float
    tell: Callable[[str], None] | None


class HoldingPeer(Protocol):
    """What a holder needs from its peer; see `SimulatedPeer`."""

    name: str
    rate: float
    origin: float
    news: Any

    def deliver(self, event: Any) -> None: ...


@dataclass(slots=True)
class Run:
    """What runs by one grant.

    until      when it ends by itself, in the world's time
    return_at  when the recalled grant is given back; None: it was not recalled
    returned   whether the grant was given back although something may run on: until the time that
               was known then, and no longer
    """

    peer: HoldingPeer
    token: int
    until: float
    return_at: float | None = None
    returned: bool = False


class Wish:
    """A holder's wish for a grant, and the ticket of it."""

    def __init__(self, holders: "Holders", peer: HoldingPeer) -> None:
        self.holders = holders
        self.peer = peer
        self.event: GrantLead = GrantLead(
            max(1, int(holders.grant_s * 1000)), holders.hand_over_s, ticket=self
        )

    def set(self, answer: bytes) -> None:
        if said_in(answer)[0] == "ok":
            self.holders.granted(self.peer, self.event.index)


class Holders:
    """All holders of a world.

    grant_s      how long something runs on after the newest proof that its peer led
    hand_over_s  how long a leader is to wait for the return of a grant
    runs         what runs by a grant of the present leader, by the name of its host
    left         what was left running when a leadership ended
    given        how many grants were given
    """

    def __init__(
        self, world: HoldersWorld, seed: int, grant_s: float = 0.0, hand_over_s: float = 0.0
    ) -> None:
        self.world = world
        self.grant_s = grant_s
        self.hand_over_s = hand_over_s
        self.luck: Random = Random(f"{seed}/holders")  # noqa: S311
        self.runs: dict[str, Run] = {}
        self.left: list[Run] = []
        self.confirmed: dict[str, float] = {}
        self.newest: int = 0
        self.given: int = 0

    def on_role(self, peer: HoldingPeer, role: str) -> None:
        """Wish for a grant as the peer begins to lead."""
        self.confirmed.pop(peer.name, None)
        self.left = [run for run in self.left if run.until > self.world.now]
        if peer.name in self.runs:
            self.left.append(self.runs.pop(peer.name))
        if self.grant_s and role == "leader":
            peer.deliver(Wish(self, peer).event)

    def granted(self, peer: HoldingPeer, token: int) -> None:
        """Begin to run, if that is still certain. Nothing of an older grant may run now."""
        now = self.world.now
        until = self.end_of(peer, self.confirmed.get(peer.name, -NEVER))
        if self.world.tell:
            self.world.tell(f"{peer.name}: gets the grant {token}, until {until:.3f} s")
        for other in (*self.runs.values(), *self.left):
            if other.until > now:
                raise Broken(
                    f"{peer.name} gets the grant {token}, and what runs at {other.peer.name} by "
                    f"the grant {other.token} may run until {other.until:.3f} s"
                )
        if token <= self.newest:
            raise Broken(f"the grant {token} of {peer.name} comes after {self.newest}")
        self.newest = token
        self.given += 1
        self.runs[peer.name] = Run(peer, token, until)

    def on_lead(self, peer: HoldingPeer, news: LeadNews) -> None:
        """Run on until the later time; or end, if the time was over before the news came."""
        self.confirmed[peer.name] = news.confirmed_at
        run = self.runs.get(peer.name)
        if run is None or run.peer is not peer:  # the process of before has crashed
            return
        now = self.world.now
        if run.until > now and not run.returned:
            run.until = max(run.until, self.end_of(peer, news.confirmed_at))
        if news.recalled and run.return_at is None:
            self.recalled(run)
        over = run.until <= now
        if over or (run.return_at is not None and run.return_at <= now):
            self.give_back(run, ended=over or self.luck.random() < 0.7)

    def recalled(self, run: Run) -> None:
        """Draw when the grant is given back: at once, later, later than the leader waits."""
        self.tell(run, "is recalled")
        run.return_at = self.world.now + self.luck.choice((0, 0, 0.5, 0.9, 2, NEVER)) * (
            self.hand_over_s
        )

    def give_back(self, run: Run, *, ended: bool) -> None:
        """Give a grant back, and wish for another one."""
        self.tell(run, "is given back" + ("" if ended else ", and something may run on"))
        if ended:
            run.until = min(run.until, self.world.now)
            del self.runs[run.peer.name]
        run.peer.deliver(ReturnLead(index=run.token, ended=ended))
        if ended:
            run.peer.deliver(Wish(self, run.peer).event)
        else:
            run.return_at, run.returned = NEVER, True

    def end_of(self, peer: HoldingPeer, confirmed_at: float) -> float:
        """Return the world's time at which the grant time after `confirmed_at` is over."""
        return (confirmed_at + int(self.grant_s * 1000) / 1000 - peer.origin) / peer.rate

    def tell(self, run: Run, what: str) -> None:
        if self.world.tell:
            self.world.tell(f"{run.peer.name}: the grant {run.token} {what}")
