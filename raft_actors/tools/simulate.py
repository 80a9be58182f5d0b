"""Simulate: `raft-actors simulate`. It runs many seeds, and explains the first one that fails."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from raft_actors.testing.simulation.plan import Plan, draw
from raft_actors.testing.simulation.plan_file import keep, kept
from raft_actors.testing.simulation.runner import Failure, play, transcript
from raft_actors.testing.simulation.shrink import shrink

__all__ = ["run_plan", "run_simulation"]

CHUNK = 20
"""How many seeds a job runs between two updates of the progress bar."""
TRANSCRIPT_LINES = 200
REPORT_EVERY_S = 60.0
"""How often progress is printed if there is no terminal for a bar."""


@dataclass(slots=True)
class Sum:
    """The results of some seeds. `failed` is the first seed that broke a property."""

    seeds: int = 0
    steps: int = 0
    committed: int = 0
    acknowledged: int = 0
    reads: int = 0
    terms: int = 0
    failed: int | None = None

    def add(self, other: "Sum") -> None:
        for name in ("seeds", "steps", "committed", "acknowledged", "reads", "terms"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if self.failed is None:
            self.failed = other.failed

    def __str__(self) -> str:
        return (
            f"{self.seeds:,} seeds, {self.steps:,} steps, {self.terms:,} leaders, "
            f"{self.committed:,} entries committed, {self.acknowledged:,} writes acknowledged, "
            f"{self.reads:,} reads answered"
        )


def play_seeds(first: int, last: int, steps: int) -> Sum:
    """Run the seeds `first..last`, up to the first that fails."""
    total = Sum()
    for seed in range(first, last + 1):
        world = play(draw(seed, steps))
        total.seeds += 1
        total.steps += steps
        if isinstance(world, Failure):
            total.failed = seed
            break
        checker = world.checker
        total.committed += len(checker.committed)
        total.acknowledged += checker.answers.acknowledged
        total.reads += checker.answers.reads
        total.terms += len(checker.leader_of)
    return total


def chunks(first: int, seeds: int, steps: int, jobs: int) -> Iterator[Sum]:
    end = first + seeds
    ranges = [(start, min(start + CHUNK, end) - 1) for start in range(first, end, CHUNK)]
    if jobs == 1:
        for start, last in ranges:
            yield play_seeds(start, last, steps)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(play_seeds, start, last, steps) for start, last in ranges]
        try:
            for future in waiting:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def run_simulation(*, seeds: int, steps: int, first: int, jobs: int) -> int:
    """Run the seeds, and return the exit status: 0 if no seed breaks a property."""
    console = Console(highlight=False)
    total, began, reported = Sum(), time.monotonic(), time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task("seeds", total=seeds)
        for part in chunks(first, seeds, steps, jobs):
            total.add(part)
            bar.update(task, completed=total.seeds)
            if not console.is_terminal and time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                print(f"{total.seeds:,} of {seeds:,} seeds, none failed so far", flush=True)
            if total.failed is not None:
                break
    took = time.monotonic() - began
    if total.failed is None:
        print(f"{total}, in {took:.0f} s: no promise broken")
        return 0
    explain(console, total.failed, steps)
    return 1


def run_plan(path: Path) -> int:
    """Run the plan in a file, and return the exit status: 0 if it breaks no property.

    Raises BadPlan if the file has no plan.
    """
    plan = kept(path)
    end = play(plan)
    if not isinstance(end, Failure):
        print(f"{path}: {len(plan.fates)} fates: no promise broken")
        return 0
    print(f"{path} fails after {end.after} of {len(plan.fates)} fates:\n{end.violation}\n")
    print_transcript(plan)
    return 1


def explain(console: Console, seed: int, steps: int) -> None:
    """Print how a seed fails, the few fates that are needed for it, and their transcript."""
    failure = play(draw(seed, steps))
    assert isinstance(failure, Failure), "the same seed must fail again"
    console.print(f"[bold red]seed {seed} fails[/] after {failure.after} of {steps} steps:")
    console.print(escape(failure.violation))
    with console.status("shrinking") if console.is_terminal else nullcontext() as status:

        def progress(fates: int) -> None:
            if status is not None:
                status.update(f"shrinking: {fates} fates left")

        small = shrink(failure, progress=progress)
    console.print(f"\n{len(small.plan.fates)} fates are enough for it:\n")
    print_transcript(small.plan)
    path = Path(f"seed-{seed}.plan.json")
    print(f"\nrun it again: raft-actors simulate --first {seed} --seeds 1 --steps {steps}")
    try:
        keep(small.plan, path)
    except OSError as error:
        print(f"{path} can't be written: {error.strerror}")
    else:
        print(f"after a change of the code: raft-actors simulate --plan {path}")


def print_transcript(plan: Plan) -> None:
    print(situation(plan))
    lines = transcript(plan)
    if len(lines) > TRANSCRIPT_LINES:
        print(f"... {len(lines) - TRANSCRIPT_LINES} lines before")
    print("\n".join(lines[-TRANSCRIPT_LINES:]))


def situation(plan: Plan) -> str:
    """Return the plan without its fates, in a few lines."""
    config: Any = plan.config
    return (
        f"peers {plan.names}, founder {plan.founder}, clocks "
        f"{', '.join(f'{rate:.2f}' for rate in plan.rates)}\n"
        f"elections after {config.min_election_timeout} to {config.max_election_timeout:.2f} s, "
        f"heartbeats every {config.heartbeat_timeout:.3f} s\n"
        f"append_bytes_max {config.append_bytes_max}, inflight_max {config.inflight_max}, "
        f"apply_max {config.apply_max}\n"
    )


if __name__ == "__main__":
    sys.exit(run_simulation(seeds=1_000, steps=3_000, first=0, jobs=1))
