"""World: a few cores, stepped event by event, for tests that look inside them.

What a whole peer does, with its lanes, store and faults, is played by
`raft_actors.testing.simulation`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from raft_actors.config import Config
from raft_actors.core.effects import Ballot, Effects, RoleChange, Trouble
from raft_actors.core.entry import COMMAND, kind_of, payload_of, term_of
from raft_actors.core.leader import Leader
from raft_actors.core.log import Log
from raft_actors.core.messages import (
    AppendEntries,
    Configure,
    Event,
    Message,
    Propose,
    Query,
    Tick,
    Written,
)
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.names import Address

NODE = "sim@host"
ALARMS_MAX = 10_000
"""More than any test's stretch of time has; an alarm that rings for ever is a bug."""


def address(name: str) -> Address:
    return (name, NODE)


@dataclass(slots=True)
class Disk:
    """A disk that keeps what was saved; `save` is all or nothing, as the stores' contract says."""

    ballot: Ballot = field(default_factory=Ballot)
    log: list[bytes] = field(default_factory=list)
    incarnation: int = field(default_factory=count(1).__next__)

    def entries(self, first: int, last: int) -> list[bytes]:
        return self.log[first - 1 : last]

    def save(self, ballot: Ballot | None, first: int, entries: list[bytes]) -> None:
        if ballot is not None:
            self.ballot = ballot
        if entries:
            self.log[first - 1 :] = entries


class NoSnapshots:
    def read(self, snapshot: Snapshot, offset: int, size: int) -> bytes:
        raise AssertionError("nobody takes a snapshot here")


@dataclass(slots=True)
class Machine:
    """The state machine of one run of a peer: the list of all commands, which ends with it."""

    applied: int = 0
    commands: list[bytes] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)


@dataclass
class Ticket:
    """A client's request: what it asked, when, and what it was told."""

    what: str
    value: bytes = b""
    answer: Any = None
    acknowledged_before: int = 0


