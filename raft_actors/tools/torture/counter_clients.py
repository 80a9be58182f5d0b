"""Counter clients: clients that increment one counter by `Cluster`, and know its value at the end.

Each client counts the answered increments. An increment with an unknown outcome is settled by
`outcome` as soon as that gets an answer. The counter must be the number of answered increments,
plus the number of those with an unknown outcome that turned out to have happened.
"""

import threading
from random import Random

from raft_actors import Cluster
from raft_actors.errors import NotApplied, OutcomeUnknown, SessionExpired
from raft_actors.names import Address
from raft_actors.tools.torture.loops import Loops
from raft_actors.tools.torture.nodes import TortureFailed
from raft_actors.tools.torture.registers import COUNT

__all__ = ["Counting"]

CLIENTS, HANDLES = 16, 4
CALL_S = 4.0
HASTY_S = 0.3  # of every other call: so that outcomes are unknown now and then
PAUSE_S = 0.1  # on average between two increments of a client


class Counting(Loops):
    """Sixteen threads on four handles, until `stop`.

    done     how many increments were answered; `refused` how many said that they did not happen
    unknown  how many may have happened; `happened` of how many it turned out that they did
    open     (handle, request id) of those of which nobody knows yet
    """

    def __init__(self, addresses: list[Address], *, seed: object) -> None:
        super().__init__()
        self.handles: list[Cluster] = [Cluster(addresses, timeout=CALL_S) for _ in range(HANDLES)]
        self.done: int = 0
        self.refused: int = 0
        self.unknown: int = 0
        self.happened: int = 0
        self.open: list[tuple[Cluster, tuple[int, int]]] = []
        self.lock: threading.Lock = threading.Lock()
        self.threads: list[threading.Thread] = [
            threading.Thread(
                target=self.run, args=(self.handles[number % HANDLES], Random(f"{seed}/{number}")),  # noqa: S311
                name=f"counting-{number}", daemon=True,
            )
            for number in range(CLIENTS)
        ]  # fmt: skip

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
                self.unknown += 1
            while not self.settles(cluster, error.request_id):
                if self.ended.is_set():
                    with self.lock:
                        self.open.append((cluster, error.request_id))
                    return
        else:
            with self.lock:
                self.done += 1

    def settles(self, cluster: Cluster, request_id: tuple[int, int]) -> bool:
        """Find out whether an increment happened. Soon, for a session's memory is a window."""
        try:
            cluster.outcome(request_id, timeout=CALL_S)
        except NotApplied:
            return True
        except SessionExpired:
            raise
        except OutcomeUnknown:
            return False
        with self.lock:
            self.happened += 1
        return True

    def settle_all(self) -> None:
        """Settle what is left. Raises TortureFailed where that can't be."""
        for cluster, request_id in self.open:
            try:
                settled = self.settles(cluster, request_id)
            except SessionExpired as error:
                raise TortureFailed(f"increment {request_id} can't be settled: {error}") from error
            if not settled:
                raise TortureFailed(f"increment {request_id} is not settled in {CALL_S:g} s")

    def findings(self, counters: dict[str, int]) -> list[str]:
        """Say where the counter is not what the clients count."""
        expected = self.done + self.happened
        return [
            f"the counter of {node} is {count}, and {self.done} increments were answered and "
            f"{self.happened} of {self.unknown} unknown ones settled as done"
            for node, count in sorted(counters.items())
            if count != expected
        ]

    def described(self) -> str:
        return (
            f"{self.done} increments answered, {self.refused} refused, {self.unknown} unknown of "
            f"which {self.happened} happened"
        )
