"""What the protocol core costs, without disk, wire and machine. Take the ratios.

python -m benchmarks.micro.core
python -m benchmarks.micro.core --rounds 1    a look, no measurement
"""

import timeit
from functools import partial
from random import Random
from typing import Annotated

import typer

from raft_actors.config import Config
from raft_actors.core import entry
from raft_actors.core.effects import Ballot
from raft_actors.core.leader import Leader
from raft_actors.core.log import Log
from raft_actors.core.messages import (
    AppendEntries,
    AppendReply,
    Configure,
    Message,
    Propose,
    Query,
    Written,
)
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.names import Address
from raft_actors.stores.memory import MemoryStore

ME, B, C = ("kv", "a@one"), ("kv", "b@two"), ("kv", "c@three")
COMMAND = b"x" * 90
ROUNDS_TO_LEAD = 20


class NoTicket:
    def set(self, _answer: object) -> None:
        pass


class NoSnapshots:
    def read(self, _snapshot: Snapshot, _offset: int, _size: int) -> bytes:
        raise AssertionError("nobody takes a snapshot here")


TICKET = NoTicket()


def server(me: Address = ME) -> Server:
    store = MemoryStore()
    log = Log(store, base=0, base_term=0, last=0, cache_bytes=1 << 20)
    return Server(
        me, config=Config(), random=Random(1), ballot=Ballot(), log=log, incarnation=1, now=0.0,
        snapshots=NoSnapshots(),
    )  # fmt: skip


def leader() -> Server:
    """A leader of three whose first entry has committed."""
    cores = {peer: server(peer) for peer in (ME, B, C)}
    core = cores[ME]
    core.step(Configure((ME, B, C), TICKET))
    for _ in range(ROUNDS_TO_LEAD):
        for each in cores.values():
            for message in flushed(each):
                cores[message.target].step(message)
    assert core.role.name == "leader"
    assert core.commit_index == core.log.last_index > 0
    core.take_tickets(core.commit_index)
    return core


def flushed(core: Server) -> list[Message]:
    """Flush what was stepped, as if a disk had it at once; return what is to be sent."""
    due = core.flush()
    if due.entries:
        core.step(Written(last_index=core.log.last_index, last_term=core.log.last_term))
    return due.before_save + due.after_save


def written(core: Server) -> None:
    core.flush()
    core.step(Written(last_index=core.log.last_index, last_term=core.log.last_term))


def replied(core: Server, source: Address, round_: int = 0) -> None:
    core.step(
        AppendReply(
            source=source, target=ME, group=core.group, term=core.term,
            match=core.log.last_index, round=round_,
        )
    )  # fmt: skip
    core.flush()
    core.take_tickets(core.commit_index)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each measurement; the best counts.")] = 20,
) -> None:
    """Print µs of a round of one, and of each more in it."""
    core = leader()

    def write(count: int) -> None:
        """One round of a leader: commands, its own write, and the answers of two followers."""
        for _ in range(count):
            core.step(Propose(COMMAND, TICKET))
        written(core)
        core.flush()
        replied(core, B)
        replied(core, C)

    def read(count: int) -> None:
        for _ in range(count):
            core.step(Query(COMMAND, TICKET))
        core.flush()
        assert isinstance(core.role, Leader)
        replied(core, B, core.role.reads.round)
        replied(core, C, core.role.reads.round)

    follower = server(B)
    first = core.log.between(1, 1)
    later = [entry.encode(1, entry.COMMAND, COMMAND, index=index) for index in range(2, 103)]

    def follow(count: int, entries: list[bytes] | None = None) -> None:
        """Take the same entries again and again: they are cut off in between."""
        prev = min(follower.log.last_index, 1)
        follower.log.truncate(prev)
        follower.step(
            AppendEntries(
                source=ME, target=B, group=core.group, term=1, prev_index=prev,
                prev_term=prev, commit=prev, round=0, entries=entries or later[:count],
            )
        )  # fmt: skip
        follower.flush()

    follow(1, first)
    for name, round_ in (("leader, writes", write), ("leader, reads", read), ("follower", follow)):
        one, many = (
            min(timeit.repeat(partial(round_, n), number=200, repeat=rounds)) / 200 * 1e6
            for n in (1, 101)
        )
        print(f"{name:16} a round of one {one:6.1f} µs, each more {(many - one) / 100:5.2f} µs")


if __name__ == "__main__":
    typer.run(main)
