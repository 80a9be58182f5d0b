"""Where the time goes: processor time and wake-ups of leader, followers and client, a command each.

python -m benchmarks.roles

Wall-clock figures move with the machine's load; processor time for each command hardly does.
"""

import os
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.spent import Spent, spent
from raft_actors.tools.bench.loads import WORKS
from raft_actors.tools.bench.trio import NAMES, Trio


def main(
    seconds: Annotated[float, typer.Option(min=0.2)] = 3.0,
    only: Annotated[str, typer.Option(help="Works, comma separated.")] = "W1,W64,T64,WP,R64",
) -> None:
    """Print µs of processor time and wake-ups for each command, by role."""
    table = Table(title="µs a command in Python and libraries + in the kernel; wake-ups a command")
    for heading in ("", "/s", "p50 ms", "leader", "follower", "client", "all"):
        table.add_column(heading, justify="right")
    with Trio() as trio:
        leader = trio.leader
        pids = {name: trio.pid(name) for name in NAMES} | {"client": os.getpid()}
        for work in only.split(","):
            trio.run(replace(WORKS[work], seconds=0.5, warm_up=0.5))
            before = {name: spent(pid) for name, pid in pids.items()}
            measured = trio.run(replace(WORKS[work], seconds=seconds, warm_up=0.0))
            used = {name: spent(pid) - before[name] for name, pid in pids.items()}
            followers = sum((used[name] for name in NAMES if name != leader), Spent())
            table.add_row(
                work, f"{measured.rate:,.0f}", f"{measured.p50() * 1e3:.2f}",
                shown(used[leader], measured.count),
                shown(followers, measured.count * 2),
                shown(used["client"], measured.count),
                shown(sum(used.values(), Spent()), measured.count),
            )  # fmt: skip
    Console().print(table)


def shown(used: Spent, count: int) -> str:
    user, system = used.user_s / count * 1e6, used.system_s / count * 1e6
    return f"{user:.1f}+{system:.1f}; {used.wakes / count:.2g}"


if __name__ == "__main__":
    typer.run(main)
