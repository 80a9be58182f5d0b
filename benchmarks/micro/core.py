"""What the protocol core costs, without disk, wire and machine. Take the ratios.

python -m benchmarks.micro.core
"""

import timeit
from functools import partial
from random import Random

from raft_actors.config import Config
from raft_actors.core.effects import Ballot
from raft_actors.core.log import Log
from raft_actors.core.messages import (
    AppendEntries,
    AppendReply,
    Configure,
    PreVoteReply,
    Propose,
    Query,
    VoteReply,
    Written,
)
from raft_actors.core.server import Server
from raft_actors.stores.memory import MemoryStore

ME, B, C = ("kv", "a@one"), ("kv", "b@two"), ("kv", "c@three")
COMMAND = b"x" * 90


class NoTicket:
    def set(self, _answer) -> None:
        pass


TICKET = NoTicket()


def server(me=ME) -> Server:
    store = MemoryStore()
    log = Log(store, base=0, base_term=0, last=0, cache_bytes=1 << 20)
    return Server(me, config=Config(), random=Random(1), ballot=Ballot(), log=log, now=0.0)


def leader() -> Server:
    """A leader of three whose first entry has committed."""
    core = server()
    core.step(Configure((ME, B, C), TICKET))
    group = core.group
    core.flush()
    core.step(PreVoteReply(source=B, target=ME, group=group, term=0, asked=1, granted=True))
    core.flush()
    core.step(VoteReply(source=B, target=ME, group=group, term=1, granted=True))
    written(core)
    core.flush()
    replied(core, B)
    replied(core, C)
    assert core.role.name == "leader"
    assert core.commit_index == 1
    return core


def written(core: Server) -> None:
    core.flush()
    core.step(Written(last_index=core.log.last_index, last_term=core.log.last_term))


def replied(core: Server, source, round_=0) -> None:
    core.step(
        AppendReply(
            source=source, target=ME, group=core.group, term=core.term,
            match=core.log.last_index, round=round_,
        )
    )  # fmt: skip
    core.flush()
    core.take_tickets(core.commit_index)


def main() -> None:
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
        replied(core, B, core.role.reads.round)
        replied(core, C, core.role.reads.round)

    follower = server(B)
    first = [core.log.between(1, 1)[0]]
    entry = core.log.between(1, 1)[0][:8] + b"\1" + bytes(16) + COMMAND

    def follow(count: int, entries=None) -> None:
        prev = follower.log.last_index
        follower.step(
            AppendEntries(
                source=ME, target=B, group=core.group, term=1, prev_index=prev,
                prev_term=1 if prev else 0, commit=prev, round=0,
                entries=entries or [entry] * count,
            )
        )  # fmt: skip
        follower.flush()

    follow(1, first)
    for name, round_ in (("leader, writes", write), ("leader, reads", read), ("follower", follow)):
        one, many = (
            min(timeit.repeat(partial(round_, n), number=200, repeat=20)) / 200 * 1e6
            for n in (1, 101)
        )
        print(f"{name:16} a round of one {one:6.1f} µs, each more {(many - one) / 100:5.2f} µs")


if __name__ == "__main__":
    main()
