"""Run: `raft-actors bench`, what this machine makes of the loads."""

import logging
from dataclasses import replace

from rich.console import Console
from rich.progress import Progress

from raft_actors.tools.bench.hardware_floor import fdatasync_s, round_trip_s
from raft_actors.tools.bench.loads import WORKS, Load, Measured
from raft_actors.tools.bench.table import figures_table
from raft_actors.tools.bench.trio import Trio

__all__ = ["figures_of", "floor_text", "run_bench"]


def run_bench(*, rounds: int, seconds: float) -> int:
    """Measure, print, and return the exit status."""
    logging.getLogger("raft_actors").setLevel(logging.ERROR)  # leaders are killed on purpose
    console = Console()
    console.print(floor_text())
    figures: dict[str, list[float]] = {}
    with Trio() as trio, Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(WORKS))
        for _ in range(rounds):
            for work, load in WORKS.items():
                progress.update(task, description=work)
                for name, figure in figures_of(
                    work, load, trio.run(replace(load, seconds=seconds))
                ):
                    figures.setdefault(name, []).append(figure)
                progress.advance(task)
        progress.update(task, description="killing leaders")
        figures["FO"] = [trio.fail_over() * 1e3 for _ in range(rounds)]
    console.print(figures_table({"this machine": figures}, "medians, and ranges below"))
    console.print(
        "W1, W64, WP: writes/s with 1, 64, 1,000 outstanding, on the disks of a majority when they "
        "are acknowledged; T64: from 64 threads; R64: linearizable reads; LAG: values of 1 MiB; "
        "FO: a killed leader, until the next write. A busy machine measures its other work."
    )
    return 0


def figures_of(work: str, load: Load, measured: Measured) -> list[tuple[str, float]]:
    """Name what was measured, in the units of the table."""
    scale = len(load.value) / 1e6 if work == "LAG" else 1.0
    figures = [(work, measured.rate * scale)]
    if work == "W1":
        figures.append(("W1 p50", measured.p50() * 1e3))
    return figures


def floor_text() -> str:
    """What the machine itself charges, now."""
    return (
        f"floor: one synced append {fdatasync_s() * 1e3:.2f} ms, "
        f"one loopback round trip {round_trip_s() * 1e6:.0f} µs"
    )
