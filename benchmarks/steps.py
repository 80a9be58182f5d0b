"""The way of one lone write, step by step: what passes between its call and its answer.

python -m benchmarks.steps

All processes note when they wake, send, save and have saved, by the clock that they share. To note
it takes less than a microsecond. Which follower is the quicker one differs from write to write.
"""

import logging
import os
import selectors
import tempfile
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from raft_actors.client.retrying_client import RetryingClient
from raft_actors.stores.durable import DurableStore
from raft_actors.tools.bench import map_machine as machine
from raft_actors.tools.bench.loads import WORKS
from raft_actors.tools.bench.trio import NAMES, Trio
from raft_actors.transport.link import Link

DIRECTORY = "RAFT_ACTORS_BENCH_STEPS"
MARKS = ("calls", "answered", "woke", "sent", "saves", "saved")
FEW = 64  # marks that are written out together

ORDER = (
    "client: sends the command",
    "leader: wakes",
    "leader: reads it, sends the first append",
    "quicker follower: wakes",
    "quicker follower: reads it, begins to save",
    "quicker follower: saves",
    "quicker follower: acknowledges",
    "leader: wakes",
    "leader: commits, applies, answers",
    "client: wakes",
    "client: reads the answer",
)


def start() -> Any:
    """Start a node's tree, as for the other benchmarks, and note what it does."""
    watch()
    return machine.start()


def watch() -> None:
    """From now on note what this process does, in a file named by its process id."""
    file = (Path(os.environ[DIRECTORY]) / str(os.getpid())).open("ab", buffering=0)
    marks = array("q")

    def note(mark: str) -> None:
        marks.extend((time.monotonic_ns(), MARKS.index(mark)))
        if len(marks) >= 2 * FEW:
            file.write(marks.tobytes())
            del marks[:]

    def noted(owner: type, name: str, before: str = "", after: str = "") -> None:
        method: Callable[..., Any] = getattr(owner, name)

        def wrapper(*arguments: Any, **more: Any) -> Any:
            if before:
                note(before)
            result = method(*arguments, **more)
            if after:
                note(after)
            return result

        setattr(owner, name, wrapper)

    noted(RetryingClient, "begin", before="calls")
    noted(RetryingClient, "finish", after="answered")
    noted(Link, "flush", after="sent")
    noted(DurableStore, "save", before="saves", after="saved")
    noted(selectors.DefaultSelector, "select", after="woke")


class Notes:
    """What one process has noted."""

    def __init__(self, path: Path) -> None:
        values = array("q", path.read_bytes())
        self.times: dict[str, list[int]] = {mark: [] for mark in MARKS}
        for at, number in zip(values[::2], values[1::2], strict=True):
            self.times[MARKS[number]].append(at)

    def next(self, mark: str, after: int) -> int:
        """When the first such mark was made at or after that time."""
        times = self.times[mark]
        return times[bisect_left(times, after)]


def steps(client: Notes, leader: Notes, followers: list[Notes]) -> Iterator[list[int]]:
    """Yield of each write how long its steps took, in ns, in the order of ORDER."""
    for called in client.times["calls"]:
        try:
            sent = client.next("sent", called)
            leader_woke = leader.next("woke", called)
            appended = leader.next("sent", leader_woke)
            ways = []
            for follower in followers:
                woke = follower.next("woke", leader_woke)
                saves = follower.next("saves", woke)
                saved = follower.next("saved", saves)
                ways.append((follower.next("sent", saved), woke, saves, saved))
            acknowledged, woke, saves, saved = min(ways)
            heard = leader.next("woke", max(saved, leader.next("saved", appended)))
            told = leader.next("sent", heard)
            client_woke = client.next("woke", heard)
            answered = client.next("answered", client_woke)
        except IndexError:  # the last ones were not written out
            return
        moments = [
            called, sent, leader_woke, appended, woke, saves, saved, acknowledged, heard, told,
            client_woke, answered,
        ]  # fmt: skip
        yield [after - before for before, after in pairwise(moments)]


def main(seconds: Annotated[float, typer.Option(min=0.2)] = 5.0) -> None:
    """Print the medians, and between which two values half of the writes were."""
    logging.getLogger("raft_actors").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="raft_actors-bench-") as name:
        os.environ[DIRECTORY] = name
        watch()
        with Trio("benchmarks.steps:start") as trio:
            found: list[list[int]] = []
            while len(found) < 2:  # on a busy machine, too few marks to be written out
                measured = trio.run(replace(WORKS["W1"], seconds=seconds, warm_up=1.0))
                notes = {node: Notes(Path(name) / str(trio.pid(node))) for node in NAMES}
                leader = notes.pop(trio.leader)
                client = Notes(Path(name) / str(os.getpid()))
                found = list(steps(client, leader, [*notes.values()]))[-measured.count :]
                seconds *= 2
    table = Table(title=f"one lone write, µs; its p50 {measured.p50() * 1e6:.0f}")
    for heading in ("step", "median", "half of them"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for step, times in zip(ORDER, zip(*found, strict=True), strict=True):
        low, _, high = quantiles(times, n=4)
        table.add_row(step, f"{median(times) / 1e3:.0f}", f"{low / 1e3:.0f} to {high / 1e3:.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
