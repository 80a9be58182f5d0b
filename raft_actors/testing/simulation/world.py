"""World: some peers, their processes and disks, and the faults that happen to them.

Nothing happens by itself. The caller lets messages arrive and time pass (`Network`), clients send
requests (`Clients`), processes end (`crash`, or `fuse` for an end in the middle of a step), and so
on. After each step of a peer the checker checks it.
"""

from collections.abc import Callable, Collection, Sequence
from math import inf
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from raft_actors.config import Config
from raft_actors.core.effects import RoleChange, Trouble
from raft_actors.core.messages import Event, Message, NodeLost, Tick
from raft_actors.errors import MachineTooOld, StoreError
from raft_actors.machine.contract import Machine
from raft_actors.names import Address
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.replica.problem_texts import problem_text
from raft_actors.stores.log_store import StoredBallot
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checker import Checker
from raft_actors.testing.simulation.clients import Clients
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.holders import Holders
from raft_actors.testing.simulation.inspection import Inspection
from raft_actors.testing.simulation.peer import SimulatedPeer
from raft_actors.testing.simulation.tally import Tally
from raft_actors.testing.simulation.ticket import Ticket
from raft_actors.testing.simulation.transcript import described
from raft_actors.testing.simulation.watchers import Watchers
from raft_actors.wire import versions

__all__ = ["Crash", "World"]

TICK = Tick()
DIFFERENCES = {"diverged", "digests_differ", "other_diverged"}
WALL_MS = 1_000_000
"""The wall clocks of the peers differ by so many milliseconds at most."""


class Crash(BaseException):
    """Raised where the process of the peer that runs now ends."""


