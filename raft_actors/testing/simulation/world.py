"""World: a few peers, and the time, disks, wire and clients that they live among.

Nothing moves by itself. Whoever holds the world lets messages arrive (`deliver`), time pass
(`pass_time`), processes end (`crash`, or `fuse` for an end in the middle of a step) and so on.
After each step of a peer the checker looks.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from math import inf
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import RoleChange, Trouble
from raft_actors.core.entry import CONFIG, RequestId, kind_of, payload_of
from raft_actors.core.leader import Leader
from raft_actors.core.messages import (
    LINEARIZABLE,
    STALE,
    AppendEntries,
    Configure,
    Event,
    Message,
    NodeLost,
    Propose,
    Query,
    Tick,
    Transfer,
)
from raft_actors.errors import MachineTooOld, StoreError
from raft_actors.machine.contract import Machine
from raft_actors.machine.sessions import NEW
from raft_actors.names import Address
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.stores.log_store import StoredBallot
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checker import Checker
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.peer import SimulatedPeer
from raft_actors.testing.simulation.tally import Tally
from raft_actors.testing.simulation.ticket import Ticket
from raft_actors.testing.simulation.transcript import described
from raft_actors.wire import versions
from supervision.foreign import text_of

__all__ = ["Crash", "World"]

TICK = Tick()
WIRE_MAX = 400
"""Messages under way; the oldest are lost beyond that, as on a real link."""
WALL_MS = 1_000_000
"""Wall clocks differ by so much at most."""
CLOCK_S = 1e-6
"""What rounding may make of two clocks."""
DELIVERIES_MAX = 20_000
FORGETTING_TIMEOUTS = 3
"""Longest election timeouts after which it is known who has lost its disk."""
ALARMS_MAX = 10_000
"""More than any stretch of a simulation has; what goes on longer goes on for ever."""


class Crash(BaseException):
    """The process of the peer that is at work ends here."""


class World:
    """Peers named by one letter each, peer `a` on node `a@pretend` and so on.

    peers     those that run
    wire      messages under way, oldest first
    late      (when, message): what a stalled peer sent, which leaves when the stall ends
    cut       (source, target) pairs of names that no message passes
    fuse      after how many boundaries of a step the process dies; 0 for not at all
    drag      seconds that the next save takes
    versions  of the machine, as the program has it that each peer runs
    full      peers whose disks take nothing
    slow      seconds that each save of a peer takes whose disk is worn
    stalled   until when a peer does nothing, in the world's time
    witnesses those that a client has asked for at some time; their disks hold no state
    former    (first index, log) of disks that are gone, by name and incarnation
    sessions  numbers of those that clients have opened
    asked     what they asked in a session: (request, command)
    rates     how fast each peer's clock runs; 1 is right
    wall_rate seconds of the wall clocks in one of the world's; `walls` says how they differ
    encoded   whether messages pass through the bridge's codec
    configs   what a peer starts with: `config`, or one of some others
    inline    decides which messages are handled inline: see `supervision.Process.handle_inline`
    wiped_at  when a disk was lost last
    tell      told what happens, in words, if it is set
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
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.names = list(names)
        self.own_folder: TemporaryDirectory[str] | None = None
        self.config = config or Config(log_store="memory")
        self.machine = machine
        self.picture = picture
        self.random = Random(seed)  # noqa: S311
        self.rates = dict(zip(names, rates or (1.0,) * len(names), strict=True))
        self.wall_rate = wall_rate
        luck = Random(f"{seed}/walls")  # noqa: S311
        self.walls = {name: luck.randrange(WALL_MS) for name in names}
        self.encoded = encoded
        self.configs = (self.config, *others)
        self.inline = Random(f"{seed}/visits") if inline else None  # noqa: S311
        self.tell = tell
        self.now = 0.0
        self.wiped_at = -inf
        self.checker = Checker(self)
        self.disks = {
            name: PretendDisk(self, name, 100 * place) for place, name in enumerate(names, 1)
        }
        self.peers: dict[str, SimulatedPeer] = {}
        self.wire: list[Message] = []
        self.late: list[tuple[float, Message]] = []
        self.cut: set[tuple[str, str]] = set()
        self.fuse = 0
        self.drag = 0.0
        self.versions = dict.fromkeys(names, version or machine.version)
        self.full: set[str] = set()
        self.slow: dict[str, float] = {}
        self.stalled: dict[str, float] = {}
        self.witnesses: set[str] = set()
        self.former: dict[tuple[str, int], tuple[int, list[bytes]]] = {}
        self.busy: SimulatedPeer | None = None
        self.requests = 0
        self.sessions: list[int] = []
        self.asked: list[tuple[RequestId, Any]] = []
        for name in names:
            self.start(name)

    @property
    def folder(self) -> Path:
        """Where states on disk are kept, until `close`."""
        if self.own_folder is None:
            self.own_folder = TemporaryDirectory(prefix="raft-simulation-")
        return Path(self.own_folder.name)

    def close(self) -> None:
        """Let go of what is on a real disk."""
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
        try:
            self.peers[name] = SimulatedPeer(self, name, address, self.machine, random)
        except (Crash, StoreError) as error:
            if isinstance(error, StoreError) and name not in self.full:
                raise
            self.fuse = 0
            self.disks[name].crash(self.random.random())
        except MachineTooOld:  # its snapshot is of a newer one
            self.disks[name].crash(1.0)
            self.install(name)
            self.start(name)
        else:
            self.step(name)

    def config_of(self, name: str, random: Random) -> Config:
        """The config that a peer starts with now. Who has promised anything for leases may not
        lower its timeout, and keeps its own (docs/decisions/reads.md).
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
        """End a process. `kept`, 0 to 1: how much of what it wrote without a sync survives."""
        if self.tell:
            self.tell(f"{name}: crashes")
        del self.peers[name]
        self.stalled.pop(name, None)
        self.disks[name].crash(kept)

    def may_wipe(self, name: str) -> bool:
        """A group keeps its promises while a majority keeps the disks that it knows: of each
        configuration that is in force, or may come to be. And while one of them keeps the state.

        No leader can know that a newcomer lost its disk after it was heard of last. And peers of
        empty directories that are more than half of the members, found a group of their own if they
        are asked to: of its members that are away none can object (decisions/founding_a_group.md).
        """
        return (
            bool(self.checker.configuration.members)
            and not any(is_asked_for_a_change(leader) for leader in self.leaders())
            and self.has_the_state({*self.names} - {name})
            and not self.may_found_anew({name, *(n for n in self.names if self.is_empty(n))})
        )

    def may_found_anew(self, names: set[str]) -> bool:
        peers = [self.address(name) for name in names]
        return any(configuration.has_quorum(peers) for configuration in self.configurations()
                   if configuration.members)  # fmt: skip

    def is_empty(self, name: str) -> bool:
        store = self.disks[name].store
        return store.first == 1 and not store.log

    def configurations(self) -> Iterator[Configuration]:
        """The newest that is committed, and all that come after it: on disks, in the memory of
        peers and in messages under way.
        """
        committed = self.checker.configuration
        yield committed
        under_way = [*self.wire, *(message for _when, message in self.late)]
        places = [(disk.store.first, disk.store.log) for disk in self.disks.values()]
        places += [(each.prev_index + 1, each.entries) for each in under_way
                   if type(each) is AppendEntries]  # fmt: skip
        for peer in self.peers.values():
            log, due = peer.core.log, peer.due
            first, last = max(log.base, committed.index) + 1, log.last_index
            if due is not None and due.entries:  # on no disk, and not in memory any more
                places.append((due.first, due.entries))
                last = due.first - 1
            if first <= last:
                places.append((first, log.between(first, last)))
        for first, entries in places:
            for index, entry in enumerate(entries, first):
                if index > committed.index and kind_of(entry) == CONFIG:
                    yield Configuration.decode(payload_of(entry), index)

    def may_change(self) -> bool:
        """Nobody can know that a disk was lost while its peer may still be taken for well."""
        return self.now >= self.wiped_at + FORGETTING_TIMEOUTS * self.config.max_election_timeout

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

    def strangers(self, configuration: Configuration) -> set[str]:
        """The members whose disks are others than the group knows."""
        return {
            name
            for (name, _node), incarnation in configuration.incarnations
            if self.disks[name].incarnation != incarnation
        }

    def step(self, name: str, *events: Event) -> None:
        """Let a peer take the events in one batch and do what follows."""
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
            self.install(name)  # what its message says to do
        else:
            if peer.due is None:  # else what `flush_messages` has left is not done
                self.checker.look(peer)
        self.fuse, self.drag, self.busy = 0, 0.0, None

    def end_in_the_middle(self, peer: SimulatedPeer) -> None:
        """What the peer took for committed survives it: in a snapshot, or in a state on disk, which
        may be there although the process ended before it knew. Nothing was applied that is not in
        the log on the disk: it is saved first.
        """
        disk = self.disks[peer.name]
        kept, commit = disk.snapshots.newest(), peer.core.commit_index
        if (kept is not None and kept.index > peer.seen) or (
            peer.applied.on_disk is not None and peer.seen < commit <= disk.last_index
        ):
            self.checker.look(peer)
        self.crash(peer.name, self.random.random())

    def boundary(self) -> None:
        """A place between two effects, where a process may end."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise Crash

    def drag_of(self, name: str) -> float:
        """How many seconds the next save of this peer takes."""
        return max(self.drag, self.slow.get(name, 0.0))

    def slow_down(self, name: str) -> None:
        """The disk takes its time: what follows the save leaves late, and all else waits."""
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

    @property
    def index_shown(self) -> int:
        """The highest log index that an answer to a client had seen."""
        return self.checker.index_shown

    def announced(self, name: str, news: RoleChange) -> None:
        if self.tell:
            whom = f", leader {news.leader[0]}" if news.leader else ""
            self.tell(f"{name}: {news.role} in term {news.term}{whom}")

    def reported(self, name: str, trouble: Trouble) -> None:
        if trouble.what == "impossible_entries":  # strangers there are none here
            raise Broken(f"{trouble.peer} sent {name} what no leader may have (§5.4.3)")
        if self.tell:
            self.tell(f"{name}: trouble with {trouble.peer[0]}, {trouble.what.replace('_', ' ')}")

    # The wire.

    def send(self, name: str, messages: list[Message]) -> None:
        sent, late = self.checker.sent, self.stalled.get(name, 0.0) > self.now
        for message in messages:
            sent(name, message)
            if late:
                self.late.append((self.stalled[name], message))
            else:
                self.wire.append(message)
        if len(self.wire) > WIRE_MAX:
            del self.wire[: len(self.wire) - WIRE_MAX]

    def deliver(self, messages: list[Message]) -> None:
        """Bring messages, all to one peer, in one batch; those that can't pass are lost."""
        target = messages[0].target[0]
        arriving = [each for each in messages if self.passes(each.source[0], target)]
        if self.tell:
            for message in messages:
                self.tell(described(message) + ("" if message in arriving else "   lost"))
        if arriving:
            self.step(target, *([map_wire(each) for each in arriving] if self.encoded
                                else arriving))  # fmt: skip

    def passes(self, source: str, target: str) -> bool:
        return target in self.peers and (source, target) not in self.cut

    def settle(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(DELIVERIES_MAX):
            more = [name for name, peer in self.peers.items() if peer.has_more]
            for name in more:
                self.step(name)
            if self.wire:
                self.deliver([self.wire.pop(0)])
            elif not more:
                return
        raise Broken(f"still {len(self.wire)} messages after {DELIVERIES_MAX}")

    def isolate(self, name: str) -> None:
        for other in self.names:
            if other != name:
                self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        self.cut.clear()

    def lose_node(self, name: str, other: str) -> None:
        """Let `name` hear that its connection to the node of `other` broke."""
        self.step(name, NodeLost(self.address(other)[1]))

    # Time.

    def wall_ms(self, name: str) -> int:
        """What the wall clock of a peer says. It is nobody's to rely on, and differs from all."""
        return self.walls[name] + int(self.now * self.wall_rate * 1_000)

    def is_stalled(self, name: str) -> bool:
        return self.stalled.get(name, 0.0) > self.now

    def elapse(self, seconds: float) -> None:
        """Let time pass, and no alarm ring."""
        self.now += seconds
        if self.late:
            self.wire += [message for when, message in self.late if when <= self.now]
            self.late = [each for each in self.late if each[0] > self.now]

    def pass_time(self, seconds: float, late: int = 0) -> None:
        """Let time pass and ring what fell due, but not for those whose bit is set in `late`."""
        self.elapse(seconds)
        for place, name in enumerate(self.names):
            peer = self.peers.get(name)
            if peer is None or late >> place & 1 or self.is_stalled(name):
                continue
            if peer.due is None and peer.core.alarm <= peer.clock():
                self.ring_at(peer)
            elif peer.has_more:
                self.step(name)

    def ring_at(self, peer: SimulatedPeer) -> None:
        if self.tell:
            self.tell(f"{peer.name}: its alarm rings at {self.now:.3f} s")
        self.step(peer.name, TICK)

    def ring(self, seconds: float) -> None:
        """Let time pass: every alarm that falls due rings, and every message arrives."""
        until = self.now + seconds
        for _ in range(ALARMS_MAX):
            self.settle()
            due = [(peer.alarm_at, name) for name, peer in self.peers.items()]
            when, name = min(due, default=(until, ""))
            if when >= until:
                self.now = until
                return
            # A hair later, so that the peer's own clock has reached its alarm for certain.
            self.now = max(self.now, when + 1e-6)
            self.ring_at(self.peers[name])
        raise Broken(f"{ALARMS_MAX} alarms within {seconds} s")

    def heal_all(self, but: Collection[str] = ()) -> None:
        """End every trouble: all messages under way are lost, then none; all `but` some run."""
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

    # Clients.

    def write(self, name: str, *commands: Any, session: int = -1) -> list[Ticket]:
        """Have clients ask `name` for these commands, all in one batch.

        session   the place in `sessions` of the one that they belong to; -1 for none
        """
        commands = commands or (self.requests + 1,)
        asked = []
        for command in commands:
            self.requests += 1
            request = (self.sessions[session] if session >= 0 else 0, self.requests)
            asked.append((request, command))
        if session >= 0:
            self.asked += asked
        if self.tell:
            of = f" (session {session})" if session >= 0 else ""
            self.tell(f"clients write to {name}{of}: {', '.join(map(text_of, commands))}")
        return self.propose(name, asked)

    def write_again(self, name: str, place: int) -> Ticket:
        """Have a client ask again what it asked in a session before; see `asked`."""
        request, command = self.asked[place]
        if self.tell:
            self.tell(f"a client writes to {name} again: {text_of(command)}")
        return self.propose(name, [(request, command)])[0]

    def propose(self, name: str, asked: list[tuple[RequestId, Any]]) -> list[Ticket]:
        tickets = [Ticket(self, "write", text_of(command), request) for request, command in asked]
        self.step(name, *[
            Propose(encoding.dumps(command), ticket, ticket.request)
            for ticket, (_request, command) in zip(tickets, asked, strict=True)
        ])  # fmt: skip
        return tickets

    def open_session(self, name: str) -> Ticket:
        self.requests += 1
        ticket = Ticket(self, "write", "a new session", (NEW, self.requests))
        if self.tell:
            self.tell(f"a client opens a session at {name}")
        self.step(name, Propose(b"", ticket, ticket.request))
        return ticket

    def read(
        self, name: str, query: Any = None, consistency: str = LINEARIZABLE,
        staleness_s: float | None = None, after: int = 0,
    ) -> Ticket:  # fmt: skip
        ticket = Ticket(self, "read", text_of(query))
        if consistency == STALE:
            ticket.index_min = after
            if staleness_s is not None:  # seconds of the clock of who answers
                bound = self.now - staleness_s / self.peers[name].rate - CLOCK_S
                ticket.index_min = max(after, self.checker.index_shown_at(bound))
        if self.tell:
            how = "" if consistency == LINEARIZABLE else f" ({consistency})"
            bound_told = "" if staleness_s is None else f", {staleness_s:.3f} s old at most"
            self.tell(f"a client reads from {name}{how}{bound_told}")
        self.step(name, Query(encoding.dumps(query), ticket, consistency, staleness_s, after))
        return ticket

    def configure(
        self, name: str, members: str = "", learners: str = "", witnesses: str = "", *,
        declared: bool = False,
    ) -> Ticket:  # fmt: skip
        """Have a client ask `name` to found a group of `members`, or to change it to them.

        declared  it was started with them declared; nobody asks
        """
        ticket = Ticket(self, "configure")
        members = members or "".join(self.names)
        if self.tell:
            besides = f" and learners {learners}" if learners else ""
            besides += f", {witnesses} as witnesses" if witnesses else ""
            what = f"{name} declares" if declared else f"a client asks {name} for"
            self.tell(f"{what} the members {members}{besides}")
        wanted, taught, without_state = (
            tuple(map(self.address, part)) for part in (members, learners, witnesses)
        )
        event = Configure(wanted, ticket, taught, witnesses=without_state, declared=declared)
        self.step(name, event)
        return ticket

    def transfer(self, name: str, target: str = "") -> Ticket:
        ticket = Ticket(self, "transfer")
        if self.tell:
            self.tell(f"{name} is asked to hand over to {target or 'whom it likes'}")
        self.step(name, Transfer(self.address(target) if target else None, ticket))
        return ticket

    def answered(self, ticket: Ticket) -> None:
        assert self.busy is not None
        if self.tell:
            about = f" {ticket.about}" if ticket.about else ""
            self.tell(f"{self.busy.name}: answers {ticket.what}{about}: {brief(ticket.result)}")
        self.checker.answered(self.busy, ticket)
        if ticket.request[0] == NEW and ticket.result[0] == "ok":
            self.sessions.append(ticket.result[1])

    # What is to be seen.

    def leaders(self) -> Iterator[SimulatedPeer]:
        for peer in self.peers.values():
            if peer.core.role.name == "leader":
                yield peer

    def leader(self) -> SimulatedPeer | None:
        """The leader of the newest term that has one running."""
        return max(self.leaders(), key=lambda peer: peer.core.term, default=None)

    def is_founded(self) -> bool:
        """Tell whether a peer that runs has heard of a configuration."""
        return any(peer.core.configuration.members for peer in self.peers.values())

    def can_be_led(self) -> bool:
        """Tell whether a peer that runs has heard of a configuration, and may stand under it.

        Once something is committed, a majority has. Before, it may be with one alone that the
        founder had not heard, and whose disk so counts for nobody (decisions/founding_a_group.md).
        """
        return bool(self.checker.committed) or any(
            peer.core.configuration.members and peer.core.is_electable()
            for peer in self.peers.values()
        )

    def has_the_state(self, living: set[str]) -> bool:
        """Tell whether one of them keeps the state as it is committed, or can be brought there by
        the others: a witness has only its log. And whether they are more than half of the members
        by their disks: a founder may not know them all yet.
        """
        if not all(
            configuration.has_quorum([
                member for member, incarnation in configuration.incarnations
                if member[0] in living and self.disks[member[0]].incarnation == incarnation
            ])
            for configuration in self.configurations() if configuration.members
        ):  # fmt: skip
            return False
        held, end = {name: self.held_by(name) for name in living}, len(self.checker.committed)
        members = self.members_in(living)
        able = [name for name in members if held[name] == end]
        if any(name not in self.witnesses for name in able):
            return True
        first = max((self.may_begin_at(name) for name in able), default=inf)  # any may lead
        return any(first <= held[name] + 1 for name in members - self.witnesses)

    def members_in(self, names: set[str]) -> set[str]:
        """Those that the newest committed configuration has for members, by the disks they have."""
        known = self.checker.configuration
        return {
            name for name in names
            if not known.members or known.counts(self.address(name), self.disks[name].incarnation)
        }  # fmt: skip

    def may_begin_at(self, name: str) -> int:
        """At which index the log of a witness begins, or will when it has cut it."""
        trailing = min(config.snapshot_trailing for config in self.configs)
        first = max(self.disks[name].store.first, len(self.checker.committed) - trailing + 1)
        return max(first, self.peers[name].core.log.base + 1) if name in self.peers else first

    def held_by(self, name: str) -> int:
        """Up to which index a disk holds what is committed."""
        store, committed = self.disks[name].store, self.checker.committed
        index = store.first - 1
        for entry in store.log:
            if index >= len(committed) or entry != committed[index]:
                break
            index += 1
        return index

    def has_moved_on(self) -> bool:
        """Tell whether the group runs as the newest version that every member has."""
        leader = self.leader()
        if leader is None:
            return False
        configuration = leader.core.configuration
        members = {name for name, _node in configuration.everyone}
        if members & self.strangers(configuration):
            return True  # one that can't say what it has holds everybody up
        return leader.applied.version == min(self.versions[name] for name in members)

    def agrees(self) -> bool:
        """Tell whether there is a leader, and all its members have its whole log, committed.

        A member whose disk is another than the group knows is left out.
        """
        leader = self.leader()
        if leader is None or not leader.core.commit_index:
            return False
        core = leader.core
        term, last = core.term, core.log.last_index
        members = {name for name, _node in core.configuration.everyone}
        members -= self.strangers(core.configuration)
        return not core.configuration.old and all(
            peer.core.term == term and peer.core.commit_index == peer.applied.index == last
            for peer in self.peers.values()
            if peer.name in members
        )

    def described(self) -> str:
        return "; ".join(
            f"{name} {peer.core.role.name} term {peer.core.term} "
            f"log {peer.core.log.last_index} commit {peer.core.commit_index}"
            for name, peer in sorted(self.peers.items())
        )


def brief(result: Any) -> str:
    """An answer in words: peers go by their names, a configuration by its members."""
    match result:
        case ("ok", {"members": members, "index": index} as view):
            more = "".join(
                f", {what} {names(view[key])}"
                for key, what in (("learners", "learners"), ("old_members", "old"))
                if key in view
            )
            return f"ok, members {names(members)}{more}, entry {index}"
        case ("error", (str() as reason, [(str(), str()), *_] as peers)):
            return f"error, {reason} {names(peers)}"
        case ("error", ("redirect", None)):
            return "error, no leader known"
        case ("error", ("redirect", (name, _node))):
            return f"error, ask {name}"
        case (str() as word, (str() as name, str())):
            return f"{word}, {name}"
        case ("error", str() as reason):
            return f"error, {reason}"
        case _:
            return text_of(result)


def names(addresses: Iterable[Address]) -> str:
    return " ".join(name for name, _node in addresses)


def map_wire(message: Message) -> Message:
    packed = pack(message, versions.newest())
    assert packed is not None, "the newest version has all kinds"
    return unpack(
        packed, message.source, message.target, message.group,
        (message.source_incarnation, message.target_incarnation),
    )  # fmt: skip


def is_asked_for_a_change(leader: SimulatedPeer) -> bool:
    role = leader.core.role
    assert isinstance(role, Leader)
    return role.change is not None or bool(role.postponed)