class World:
    """Peers named by one letter each, and the messages between them.

    wire      messages under way, oldest first; nothing moves by itself
    slow      seconds that a save takes, for those whose disks are slow
    """

    def __init__(self, names: str, seed: int = 0, config: Config | None = None) -> None:
        self.names = list(names)
        self.members = tuple(address(name) for name in names)
        self.config = config or Config(log_store="memory")
        self.seed = seed
        self.luck = Random(seed)
        self.now = 0.0
        self.disks = {name: Disk() for name in names}
        self.machines: dict[str, Machine] = {}
        self.servers: dict[str, Server] = {}
        self.wire: list[Message] = []
        self.slow: dict[str, float] = {}
        self.cut: set[tuple[str, str]] = set()
        self.news: list[tuple[str, RoleChange]] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self.acknowledged: list[bytes] = []
        self.stale_reads: list[Ticket] = []
        for name in names:
            self.start(name)

    # Peers.

    def start(self, name: str) -> None:
        disk = self.disks[name]
        log = Log(disk, base=0, base_term=0, last=len(disk.log),
                  cache_bytes=self.config.log_cache_bytes)  # fmt: skip
        self.machines[name] = Machine()
        self.servers[name] = Server(
            address(name), config=self.config, random=Random(self.luck.random()),
            ballot=disk.ballot, log=log, incarnation=disk.incarnation, now=self.now,
            snapshots=NoSnapshots(),
        )  # fmt: skip

    def crash(self, name: str) -> None:
        del self.servers[name]

    def step(self, name: str, *events: Event) -> None:
        """Let `name` take the events in one batch, and do its effects."""
        server = self.servers[name]
        server.now = self.now
        for event in events:
            server.step(event)
        self.run(name, server, server.flush())

    def run(self, name: str, server: Server, due: Effects) -> None:
        """The lanes, in the order of `Peer.on_batch_end`."""
        disk, machine = self.disks[name], self.machines[name]
        self.send(due.before_save)
        if due.ballot is not None or due.entries:
            disk.save(due.ballot, due.first, due.entries)
            if due.entries:
                server.step(Written(last_index=server.log.last_index,
                                    last_term=server.log.last_term,
                                    took_s=self.slow.get(name, 0.0)))  # fmt: skip
        self.send(due.after_save)
        if due.role_change is not None:
            self.news.append((name, due.role_change))
        self.troubles += [(name, trouble) for trouble in due.troubles]
        self.apply(name, server, machine)
        machine.reads += due.reads
        self.answer_reads(name, machine)
        for ticket, answer in due.answers:
            ticket.answer = answer

    def apply(self, name: str, server: Server, machine: Machine) -> None:
        first, last = machine.applied + 1, server.commit_index
        if first > last:
            return
        entries = server.log.between(first, last)
        machine.commands += [payload_of(entry) for entry in entries if kind_of(entry) == COMMAND]
        machine.applied = last
        tickets = server.take_tickets(last)
        for ticket, entry in zip(reversed(tickets), reversed(entries), strict=False):
            if ticket is not None:
                ticket.answer = ("ok", payload_of(entry))
                if kind_of(entry) == COMMAND:
                    self.acknowledged.append(payload_of(entry))

    def answer_reads(self, name: str, machine: Machine) -> None:
        waiting, machine.reads = machine.reads, []
        for read in waiting:
            if read.index > machine.applied:
                machine.reads.append(read)
                continue
            read.ticket.answer = ("ok", len(machine.commands))
            known = set(machine.commands)
            before = self.acknowledged[: read.ticket.acknowledged_before]
            if any(command not in known for command in before):
                self.stale_reads.append(read.ticket)

    # The wire.

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            if message.target[0] in self.disks:
                self.wire.append(message)

    def deliver(self, message: Message) -> None:
        source, target = message.source[0], message.target[0]
        if target in self.servers and (source, target) not in self.cut:
            if isinstance(message, AppendEntries):
                message = replace(message, entries=list(message.entries))
            self.step(target, message)

    def settle(self, rounds: int = 1_000) -> None:
        """Deliver until nothing is under way."""
        for _ in range(rounds):
            if not self.wire:
                return
            self.deliver(self.wire.pop(0))
        raise AssertionError(f"still {len(self.wire)} messages after {rounds}; seed {self.seed}")

    def isolate(self, name: str) -> None:
        for other in self.names:
            if other != name:
                self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        self.cut.clear()

    # Time.

    def tick(self, name: str) -> None:
        """Let `name`'s alarm ring now, wherever it stands."""
        self.now = max(self.now, min(self.servers[name].alarm, self.now + 10))
        self.step(name, Tick())

    def ring(self, seconds: float) -> None:
        """Let time pass: every alarm that falls due rings, and every message arrives."""
        until = self.now + seconds
        for _ in range(ALARMS_MAX):
            self.settle()
            alarms = [(server.alarm, name) for name, server in self.servers.items()]
            due, name = min(alarms, default=(until, ""))
            if due >= until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.step(name, Tick())
        raise AssertionError(f"{ALARMS_MAX} alarms within {seconds} s; seed {self.seed}")

    # Clients.

    def configure(self, name: str, members: str | None = None) -> Ticket:
        wanted = tuple(address(each) for each in (members or self.names))
        ticket = Ticket("configure")
        self.step(name, Configure(wanted, ticket))
        return ticket

    def propose(self, name: str, *commands: bytes) -> list[Ticket]:
        tickets = [Ticket("write", command) for command in commands]
        self.step(name, *[Propose(ticket.value, ticket) for ticket in tickets])
        return tickets

    def query(self, name: str, *how: Any) -> Ticket:
        """Read; `how` are the fields of Query after the ticket."""
        ticket = Ticket("read", acknowledged_before=len(self.acknowledged))
        self.step(name, Query(b"", ticket, *how))
        return ticket

    def elect(self, name: str) -> None:
        """Make `name` the leader, with everything it sends delivered."""
        for _ in range(50):
            if self.role(name) == "leader":
                self.settle()
                return
            self.tick(name)
            self.settle()
        raise AssertionError(f"{name} is not elected: {self.roles()}")

    def promote(self, name: str) -> Server:
        """Make `name` the leader of a new term without asking anyone; nothing is delivered."""
        server = self.servers[name]
        server.become_candidate()
        self.step(name)
        server.become_leader()
        self.wire.clear()
        return server

    # What the tests look at.

    def role(self, name: str) -> str:
        return self.servers[name].role.name

    def roles(self) -> dict[str, str]:
        return {name: f"{server.role.name} {server.term}" for name, server in self.servers.items()}

    def leaders(self) -> Iterator[tuple[str, Server]]:
        for name, server in self.servers.items():
            if isinstance(server.role, Leader):
                yield name, server

    def terms(self, name: str) -> list[int]:
        return [term_of(entry) for entry in self.entries(name)]

    def entries(self, name: str) -> list[bytes]:
        log = self.servers[name].log
        return log.between(1, log.last_index)
