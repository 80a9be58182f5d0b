"""Planted bugs: starters of node processes that break one promise each, for torture to find.

    python -m tests.tools.torture.plants reads_locally 1 0.2 pause_leader,isolate_leader

plays a torture of such nodes: seed, minutes, kinds of faults.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.messages import Propose, Query, Tick
from raft_actors.core.role import Role
from raft_actors.machine.sessions import NOT_APPLIED, Sessions, reply_at
from raft_actors.replica.replica import Replica
from raft_actors.stores.rocksdb import RocksStore
from raft_actors.tools.torture import child
from raft_actors.tools.torture.registers import Registers

FORGOTTEN = 25


def forgets_when_restarted() -> Any:
    """The store loses the last entries that it promised to keep, as one that never syncs may."""
    load = RocksStore.load

    def load_less(self):
        saved = load(self)
        keep = max(saved.first, saved.last - FORGOTTEN)
        if keep < saved.last:
            self.save(None, keep + 1, [])
        return load(self)

    RocksStore.load = load_less
    return child.start()


def reads_locally() -> Any:
    """Every peer answers reads from its own state, without asking a majority (thesis 6.4)."""
    flush = Replica.flush

    class FromOwnState:
        def __init__(self, query):
            self.query = query

    def on_query(self, event):
        self.state.answer(event.ticket, FromOwnState(event.query))

    def flush_with_reads(self):
        effects = self.core.effects
        local = [one for one in effects.answers if isinstance(one[1], FromOwnState)]
        effects.answers = [one for one in effects.answers if one not in local]
        for ticket, answer in local:
            ticket.set(self.applier.applied.read(answer.query))
        flush(self)

    Replica.flush = flush_with_reads
    Leader.handlers = Leader.handlers | {Query: on_query}
    Follower.handlers = Follower.handlers | {Query: on_query}
    return child.start()


def acknowledges_at_once() -> Any:
    """The leader acknowledges a write when it takes it in, before anybody has stored it."""
    propose = Leader.on_propose

    def on_propose(self, event):
        match (
            encoding.loads(event.command) if event.command else None
        ):  # a session is opened by none
            case ("write", _key, value):
                event.ticket.set(encoding.dumps(("ok", value)))
        propose(self, event)

    Leader.handlers = Leader.handlers | {Propose: on_propose}
    return child.start()


def never_compares() -> Any:
    """compare-and-set puts its value there whatever it finds, and says that it found that."""
    write = Registers.handle_write

    def handle_write(self, command, state):
        if command[0] == "cas":
            _cas, key, expected, value = command
            write(self, ("write", key, value), state)
            return ("ok", expected), state
        return write(self, command, state)

    Registers.handle_write = handle_write
    return child.start()


def never_stands_again() -> Any:
    """A peer that was in office or voted once never stands for election after a restart."""
    on_tick = Follower.on_tick
    load = RocksStore.load
    restarted = []

    def remember(self):
        saved = load(self)
        if saved.last:
            restarted.append(self)
        return saved

    def wait_again(self, tick):
        if restarted and self.state.now >= self.stands_at:
            self.stands_at = self.state.election_deadline()
        on_tick(self, tick)

    RocksStore.load = remember
    Follower.handlers = Follower.handlers | {Tick: wait_again}
    return child.start()


def repeats_commands() -> Any:
    """A command that is sent again runs again (thesis 6.3)."""

    def once(self, request, run, command, index):
        return reply_at(index, run(command)) if command else NOT_APPLIED

    Sessions.once = once
    return child.start()


def trusts_its_lease_for_ever() -> Any:
    """A leader that was cut off still believes that nobody else can lead (thesis 6.4.1)."""
    assert callable(Leader.holds_lease)
    Leader.holds_lease = lambda _self: True
    return child.start()


def stale_without_a_bound() -> Any:
    """A stale read is answered whatever its bound is."""
    as_it_is = Role.answers_as_it_is

    def answers_as_it_is(self, event):
        return as_it_is(self, replace(event, staleness_s=None))

    Role.answers_as_it_is = answers_as_it_is
    return child.start()


if __name__ == "__main__":
    from raft_actors.tools.torture.driver import TorturePlan, run_torture  # nodes do without

    name, seed, minutes, kinds, keep = sys.argv[1:]
    plan = TorturePlan(
        starter=f"tests.tools.torture.plants:{name}", seed=int(seed), minutes=float(minutes),
        only=tuple(kinds.split(",")), keep=Path(keep),
    )  # fmt: skip
    sys.exit(run_torture(plan))
