"""What the handle costs beside the bare path of `Raft.write`: sessions, retries, outcomes.

    python -m benchmarks.micro.handle            five rounds, a minute and a half
    python -m benchmarks.micro.handle --rounds 9 --seconds 5

Three durable nodes, each its own process, and this one that calls them. In each round every load
has its turn, bare and by the handle one after the other, so that a noisy machine is noisy for both.
Take the ratios: the handle may cost 15%. On a machine that does much else the rates say little;
what processor time a write costs, in all four processes together, says more.

    64 threads   each writes and waits for the answer: `Raft.write`, `Cluster.write` of one handle
    pipeline     one thread has 1,000 writes under way: requests as `Raft.write` makes them, each of
                 which leaves at once; `Cluster.pipeline`
    together     the same, but the bare requests leave together, as those of a pipeline do: what the
                 handle costs without what it saves. Told, and not judged
"""

import argparse
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any

from benchmarks.spent import spent
from raft_actors import Cluster, Raft, encoding
from raft_actors.client.pipeline import SENT_TOGETHER, Pending
from raft_actors.future import Future
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import WRITE, next_request
from raft_actors.tools.bench.loads import KEYS, VALUE
from raft_actors.tools.bench.trio import NAMES, Trio

THREADS, OUTSTANDING = 64, 1_000
PATIENCE_S = 30.0
WARM_UP_S = 2.0
COST_MAX = 0.15
TRIES_MAX = 3
"""Of one measurement; a bare path ends where another peer is elected."""


class AnotherLeads(Exception):
    """A bare request was refused: the leader that it went to leads no more."""


def from_threads(write: Callable[[tuple[str, str, str]], object], seconds: float) -> float:
    """Return writes a second of so many threads, each of which waits for its answer."""
    counts, refused = [0] * THREADS, list[object]()
    ends = time.perf_counter() + seconds

    def work(place: int) -> None:
        count = 0
        while time.perf_counter() < ends:
            answer = write(("set", KEYS[count % len(KEYS)], VALUE))
            if answer != "ok":
                refused.append(answer)
                return
            count += 1
        counts[place] = count

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise AnotherLeads(refused[0])
    return sum(counts) / (time.perf_counter() - began)


def bare_threads(cluster: Cluster, seconds: float) -> float:
    leader = cluster.await_leader()
    return from_threads(lambda command: Raft.write(leader, command, PATIENCE_S), seconds)


def bare_pipeline(cluster: Cluster, seconds: float, *, together: bool) -> float:
    leader, router = cluster.await_leader(), peers_here().router
    waiting: deque[Future[Any]] = deque()
    unsent = count = 0
    began = time.perf_counter()
    ends = began + seconds

    def fetch() -> None:
        future = waiting.popleft()
        if not future.done():
            router.node.flush()
        answer = encoding.loads(future.get(PATIENCE_S))
        if answer != "ok":
            raise AnotherLeads(answer)

    while time.perf_counter() < ends:
        if len(waiting) >= OUTSTANDING:
            fetch()
        payload = encoding.dumps(("set", KEYS[count % len(KEYS)], VALUE), "command")
        body = [WRITE, leader[0], payload, *next_request()]
        waiting.append(router.request(leader, body, flush=not together))
        count += 1
        if not together:
            continue
        unsent += 1
        if unsent < SENT_TOGETHER:
            router.node.flush_soon()
        else:
            unsent = 0
            router.node.flush()
    while waiting:
        fetch()
    return count / (time.perf_counter() - began)


def handle_pipeline(cluster: Cluster, seconds: float) -> float:
    count = 0
    waiting: deque[Pending] = deque()
    began = time.perf_counter()
    ends = began + seconds
    with cluster.pipeline(outstanding_max=OUTSTANDING) as pipeline:
        while time.perf_counter() < ends:
            waiting.append(pipeline.write(("set", KEYS[count % len(KEYS)], VALUE)))
            count += 1
            if len(waiting) > OUTSTANDING:
                assert waiting.popleft().result() == "ok"
    assert all(pending.result() == "ok" for pending in waiting)
    return count / (time.perf_counter() - began)


Measured = tuple[float, float]
"""Writes a second, and microseconds of processor time for each."""


def measure(rounds: int, seconds: float) -> dict[str, list[tuple[Measured, Measured]]]:
    """Return of each load (bare, handle) in each round."""
    with Trio() as trio:
        cluster = trio.cluster
        pids = [os.getpid(), *(trio.pid(name) for name in NAMES)]
        loads: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
            f"{THREADS} threads": (
                lambda s: bare_threads(cluster, s),
                lambda s: from_threads(cluster.write, s),
            ),
            "pipeline": (
                lambda s: bare_pipeline(cluster, s, together=False),
                lambda s: handle_pipeline(cluster, s),
            ),
            "together": (
                lambda s: bare_pipeline(cluster, s, together=True),
                lambda s: handle_pipeline(cluster, s),
            ),
        }
        found: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in loads}

        def measured(way: Callable[[float], float], tries: int = TRIES_MAX) -> Measured:
            try:
                return measured_once(way)
            except AnotherLeads:
                if tries == 1:
                    raise
                return measured(way, tries - 1)

        def measured_once(way: Callable[[float], float]) -> Measured:
            before, began = spent(*pids).processor_s, time.perf_counter()
            rate = way(seconds)
            used = spent(*pids).processor_s - before
            return rate, used / (rate * (time.perf_counter() - began)) * 1e6

        for load in loads.values():
            for way in load:
                with suppress(AnotherLeads):
                    way(WARM_UP_S / 2)
        for number in range(rounds):
            for name, (bare, handle) in loads.items():
                if number % 2:  # who goes first has no advantage
                    of_handle, of_bare = measured(handle), measured(bare)
                else:
                    of_bare, of_handle = measured(bare), measured(handle)
                found[name].append((of_bare, of_handle))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro.handle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    holds = True
    for name, rounds in measure(options.rounds, options.seconds).items():
        ratios = sorted(handle[0] / bare[0] for bare, handle in rounds)
        ratio = median(ratios)
        holds &= name == "together" or ratio >= 1 / (1 + COST_MAX)
        print(
            f"{name:10}  bare {median(bare[0] for bare, _ in rounds):8,.0f}/s  "
            f"handle {median(handle[0] for _, handle in rounds):8,.0f}/s  "
            f"ratio {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})  processor "
            f"{median(bare[1] for bare, _ in rounds):.0f} and "
            f"{median(handle[1] for _, handle in rounds):.0f} µs a write, "
            f"ratio {median(handle[1] / bare[1] for bare, handle in rounds):.2f}"
        )
    print(f"the handle costs at most {COST_MAX:.0%}: {'yes' if holds else 'NO'}")


if __name__ == "__main__":
    main()
