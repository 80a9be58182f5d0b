"""Two checkouts of raft_actors side by side, or one with two settings: ratios of what they cost.

python -m benchmarks.turns ../before                   this checkout to the one in ../before
python -m benchmarks.turns . --env RAFT_ACTORS_TLS=auto    this one with TLS to this one without
python -m benchmarks.turns . --machine benchmarks.turns:without_digests

Both groups run all the time, and take turns of a second. So a change of the machine's speed meets
both, and each turn of one is compared with the turn of the other beside it. The figures are medians
of these ratios: 0.95 under "/s" means 5 % fewer commands a second.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
FIGURES = ("/s", "p50 ms", "leader", "follower", "client", "all")
MAP = "raft_actors.tools.bench.map_machine:start"


def main(
    other: Annotated[Path, typer.Argument(help="The checkout to compare with.")],
    works: Annotated[str, typer.Option(help="Comma separated.")] = "W1,W64,WP,R64",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long one turn is.")] = 1.0,
    machine: Annotated[str, typer.Option(help="What this checkout's nodes start.")] = MAP,
    env: Annotated[list[str] | None, typer.Option(help="A variable for this one only.")] = None,
) -> None:
    """Print this checkout's figures, and their ratios to those of the other one."""
    variables = dict(each.split("=", 1) for each in env or [])
    theirs = started(other.resolve(), MAP, {})
    ours = started(ROOT, machine, variables)
    for process in (theirs, ours):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "a group has not started"
    table = Table(title="this checkout; its ratio to the other. µs of processor time a command")
    for heading in ("", *FIGURES):
        table.add_column(heading, justify="right")
    for work in works.split(","):
        pairs = []
        for number in range(rounds):
            turn = [theirs, ours] if number % 2 else [ours, theirs]
            figures = {process: figures_of(process, work, seconds) for process in turn}
            pairs.append((figures[ours], figures[theirs]))
        table.add_row(work, *(
            f"{median(mine[each] for mine, _other in pairs):,.6g}; "
            f"{median(mine[each] / their[each] for mine, their in pairs):.3f}"
            for each in FIGURES
        ))  # fmt: skip
    for process in (theirs, ours):
        process.communicate()  # the end of its input ends it
    Console(width=130).print(table)


def started(checkout: Path, machine: str, variables: dict[str, str]) -> "subprocess.Popen[str]":
    """Start this very program as the driver of a group that runs the code of `checkout`."""
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", machine],
        cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout), **variables},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def figures_of(process: "subprocess.Popen[str]", work: str, seconds: float) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(work, seconds, file=process.stdin, flush=True)
    figures: dict[str, float] = json.loads(process.stdout.readline())
    return figures


def serve(machine: str) -> None:
    """Drive a group: each line of the input is a work and its seconds, each line of the output its
    figures. The imports are those of the checkout that is measured.
    """
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    from benchmarks.spent import Spent, spent
    from raft_actors.tools.bench.loads import WORKS
    from raft_actors.tools.bench.trio import NAMES, Trio

    with Trio(machine) as trio:
        pids = {name: trio.pid(name) for name in NAMES} | {"client": os.getpid()}
        leader = trio.leader
        followers = [name for name in NAMES if name != leader]
        print("ready", flush=True)
        for line in sys.stdin:
            work, seconds = line.split()
            before = {name: spent(pid) for name, pid in pids.items()}
            load = replace(WORKS[work], seconds=float(seconds), warm_up=0.0)
            measured = trio.run(load)
            used = {name: spent(pid) - before[name] for name, pid in pids.items()}

            def cost(*names: str) -> float:
                whole = sum((used[name] for name in names), Spent())  # noqa: B023
                return whole.processor_s / measured.count * 1e6  # noqa: B023

            values = (
                measured.rate, measured.p50() * 1e3, cost(leader), cost(*followers) / 2,
                cost("client"), cost(*used),
            )  # fmt: skip
            print(json.dumps(dict(zip(FIGURES, values, strict=True))), flush=True)


def without_digests() -> Any:
    """Start the tree of a node whose group makes no digests."""
    from raft_actors import Supervisor
    from raft_actors.tools.bench.map_machine import Map, end_with_parent
    from raft_actors.tools.node_processes import PEER

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    spec = (Map, {"name": PEER, "digest_entries": None})
    return Supervisor.start_link([spec], strategy="one_for_one")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        typer.run(main)
