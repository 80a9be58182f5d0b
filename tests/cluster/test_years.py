"""Clusters that live for years: members that change and nodes that restart, under constant writes.

Writers in another process count through one `Cluster`; no write may fail, be lost or run twice.
"""

import os

from raft_actors import Raft
from tests.cluster.stage import NAMES
from tests.helpers import eventually

ROUNDS = int(os.environ.get("RAFT_ACTORS_ROUNDS", "1"))
"""How often each story is played within its test: 1 in a test run, more by hand."""

COUNTING = "tests.client.counting:start"


def up(stage, *names):
    for name in names:
        eventually(lambda name=name: stage.is_up(name))


def members(stage, names):
    return [stage.address(name) for name in names]


def test_three_grow_to_five_and_shrink_to_other_three_without_a_failed_write(stage):
    stage.starter = COUNTING
    stage.form()
    with stage.load() as load:
        here = "abc"
        for _ in range(ROUNDS):
            newcomers = "de" if here == "abc" else "ab"
            stage.start(*newcomers)
            up(stage, *newcomers)
            answer = Raft.set_configuration(
                stage.address(stage.leader(here)), members(stage, here + newcomers)
            )
            assert answer[0] == "ok", answer
            load.wait_for_more()
            staying = "c" + newcomers
            leader = stage.leader(here + newcomers)
            answer = Raft.set_configuration(stage.address(leader), members(stage, staying))
            assert answer[0] == "ok", answer
            load.wait_for_more()
            for name in set(here) - set(staying):
                stage.stop(name)
            load.wait_for_more()
            here = "".join(sorted(staying))
    print("members", load.report)


def test_a_rolling_restart_of_all_three_costs_no_write(stage):
    stage.starter = COUNTING
    stage.form()
    with stage.load() as load:
        for _ in range(ROUNDS):
            for name in NAMES:
                stage.stop(name)
                load.wait_for_more()
                stage.start(name)
                up(stage, name)
                goal = stage.applied(stage.leader())
                eventually(lambda name=name, goal=goal: stage.applied(name) >= goal)
    print("rolling", load.report)
    assert load.report["longest_s"] < 5, "nobody waited for a timeout of the client"
