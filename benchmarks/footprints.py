"""What it costs to be there: imports, threads, memory, and many idle groups on three nodes.

python -m benchmarks.footprints
"""

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.spent import spent
from raft_actors import Node, Raft, Supervisor
from raft_actors.names import Address
from raft_actors.node.host_name import node_name
from raft_actors.tools.bench.map_machine import Map
from raft_actors.tools.bench.trio import NAMES, until
from raft_actors.tools.node_processes import NodeProcesses, use_own_cookie

COUNT = "RAFT_ACTORS_BENCH_PEERS"
STORE = "RAFT_ACTORS_BENCH_STORE"


def start_peers() -> Any:
    """Start a server's tree: as many peers as the environment says."""
    count = int(os.environ[COUNT])
    log_store = os.environ[STORE]
    children = [(Map, {"name": f"group{n}", "log_store": log_store}) for n in range(count)]
    return Supervisor.start_link(children, strategy="one_for_one")


@contextmanager
def nodes(count: int, log_store: str = "rocksdb") -> Iterator[list[psutil.Process]]:
    """Three node processes with `count` groups of three; their processes."""
    os.environ[COUNT], os.environ[STORE] = str(count), log_store
    with tempfile.TemporaryDirectory(prefix="raft_actors-bench-") as directory:
        use_own_cookie(Path(directory))
        servers = NodeProcesses(Path(directory), NAMES, "benchmarks.footprints:start_peers")
        try:
            servers.start(*NAMES)
            Node.start("bench")
            for number in range(count):
                found(f"group{number}", number)
            yield [psutil.Process(servers.pid(name)) for name in NAMES]
        finally:
            Node.stop()
            servers.kill(*NAMES)


def is_up(member: Address) -> bool:
    return bool(Raft.status(member)[0] == "ok")


def found(name: str, number: int) -> None:
    """Found one group, at each node in turn, so that the leaders are spread."""
    members = [(name, node_name(node)) for node in NAMES]
    founder = members[number % len(members)]
    for member in members:
        until(partial(is_up, member), f"{member} did not come up")
    answer = Raft.set_configuration(founder, members)
    assert answer[0] == "ok", answer


def import_ms(module: str) -> float:
    """Median milliseconds of an import, less those of starting Python."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - began) * 1e3

    return median(run(f"import {module}") for _ in range(7)) - median(run("") for _ in range(7))


def main(
    peers: Annotated[str, typer.Option(help="How many groups, comma separated.")] = "1,10,100",
    seconds: Annotated[float, typer.Option(help="How long they are watched.")] = 10.0,
) -> None:
    """Print the table."""
    logging.getLogger("raft_actors").setLevel(logging.ERROR)
    console = Console()
    for module in ("raft_actors", "supervision", "pysyncobj"):
        if importlib.util.find_spec(module) is not None:
            console.print(f"import {module}: {import_ms(module):.0f} ms")
    table = Table(title="three nodes, so many groups of three, idle; each figure for one node")
    for heading in ("groups", "all there, s", "MiB", "KiB a peer", "threads", "CPU %", "wakes/s"):
        table.add_column(heading, justify="right")
    least: float | None = None
    for count in map(int, peers.split(",")):
        began = time.perf_counter()
        with nodes(count) as processes:
            took = time.perf_counter() - began
            time.sleep(2.0)
            pids = [each.pid for each in processes]
            before = spent(*pids)
            time.sleep(seconds)
            used = spent(*pids) - before
            memory = sum(each.memory_info().rss for each in processes) / 3 / 2**20
            least = memory if least is None else least
            each_kib = (memory - least) * 1024 / (count - 1) if count > 1 else 0.0
            table.add_row(
                str(count), f"{took:.1f}", f"{memory:.0f}", f"{each_kib:.0f}",
                f"{sum(each.num_threads() for each in processes) / 3:.0f}",
                f"{used.processor_s / 3 / seconds * 100:.1f}",
                f"{used.wakes / 3 / seconds:.0f}",
            )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