class World(Inspection):
    """A network of whole peers: peer `a` is on node `a@pretend`, and so on.

    peers     the peers that run
    clients   the clients that send them requests: `write`, `read`, `configure`, `transfer`
    watchers  the clients that wait by parked calls
    holders   what runs only at the leader's host
    fuse      the process ends at this boundary of the next step; 0: it does not end
    drag      how many seconds the next save takes
    versions  the version of the machine in the program of each peer
    full      the peers whose disks are full
    slow      the peers whose disks are slow, and how many seconds each of their saves takes
    stalled   until when a peer does nothing, in the world's time
    witnesses the peers that were witnesses at some time; their disks have no state
    former    (first index, log) of destroyed disks, by name and incarnation
    rotted    entries as they were before a disk damaged them, by name and index
    rates     how fast the clock of each peer runs; 1 is correct
    wall_rate how many seconds the wall clocks advance in one second of the world
    walls     the offset of each peer's wall clock
    encoded   whether messages pass through the codec of the bridge
    configs   the configs with which a peer may start: `config`, or one of some others
    inline    decides which messages are handled inline: see `supervision.Process.handle_inline`
    wiped_at  when a disk was destroyed last
    actors_told   (actor, message) of each `Tell` that a leader has carried out
    actors_asked  (actor, id, message) of each message of the outbox that has arrived
    led       the state of the replica whose machine was told that it leads, by term
    spoilt    whether a state was changed on purpose, so that digests may differ
    tell      called with a text for each event, if it is set
    """

    def __init__(
        self,
        names: str,
        seed: int = 0,
        config: Config | None = None,
        *,
        machine: type[Machine] = Tally,
        picture: Callable[[Any], Any] = lambda state: state,
        version: int = 0,
        rates: tuple[float, ...] = (),
        wall_rate: float = 1.0,
        encoded: bool = False,
        others: tuple[Config, ...] = (),
        inline: bool = False,
        watchers: int = 0,
        grant_s: float = 0.0,
        hand_over_s: float = 0.0,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(names)
        self.own_folder: TemporaryDirectory[str] | None = None
        self.config: Config = config or Config(log_store="memory")
        self.machine = machine
        self.picture = picture
        self.random: Random = Random(seed)  # noqa: S311
        self.rates: dict[str, float] = dict(zip(names, rates or (1.0,) * len(names), strict=True))
        self.wall_rate = wall_rate
        luck = Random(f"{seed}/walls")  # noqa: S311
        self.walls: dict[str, int] = {name: luck.randrange(WALL_MS) for name in names}
        self.encoded = encoded
        self.configs: tuple[Config, ...] = (self.config, *others)
        self.inline: Random | None = Random(f"{seed}/visits") if inline else None  # noqa: S311
        self.tell = tell
        self.wiped_at: float = -inf
        self.led: dict[int, Any] = {}
        self.spoilt = False
        self.actors_told: list[tuple[Address | str, Any]] = []
        self.actors_asked: list[tuple[Address | str, str, Any]] = []
        self.checker: Checker = Checker(self)
        self.watchers: Watchers = Watchers(self, seed, watchers)
        self.holders: Holders = Holders(self, seed, grant_s, hand_over_s)
        clients = Clients(self)
        self.clients: Clients = clients
        self.write: Callable[..., list[Ticket]] = clients.write
        self.read: Callable[..., Ticket] = clients.read
        self.configure: Callable[..., Ticket] = clients.configure
        self.transfer: Callable[..., Ticket] = clients.transfer
        self.disks: dict[str, PretendDisk] = {
            name: PretendDisk(self, name, 100 * place) for place, name in enumerate(names, 1)
        }
        self.peers: dict[str, SimulatedPeer] = {}
        self.fuse: int = 0
        self.drag: float = 0.0
        self.versions: dict[str, int] = dict.fromkeys(names, version or machine.version)
        self.full: set[str] = set()
        self.slow: dict[str, float] = {}
        self.stalled: dict[str, float] = {}
        self.witnesses: set[str] = set()
        self.former: dict[tuple[str, int], tuple[int, list[bytes]]] = {}
        self.rotted: dict[str, dict[int, bytes]] = {}
        self.busy: SimulatedPeer | None = None
        for name in names:
            self.start(name)

    @property
    def folder(self) -> Path:
        """The directory of the states that are on disk. It exists until `close`."""
        if self.own_folder is None:
            self.own_folder = TemporaryDirectory(prefix="raft-simulation-")
        return Path(self.own_folder.name)

    def close(self) -> None:
        """Close and remove what is on a real disk."""
        for disk in self.disks.values():
            disk.directory.close()
        if self.own_folder is not None:
            self.own_folder.cleanup()

    @staticmethod
    def address(name: str) -> Address:
        return (name, name + "@pretend")

    # Peers.

    def start(self, name: str) -> None:
        if self.tell:
            self.tell(f"{name}: starts")
        address = self.address(name)
        random = Random(self.random.random())  # noqa: S311
        self.checker.check_disk(name)
        try:
            self.peers[name] = SimulatedPeer(self, name, address, self.machine, random)
        except (Crash, StoreError) as error:
            if isinstance(error, StoreError) and name not in self.full:
                raise
            self.fuse = 0
            self.disks[name].crash(self.random.random())
        except MachineTooOld:  # its snapshot is of a newer version
            self.disks[name].crash(1.0)
            self.install(name)
            self.start(name)
        else:
            self.step(name)

    def config_of(self, name: str, random: Random) -> Config:
        """Return the config with which a peer starts now. With leases a peer always has the same
        one, because a peer that has made a promise must not lower its timeout
        (docs/decisions/reads.md).
        """
        if self.config.lease_clock_drift_max is not None:
            return self.configs[self.names.index(name) % len(self.configs)]
        return self.config if len(self.configs) == 1 else random.choice(self.configs)

    def machine_of(self, name: str, machine: type[Machine]) -> Machine:
        """Return a machine of the version that this peer's program has."""
        made = machine()
        made.version = self.versions[name]
        return made

    def install(self, name: str) -> None:
        """Have a peer run a program whose machine is one version newer."""
        self.versions[name] += 1
        if self.tell:
            self.tell(f"{name}: gets version {self.versions[name]} of its machine")
        if name in self.peers:
            self.crash(name, 1.0)
            self.start(name)

    def crash(self, name: str, kept: float = 0.0) -> None:
        """End a process. `kept`, 0 to 1: how much of the data that is not synced stays on disk."""
        if self.tell:
            self.tell(f"{name}: crashes")
        del self.peers[name]
        self.stalled.pop(name, None)
        self.disks[name].crash(kept)

    def wipe(self, name: str) -> None:
        """Destroy a disk. Its peer may start again, with an empty one and another incarnation: it
        must count nowhere under its old membership, for its votes and acknowledgements are
        forgotten (§5.2 and §5.4 count on Figure 2's persistent state).
        """
        if name in self.peers:
            self.crash(name)
        if self.tell:
            self.tell(f"{name}: its disk is gone")
        self.wiped_at = self.now
        disk = self.disks[name]
        self.former[name, disk.incarnation] = disk.store.first, list(disk.store.log)
        disk.destroy()
        self.checker.ballots.pop(name, None)

    def step(self, name: str, *events: Event) -> None:
        peer = self.busy = self.peers[name]
        try:
            if self.inline and events and not peer.has_more and self.inline.random() < 0.7:
                peer.handle_inline(list(events))
            else:
                peer.handle(list(events))
        except Crash:
            self.end_in_the_middle(peer)
        except StoreError:
            self.fuse = 0
            peer.replica.send_last_messages()
            self.end_in_the_middle(peer)
        except MachineTooOld:
            self.checker.left_behind(peer)
            self.install(name)  # the text of the error says: install a newer version
        else:
            if peer.due is None:  # else the effects that `flush_messages` has left are still due
                self.checker.look(peer)
                if self.watchers:
                    self.watchers.look(peer)
        self.fuse, self.drag, self.busy = 0, 0.0, None

    def end_in_the_middle(self, peer: SimulatedPeer) -> None:
        """End the process of a peer in the middle of a step.

        Let the checker check first if the peer has saved a snapshot, or a state on disk, up to an
        entry that the checker has not seen as committed yet. Such an entry is in the log on the
        disk, because entries are saved before they are applied.
        """
        disk = self.disks[peer.name]
        kept, commit = disk.snapshots.newest(), peer.core.commit_index
        if (kept is not None and kept.index > peer.seen) or (
            peer.applied.on_disk is not None and peer.seen < commit <= disk.last_index
        ):
            self.checker.look(peer)
        self.crash(peer.name, self.random.random())

    def boundary(self) -> None:
        """Called between two effects: the process may end here."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise Crash

    def drag_of(self, name: str) -> float:
        """How many seconds the next save of this peer takes."""
        return max(self.drag, self.slow.get(name, 0.0))

    def slow_down(self, name: str) -> None:
        """Stall the peer for as long as its save takes: its messages after the save are sent late,
        and it handles nothing meanwhile.
        """
        drag = self.drag_of(name)
        if drag:
            self.stalled[name] = self.now + drag
            if self.tell:
                self.tell(f"{name}: its disk takes {drag:.2f} s")

    def saved(
        self, name: str, ballot: StoredBallot | None, first: int, entries: list[bytes]
    ) -> None:
        self.checker.saved(name, ballot, first, entries)

    def restarted(self, name: str, index: int) -> None:
        self.checker.restarted(name, index)

    def announced(self, name: str, news: RoleChange) -> None:
        if self.tell:
            whom = f", leader {news.leader[0]}" if news.leader else ""
            self.tell(f"{name}: {news.role} in term {news.term}{whom}")

    def reported(self, name: str, trouble: Trouble) -> None:
        if trouble.what == "impossible_entries":  # only a leader of this group can have sent them
            raise Broken(f"{trouble.peer} sent {name} what no leader may have (§5.4.3)")
        if trouble.what in DIFFERENCES and not self.spoilt:
            raise Broken(
                f"the digests of the states differ: {problem_text(trouble, self.address(name))}"
            )
        if self.tell:
            self.tell(f"{name}: trouble with {trouble.peer[0]}, {trouble.what.replace('_', ' ')}")

    # The wire.

    def is_up(self, name: str) -> bool:
        return name in self.peers

    def send(self, name: str, messages: list[Message]) -> None:
        """Send messages; those of a stalled peer leave when the stall ends."""
        for message in messages:
            self.checker.sent(name, message)
        if self.is_stalled(name):
            self.late.extend((self.stalled[name], message) for message in messages)
        else:
            self.carry(messages)

    def deliver(self, messages: Sequence[Message]) -> None:
        if self.tell:
            for message in messages:
                passes = self.passes(message.source[0], message.target[0])
                self.tell(described(message) + ("" if passes else "   lost"))
        super().deliver(messages)

    def received(self, message: Message) -> Message:
        return map_wire(message) if self.encoded else message

    def unfinished(self) -> list[str]:
        return [name for name, peer in self.peers.items() if peer.has_more]

    def lose_node(self, name: str, other: str) -> None:
        """Report to `name` that its connection to the node of `other` is broken."""
        self.step(name, NodeLost(self.address(other)[1]))

    # Time.

    def wall_ms(self, name: str) -> int:
        """Return the wall clock of a peer. It differs from all others, and nothing may rely on
        it.
        """
        return self.walls[name] + int(self.now * self.wall_rate * 1_000)

    def is_stalled(self, name: str) -> bool:
        return self.stalled.get(name, 0.0) > self.now

    def pass_time(self, seconds: float, late: int = 0) -> None:
        """Let time pass, and let the alarms ring that are due, but not those of the peers whose bit
        is set in `late`.
        """
        self.elapse(seconds)
        for place, name in enumerate(self.names):
            peer = self.peers.get(name)
            if peer is None or late >> place & 1 or self.is_stalled(name):
                continue
            if peer.due is None and peer.replica.alarm <= peer.clock():
                self.ring_at(name)
            elif peer.has_more:
                self.step(name)

    def alarms(self) -> list[tuple[float, str]]:
        return [(peer.alarm_at, name) for name, peer in self.peers.items()]

    def ring_at(self, name: str) -> None:
        if self.tell:
            self.tell(f"{name}: its alarm rings at {self.now:.3f} s")
        peer = self.peers[name]
        self.step(name, *([TICK] if peer.core.alarm <= peer.clock() else ()))  # or parked calls end

    def heal_all(self, but: Collection[str] = ()) -> None:
        """End all faults: the messages under way are lost, later ones are not, and all peers run,
        except those of `but`.
        """
        self.heal()
        self.wire.clear()
        self.late.clear()
        self.slow.clear()
        self.full.clear()
        self.stalled.clear()
        self.fuse, self.drag = 0, 0.0
        for name in self.names:
            if name not in self.peers and name not in but:
                self.start(name)


def map_wire(message: Message) -> Message:
    packed = pack(message, versions.newest())
    assert packed is not None, "the newest version has all kinds"
    return unpack(
        packed, message.source, message.target, message.group,
        (message.source_incarnation, message.target_incarnation),
    )  # fmt: skip
