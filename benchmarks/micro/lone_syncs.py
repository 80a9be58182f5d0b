"""What one synced append costs, by how the file was made: it grows, or has its size already.

python -m benchmarks.micro.lone_syncs [DIRECTORY ON THE DISK TO MEASURE] [--rounds 3 --appends 1000]

As with a lone write: an append of 180 bytes, a sync, a pause; one log alone on the disk, and three
that sync at once.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

PAUSE_S = 0.0005
RECORD = b"x" * 180
SIZE = 4 << 20  # more than the appends take
WAYS = ("grows", "has its size", "was filled with zeros")


@contextmanager
def made(path: Path, way: str) -> Iterator[int]:
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        if way == "has its size":
            os.posix_fallocate(file, 0, SIZE)
        elif way == "was filled with zeros":
            os.write(file, bytes(SIZE))
        os.fsync(file)
        yield file
    finally:
        os.close(file)
        path.unlink()


def sync(file: int, number: int) -> float:
    """Append the record with this number; return how many seconds its sync took."""
    os.pwrite(file, RECORD, number * len(RECORD))
    began = time.perf_counter()
    os.fdatasync(file)
    return time.perf_counter() - began


def measure(directory: Path, way: str, logs: int, appends: int) -> float:
    """Return µs of the median sync: of the middle one, where there are several at once."""
    took = []
    with ThreadPoolExecutor(logs) as pool, ExitStack() as closing:
        files = [closing.enter_context(made(directory / str(n), way)) for n in range(logs)]
        for number in range(appends):
            took.append(median(pool.map(sync, files, [number] * logs)))
            time.sleep(PAUSE_S)
    return median(took) * 1e6


def main(
    place: Annotated[Path | None, typer.Argument(help="A directory on the disk.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    appends: Annotated[int, typer.Option(min=1, help="In each measurement.")] = 1_000,
) -> None:
    """Print the table: medians of rounds in turns."""
    table = Table(title="µs of a sync, after an append of 180 bytes")
    for heading in ("the file", "alone", "three at once"):
        table.add_column(heading, justify="right")
    results: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(dir=place) as directory:
        for _ in range(rounds):
            for way in WAYS:
                for logs in (1, 3):
                    measured = measure(Path(directory), way, logs, appends)
                    results.setdefault((way, logs), []).append(measured)
    for way in WAYS:
        table.add_row(way, *(f"{median(results[way, logs]):.0f}" for logs in (1, 3)))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
