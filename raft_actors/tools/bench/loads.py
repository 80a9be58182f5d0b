"""Loads: the operations that a client process sends to a cluster for some time, and the results."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raft_actors.cluster import Cluster
from raft_actors.raft import Raft

__all__ = ["KEYS", "VALUE", "WORKS", "Load", "Measured", "run_load"]

KEYS = [f"key{n:013d}" for n in range(1000)]
VALUE = "v" * 64
MIB = 1 << 20
PATIENCE_S = 60.0
Result = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Load:
    """Closed loops of one kind from one process: each waits for its answer and goes on.

    kind         "write" or "read"; a read is linearizable, or the system has none
    outstanding  how many loops there are
    threads      each loop is a thread that calls `Raft.write`; else one thread does it all
    seconds      how long it is counted, after `warm_up` seconds
    value        what is written, to so many `keys` in turn
    """

    kind: str
    outstanding: int
    threads: bool = False
    seconds: float = 5.0
    warm_up: float = 1.0
    value: str = VALUE
    keys: int = len(KEYS)


WORKS = {
    "W1": Load("write", 1),
    "W64": Load("write", 64),
    "T64": Load("write", 64, threads=True),
    "WP": Load("write", 1000),
    "R64": Load("read", 64),
    "LAG": Load("write", 1, value="m" * MIB, keys=16),
}
"""See docs/benchmarks.md."""


@dataclass(slots=True)
class Measured:
    """The result of a load: operations in `seconds`, and the latency of each in seconds."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def quantile(self, part: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0

    def p50(self) -> float:
        return self.quantile(0.5)


def run_load(cluster: Cluster, load: Load) -> Measured:
    """Put `load` on the cluster. An error of any operation ends it."""
    if load.threads:
        return run_threads(cluster, load)
    measured = Measured()
    counted_from = time.perf_counter() + load.warm_up
    ends = counted_from + load.seconds
    now, number = 0.0, 0
    with cluster.pipeline(outstanding_max=load.outstanding, timeout=PATIENCE_S) as pipeline:
        under_way: deque[tuple[float, Result]] = deque()
        while now < ends:
            while len(under_way) < load.outstanding:
                key = KEYS[number % load.keys]
                number += 1
                began = time.perf_counter()
                if load.kind == "read":
                    pending = pipeline.read(("get", key))
                else:
                    pending = pipeline.write(("set", key, load.value))
                under_way.append((began, pending.result))
            began, result = under_way.popleft()
            result()
            now = time.perf_counter()
            if now >= counted_from:
                measured.count += 1
                measured.latencies.append(now - began)
    measured.seconds = now - counted_from
    return measured


def run_threads(cluster: Cluster, load: Load) -> Measured:
    """As a program of plain threads does it: each calls `Raft.write` and waits."""
    leader = cluster.await_leader(PATIENCE_S)
    counted_from = time.perf_counter() + load.warm_up
    ends = counted_from + load.seconds
    parts = [Measured() for _ in range(load.outstanding)]

    def loop(number: int, measured: Measured) -> None:
        now = 0.0
        while now < ends:
            began = time.perf_counter()
            number += load.outstanding
            key = KEYS[number % load.keys]
            if load.kind == "read":
                Raft.read(leader, ("get", key), PATIENCE_S)
            else:
                answer = Raft.write(leader, ("set", key, load.value), PATIENCE_S)
                assert answer == "ok", answer
            now = time.perf_counter()
            if now >= counted_from:
                measured.count += 1
                measured.latencies.append(now - began)

    threads = [threading.Thread(target=loop, args=each) for each in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(part.count for part in parts), "a thread got no answer"
    measured = Measured(sum(part.count for part in parts), load.seconds)
    for part in parts:
        measured.latencies += part.latencies
    return measured
