"""A seeded world that loses, repeats, reorders, cuts and crashes, checked at every step.

The seed draws the odds and the tuning too: with fixed odds whole classes of bugs never show.
"""

import os
from random import Random

import pytest

from raft_actors.config import Config
from raft_actors.core.messages import NodeLost
from tests.core.world import NODE, Checker, World

SEEDS = int(os.environ.get("RAFT_SEEDS", "60"))
STEPS = int(os.environ.get("RAFT_STEPS", "1500"))


def unlucky(seed: int, steps: int) -> World:
    """Play one seed; raise AssertionError if a promise is broken."""
    luck = Random(seed)
    config = Config(
        log_store="memory",
        append_bytes_max=luck.choice((1, 60, 1_000_000)),
        inflight_max=luck.choice((1, 3, 64)),
        log_cache_bytes=luck.choice((1, 100, 1_000_000)),
    )
    world = World("abcde"[: luck.choice((1, 2, 3, 3, 3, 4, 5))], seed, config)
    world.crash_chance = luck.choice((0, 0, 0.002, 0.01))
    checker = Checker(world)
    fates = {
        "deliver": luck.uniform(20, 80), "lose": luck.uniform(0, 10), "repeat": luck.uniform(0, 5),
        "tick": luck.uniform(2, 30), "propose": luck.uniform(2, 15), "query": luck.uniform(0, 4),
        "crash": luck.uniform(0, 3), "start": 8, "cut": luck.uniform(0, 1), "heal": 0.7,
        "lost": luck.uniform(0, 1), "configure": 1,
    }  # fmt: skip
    founder = luck.choice(world.names)
    pace = luck.choice((0.005, 0.02, 0.1, 0.5))
    both = luck.random() < 0.2
    if luck.random() < 0.8:
        world.configure(founder)
    for step, fate in enumerate(luck.choices(list(fates), list(fates.values()), k=steps)):
        name, wire = luck.choice(world.names), world.wire
        up = name in world.servers
        match fate:
            case "deliver" if wire:
                world.deliver(wire.pop(luck.randrange(min(len(wire), 20))))
            case "lose" if wire:
                wire.pop(luck.randrange(len(wire)))
            case "repeat" if wire:
                wire.append(luck.choice(wire))
            case "tick":
                world.pass_time(luck.uniform(0, pace))
            case "propose" if up:
                count = luck.choice((1, 1, 3))
                world.propose(name, *[b"%d.%d" % (step, n) for n in range(count)])
            case "query" if up:
                world.query(name)
            case "crash" if up:
                world.crash(name)
            case "start" if not up:
                world.start(name)
            case "cut":
                other = luck.choice(world.names)
                world.cut |= (
                    {(name, other), (other, name)} if luck.random() < 0.6 else {(name, other)}
                )
            case "heal":
                world.heal()
            case "lost" if up:
                world.step(name, NodeLost(NODE))
            case "configure" if up and (name == founder or both):
                world.configure(name)
        checker.look()
        if step % 50 == 0:
            checker.look_deep()
    world.heal()
    world.crash_chance = 0
    for name in world.names:
        if name not in world.servers:
            world.start(name)
    world.wire.clear()
    for _ in range(20):
        if founder in world.servers and not world.servers[founder].configuration.members:
            world.configure(founder)
            world.ring(1)
    checker.converged()
    checker.look()
    checker.look_deep()
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_seed_breaks_a_promise(seed: int) -> None:
    unlucky(seed, STEPS)
