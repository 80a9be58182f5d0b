"""Lease clients: they show a leader that believes in its lease when another one leads already.

Such a leader goes on for some hundred milliseconds. Only a value that its successor acknowledged
meanwhile gives it away, so: writers that wait for nobody and ask the next node soon, and at each
node a reader that asks no other, on one key at a time.
"""

import itertools
import threading
from collections.abc import Callable
from functools import partial
from random import Random

from raft_actors import Raft
from raft_actors.names import Address
from raft_actors.tools.torture.clients import CALLS_MAX, LEASE, PERHAPS, History
from raft_actors.tools.torture.loops import Loops
from raft_actors.tools.torture.operation import OK, READ, REFUSED, UNKNOWN, WRITE, Operation

__all__ = ["LeaseClients"]

Work = Callable[[int, Random], None]

WRITERS = 2
FIRST_CLIENT = 100  # their numbers in the history begin there
HASTY_S = 0.15
PAUSE_S = 0.03


class LeaseClients(Loops):
    """A reader for each node, and some writers, until `stop`."""

    def __init__(self, addresses: list[Address], history: History, *, seed: object) -> None:
        super().__init__()
        self.addresses = addresses
        self.history = history
        self.leader: Address = addresses[0]
        self.calls: itertools.count[int] = itertools.count()
        self.values: itertools.count[int] = itertools.count(1)
        works: list[Work] = [partial(self.read, address) for address in addresses]
        works += [self.write] * WRITERS
        self.threads: list[threading.Thread] = [
            threading.Thread(
                target=self.run, args=(work, FIRST_CLIENT + number, f"{seed}/{number}"),
                name=f"lease-client-{number}", daemon=True,
            )
            for number, work in enumerate(works)
        ]  # fmt: skip

    def run(self, work: Work, number: int, seed: str) -> None:
        luck = Random(seed)  # noqa: S311 - drawn from a seed on purpose
        try:
            while not self.ended.is_set():
                work(number, luck)
                self.ended.wait(luck.uniform(0, 2 * PAUSE_S))
        except Exception as error:
            self.strange.append(f"lease client {number}: {type(error).__name__}: {error}")

    def key(self) -> str:
        return f"lease{next(self.calls) // CALLS_MAX}"

    def read(self, address: Address, number: int, _luck: Random) -> None:
        """Read at this node. Refusals say nothing, and are not recorded."""
        key, invoked = self.key(), self.history.now()
        answer = Raft.read(address, ("read", key), HASTY_S, consistency=LEASE)
        if answer[0] == "ok":
            self.history.record(
                Operation(
                    client=number, key=key, kind=READ, seen=answer[1], way=LEASE,
                    node=address[1], invoked=invoked, completed=self.history.now(),
                )
            )  # fmt: skip

    def write(self, number: int, luck: Random) -> None:
        """Write at whoever is taken for the leader, and take another for it when that fails."""
        key, value, asked, invoked = self.key(), next(self.values), self.leader, self.history.now()
        answer = Raft.write(asked, ("write", key, value), timeout=HASTY_S)
        outcome = OK if answer[0] == "ok" else UNKNOWN if answer[1] in PERHAPS else REFUSED
        self.history.record(
            Operation(
                client=number, key=key, kind=WRITE, value=value, node=asked[1], outcome=outcome,
                invoked=invoked, completed=self.history.now(),
            )
        )  # fmt: skip
        if outcome != OK and asked == self.leader:
            match answer[1]:
                case ("redirect", (_peer, _node) as leader):
                    self.leader = leader
                case _:
                    self.leader = luck.choice([each for each in self.addresses if each != asked])
