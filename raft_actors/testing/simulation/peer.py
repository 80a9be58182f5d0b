"""SimulatedPeer: the library's replica in a simulated environment.

Only the surroundings of the replica are simulated: clocks, random numbers, the store, the other
peers and the timer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Effects, LeadNews, RoleChange, Trouble
from raft_actors.core.entry import RequestId
from raft_actors.core.log import Log
from raft_actors.core.messages import NO_FRAMES, Event, Message
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.effects import Effect, TimerFired
from raft_actors.machine.contract import Machine
from raft_actors.machine.replicated_state import NOWHERE, ReplicatedState
from raft_actors.machine.witness_state import WitnessState
from raft_actors.names import Address
from raft_actors.replica.digester import DigestWork
from raft_actors.replica.replica import Replica
from raft_actors.replica.snapshotter import Writer
from raft_actors.stores.snapshots import Snapshots
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checker import Checker
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.holders import Holders
from raft_actors.testing.simulation.watchers import Watchers

__all__ = ["SimulatedPeer"]


PART_LOST = 0.2
"""The part of the messages of the outbox that do not arrive, and of those whose answers do not."""
RETRY_S = 0.01
LATER = 3
"""A frozen state is written so many entries later, or when nothing else happens."""


class PeerWorld(Protocol):
    """What a simulated peer needs from its world; see `World`."""

    now: float
    rates: dict[str, float]
    led: dict[int, Any]
    actors_told: list[tuple[Address | str, Any]]
    actors_asked: list[tuple[Address | str, str, Any]]
    disks: dict[str, PretendDisk]
    checker: Checker
    watchers: Watchers
    holders: Holders

    def config_of(self, name: str, random: Random) -> Config: ...
    def machine_of(self, name: str, machine: type[Machine]) -> Machine: ...
    def wall_ms(self, name: str) -> int: ...
    def drag_of(self, name: str) -> float: ...
    def boundary(self) -> None: ...
    def send(self, name: str, messages: list[Message]) -> None: ...
    def announced(self, name: str, news: RoleChange) -> None: ...
    def reported(self, name: str, trouble: Trouble) -> None: ...


class WatchedApplied(ReplicatedState):
    """The replicated state, which reports each applied command to the checker.

    replies   (reply, index): the replies of this step to commands and reads, and the last entry
              that each includes. A reply is distinguished from other answers by object identity
    ran       the commands of sessions that have run in this process of the replica
    request   the request id of the command that is being applied
    batch     how many commands this step has applied
    leads     whether the machine was told that it leads
    """

    leads: bool = False

    def __init__(
        self, machine: Machine, name: str, _directory: Path, peer: "SimulatedPeer"
    ) -> None:
        directory = peer.world.disks[name].directory
        super().__init__(machine, name, directory.path if machine.state_is_on_disk else NOWHERE)
        if self.on_disk is not None:
            directory.watch(self.state._raft_table)
        self.peer = peer
        peer.applied = self
        self.replies: list[tuple[bytes, int]] = []
        self.ran: set[RequestId] = set()
        self.request: RequestId = (0, 0)
        self.batch: int = 0
        self.apply_max: int = peer.config.apply_max

    def write(self, command: bytes, request: RequestId = (0, 0), time_ms: int = 0) -> bytes:
        self.request = request
        self.batch += 1
        if self.batch > self.apply_max:
            raise Broken(f"{self.name} applies more than apply_max commands in one go")
        before_ms = self.sessions.now_ms
        if watchers := self.peer.world.watchers:
            index = self.index + 1
            self.topics.publish(watchers.note_published(command, index), index)
        reply = super().write(command, request, time_ms)
        self.raise_fault()
        if self.sessions.now_ms < before_ms:
            raise Broken(
                f"{self.name}: replicated time goes back at entry {self.index + 1}, from "
                f"{before_ms} to {self.sessions.now_ms} ms"
            )
        self.peer.world.checker.applied(self.peer, self.index + 1, command, reply)
        self.replies.append((reply, self.index + 1))
        return reply

    def upgrade(self, version: int) -> None:
        super().upgrade(version)
        self.peer.world.checker.moved(self.peer, self.index + 1)

    def take_effects(self, effects: list[Effect]) -> None:
        """All replicas have the same effects of a command, although only the leader carries them
        out.
        """
        index, known = self.index + 1, self.peer.world.checker.effects
        before, who = known.setdefault(index, (effects, self.name))
        if before != effects:
            raise Broken(
                f"replicas differ in the effects of entry {index}: {self.name} has {effects}, "
                f"{who} had {before}"
            )
        super().take_effects(effects)

    def run(self, command: bytes, fired: TimerFired | None = None) -> bytes:
        request = self.request
        if request[0]:
            if request in self.ran:
                raise Broken(f"{self.name} runs command {request} twice (thesis 6.3)")
            self.ran.add(request)
        return super().run(command, fired)

    def read(self, query: bytes) -> bytes:
        reply = super().read(query)
        self.raise_fault()
        self.replies.append((reply, self.index))
        return reply

    def restore(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        super().restore(snapshots, snapshot)
        self.peer.world.checker.restored(self.peer, snapshot.index, snapshot.term)
        self.ran = self.peer.world.checker.answers.requests_up_to(self.index)

    def catch_up_sessions(self, snapshots: Snapshots, snapshot: Snapshot, log: Log) -> None:
        super().catch_up_sessions(snapshots, snapshot, log)
        self.peer.world.checker.resumed(self.peer, self.index)
        self.ran |= self.peer.world.checker.answers.requests_up_to(self.index)

    def lead(self) -> None:
        """A machine leads once in each term, at the leader, after the first entry of the term is
        applied; then its state has all that was committed before (§8).
        """
        term, led = self.peer.core.term, self.peer.world.led
        if not self.peer.core.role.leads or self.last_term() != term:
            raise Broken(f"{self.name}: its machine leads term {term} before its peer does")
        if self.leads or led.setdefault(term, self) is not self:
            raise Broken(f"{self.name}: its machine is told twice that it leads term {term}")
        self.leads = True
        super().lead()
        self.raise_fault()

    def follow(self) -> None:
        if not self.leads:
            raise Broken(f"{self.name}: its machine is told to follow, and did not lead")
        self.leads = False
        super().follow()

    def raise_fault(self) -> None:
        """Raise the fault that an examined machine has found. The machine can't raise it itself,
        because an exception of a machine is a reply.
        """
        fault: Exception | None = getattr(self.machine, "fault", None)
        if fault is not None:
            raise fault

    def seen_by(self, answer: bytes | None) -> list[int]:
        """Return the entries up to which the answer may have been made; none if it is no reply.

        There may be several, because Python keeps some short `bytes` only once: equal replies may
        be the same object.
        """
        return [index for reply, index in self.replies if reply is answer]


class WatchedWitness(WitnessState):
    """The state of a witness, which has no replies."""

    leads = False

    def __init__(self, machine: Machine, name: str, index: int, peer: "SimulatedPeer") -> None:
        super().__init__(machine, name, index)
        peer.applied = self
        self.replies: list[tuple[bytes, int]] = []
        self.batch = 0

    def seen_by(self, _answer: bytes | None) -> list[int]:
        return []

    def raise_fault(self) -> None:
        """No machine runs here."""


class SimulatedPeer:
    """One process of a peer, from its start to its crash: a replica and its simulated environment.

    rate, origin   the clock of the peer shows `origin + rate * world.now`
    applied        the replica's state
    seen           the commit index up to which the checker has checked
    count          how many commands the peer has applied
    has_more       True if a step without events has work to do: entries to apply, a snapshot
    told           the messages of the peer to itself
    writing        (index, work): frozen states, and the entry at which each is written, or its
                   digest is made
    """

    applied: WatchedApplied | WatchedWitness

    def __init__(
        self,
        world: PeerWorld,
        name: str,
        address: Address,
        machine: type[Machine],
        random: Random,
    ) -> None:
        self.world = world
        self.name = name
        self.address = address
        self.config: Config = world.config_of(name, random)
        self.rate: float = world.rates[name]
        self.origin: float = random.uniform(0, 1_000)
        self.random = random
        self.seen = 0
        self.count = 0
        self.has_more: bool = False
        self.told: list[Any] = []
        self.writing: list[tuple[int, Writer | DigestWork]] = []
        self.news: RoleChange | None = None
        self.replica: Replica = Replica(
            address, self.config, world.disks[name], world.machine_of(name, machine), self,
            make_state=partial(WatchedApplied, peer=self),
            make_witness=partial(WatchedWitness, peer=self),
            slice_s=int(self.clock()) % 2,  # half of the peers check for messages after each piece
        )  # fmt: skip
        self.core: Server = self.replica.core
        if int(self.clock()) % 3:  # most peers propose the end of a duty several times
            self.replica.carrier.retry_s = RETRY_S

    @property
    def due(self) -> Effects | None:
        return self.replica.due

    @property
    def alarm_at(self) -> float:
        """When the alarm of the peer rings, in the world's time."""
        return (self.replica.alarm - self.origin) / self.rate

    def handle(self, events: list[Event]) -> None:
        """Handle the events in one batch, as if they had waited in the mailbox."""
        replica = self.replica
        with self.at_work(idle=not events and not self.told):
            if replica.due is not None:
                replica.finish()
                self.world.checker.look(self)
                self.applied.batch = 0
            told, self.told = self.told, []
            replica.handle(told + events)
            replica.flush()
            self.check_leadership()

    def handle_inline(self, events: list[Event]) -> None:
        """Handle the events as the bridge's thread does: send what follows from them, and leave all
        other effects to the next step.
        """
        with self.at_work(idle=False):
            self.replica.handle(events)
            if not self.replica.flush_messages():
                self.continue_soon()

    def check_leadership(self) -> None:
        """After each batch the machine knows whether its replica leads."""
        core, applied = self.core, self.applied
        leads = core.role.leads and applied.keeps_state and applied.last_term() == core.term
        if applied.leads != leads and self.replica.leadership.wanted:
            told = "leads" if applied.leads else "follows"
            raise Broken(
                f"{self.name}: its machine was told that it {told}, and its peer is "
                f"{core.role.name} in term {core.term}"
            )

    @contextmanager
    def at_work(self, *, idle: bool) -> Iterator[None]:
        self.has_more = False
        self.write_snapshots(idle=idle)
        self.applied.replies.clear()
        self.applied.batch = 0
        try:
            yield
        finally:
            self.applied.raise_fault()
        self.has_more |= bool(self.writing)

    def write_snapshots(self, *, idle: bool) -> None:
        """Write the frozen states whose time has come."""
        for due, writer in self.writing[:]:
            if idle or self.applied.index >= due or writer.given_up:
                self.writing.remove((due, writer))
                writer()

    # The environment.

    def clock(self) -> float:
        return self.origin + self.rate * self.world.now

    def thread_clock(self) -> float:
        """Show that nothing takes any time, so that a seed tells the whole story."""
        return 0.0

    def wall_clock(self) -> float:
        return self.world.wall_ms(self.name) / 1_000

    def send(self, messages: list[Message], *, at_once: bool) -> None:
        self.world.boundary()
        for part in [[each] for each in messages] if at_once else [messages]:
            self.world.send(self.name, part)
            self.world.boundary()

    def flush(self) -> None:
        self.world.boundary()

    def tell_actor(self, to: Address | str, message: bytes) -> None:
        self.world.boundary()
        self.world.actors_told.append((to, encoding.loads(message)))

    def ask_actor(
        self, to: Address | str, name: str, message: bytes, when_answered: Callable[[bool], None]
    ) -> None:
        """Ask an actor that is there, away, or there with an answer that gets lost."""
        self.world.boundary()
        fate = self.random.random()
        if fate < PART_LOST:
            when_answered(False)
            return
        self.world.actors_asked.append((to, name, encoding.loads(message)))
        if fate > 1 - PART_LOST:
            return
        when_answered(True)

    def frame_bytes_max_to(self, _peer: Address) -> int:
        return NO_FRAMES

    def save(self, persist: Callable[[Effects], None], due: Effects) -> float:
        """Save, and return how long it took according to the world."""
        took_s = self.world.drag_of(self.name)
        persist(due)
        return took_s * self.rate

    def run_aside(self, work: Callable[[], None], _name: str) -> Callable[[float], object]:
        """Run the work at once; but write a frozen state, or make a digest of it, some entries
        later. It must not change while the state changes, and this checks it.
        """
        if isinstance(work, DigestWork) or (isinstance(work, Writer) and work.image.deferred != ()):
            self.writing.append((self.applied.index + LATER, work))
        else:
            work()
        return lambda _timeout_s: None

    def deliver(self, event: Any) -> None:
        self.has_more = True
        self.told.append(event)

    def continue_soon(self) -> None:
        self.has_more = True

    def wake_at(self, when: float) -> None:
        """Nothing to do: the world reads the core's alarm itself."""

    def on_role(self, news: RoleChange) -> None:
        self.news = news
        self.world.announced(self.name, news)
        self.world.holders.on_role(self, news.role)

    def on_lead(self, news: LeadNews) -> None:
        self.world.holders.on_lead(self, news)

    def on_trouble(self, trouble: Trouble) -> None:
        self.world.reported(self.name, trouble)

    def on_unknown(self, event: Any) -> None:
        raise TypeError(f"a replica takes no {event!r}")

    def on_removed(self, configuration: Configuration) -> None:
        """Nothing to do: a simulation has no program's log."""
