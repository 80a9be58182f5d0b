"""Runner: lets the fates of a plan happen, checks after each, then heals and expects agreement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from raft_actors.machine import sessions
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.fates import found, happen
from raft_actors.testing.simulation.healing import heal
from raft_actors.testing.simulation.plan import Plan
from raft_actors.testing.simulation.script import TALLY, TALLY_ON_DISK, Script
from raft_actors.testing.simulation.world import World
from supervision.foreign import text_of

__all__ = ["Failure", "cut_short", "play", "transcript"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A property that was broken. `after` is the number of fates before that; it is `len(fates)` if
    the property was broken in the healed world only.
    """

    plan: Plan
    after: int
    violation: str

    @property
    def kind(self) -> str:
        """The words of the violation without names and numbers: equal for failures of one kind."""
        words = self.violation.split("\n")[0].split()
        return " ".join(word for word in words if word.isalpha() and len(word) > 1)


def play(
    plan: Plan, script: Script = TALLY, tell: Callable[[str], None] | None = None
) -> Failure | World:
    """Play a plan. Returns the Failure, or the world as it is at the end.

    tell   is called with a text for each event
    """
    if plan.on_disk and script is TALLY:
        script = TALLY_ON_DISK
    with bounds_of_sessions(plan):
        return played(plan, script, tell)


@contextmanager
def bounds_of_sessions(plan: Plan) -> Iterator[None]:
    before = sessions.SESSIONS_MAX, sessions.WINDOW
    if plan.sessions_max:
        sessions.SESSIONS_MAX, sessions.WINDOW = plan.sessions_max, plan.sequences
    try:
        yield
    finally:
        sessions.SESSIONS_MAX, sessions.WINDOW = before


def played(plan: Plan, script: Script, tell: Callable[[str], None] | None) -> Failure | World:
    world: World | None = None
    after = 0
    try:
        world = World(
            plan.names, plan.seed, plan.config, machine=script.machine, picture=script.picture,
            version=script.first_version(plan.seed), rates=plan.rates, wall_rate=plan.wall_rate,
            encoded=plan.encoded, others=plan.others, inline=plan.inline,
            watchers=plan.watchers, grant_s=plan.grant_s, hand_over_s=plan.hand_over_s, tell=tell,
        )  # fmt: skip
        found(world, plan, plan.founder)
        for after, fate in enumerate(plan.fates, 1):  # noqa: B007 - it tells where it failed
            happen(world, plan, script, fate)
            world.watchers.act()
        if tell:
            tell("the world is healed")
        heal(world, plan, script)
    except Broken as broken:
        return Failure(plan, after, str(broken))
    except Exception as error:  # the code under test may raise anything
        who = world.busy.name if world is not None and world.busy else "the simulation"
        return Failure(plan, after, f"{who} raised {text_of(error)}")
    finally:
        if world is not None:
            world.close()
    return world


def transcript(plan: Plan, script: Script = TALLY) -> list[str]:
    """Play a plan and return what happens in it, line by line."""
    lines: list[str] = []
    played = play(plan, script, lines.append)
    if isinstance(played, Failure):
        lines.append(f"BROKEN: {played.violation}")
    return lines


def cut_short(failure: Failure) -> Plan:
    """Return the plan without the fates that came after the failure."""
    return replace(failure.plan, fates=failure.plan.fates[: failure.after])
