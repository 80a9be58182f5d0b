"""What many groups on the same three nodes do together: each has its own log, thread and syncs.

python -m benchmarks.groups
python -m benchmarks.groups --log-store memory    what disks and their syncs have to do with it
"""

import logging
import time
from collections import deque
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.footprints import nodes
from raft_actors import Cluster
from raft_actors.node.host_name import node_name
from raft_actors.tools.bench.loads import KEYS, VALUE
from raft_actors.tools.bench.trio import NAMES


def main(
    groups: Annotated[str, typer.Option(help="How many, comma separated.")] = "1,10,100",
    outstanding: Annotated[int, typer.Option(help="Writes under way in all of them.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long.")] = 5.0,
    log_store: Annotated[str, typer.Option(help="rocksdb, lmdb, or memory.")] = "rocksdb",
) -> None:
    """Print writes/s, all groups together, from one thread that goes round them."""
    logging.getLogger("raft_actors").setLevel(logging.ERROR)
    table = Table(title=f"{outstanding} writes outstanding, spread over so many groups")
    table.add_column("groups", justify="right")
    table.add_column("writes/s", justify="right")
    for count in map(int, groups.split(",")):
        with nodes(count, log_store):
            table.add_row(str(count), f"{rate(count, outstanding, seconds):,.0f}")
    Console().print(table)


def rate(count: int, outstanding: int, seconds: float) -> float:
    clusters = [
        Cluster([(f"group{number}", node_name(name)) for name in NAMES], timeout=60.0)
        for number in range(count)
    ]
    for cluster in clusters:
        cluster.write(("set", "key", 0))
    pipelines = [cluster.pipeline(timeout=60.0) for cluster in clusters]
    under_way: deque[Any] = deque()
    began = time.perf_counter()
    done = sent = 0
    while time.perf_counter() < began + seconds:
        while len(under_way) < outstanding:
            pipeline = pipelines[sent % count]
            under_way.append(pipeline.write(("set", KEYS[sent % len(KEYS)], VALUE)))
            sent += 1
        under_way.popleft().result()
        done += 1
    took = time.perf_counter() - began
    for pipeline in pipelines:
        pipeline.drain()
    return done / took


if __name__ == "__main__":
    typer.run(main)
