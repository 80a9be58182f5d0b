"""A thousand short seeds break no promise. RAFT_SEEDS plays more, RAFT_STEPS longer ones."""

import os
import subprocess
import sys

import pytest

from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play, transcript

SEEDS = int(os.environ.get("RAFT_SEEDS", "1000"))
STEPS = int(os.environ.get("RAFT_STEPS", "600"))
PART = 50


@pytest.mark.seeds
@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_seed_breaks_a_promise(first: int) -> None:
    """And they do something: a simulation in which nothing is committed, cut or answered would pass
    as well.
    """
    worlds = []
    for seed in range(first, min(first + PART, SEEDS)):
        end = play(draw(seed, STEPS))
        again = f"raft-actors simulate --first {seed} --seeds 1 --steps {STEPS}"
        assert not isinstance(end, Failure), f"{end.violation}\n{again}"
        worlds.append(end)
    checkers = [world.checker for world in worlds]
    assert sum(len(checker.committed) for checker in checkers) > 10 * len(worlds)
    assert sum(checker.answers.acknowledged for checker in checkers) > 5 * len(worlds)
    assert sum(checker.answers.reads for checker in checkers) > 1.5 * len(worlds)
    assert sum(len(checker.leader_of) for checker in checkers) > 1.5 * len(worlds)
    if len(worlds) == PART:
        assert {len(world.names) for world in worlds} == {1, 2, 3, 4, 5}


def test_a_seed_tells_the_whole_story() -> None:
    """In every process: nothing hangs on the order of a set or on `hash`."""
    code = (
        "from raft_actors.testing.simulation.plan import draw\n"
        "from raft_actors.testing.simulation.runner import transcript\n"
        "print('\\n'.join(line for seed in range(8) for line in transcript(draw(seed, 300))))"
    )
    here = "\n".join(line for seed in range(8) for line in transcript(draw(seed, 300))) + "\n"
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert there.stdout == here
