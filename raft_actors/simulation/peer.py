"""SimulatedPeer: the peer that ships, without its thread.

Its lanes, applying and reading are those of `Peer`; only what reaches out of it is pretended:
the clock, chance, the store, the other peers and the timer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from raft_actors.applied import NOWHERE, Applied
from raft_actors.core.effects import Effects, News, Trouble
from raft_actors.core.entry import RequestId
from raft_actors.core.log import Log
from raft_actors.core.membership import Address, Configuration
from raft_actors.core.messages import NO_FRAMES, Message
from raft_actors.core.server import Event
from raft_actors.core.snapshot import Snapshot
from raft_actors.on_disk import OnDiskStateMachine
from raft_actors.peer import MORE, Peer
from raft_actors.sessions import said_in
from raft_actors.simulation.checker import Broken
from raft_actors.snapshotting import Snapshotting, Writer
from raft_actors.state_machine import StateMachine
from raft_actors.stores.snapshots import Snapshots
from raft_actors.witness import Witnessed

if TYPE_CHECKING:
    from raft_actors.simulation.world import World

__all__ = ["SimulatedPeer", "Ticket"]


LATER = 3
"""So many entries later a frozen state is written, or when nothing else happens."""


class Ticket:
    """A client's request, and what came of it.

    what       "write", "read", "configure" or "transfer"; `about` says of what, in words
    request    its id in the log; (0, 0) for what is no command, (0, n) for what is of no session
    floor      the log index that its answer must have seen: the highest that any answer given
               before the request began had seen; for a stale read, before its bound
    answer     encoded; None while there is none
    """

    __slots__ = ("about", "answer", "floor", "request", "what", "world")

    def __init__(
        self, world: "World", what: str, about: str = "", request: tuple[int, int] = (0, 0)
    ) -> None:
        self.world = world
        self.what = what
        self.about = about
        self.request = request
        self.floor = world.checker.floor
        self.answer: bytes | None = None

    def set(self, answer: bytes) -> bool:
        self.world.boundary()
        assert self.answer is None, f"a {self.what} was answered twice"
        self.answer = answer
        self.world.answered(self)
        return True

    @property
    def result(self) -> Any:
        return None if self.answer is None else said_in(self.answer)


class WatchedApplied(Applied):
    """Shows the checker each command that is applied.

    replies   what this step replied to commands and reads, and what each had seen: the replies
              are told from other answers by identity
    ran       the commands of sessions that this life of the replica has run
    request   whose command is being applied
    batch     how many commands this step has applied
    """

    def __init__(self, machine: StateMachine, name: str, peer: "SimulatedPeer") -> None:
        directory = peer.world.disks[name].directory
        on_disk = isinstance(machine, OnDiskStateMachine)
        super().__init__(machine, name, directory.path if on_disk else NOWHERE)
        if self.on_disk is not None:
            directory.watch(self.on_disk)
        self.peer = peer
        self.replies: list[tuple[bytes, int]] = []
        self.ran: set[RequestId] = set()
        self.request: RequestId = (0, 0)
        self.batch = 0
        self.apply_max = peer.config.apply_max

    def write(self, command: bytes, request: RequestId = (0, 0), time_ms: int = 0) -> bytes:
        self.request = request
        self.batch += 1
        if self.batch > self.apply_max:
            raise Broken(f"{self.name} applies more than apply_max commands in one go")
        reply = super().write(command, request, time_ms)
        self.raise_fault()
        self.peer.world.checker.applied(self.peer, self.index + 1, command, reply)
        self.replies.append((reply, self.index + 1))
        return reply

    def upgrade(self, version: int) -> None:
        super().upgrade(version)
        self.peer.world.checker.moved(self.peer, self.index + 1)

    def run(self, command: bytes) -> bytes:
        request = self.request
        if request[0]:
            if request in self.ran:
                raise Broken(f"{self.name} runs command {request} twice (thesis 6.3)")
            self.ran.add(request)
        return super().run(command)

    def read(self, query: bytes) -> bytes:
        reply = super().read(query)
        self.raise_fault()
        self.replies.append((reply, self.index))
        return reply

    def restore(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        super().restore(snapshots, snapshot)
        self.peer.applied = self
        self.peer.world.checker.restored(self.peer, snapshot.index, snapshot.term)
        self.ran |= self.peer.world.checker.requests_up_to(self.index)

    def catch_up_sessions(self, snapshots: Snapshots, snapshot: Snapshot, log: Log) -> None:
        super().catch_up_sessions(snapshots, snapshot, log)
        self.peer.applied = self
        self.peer.world.checker.resumed(self.peer, self.index)
        self.ran |= self.peer.world.checker.requests_up_to(self.index)

    def raise_fault(self) -> None:
        """What an examined machine found; it can't raise it, for exceptions are replies."""
        fault: Exception | None = getattr(self.machine, "fault", None)
        if fault is not None:
            raise fault

    def seen_by(self, answer: bytes | None) -> list[int]:
        """Return the entries that the answer may have seen; none if it is no reply.

        Python keeps some short `bytes` once, so equal replies may be one object.
        """
        return [index for reply, index in self.replies if reply is answer]


