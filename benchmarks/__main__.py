"""`python -m benchmarks`: the same work for every system that is installed, in turns.

Every round runs each work on each system, one after the other, so that the machine's drift hits
all alike: take the ratios. Peers are measured where they are: etcd from Debian's `etcd-server`,
PySyncObj from PyPI.
"""

import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.plot import svg_of
from benchmarks.systems import System
from benchmarks.systems.etcd import Etcd
from benchmarks.systems.ours import RaftActors
from benchmarks.systems.pysyncobj import PySyncObj, PySyncObjJournal
from raft_actors.tools.bench.loads import WORKS
from raft_actors.tools.bench.run import figures_of, floor_text
from raft_actors.tools.bench.table import UNITS, figures_table

console = Console()


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of one measurement.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="Before each of them.")] = 2.0,
    trials: Annotated[int, typer.Option(min=0, help="Killed leaders in each round.")] = 2,
    entries: Annotated[int, typer.Option(min=0, help="In the log of REC.")] = 100_000,
    only: Annotated[str, typer.Option(help="Works, comma separated, e.g. W64,R64.")] = "",
    alone: Annotated[bool, typer.Option(help="Measure raft_actors alone.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them as SVG.")] = None,
) -> None:
    """Measure and print medians, ranges and ratios."""
    logging.disable(logging.WARNING)  # leaders are killed on purpose; PySyncObj warns without end
    wanted = only.split(",") if only else list(UNITS)
    systems: list[System] = [RaftActors()]
    if not alone:
        systems += [kind() for kind in (Etcd, PySyncObj, PySyncObjJournal) if kind.is_here()]
    figures: dict[str, dict[str, list[float]]] = {system.name: {} for system in systems}
    floors = [floor_text()]
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(systems))
        for _ in range(rounds):
            for system in systems:
                progress.update(task, description=system.name)
                for name, figure in measure(system, wanted, seconds, warm_up, trials, entries):
                    figures[system.name].setdefault(name, []).append(figure)
                progress.advance(task)
            floors.append(floor_text())
    for floor in floors:
        console.print(floor, style="dim")
    console.print(figures_table(figures, "medians, ranges, and ours to theirs"))
    for system in systems:
        console.print(f"{system.name}: acknowledged means {system.acknowledged}", style="dim")
    if output is not None:
        acknowledged = {system.name: system.acknowledged for system in systems}
        record = {"machine": machine(), "floors": floors, "acknowledged": acknowledged}
        output.write_text(json.dumps({**record, "figures": figures}, indent=1) + "\n")
    if plot is not None:
        plot.write_text(svg_of(figures))


def measure(
    system: System, wanted: list[str], seconds: float, warm_up: float, trials: int, entries: int
) -> Iterator[tuple[str, float]]:
    """Start the system afresh, and yield (work, figure in its unit)."""
    began = time.perf_counter()
    system.start()
    try:
        yield "start", time.perf_counter() - began
        servers = [psutil.Process(pid) for pid in system.pids]
        yield "memory", sum(each.memory_info().rss for each in servers) / len(servers) / 2**20
        yield "threads", sum(each.num_threads() for each in servers) / len(servers)
        for work, load in WORKS.items():
            if work in wanted and work in system.works:
                measured = system.run(replace(load, seconds=seconds, warm_up=warm_up))
                assert measured.count, f"{system.name} did nothing in {work}"
                yield from figures_of(work, load, measured)
        if "FO" in wanted and "FO" in system.works:
            for _ in range(trials):
                yield "FO", system.fail_over() * 1e3
        if "REC" in wanted and "REC" in system.works and entries:
            yield "REC", system.recover(entries)
    finally:
        system.stop()


def machine() -> dict[str, str | int | None]:
    return {
        "processors": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    typer.run(main)
