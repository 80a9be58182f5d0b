"""Whether a command costs the same however many came before: processor time, memory and disk.

python -m benchmarks.flat
"""

import logging
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.spent import spent
from raft_actors.tools.bench.trio import NAMES, Trio


def main(
    millions: Annotated[float, typer.Option(help="Commands to write, in millions.")] = 10.0,
    keys: Annotated[int, typer.Option(help="Different keys.")] = 100_000,
    step: Annotated[float, typer.Option(help="Commands from line to line, in millions.")] = 1.0,
) -> None:
    """Print one line for each step: all three nodes together."""
    logging.disable(logging.WARNING)
    print(f"{'entries':>12}{'writes/s':>10}{'µs CPU each':>13}{'MiB':>7}{'MiB on disk':>13}")
    with Trio() as trio:
        pids = [trio.pid(name) for name in NAMES]
        count = int(step * 1e6)
        for number in range(1, round(millions / step) + 1):
            used, began = spent(*pids).processor_s, time.perf_counter()
            trio.fill(count, keys)
            took = time.perf_counter() - began
            each_us = (spent(*pids).processor_s - used) / count * 1e6
            memory = sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20
            print(
                f"{number * count:>12,}{count / took:>10,.0f}{each_us:>13.1f}{memory:>7.0f}"
                f"{bytes_in(Path(trio.directory.name)) / 2**20:>13.0f}",
                flush=True,
            )


def bytes_in(directory: Path) -> int:
    """What the files take on the disk; one that is removed meanwhile takes nothing."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


if __name__ == "__main__":
    typer.run(main)
