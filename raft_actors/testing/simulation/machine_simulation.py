"""MachineSimulation: simulates a user's state machine. The fixture `raft_simulation` returns
one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from raft_actors import encoding
from raft_actors.replicated import Replicated
from raft_actors.state_machine import OnDiskStateMachine, StateMachine
from raft_actors.testing.simulation.machine_checks import (
    Fault,
    Findings,
    examined,
    picture,
    state_machine_of,
)
from raft_actors.testing.simulation.plan import Plan, draw
from raft_actors.testing.simulation.plan_file import keep, kept
from raft_actors.testing.simulation.runner import Failure, play, transcript
from raft_actors.testing.simulation.script import Script
from raft_actors.testing.simulation.shrink import shrink

__all__ = ["MachineBroken", "Report", "Simulation"]

SHRINKING_PLAYS, ON_DISK_PLAYS = 400, 60
"""How many plays shrinking may use: a few seconds, which is enough for a short story."""
STORY_LINES = 40


class MachineBroken(AssertionError):
    """The state machine broke a rule. The text names the rule and the seed, and tells the story."""


@dataclass(slots=True)
class Report:
    """What a simulation that found no fault has done."""

    seeds: list[int] = field(default_factory=list)
    committed: int = 0
    acknowledged: int = 0
    reads: int = 0
    raised: int = 0


class Simulation:
    """Runs a machine on simulated clusters that lose messages, crash, and change leaders.

    folder   the directory into which the plans of failures are written; None: a temporary one
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def run(
        self,
        machine: type[StateMachine | Replicated],
        commands: Sequence[Any] | Callable[[float], Any],
        queries: Sequence[Any] | Callable[[float], Any] = (),
        *,
        seeds: int | None = None,
        seed: int | None = None,
        plan: str | Path | None = None,
        steps: int = 400,
        oldest: int = 1,
    ) -> Report:
        """Play some seeds with this machine, and return a Report.

        commands  the commands of clients: a list to choose from, or a function that gets a random
                  number from [0, 1) and returns a command
        queries   the queries of clients, in the same form; if there are none, nothing is read
        seeds     how many seeds; else RAFT_SIMULATION_SEEDS if it is set; else 25
        seed      play only this seed: the one that a failure has named
        plan      play only the plan in this file, which a failure has written
        steps     how many fates each cluster has before it is healed
        oldest    the oldest version of the machine that still runs: groups begin with this version
                  or with the newest one, and are upgraded

        Raises MachineBroken if replicas differ, a reply can't be encoded, a command that raises
        changes the state, the type of the state changes, a read changes the state, or no command
        ever succeeds.
        """
        __tracebackhide__ = True  # pytest shows the caller's line and the story, not this code
        findings = Findings()
        try:
            machine = state_machine_of(machine)
            tested = examined(machine, findings)
        except Fault as fault:
            name = getattr(machine, "__name__", type(machine).__name__)
            raise MachineBroken(f"{name}: {fault}") from fault
        refuse_unusable(commands, "commands")
        refuse_unusable(queries, "queries")
        if not commands:
            raise ValueError("commands: give some to draw from, or a function that makes them")
        script = Script(
            machine=tested,
            users=True,
            oldest=oldest,
            newest=machine.version,
            command=lambda _number, draw: drawn(commands, draw),
            query=lambda draw: drawn(queries, draw),
            picture=picture,
            reads=bool(queries),
        )
        report = Report()
        for each in self.plans(seeds, seed, plan, steps):
            end = play(each, script)
            if isinstance(end, Failure):
                raise MachineBroken(self.story(machine, end, script))
            report.seeds.append(each.seed)
            report.committed += len(end.checker.commands)
            report.acknowledged += end.checker.answers.acknowledged
            report.reads += end.checker.answers.reads
        report.raised = sum(findings.raised.values())
        if nothing := findings.never_works(machine.version):
            raise MachineBroken(f"{machine.__name__}: {nothing}")
        return report

    @staticmethod
    def plans(
        seeds: int | None, seed: int | None, plan: str | Path | None, steps: int
    ) -> Iterator[Plan]:
        if plan is not None:
            yield kept(Path(plan))
        elif seed is not None:
            yield draw(seed, steps)
        else:
            count = seeds or int(os.environ.get("RAFT_SIMULATION_SEEDS", "25"))
            yield from (draw(each, steps) for each in range(count))

    def story(self, machine: type[StateMachine], failure: Failure, script: Script) -> str:
        on_disk = issubclass(machine, OnDiskStateMachine)
        plays_max = ON_DISK_PLAYS if on_disk else SHRINKING_PLAYS
        small = shrink(failure, script, plays_max=plays_max)
        lines = [line for line in transcript(small.plan, script) if is_of_interest(line)]
        seed, name = failure.plan.seed, machine.__name__
        folder = self.folder or Path(mkdtemp(prefix="raft-simulation-"))
        path = folder / f"{name}-{seed}.plan.json"
        keep(small.plan, path)
        return "\n".join([
            f"{name}, seed {seed}: {failure.violation}",
            "",
            "What happens, as short as it was found:",
            *(f"    {line}" for line in lines[-STORY_LINES:]),
            "",
            f"Again: raft_simulation.run({name}, ..., seed={seed})",
            f"Also with another raft_actors: raft_simulation.run({name}, ..., plan={str(path)!r})",
        ])  # fmt: skip


def refuse_unusable(choices: Sequence[Any] | Callable[[float], Any], what: str) -> None:
    """Raise TypeError for a command or a query that can't be encoded."""
    if not callable(choices):
        for place, each in enumerate(choices):
            encoding.dumps(each, f"{what}[{place}]")


def drawn(choices: Sequence[Any] | Callable[[float], Any], draw: float) -> Any:
    if callable(choices):
        return choices(draw)
    # The first digits of `draw` choose the peer that is asked, so use its later digits here.
    return choices[int(draw * 1_000_003 % 1 * len(choices))] if choices else None


def is_of_interest(line: str) -> bool:
    """Keep the lines about clients and processes. Messages between peers and alarms are left out,
    because they do not show a fault of the state machine.
    """
    return " > " not in line and "alarm rings" not in line
