"""What a snapshot of a big state does to the peer that takes it.

    python -m benchmarks.micro.snapshots                a million keys, five snapshots of each kind
    python -m benchmarks.micro.snapshots --keys 100000 --rounds 2

One peer, alone in its group, with RocksDB. One thread writes and one asks for the peer's status,
each as soon as it has its answer: the longest wait for a status is how long the peer's thread was
away from its mailbox, and so from heartbeats and new entries; the longest wait for a write includes
the time in which nothing is applied. Both are compared with the same time without a snapshot.
"""

import argparse
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from raft_actors import Config, Raft, UndoDict
from raft_actors.kv_store import KVStore

STATES: dict[str, Callable[[int], Any]] = {
    "UndoDict of str": lambda keys: UndoDict({key(n): f"{n:064d}" for n in range(keys)}),
    "dict of str": lambda keys: {key(n): f"{n:064d}" for n in range(keys)},
    "dict of tuple": lambda keys: {key(n): (n, f"{n:056d}") for n in range(keys)},
    "dict of list": lambda keys: {key(n): [n, f"{n:056d}"] for n in range(keys)},
}


def key(number: int) -> str:
    return f"{number:016d}"


def waits(ask: Callable[[], Any], until: threading.Event) -> list[float]:
    """Ask again and again until the event is set; return how long each answer took, seconds."""
    found = []
    while not until.is_set():
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return found


def longest_waits(name: str, work: Callable[[], Any]) -> tuple[float, float]:
    """Return the longest waits for a status and for a write while `work` is done, seconds."""
    done = threading.Event()
    found: dict[str, list[float]] = {}

    def status() -> None:
        found["status"] = waits(lambda: Raft.status(name), done)

    def write() -> None:
        found["write"] = waits(lambda: Raft.write(name, ("set", key(1), "x" * 64)), done)

    threads = [threading.Thread(target=each) for each in (status, write)]
    for thread in threads:
        thread.start()
    work()
    done.set()
    for thread in threads:
        thread.join()
    return max(found["status"]), max(found["write"])


def measure(kind: str, keys: int, rounds: int) -> list[float]:
    """Return medians: a snapshot's seconds and bytes; waits in it for a status and a write, and
    without it."""

    class Store(KVStore):
        def init(self, _name: str) -> Any:
            return STATES[kind](keys)

    rows = []
    with tempfile.TemporaryDirectory() as directory:
        Raft.start_peer(Store, name="peer", data_dir=directory)
        Raft.set_configuration("peer", ["peer"])
        for _ in range(rounds):
            began = time.perf_counter()
            status, write = longest_waits("peer", lambda: Raft.snapshot("peer"))
            took = time.perf_counter() - began
            quiet = longest_waits("peer", partial(time.sleep, took))
            size = sum(file.stat().st_size for file in Path(directory, "snapshots").iterdir())
            rows.append((took, size, status, write, *quiet))
        Raft.stop("peer")
    return [median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description="what a snapshot does to its peer")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    fifth = Config().min_election_timeout / 5 * 1000
    print(f"{options.keys:,} keys; a fifth of the shortest election timeout is {fifth:.0f} ms")
    print(f"{'state':16}  snapshot     size  longest wait, ms: status (without)  write (without)")
    for kind in STATES:
        took, size, status, write, quiet_status, quiet_write = measure(
            kind, options.keys, options.rounds
        )
        print(
            f"{kind:16}  {took:6.2f} s  {size / 1e6:4.0f} MB"
            f"{status * 1000:25.0f} ({quiet_status * 1000:.0f})"
            f"{write * 1000:14.0f} ({quiet_write * 1000:.0f})"
        )


if __name__ == "__main__":
    main()
