"""Groups that form by themselves, from what each node's supervision tree declares. Real processes.

RAFT_FORMING_ROUNDS=20 kills as many groups in the middle of forming; CI does a few.
"""

import itertools
import os
import shutil
import time
from random import Random

import pytest

from raft_actors import Raft
from tests.cluster.stage import NAMES
from tests.helpers import eventually

ROUNDS = int(os.environ.get("RAFT_FORMING_ROUNDS", "2"))
ORDERS = list(itertools.permutations(NAMES))


@pytest.fixture
def stage(stage):
    stage.starter = "tests.cluster.declared:start"
    return stage


def status(stage, name):
    answer = Raft.status(stage.address(name))
    return answer[1] if answer[0] == "ok" else {}


def groups(stage, among=NAMES):
    """The ids of the groups that these say they belong to."""
    return {status(stage, name).get("group") for name in among}


def is_formed(stage):
    found = groups(stage)
    return len(found) == 1 and not found & {None, ""}


def test_a_declared_group_forms_once_and_restarts(stage):
    stage.start(*NAMES)
    eventually(lambda: is_formed(stage))
    (group,) = groups(stage)
    stage.write("x", 1)
    stage.kill(*NAMES)
    stage.start(*NAMES)
    eventually(lambda: is_formed(stage))
    assert groups(stage) == {group}
    assert stage.read_all(["x"]) == {"x": ("ok", 1)}


@pytest.mark.parametrize("order", ORDERS[: max(1, ROUNDS // 3)])
def test_whoever_starts_first_there_is_one_group(stage, order):
    for name in order:
        stage.start(name)
        eventually(lambda name=name: stage.is_up(name))
    eventually(lambda: is_formed(stage))
    stage.write("x", 1)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_who_is_killed_in_the_middle_of_forming_comes_back_to_the_same_group(stage, number):
    luck = Random(number)
    stage.start(*NAMES)
    for name in NAMES:
        eventually(lambda name=name: stage.is_up(name))
    for _ in range(2):
        victims = luck.sample(NAMES, luck.choice((1, 2, 3)))
        time.sleep(luck.uniform(0, 0.3))  # anywhere in the middle: the point of the test
        stage.kill(*victims)
        stage.start(*luck.sample(victims, len(victims)))
    eventually(lambda: is_formed(stage))
    stage.write("x", number)
    assert stage.read_all(["x"]) == {"x": ("ok", number)}


def test_two_wiped_members_of_three_found_no_group_of_their_own(stage):
    """The third has the data. They say what to do, and their disks stay empty."""
    stage.start(*NAMES)
    eventually(lambda: is_formed(stage))
    stage.write("x", 1)
    eventually(lambda: all(status(stage, name).get("last_applied", 0) > 1
                           for name in NAMES), 30)  # fmt: skip
    (group,) = groups(stage)
    stage.kill("b", "c")
    for name in "bc":
        shutil.rmtree(stage.data_dir(name))
    stage.start("b", "c")
    for name in "bc":
        eventually(lambda name=name: "troubles" in status(stage, name))
        assert "Raft.join(Machine, name='kv'" in stage.log(name).read_text()
    assert groups(stage, "bc") == {""}
    assert groups(stage, "a") == {group}
    assert status(stage, "b")["last_index"] == status(stage, "c")["last_index"] == 0
