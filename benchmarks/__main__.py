"""`python -m benchmarks`: the same work for every system that is installed, in turns.

Every round runs each work on each system, one after the other, so that the machine's drift hits
all alike: take the ratios. Peers are measured where they are: etcd from Debian's `etcd-server`,
PySyncObj from PyPI.
"""

import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.floor import fdatasync_s, round_trip_s
from benchmarks.systems import Load, System
from benchmarks.systems.etcd import Etcd
from benchmarks.systems.ours import RaftActors
from benchmarks.systems.pysyncobj import PySyncObj

MIB = "m" * (1 << 20)
WORKS = {
    "W1": Load("write", 1, 5.0),
    "W64": Load("write", 64, 5.0),
    "WP": Load("write", 1000, 5.0),
    "R64": Load("read", 64, 5.0),
    "LAG": Load("write", 1, 5.0, value=MIB),
}
FAIL_OVER = "FO"
UNIT = dict.fromkeys(("W1", "W64", "WP", "R64"), "/s") | {"LAG": "MB/s", FAIL_OVER: "ms"}
console = Console()


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of one measurement.")] = 5.0,
    trials: Annotated[int, typer.Option(min=0, help="Killed leaders in each round.")] = 2,
    only: Annotated[str, typer.Option(help="Works, comma separated, e.g. W64,R64.")] = "",
    alone: Annotated[bool, typer.Option(help="Measure raft_actors alone.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Measure and print medians, ranges and ratios."""
    wanted = only.split(",") if only else [*WORKS, FAIL_OVER]
    systems: list[System] = [RaftActors()]
    if not alone:
        systems += [kind() for kind in (Etcd, PySyncObj) if kind.is_here()]
    figures: dict[str, dict[str, list[float]]] = {system.name: {} for system in systems}
    console.print(
        f"floor: one synced append {fdatasync_s() * 1e3:.2f} ms, "
        f"one loopback round trip {round_trip_s() * 1e6:.0f} µs"
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(systems))
        for _ in range(rounds):
            for system in systems:
                progress.update(task, description=system.name)
                for work, figure in measure(system, wanted, seconds, trials):
                    figures[system.name].setdefault(work, []).append(figure)
                progress.advance(task)
    console.print(table(systems, figures, wanted))
    for system in systems:
        console.print(f"{system.name}: acknowledged means {system.durable}", style="dim")
    if output is not None:
        output.write_text(json.dumps(figures, indent=1) + "\n")


def measure(system: System, wanted: list[str], seconds: float, trials: int):
    """Start the system afresh, and yield (work, figure in its unit)."""
    system.start()
    try:
        for work, load in WORKS.items():
            if work not in wanted or (load.kind == "read" and not system.reads):
                continue
            if work == "LAG" and not isinstance(system, (RaftActors, Etcd)):
                continue
            measured = system.run(replace(load, seconds=seconds))
            assert measured.count, f"{system.name} did nothing in {work}"
            yield work, measured.rate * (len(load.value) / 1e6 if work == "LAG" else 1)
            if work == "W1":
                yield "W1 p50", measured.p50() * 1e3
        if FAIL_OVER in wanted and type(system).fail_over is not System.fail_over:
            for _ in range(trials):
                yield FAIL_OVER, system.fail_over() * 1e3
                system.restore()
    finally:
        system.stop()


def table(systems: list[System], figures: dict, wanted: list[str]) -> Table:
    """One row for each work; ratios are ours to theirs, so for times the smaller is the better."""
    works = [work for work in (*WORKS, FAIL_OVER) if work in wanted]
    if "W1" in works:
        works.insert(works.index("W1") + 1, "W1 p50")
    made = Table(title="medians, (ranges), and ours to theirs")
    made.add_column("")
    for system in systems:
        made.add_column(system.name, justify="right")
    ours = figures[systems[0].name]
    for work in works:
        cells = []
        for system in systems:
            values = figures[system.name].get(work)
            if not values:
                cells.append("-")
                continue
            cell = f"{shown(median(values))} ({shown(min(values))} to {shown(max(values))})"
            if system is not systems[0] and ours.get(work):
                cell += f"  [bold]{median(ours[work]) / median(values):.2f} x[/]"
            cells.append(cell)
        made.add_row(f"{work} {UNIT.get(work, 'ms')}", *cells)
    return made


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


if __name__ == "__main__":
    typer.run(main)
