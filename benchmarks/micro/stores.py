"""RocksDB and LMDB as a peer's log store, in turns. Take the ratios, not the numbers.

python -m benchmarks.micro.stores [DIRECTORY ON THE DISK TO MEASURE]
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from raft_actors.stores import open_store

KINDS = ("rocksdb", "lmdb")
ROUNDS = 7
SIZE = 120  # bytes of an entry: a small command with its header
MANY = 200_000  # entries of the long log
BATCH = 100  # entries of a save that makes the long log
LOGS = 3  # long logs of each kind and end
MIB = 1 << 20

Figures = dict[str, dict[str, list[float]]]


class Bench:
    """One store of each kind, and what each work took them, in seconds or bytes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stores: dict[str, Any] = {kind: open_store(kind, directory / kind) for kind in KINDS}
        self.last = dict.fromkeys(KINDS, 0)
        self.figures: Figures = {}

    def take(self, work: str, run: Callable[[str], None], *, rounds: int = ROUNDS) -> None:
        """Let each kind do it in turns; keep what each turn took."""
        for _ in range(rounds):
            for kind in KINDS:
                began = time.perf_counter()
                run(kind)
                self.note(work, kind, time.perf_counter() - began)

    def note(self, work: str, kind: str, figure: float) -> None:
        self.figures.setdefault(work, {}).setdefault(kind, []).append(figure)

    def save(self, count: int, kind: str, size: int = SIZE) -> None:
        self.stores[kind].save(None, self.last[kind] + 1, [bytes(size)] * count)
        self.last[kind] += count

    def read(self, count: int, kind: str) -> None:
        first = self.last[kind] // 2
        self.stores[kind].entries(first, first + count - 1)


def saves(bench: Bench) -> None:
    for count in (1, 10, 100, 1_000):
        bench.take(f"save of {count:,}", partial(bench.save, count), rounds=40)
    bench.take("save of 1 MiB", partial(bench.save, 1, size=MIB), rounds=20)
    with busy_thread():
        for count in (1, 100):
            work = f"save of {count:,}, another thread computing"
            bench.take(work, partial(bench.save, count))
    for count in (1, 512):
        bench.take(f"read of {count:,} old", partial(bench.read, count), rounds=20)


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread that never waits: whoever lets go of the interpreter waits for it to come back."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


FILLER = """
import os, sys
from raft_actors.stores import open_store
kind, path, count, size, batch, end = sys.argv[1:]
store = open_store(kind, path)
entries = [bytes(int(size))] * int(batch)
for first in range(1, int(count) + 1, len(entries)):
    store.save((first, None), first, entries)
if end == "close":
    store.close()
os.kill(os.getpid(), 9)
"""


def long_logs(bench: Bench) -> None:
    """Logs made by other processes, that close them or are killed."""
    for end in ("close", "kill -9"):
        for number in range(LOGS):
            for kind in KINDS:
                path = bench.directory / f"{kind} {end} {number}"
                command = [sys.executable, "-c", FILLER, kind, str(path)]
                command += [str(MANY), str(SIZE), str(BATCH), end]
                child = subprocess.run(command, check=False)
                assert child.returncode == -signal.SIGKILL
                bench.note(f"disk, {MANY:,} entries, {end}", kind, disk_bytes(path))
                began = time.perf_counter()
                store = open_store(kind, path)
                assert store.load().last == MANY
                bench.note(f"open, {MANY:,} entries, {end}", kind, time.perf_counter() - began)
                if end == "close":
                    compaction(bench, kind, store)
                store.close()


def compaction(bench: Bench, kind: str, store: Any) -> None:
    through = MANY * 9 // 10
    began = time.perf_counter()
    store.compact(through, 1)
    bench.note(f"compact {through:,} entries", kind, time.perf_counter() - began)
    slowest, last = 0.0, MANY
    for _ in range(MANY // BATCH):
        began = time.perf_counter()
        store.save(None, last + 1, [bytes(SIZE)] * BATCH)
        slowest = max(slowest, time.perf_counter() - began)
        last += BATCH
    bench.note("slowest save of 100 of the 2,000 after it", kind, slowest)
    store.compact(last - MANY // 10, 1)
    for _ in range(MANY // BATCH):
        store.save(None, last + 1, [bytes(SIZE)] * BATCH)
        last += BATCH
    bench.note(f"disk, three times {MANY:,}, compacted twice", kind, disk_bytes(store.path))


def disk_bytes(path: Path) -> int:
    """What the files take on the disk, which is less than their length where they have holes."""
    return sum(512 * file.stat().st_blocks for file in path.rglob("*") if file.is_file())


def table(figures: Figures) -> Table:
    made = Table(title="medians (and the worst), and LMDB's to RocksDB's: below 1 it is the better")
    made.add_column("")
    for kind in (*KINDS, "ratio"):
        made.add_column(kind, justify="right")
    for work, by_kind in figures.items():
        show = shown_bytes if work.startswith("disk") else shown_ms
        cells = [f"{show(median(by_kind[kind]))} ({show(max(by_kind[kind]))})" for kind in KINDS]
        rocks, other = (median(by_kind[kind]) for kind in KINDS)
        made.add_row(work, *cells, f"{other / rocks:.2f}")
    return made


def shown_ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def shown_bytes(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else Path.cwd()
    with tempfile.TemporaryDirectory(dir=where) as directory:
        bench = Bench(Path(directory))
        saves(bench)
        for store in bench.stores.values():
            store.close()
        long_logs(bench)
    Console(width=None if sys.stdout.isatty() else 120).print(table(bench.figures))


if __name__ == "__main__":
    main()
