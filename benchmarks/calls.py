"""Python calls of one command: how many function calls each process makes for it.

python -m benchmarks.calls                          a table of the works
python -m benchmarks.calls --works W1 --functions 30    and the functions that are called most

Three nodes and a client, each a process of its own, as `raft-actors bench` has them. The number of
calls depends less on the other work of the machine than rates do. Python is slower while it counts,
so batches may be larger or smaller than usual: compare only what was counted in this way.
"""

import json
import os
import signal
import sys
import threading
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from raft_actors.tools import run_node
from raft_actors.tools.bench.loads import WORKS
from raft_actors.tools.bench.trio import NAMES, Trio, until
from raft_actors.tools.node_processes import NodeProcesses

ROOT = Path(__file__).parent.parent
OUTPUT = "RAFT_ACTORS_CALLS"
CLIENT = "client"
Figures = dict[str, float]
"""Calls a command of each function, by its name and file."""


class Counts:
    """The calls of this process: all Python functions, on every thread that starts from now on."""

    def __init__(self) -> None:
        self.calls: dict[CodeType, int] = defaultdict(int)
        threading.setprofile(self.see)
        sys.setprofile(self.see)

    def see(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            self.calls[frame.f_code] += 1

    def take(self) -> dict[str, int]:
        """Return the number of calls of each function since the last `take`."""
        sys.setprofile(None)  # the calls below are not those of a command
        found, self.calls = self.calls, defaultdict(int)
        named: dict[str, int] = defaultdict(int)
        for code, number in list(found.items()):
            named[f"{code.co_qualname} ({short(code.co_filename)})"] += number
        sys.setprofile(self.see)
        return named


def short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


class CountedNodes(NodeProcesses):
    """Nodes that count their calls, and write them to a file when they are asked by a signal."""

    def program(self, name: str) -> list[str]:  # noqa: ARG002
        return ["benchmarks.calls", "--node"]

    def environment_of(self, name: str) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT), OUTPUT: str(self.file(name))}

    def file(self, name: str) -> Path:
        return self.directory / f"calls-{name}.json"

    def take(self, name: str) -> dict[str, int]:
        file = self.file(name)
        self.signal(name, signal.SIGUSR2)
        until(file.exists, f"node {name} has not written its calls")
        found: dict[str, int] = json.loads(file.read_text())
        file.unlink()
        return found


def run_counted_node() -> None:
    """Run a node, see `raft_actors.tools.run_node`, which counts its calls."""
    counts, file = Counts(), Path(os.environ[OUTPUT])

    def write(*_: object) -> None:
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(counts.take()))
        draft.rename(file)

    signal.signal(signal.SIGUSR2, write)
    run_node.main()


def main(
    works: Annotated[str, typer.Option(help="Comma separated.")] = "W1,W64,WP,R64",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each is counted.")] = 3.0,
    functions: Annotated[int, typer.Option(min=0, help="Rows of the called functions.")] = 0,
) -> None:
    """Print the calls of a command in each process."""
    counts = Counts()
    trio = Trio()
    trio.nodes = CountedNodes(trio.nodes.directory, NAMES, trio.nodes.starter, sessions=False)
    found = {}
    with trio:
        for work in works.split(","):
            found[work] = calls_of(trio, counts, work, seconds)
        sys.setprofile(None)
        threading.setprofile(None)
    console = Console(width=120)
    table = Table(title="Python calls a command")
    for heading in ("", "leader", "a follower", CLIENT, "all four"):
        table.add_column(heading, justify="right")
    for work, processes in found.items():
        sums = [sum(figures.values()) for figures in processes.values()]
        leader, *followers, client = sums
        shown = (leader, sum(followers) / len(followers), client, sum(sums))
        table.add_row(work, *(f"{figure:,.1f}" for figure in shown))
    console.print(table)
    for work, processes in found.items() if functions else ():
        for process, figures in processes.items():
            print(f"\n{work}, {process}")
            for name in sorted(figures, key=figures.__getitem__, reverse=True)[:functions]:
                print(f"{figures[name]:8.2f} {name}")


def calls_of(trio: Trio, counts: Counts, work: str, seconds: float) -> dict[str, Figures]:
    """Return the figures of the leader, of the two followers, and of the client, in this order."""
    nodes = trio.nodes
    assert isinstance(nodes, CountedNodes)
    load = WORKS[work]
    trio.run(replace(load, seconds=seconds / 4, warm_up=0.0))
    leader = trio.leader
    order = (leader, *(name for name in NAMES if name != leader))
    for name in order:
        nodes.take(name)
    counts.take()
    measured = trio.run(replace(load, seconds=seconds, warm_up=0.0))
    taken = {CLIENT: counts.take()} | {name: nodes.take(name) for name in order}
    commands = measured.count + load.outstanding - 1  # the last ones are awaited, not measured
    return {
        process: {name: number / commands for name, number in taken[process].items()}
        for process in (*order, CLIENT)
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--node"]:
        del sys.argv[1]
        run_counted_node()
    else:
        typer.run(main)
