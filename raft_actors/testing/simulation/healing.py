"""Healing: a world without faults must elect a leader, agree and take a write, in bounded time."""

from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.disk_loss import can_be_led, has_the_state
from raft_actors.testing.simulation.fates import found, told_of
from raft_actors.testing.simulation.plan import Plan
from raft_actors.testing.simulation.rot import damaged
from raft_actors.testing.simulation.script import Script
from raft_actors.testing.simulation.world import World

__all__ = ["heal"]

HEALING_TIMEOUTS = 60
"""A healed world may take so many times the longest election timeout to elect and agree."""
TRIES = 200
"""How often a healed world is checked in this time."""


def heal(world: World, plan: Plan, script: Script) -> None:
    """Expect that the healed world elects, agrees and takes a write, each in bounded time."""
    longest_s = max(config.max_election_timeout for config in (plan.config, *plan.others))
    step_s = longest_s * HEALING_TIMEOUTS / TRIES
    dead = {name for name in plan.dead if name in plan.members}
    if dead:
        go_on_without(world, script, dead, step_s)
    world.heal_all()
    if world.witnesses and world.is_founded() and not has_the_state(world, {*world.names}):
        return  # witnesses alone committed the last entries, and their logs begin after them
    for _ in range(TRIES):
        if world.agrees():
            break
        if not world.is_founded():
            found(world, plan, min(name for name in plan.members if name in world.peers))
        world.ring(step_s)
    else:
        raise Broken(
            f"healed for {HEALING_TIMEOUTS} longest election timeouts, and no agreement: "
            f"{world.described()}"
        )
    take_a_write(world, script, step_s)
    wait_for_version(world, step_s)
    if plan.grant_s:
        wait_for_a_grant(world, step_s)
    if script.users and min(world.versions.values()) < script.newest:
        for name in world.names:
            while world.versions[name] < script.newest:
                world.install(name)
        wait_for_version(world, step_s)
        take_a_write(world, script, step_s)


def go_on_without(world: World, script: Script, dead: set[str], step_s: float) -> None:
    """Expect that those who live take a write, if they are more than half of a group's members, the
    state is not with the dead alone, and one of them may lead."""
    told_of(world, f"{' '.join(sorted(dead))} stay dead, and all else is healed")
    for name in sorted(dead.intersection(world.peers)):
        world.crash(name, 1.0)
    world.heal_all(but=dead)
    if can_be_led(world) and has_the_state(world, set(world.names) - dead - damaged(world)):
        take_a_write(world, script, step_s)


def take_a_write(world: World, script: Script, step_s: float) -> None:
    """Expect that a write succeeds. A leader may still be handing over, or be overloaded."""
    for _ in range(TRIES):
        leader = world.leader()
        ticket = None
        if leader is not None:
            command = script.command(world.clients.requests + 1, 0.5)
            ticket = world.write(leader.name, command)[0]
        world.ring(step_s)
        if ticket is not None and ticket.request in world.checker.answers.positions:
            return
    raise Broken(f"no write succeeds in the healed world: {world.described()}")


def wait_for_version(world: World, step_s: float) -> None:
    for _ in range(TRIES):
        if has_moved_on(world):
            return
        world.ring(step_s)
    raise Broken(f"the group does not move to the version that all have: {world.described()}")


def wait_for_a_grant(world: World, step_s: float) -> None:
    """Expect that something runs at the leader's host; witnesses have no grants."""
    for _ in range(TRIES):
        leader = world.leader()
        if leader is not None and (leader.name in world.holders.runs or leader.core.is_witness):
            return
        world.ring(step_s)
    raise Broken(f"the leader gives no grant in the healed world: {world.described()}")


def has_moved_on(world: World) -> bool:
    """Return whether the group runs as the newest version that every member has."""
    leader = world.leader()
    if leader is None:
        return False
    configuration = leader.core.configuration
    members = {name for name, _node in configuration.everyone}
    if members & world.strangers(configuration):
        return True  # one that can't say what it has holds everybody up
    return leader.applied.version == min(world.versions[name] for name in members)
