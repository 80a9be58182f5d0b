"""World: a few bare cores on the simulation's network, for tests that look inside them.

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
from raft_actors.testing.simulation.network import Network

NODE = "sim@host"


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


class World(Network):
    """A network of cores, all on one node.

    slow      seconds that a save takes, for those whose disks are slow
    """

    def __init__(self, names: str, seed: int = 0, config: Config | None = None) -> None:
        super().__init__(names)
        self.members = tuple(address(name) for name in names)
        self.config = config or Config(log_store="memory")
        self.luck = Random(seed)
        self.disks = {name: Disk() for name in names}
        self.machines: dict[str, Machine] = {}
        self.servers: dict[str, Server] = {}
        self.slow: dict[str, float] = {}
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

    # The network.

    def is_up(self, name: str) -> bool:
        return name in self.servers

    def send(self, messages: list[Message]) -> None:
        self.carry([message for message in messages if message.target[0] in self.disks])

    def received(self, message: Message) -> Message:
        if isinstance(message, AppendEntries):
            return replace(message, entries=list(message.entries))
        return message

    def unfinished(self) -> tuple[str, ...]:
        return ()  # a step of a core leaves nothing to do

    def alarms(self) -> list[tuple[float, str]]:
        return [(server.alarm, name) for name, server in self.servers.items()]

    def ring_at(self, name: str) -> None:
        self.step(name, Tick())

    def tick(self, name: str) -> None:
        """Let `name`'s alarm ring now, wherever it stands."""
        self.now = max(self.now, min(self.servers[name].alarm, self.now + 10))
        self.step(name, Tick())

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
