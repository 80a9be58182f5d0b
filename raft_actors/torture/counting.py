"""Counting: clients that increment one counter by handles, and know what it must be in the end.

Each counts what was answered. What is reported as unknown is settled by `outcome` when all is over:
the counter must be what was answered, plus what of the unknown did happen, and not one more.
"""

import threading
import time
from random import Random

from raft_actors import Cluster
from raft_actors.errors import NotApplied, OutcomeUnknown, RaftError, SessionExpired
from raft_actors.torture.cluster import Address, TortureFailed
from raft_actors.torture.machine import COUNT

__all__ = ["Counting"]

CLIENTS, HANDLES = 16, 4
CALL_S = 4.0
HASTY_S = 0.3  # of every other call: so that outcomes are unknown now and then
PAUSE_S = 0.1  # on average between two increments of a client
JOIN_S = 30.0
SETTLE_S = 60.0


class Counting:
    """Sixteen threads on four handles, until `stop`.

    done     how many increments were answered
    unknown  request ids of those that may have happened
    """

    def __init__(self, addresses: list[Address], *, seed: object) -> None:
        self.handles = [Cluster(addresses, timeout=CALL_S) for _ in range(HANDLES)]
        self.done = 0
        self.refused = 0
        self.unknown: list[tuple[int, int]] = []
        self.happened = 0
        self.strange: list[str] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [
            threading.Thread(
                target=self.run, args=(self.handles[number % HANDLES], Random(f"{seed}/{number}")),  # noqa: S311
                name=f"counting-{number}", daemon=True,
            )
            for number in range(CLIENTS)
        ]  # fmt: skip

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Have every client end after its call. Raises TortureFailed if one hangs."""
        self.ended.set()
        deadline = time.monotonic() + JOIN_S
        for thread in self.threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    raise TortureFailed(f"{thread.name} hangs in a call of {CALL_S:g} s")

    def run(self, cluster: Cluster, luck: Random) -> None:
        try:
            while not self.ended.is_set():
                self.increment(cluster, luck.choice((HASTY_S, CALL_S)))
                self.ended.wait(luck.expovariate(1 / PAUSE_S))
        except Exception as error:
            self.strange.append(f"a counting client: {type(error).__name__}: {error}")

    def increment(self, cluster: Cluster, timeout_s: float) -> None:
        try:
            cluster.write((COUNT,), timeout_s)
        except NotApplied:
            with self.lock:
                self.refused += 1
        except OutcomeUnknown as error:
            with self.lock:
                self.unknown.append(error.request_id)
        else:
            with self.lock:
                self.done += 1

    def settle(self) -> None:
        """Find out of each unknown increment whether it happened. Raises TortureFailed."""
        for request_id in self.unknown:
            try:
                self.handles[0].outcome(request_id, timeout=SETTLE_S)
                self.happened += 1
            except NotApplied:
                continue
            except SessionExpired as error:
                raise TortureFailed(f"increment {request_id} can't be settled: {error}") from error
            except RaftError as error:
                raise TortureFailed(f"increment {request_id} is not settled: {error}") from error

    def findings(self, counters: dict[str, int]) -> list[str]:
        """Say where the counter is not what the clients count."""
        expected = self.done + self.happened
        return [
            f"the counter of {node} is {count}, and {self.done} increments were answered and "
            f"{self.happened} of {len(self.unknown)} unknown ones settled as done"
            for node, count in sorted(counters.items())
            if count != expected
        ]

    def told(self) -> str:
        return (
            f"{self.done} increments answered, {self.refused} refused, {len(self.unknown)} unknown "
            f"of which {self.happened} happened"
        )
