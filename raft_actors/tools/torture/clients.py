"""Clients: threads that read, write and compare-and-set a few keys, and record every call."""

import itertools
import json
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import IO, Any

from raft_actors import Raft
from raft_actors.names import Address
from raft_actors.tools.torture.loops import Loops
from raft_actors.tools.torture.nodes import TortureFailed
from raft_actors.tools.torture.operation import (
    CAS,
    OK,
    READ,
    REFUSED,
    STALE,
    UNKNOWN,
    WRITE,
    Operation,
)

__all__ = ["Clients", "History"]

LANES = 4
CALLS_MAX = 400  # on one key; then its lane goes on with a fresh one, so that histories stay small
CALL_S = 3.0
PAUSE_S = 0.08  # on average between two calls of a client: a restarted node applies them all ...
BURST_EVERY_S, BURST_S = 5.0, 0.3  # ... but now and then all hurry, so that calls overlap
STRAY = 0.1  # how often a client asks somebody else than who it takes for the leader

LEASE = "lease"
WAYS = ("linearizable", LEASE, "follower")
STALENESS_S = 2.0  # that a stale read allows at most
ANYBODY, NOT_ANYBODY = 0.8, 0.3  # how often a read goes to any, if any may answer it and if not

NOT_DONE = {"too_stale", "election_in_progress", "overloaded", "no_peer", "no_node", "restarting"}
PERHAPS = {"timeout", "outcome_unknown"}


class History:
    """All calls so far, here and as lines of JSON in a file."""

    def __init__(self, path: Path, began: int) -> None:
        self.began = began
        self.operations: list[Operation] = []
        self.counts: Counter[str] = Counter()
        self.lock: threading.Lock = threading.Lock()
        self.file: IO[str] = path.open("w")

    def record(self, operation: Operation) -> None:
        with self.lock:
            self.operations.append(operation)
            self.counts[operation.outcome] += 1
            self.file.write(json.dumps(operation.as_record()) + "\n")

    def now(self) -> int:
        """Nanoseconds since the run began."""
        return time.monotonic_ns() - self.began

    def close(self) -> None:
        self.file.close()

    def used_keys(self) -> list[str]:
        return sorted({operation.key for operation in self.operations})


class Lanes:
    """The keys in use. A key is left behind when it has had its share of calls."""

    def __init__(self) -> None:
        self.calls: itertools.count[int] = itertools.count()

    def draw(self, luck: Random) -> str:
        generation = next(self.calls) // (LANES * CALLS_MAX)
        return f"{'wxyz'[luck.randrange(LANES)]}{generation}"


class Clients(Loops):
    """So many closed loops on the cluster, until `stop`.

    leader  who acknowledged last, as far as the clients can tell
    met     of each key a value that was there lately, for compare-and-set
    """

    def __init__(
        self, addresses: list[Address], history: History, *, seed: object, count: int = 8
    ) -> None:
        super().__init__()
        self.addresses = addresses
        self.history = history
        self.leader: Address = addresses[0]
        self.met: dict[str, Any] = {}
        self.lanes: Lanes = Lanes()
        self.values: itertools.count[int] = itertools.count(1)
        self.threads: list[threading.Thread] = [
            threading.Thread(
                target=self.run, args=(number, Random(f"{seed}/client {number}")),  # noqa: S311
                name=f"client-{number}", daemon=True,
            )
            for number in range(count)
        ]  # fmt: skip

    def run(self, number: int, luck: Random) -> None:
        target = self.leader
        try:
            while not self.ended.is_set():
                if luck.random() < STRAY:
                    target = luck.choice(self.addresses)
                outcome, target = self.call(number, target, self.lanes.draw(luck), luck)
                if outcome != OK or time.monotonic() % BURST_EVERY_S > BURST_S:
                    self.ended.wait(luck.expovariate(1 / PAUSE_S))
        except Exception as error:
            self.strange.append(f"client {number}: {type(error).__name__}: {error}")

    def call(self, number: int, target: Address, key: str, luck: Random) -> tuple[str, Address]:
        """Make one call and record it; return its outcome and whom to ask next."""
        kind = luck.choices((READ, STALE, WRITE, CAS), (5, 1, 3, 3))[0]
        value = None if kind in (READ, STALE) else next(self.values)
        expected = self.met.get(key) if kind == CAS else None
        way = STALE if kind == STALE else luck.choice(WAYS) if kind == READ else ""
        bound = luck.uniform(0, STALENESS_S) if kind == STALE and luck.random() < 0.8 else None
        asked = target
        of_anybody = way in {"follower", STALE}
        if way and luck.random() < (ANYBODY if of_anybody else NOT_ANYBODY):
            asked = luck.choice(self.addresses)
        invoked = self.history.now()
        match kind:
            case "read" | "stale":
                answer = Raft.read(
                    asked, ("read", key), CALL_S, consistency=way, max_staleness_s=bound
                )
            case "write":
                answer = Raft.write(target, ("write", key, value), timeout=CALL_S)
            case _:
                answer = Raft.write(target, ("cas", key, expected, value), timeout=CALL_S)
        outcome, seen, following = self.judge(answer, asked, luck)
        operation = Operation(
            client=number, key=key, kind=kind, value=value, expected=expected,
            seen=seen if kind != WRITE else None, way=way, staleness_s=bound, node=asked[1],
            invoked=invoked, completed=self.history.now(), outcome=outcome,
        )  # fmt: skip
        self.history.record(operation)
        if of_anybody:  # it says nothing of who leads
            return outcome, target
        if outcome == OK:
            self.leader = asked
            self.met[key] = value if operation.changes else seen
        return outcome, following

    def judge(self, answer: Any, target: Address, luck: Random) -> tuple[str, Any, Address]:
        """Return the outcome, what was seen, and whom to ask next. See `Raft.write`."""
        others = [address for address in self.addresses if address != target]
        match answer:
            case ("ok", seen):
                return OK, seen, target
            case ("error", ("redirect", leader)):
                return REFUSED, None, leader or luck.choice(others)
            case ("error", str() as reason) if reason in NOT_DONE:
                return REFUSED, None, luck.choice(others)
            case ("error", str() as reason) if reason in PERHAPS:
                return UNKNOWN, None, luck.choice([*others, target])
            case _:
                raise TortureFailed(f"{target[1]} answered {answer!r}")
