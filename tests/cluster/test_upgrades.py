"""Two releases side by side, as in a rolling upgrade, with real processes."""

import pytest

from raft_actors import Raft
from raft_actors.tools.node_processes import RUN
from raft_actors.wire.versions import SUPPORTED, newest
from tests.cluster.stage import NAMES
from tests.helpers import eventually

NEXT_RELEASE = "tests.node.next_release"
THIS = newest()


@pytest.fixture
def next_release(stage):
    """From now on a node that is started is of the next release."""

    def use(*speaks):
        stage.module = NEXT_RELEASE
        stage.environment["RAFT_ACTORS_TEST_SPEAKS"] = " ".join(map(str, speaks))

    return use


def others(name):
    return "".join(other for other in NAMES if other != name)


def restart(stage, name):
    stage.stop(name)
    stage.start(name)
    eventually(lambda: stage.is_up(name))
    goal = stage.applied(stage.leader())
    eventually(lambda: stage.applied(name) >= goal)


def heard(stage, name):
    return "heard rumour 9" in stage.log(name).read_text()


def test_a_rolling_upgrade_costs_no_write_and_nobody_is_told_what_he_does_not_know(
    stage, next_release
):
    stage.starter = "tests.client.counting:start"
    stage.form()
    next_release(THIS, THIS + 1)
    with stage.load() as load:
        for name in "ab":
            restart(stage, name)
            load.wait_for_more()
            Raft.transfer_leadership(stage.address(stage.leader()), stage.address(name))
            eventually(lambda name=name: stage.leader() == name)
            load.wait_for_more()
        eventually(lambda: heard(stage, "a"))
        assert not heard(stage, "c")
        restart(stage, "c")
        eventually(lambda: heard(stage, "c"))
        stage.module = RUN  # and back, as after a bad release
        restart(stage, "a")
        load.wait_for_more()
    for name in NAMES:
        assert "no peer message" not in stage.log(name).read_text()


def test_a_release_too_far_ahead_is_refused_in_words(stage, next_release):
    stage.form()
    next_release(THIS + 1, THIS + 2)
    stage.stop("c")
    stage.start("c")
    words = f"protocol versions {THIS + 1} to {THIS + 2}, and was offered {SUPPORTED}: install"
    eventually(lambda: any(words in stage.log(name).read_text() for name in NAMES))
    stage.write("a", 1)


def versions(stage):
    answers = [Raft.status(stage.address(name)) for name in NAMES]
    return [answer[1]["machine_version"] for answer in answers if answer[0] == "ok"]


def test_a_new_version_of_the_machine_rolls_out_under_load(stage):
    stage.starter = "tests.cluster.machines:start"
    stage.form()
    with stage.load() as load:
        stage.starter = "tests.cluster.machines:start_new"
        for name in NAMES:
            assert set(versions(stage)) == {1}
            restart(stage, name)
            load.wait_for_more()
        eventually(lambda: versions(stage) == [2, 2, 2])
        load.wait_for_more()
    assert Raft.read(stage.address(stage.leader()), "commands") >= 50
    stage.starter = "tests.cluster.machines:start"
    victim = next(name for name in NAMES if name != stage.leader())
    stage.stop(victim)
    stage.start(victim)
    words = "runs version 2 of Counter, and this program has version 1: install one"
    eventually(lambda: words in stage.log(victim).read_text())
