"""RocksDB, LMDB and files as a peer's log store, in turns. Take the ratios, not the numbers.

python -m benchmarks.micro.stores [DIRECTORY ON THE DISK TO MEASURE] [--rounds 7 --many 200000]
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
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from raft_actors.stores import open_store

KINDS = ("rocksdb", "lmdb", "files")
SIZE = 120  # bytes of an entry: a small command with its header
BATCH = 100  # entries of a save that makes the long log
MIB = 1 << 20

Figures = dict[str, dict[str, list[float]]]


class Bench:
    """One store of each kind, and what each work took them, in seconds or bytes."""

    def __init__(self, directory: Path, rounds: int, many: int, logs: int) -> None:
        self.directory = directory
        self.rounds, self.many, self.logs = rounds, many, logs
        self.stores: dict[str, Any] = {kind: open_store(kind, directory / kind) for kind in KINDS}
        self.last = dict.fromkeys(KINDS, 0)
        self.figures: Figures = {}

    def take(self, work: str, run: Callable[[str], None], *, times: int = 1) -> None:
        """Let each kind do it in turns, `times` in each round; keep what each turn took."""
        for _ in range(times * self.rounds):
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
        bench.take(f"save of {count:,}", partial(bench.save, count), times=6)
    bench.take("save of 1 MiB", partial(bench.save, 1, size=MIB), times=3)
    with busy_thread():
        for count in (1, 100):
            work = f"save of {count:,}, another thread computing"
            bench.take(work, partial(bench.save, count))
    for count in (1, 512):
        bench.take(f"read of {count:,} old", partial(bench.read, count), times=3)


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
        for number in range(bench.logs):
            for kind in KINDS:
                path = bench.directory / f"{kind} {end} {number}"
                command = [sys.executable, "-c", FILLER, kind, str(path)]
                command += [str(bench.many), str(SIZE), str(BATCH), end]
                child = subprocess.run(command, check=False)
                assert child.returncode == -signal.SIGKILL
                bench.note(f"disk, {bench.many:,} entries, {end}", kind, disk_bytes(path))
                began = time.perf_counter()
                store = open_store(kind, path)
                assert store.load().last == bench.many
                took = time.perf_counter() - began
                bench.note(f"open, {bench.many:,} entries, {end}", kind, took)
                if end == "close":
                    compaction(bench, kind, store)
                store.close()


def compaction(bench: Bench, kind: str, store: Any) -> None:
    many = bench.many
    through = many * 9 // 10
    began = time.perf_counter()
    store.compact(through, 1)
    bench.note(f"compact {through:,} entries", kind, time.perf_counter() - began)
    slowest, last = 0.0, many
    for _ in range(many // BATCH):
        began = time.perf_counter()
        store.save(None, last + 1, [bytes(SIZE)] * BATCH)
        slowest = max(slowest, time.perf_counter() - began)
        last += BATCH
    bench.note(f"slowest save of {BATCH} of the {many // BATCH:,} after it", kind, slowest)
    store.compact(last - many // 10, 1)
    for _ in range(many // BATCH):
        store.save(None, last + 1, [bytes(SIZE)] * BATCH)
        last += BATCH
    bench.note(f"disk, three times {many:,}, compacted twice", kind, disk_bytes(store.path))


def disk_bytes(path: Path) -> int:
    """What the files take on the disk, which is less than their length where they have holes."""
    return sum(512 * file.stat().st_blocks for file in path.rglob("*") if file.is_file())


def table(figures: Figures) -> Table:
    made = Table(title="medians (and the worst), and their ratios to RocksDB's: below 1 is better")
    made.add_column("")
    for kind in (*KINDS, *(f"{kind}, ratio" for kind in KINDS[1:])):
        made.add_column(kind, justify="right")
    for work, by_kind in figures.items():
        show = shown_bytes if work.startswith("disk") else shown_ms
        cells = [f"{show(median(by_kind[kind]))} ({show(max(by_kind[kind]))})" for kind in KINDS]
        rocks, *others = (median(by_kind[kind]) for kind in KINDS)
        made.add_row(work, *cells, *(f"{other / rocks:.2f}" for other in others))
    return made


def shown_ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def shown_bytes(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def main(
    place: Annotated[Path | None, typer.Argument(help="A directory on the disk.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    many: Annotated[int, typer.Option(min=BATCH, help="Entries of a long log.")] = 200_000,
    logs: Annotated[int, typer.Option(min=1, help="Long logs of each kind and end.")] = 3,
) -> None:
    """Print the table: medians, and the worst, of rounds in turns."""
    with tempfile.TemporaryDirectory(dir=place or Path.cwd()) as directory:
        bench = Bench(Path(directory), rounds, many, logs)
        saves(bench)
        for store in bench.stores.values():
            store.close()
        long_logs(bench)
    Console(width=None if sys.stdout.isatty() else 120).print(table(bench.figures))


if __name__ == "__main__":
    typer.run(main)
