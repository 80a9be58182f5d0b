"""Many logs on one disk: what it is to sync each by itself, beside one log for all.

python -m benchmarks.micro.syncs [DIRECTORY ON THE DISK TO MEASURE] [--rounds 3 --seconds 2]

Each thread appends 200 bytes and returns when they are on the disk. "each its own" is a file and a
`fdatasync` for each thread; in "one for all" a thread whose bytes were there when another began to
sync waits for that one. Where the kernel tells of it, the disk's own flushes are counted.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

RECORD = b"x" * 200
FLUSHES = 15  # the field of /sys/dev/block/*/stat that counts them


def opened(path: Path, closing: ExitStack) -> int:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    closing.callback(os.close, file)
    return file


def durable(file: int) -> Callable[[], None]:
    """Return what appends to a file of its own, durably."""

    def append() -> None:
        os.write(file, RECORD)
        os.fdatasync(file)

    return append


class Shared:
    """One file for all. Who comes while a sync is under way waits for the next, with the others."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.changed = threading.Condition()
        self.written = self.synced = 0
        self.syncing = False

    def append(self) -> None:
        with self.changed:
            os.write(self.file, RECORD)
            self.written += 1
            mine = self.written
            while self.synced < mine and self.syncing:
                self.changed.wait()
            if self.synced >= mine:
                return
            self.syncing, upto = True, self.written
        os.fdatasync(self.file)
        with self.changed:
            self.syncing, self.synced = False, upto
            self.changed.notify_all()


def flushes(directory: Path) -> int | None:
    """How often the disk was told to flush so far; None where nobody counts it."""
    device = directory.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    fields = stat.read_text().split() if stat.exists() else []
    return int(fields[FLUSHES]) if len(fields) > FLUSHES else None


def measure(
    append: list[Callable[[], None]], directory: Path, seconds: float
) -> tuple[float, float | None]:
    """Return appends a second, of all threads together, and flushes for each append."""
    counts = [0] * len(append)
    over = threading.Event()

    def work(number: int) -> None:
        while not over.is_set():
            append[number]()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(append))]
    before, began = flushes(directory), time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    took, after = time.perf_counter() - began, flushes(directory)
    done = sum(counts)
    return done / took, None if before is None or after is None else (after - before) / max(done, 1)


def main(
    place: Annotated[Path | None, typer.Argument(help="A directory on the disk.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0.0, help="Of each measurement.")] = 2.0,
) -> None:
    """Print the table: medians of rounds in turns."""
    table = Table(title="appends of 200 bytes, each durable when it returns")
    for heading in ("threads", "each its own /s", "flushes each", "one for all /s", "flushes each"):
        table.add_column(heading, justify="right")
    for count in (1, 10, 100):
        results: dict[str, list[tuple[float, float | None]]] = {"own": [], "shared": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(dir=place) as name, ExitStack() as closing:
                directory = Path(name)
                own = [durable(opened(directory / str(n), closing)) for n in range(count)]
                shared = Shared(opened(directory / "shared", closing))
                results["own"].append(measure(own, directory, seconds))
                results["shared"].append(measure([shared.append] * count, directory, seconds))
        cells = []
        for measured in results.values():
            cells.append(f"{median(rate for rate, _ in measured):,.0f}")
            counted = [each for _, each in measured if each is not None]
            cells.append(f"{median(counted):.2f}" if counted else "-")
        table.add_row(str(count), *cells)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
