"""Where the time goes: processor time and wake-ups of leader, followers and client, a command each.

python -m benchmarks.roles

Wall-clock figures move with the machine's load; processor time for each command hardly does.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from raft_actors.bench.loads import WORKS
from raft_actors.bench.trio import NAMES, Trio

TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process has used so far: seconds in itself, in the kernel, and how often it woke."""

    user_s: float
    system_s: float
    wakes: int

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(
            self.user_s - other.user_s, self.system_s - other.system_s, self.wakes - other.wakes
        )


def spent(pid: int) -> Spent:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    wakes = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakes += int(line.split()[1])
    return Spent(int(fields[11]) / TICKS_S, int(fields[12]) / TICKS_S, wakes)


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
            followers = [used[name] for name in NAMES if name != leader]
            table.add_row(
                work, f"{measured.rate:,.0f}", f"{measured.p50() * 1e3:.2f}",
                shown([used[leader]], measured.count),
                shown(followers, measured.count * len(followers)),
                shown([used["client"]], measured.count),
                shown(list(used.values()), measured.count),
            )  # fmt: skip
    Console().print(table)


def shown(used: list[Spent], count: int) -> str:
    user = sum(each.user_s for each in used) / count * 1e6
    system = sum(each.system_s for each in used) / count * 1e6
    wakes = sum(each.wakes for each in used) / count
    return f"{user:.1f}+{system:.1f}; {wakes:.2g}"


if __name__ == "__main__":
    typer.run(main)
