"""Drawn plays with digests: never a false alarm, and a fault that nothing else shows is found."""

import random
from dataclasses import replace

import pytest

from raft_actors.core.digests import comparison_in
from raft_actors.core.entry import NOOP, has_extensions, kind_of
from raft_actors.state_machine import StateMachine
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play
from raft_actors.testing.simulation.script import Script

DIGESTS = [seed for seed in range(200) if draw(seed, 1).config.digest_entries != 100_000]


class Draws(StateMachine):
    """Is not deterministic, and no reply of a command shows it."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return "ok", {**state, command % 7: random.random()}

    def handle_read(self, query, state):
        return None


BLIND = Script(machine=Draws, picture=lambda _state: 0, oldest=1, newest=1)
"""The checker does not look at the states; only digests can show the fault."""


@pytest.mark.seeds
def test_replicas_that_run_a_sound_machine_never_differ():
    compared = 0
    for seed in DIGESTS[:10]:
        end = play(draw(seed, 600))
        assert not isinstance(end, Failure), f"seed {seed}: {end.violation}"
        compared += sum(
            kind_of(entry) == NOOP and has_extensions(entry) and comparison_in(entry) is not None
            for entry in end.checker.committed
        )
    assert compared > 2, "there was something to find"


def test_a_machine_that_draws_numbers_is_found_by_its_digests_alone():
    found = []
    for seed in DIGESTS[:8]:
        plan = draw(seed, 400)
        plan = replace(plan, on_disk=False, config=replace(plan.config, digest_entries=2))
        end = play(plan, BLIND)
        if isinstance(end, Failure):
            found.append(end.violation)
    assert any("the digests of the states differ" in violation for violation in found)
    assert all("the digests of the states differ" in violation for violation in found)