class SimulatedSnapshotting(Snapshotting):
    """Its writer is no thread; half of them look around after each piece of the state."""

    peer: "SimulatedPeer"

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer)
        self.slice_s = int(peer.clock()) % 2

    def run(self, writer: Writer) -> None:  # type: ignore[override]
        """What stays as it is, whatever becomes of the state, is read when that has gone on."""
        if writer.image.frozen == ():
            writer.write()
        else:
            self.peer.writing.append((self.peer.applied.index + LATER, writer))

    @staticmethod
    def beside(look: Callable[[], Any]) -> None:
        look()


class WatchedWitness(Witnessed):
    """Replies to nobody."""

    def __init__(self, machine: StateMachine, name: str, index: int) -> None:
        super().__init__(machine, name, index)
        self.replies: list[tuple[bytes, int]] = []
        self.batch = 0

    def seen_by(self, _answer: bytes | None) -> list[int]:
        return []

    def raise_fault(self) -> None:
        """No machine runs here."""


class Hands:
    """What a peer reaches for outside itself: the others, its node and its own mailbox."""

    __slots__ = ("name", "node", "peer", "world")

    def __init__(self, world: "World", peer: "SimulatedPeer") -> None:
        self.world = world
        self.peer = peer
        self.name = peer.name
        self.node = self

    def send(self, messages: list[Message], *, at_once: bool = False) -> None:
        self.world.boundary()
        for part in [[each] for each in messages] if at_once else [messages]:
            self.world.send(self.name, part)
            self.world.boundary()

    def frame_bytes_max_to(self, _peer: Address) -> int:
        return NO_FRAMES

    def flush(self) -> None:
        self.world.boundary()

    def is_alone(self, _peer: Peer) -> bool:
        return True

    def tell(self, message: Any) -> None:
        self.peer.has_more = True
        if message is not MORE:
            self.peer.told.append(message)


class SimulatedPeer(Peer):
    """One life of a peer, from a start to a crash.

    rate, origin   its clock: it shows `origin + rate * world.now`
    seen           commit index up to which the checker has looked
    count          commands that it has applied
    has_more       something goes on by itself, if it is stepped: entries to apply, a snapshot
    told           what it was told by itself
    writing        (index, writer): frozen states, and when they are written to snapshots
    """

    fenced = False
    snapshotter = SimulatedSnapshotting
    actor_ref: Any = None
    applied: WatchedApplied | WatchedWitness

    def __init__(  # the actor's own constructor is for those that get a thread
        self,
        world: "World",
        name: str,
        address: Address,
        machine: type[StateMachine],
        random: Random,
    ) -> None:
        self.world = world
        self.name = name
        self.address = address
        self.config = world.config_of(name, random)
        self.store = world.disks[name]
        self.rate = world.rates[name]
        self.origin = random.uniform(0, 1_000)
        self.random = random
        self.seen = 0
        self.count = 0
        self.has_more = False
        self.told: list[Any] = []
        self.writing: list[tuple[int, Writer]] = []
        self.reads = []
        self.asked = []
        self.news: News | None = None
        self.peers = self.actor_ref = Hands(world, self)  # type: ignore[assignment]
        self.recover(machine)

    def make(self, machine: type[StateMachine]) -> StateMachine:
        return self.world.machine_of(self.name, machine)

    def fresh_state(self, machine: type[StateMachine]) -> Applied:
        return WatchedApplied(self.make(machine), self.name, self)

    def no_state(self, machine: StateMachine, index: int = 0) -> Applied:
        return WatchedWitness(machine, self.name, index)

    def save(self, due: Effects) -> float:
        """As a peer's, but the world says how long it took."""
        took_s = self.world.drag_of(self.name)
        self.persist(due)
        return took_s * self.rate

    def wall_clock(self) -> float:
        return self.world.wall_ms(self.name) / 1_000

    def clock(self) -> float:
        return self.origin + self.rate * self.world.now

    @property
    def alarm_at(self) -> float:
        """When its alarm rings, in the world's time."""
        return (self.core.alarm - self.origin) / self.rate

    def handle(self, events: list[Event]) -> None:
        """Take the events in one batch, as they would wait in the mailbox."""
        with self.at_work(idle=not events and not self.told):
            if self.due is not None:
                self.after_visits()
                self.world.checker.look(self)
                self.applied.batch = 0
            told, self.told = self.told, []
            self.on_receive(told + events)
            self.on_drained()

    def be_visited(self, events: list[Event]) -> None:
        """Take the events on the thread that brings them; what is more than talk is left to do."""
        with self.at_work(idle=False):
            self.on_visit(events)

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
                writer.write()

    def complain(self, trouble: Trouble) -> None:
        self.world.complained(self.name, trouble)

    def announce(self, news: News) -> None:
        self.news = news
        self.world.announced(self.name, news)

    def note_if_removed(self, configuration: Configuration) -> None:
        """Nobody reads the log of a simulation."""

    def set_alarm(self) -> None:
        """The world looks at the core's alarm itself."""
