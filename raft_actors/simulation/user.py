"""User: a simulation of a user's own machine. The pytest fixture `raft_simulation` is one of it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raft_actors.simulation.examined import Findings, examined, picture
from raft_actors.simulation.fates import draw
from raft_actors.simulation.play import Failure, Script, play, transcript
from raft_actors.simulation.shrink import shrink
from raft_actors.state_machine import StateMachine

__all__ = ["MachineBroken", "Report", "Simulation"]

SHRINKING_PLAYS = 400
"""A second or two: enough to make the story short."""
STORY_LINES = 40


class MachineBroken(AssertionError):
    """The machine broke a promise. The text says which, how, with which seed, and what happened."""


@dataclass(slots=True)
class Report:
    """What a simulation that found nothing did."""

    seeds: list[int] = field(default_factory=list)
    committed: int = 0
    acknowledged: int = 0
    reads: int = 0
    raised: int = 0


class Simulation:
    """Runs a machine on simulated clusters that lose messages, crash, and change leaders."""

    def run(
        self,
        machine: type[StateMachine],
        commands: Sequence[Any] | Callable[[float], Any],
        queries: Sequence[Any] | Callable[[float], Any] = (),
        *,
        seeds: int | None = None,
        seed: int | None = None,
        steps: int = 400,
    ) -> Report:
        """Play some seeds with this machine, and return what was done.

        commands  what clients write: some to draw from, or a function of a number drawn from
                  [0, 1)
        queries   what they read, likewise; without any, nothing is read
        seeds     how many seeds; RAFT_SIMULATION_SEEDS where that is set, or 25
        seed      only this one: the one that a failure named
        steps     how much happens to each cluster before it is healed

        Raises MachineBroken when replicas come to differ, a reply can't be encoded, a command
        that raises leaves a trace in the state, the state becomes one of another type, a read
        changes it, or no command ever succeeds.
        """
        findings = Findings()
        script = Script(
            machine=examined(machine, findings),
            command=lambda _number, draw: drawn(commands, draw),
            query=lambda draw: drawn(queries, draw),
            picture=picture,
            reads=bool(queries),
        )
        count = seeds or int(os.environ.get("RAFT_SIMULATION_SEEDS", "25"))
        report = Report()
        for each in range(count) if seed is None else [seed]:
            end = play(draw(each, steps), script)
            if isinstance(end, Failure):
                raise MachineBroken(story(machine, each, end, script))
            report.seeds.append(each)
            report.committed += len(end.checker.commands)
            report.acknowledged += end.checker.acknowledged
            report.reads += end.checker.reads
        report.raised = findings.raised
        if findings.raised and not findings.succeeded:
            raise MachineBroken(f"no command ever succeeds; the first: {findings.first_error}")
        return report


def drawn(choices: Sequence[Any] | Callable[[float], Any], draw: float) -> Any:
    if callable(choices):
        return choices(draw)
    # The draw also says who is asked; its later digits say for what.
    return choices[int(draw * 1_000_003 % 1 * len(choices))] if choices else None


def story(machine: type[StateMachine], seed: int, failure: Failure, script: Script) -> str:
    small = shrink(failure, script, plays_max=SHRINKING_PLAYS)
    lines = [line for line in transcript(small.plan, script) if is_of_interest(line)]
    return "\n".join([
        f"{machine.__name__}, seed {seed}: {failure.complaint}",
        "",
        "What happens, as short as it was found:",
        *(f"    {line}" for line in lines[-STORY_LINES:]),
        "",
        f"Again: raft_simulation.run({machine.__name__}, ..., seed={seed})",
    ])  # fmt: skip


def is_of_interest(line: str) -> bool:
    """What clients and processes do; what peers say to each other is not the machine's trouble."""
    return " > " not in line and "alarm rings" not in line
