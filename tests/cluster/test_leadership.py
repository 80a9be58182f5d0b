"""The office moves: by wish, from a bad disk, and from a dead process. With real processes.

What each costs in time is printed by `python -m benchmarks --only FO`; here nothing is timed but by
what must not be waited for.
"""

import signal

import pytest

from raft_actors import Raft
from tests.cluster.stage import NAMES
from tests.helpers import eventually


@pytest.fixture
def group(stage):
    """Three nodes whose disks obey, and are gone with their processes."""
    stage.disks = True
    stage.starter = "tests.cluster.bad_disk:start"
    stage.form()
    return stage


def others(name):
    return "".join(other for other in NAMES if other != name)


def said(stage, name, words):
    return words in stage.log(name).read_text()


def test_a_leader_whose_disk_hangs_is_replaced_and_comes_back_without_harm(group):
    with group.load() as load:
        stalled = group.leader()
        group.order(stalled, "slow 3")
        new = group.leader(others(stalled))
        assert new != stalled
        load.wait_for_more()
        eventually(lambda: said(group, stalled, "one save, which is not over yet"))
        group.order(stalled, "slow 0")
        new = group.leader()  # of all three; on a busy machine it may be another by now
        load.wait_for_more()
        goal = group.applied(new)
        eventually(lambda: group.applied(stalled) >= goal)
    assert said(group, stalled, "s for one save; "), "and how long it took"
    assert said(group, stalled, "DiskSlow"), "programs hear it too"
    assert load.report["longest_s"] < 5


def test_a_leader_whose_disk_stays_slow_hands_over_by_itself(group):
    """0.2 s for each save is too quick for the others to stand, and too slow for everyone."""
    with group.load() as load:
        slow = group.leader()
        term = Raft.status(group.address(slow))[1]["current_term"]
        group.order(slow, "slow 0.2")
        new = group.leader()
        eventually(lambda: group.leader() != slow)
        new = group.leader()
        load.wait_for_more(200)
        status = Raft.status(group.address(new))[1]
        assert status["current_state"] == "leader"
        assert status["current_term"] == term + 1, "it was handed over, in one election"
        assert Raft.status(group.address(slow))[1]["last_save_s"] > 0.2
    assert said(group, slow, "a leader transfers its leadership")


def test_a_leader_whose_disk_is_full_gives_way_at_once_and_returns_by_itself(group):
    with group.load() as load:
        full = group.leader()
        group.order(full, "fill")
        new = group.leader(others(full))
        assert new != full
        load.wait_for_more(200)
        assert said(group, full, "DiskRefused"), "programs hear it too"
        pid = group.processes[full].pid
        group.order(full, "free")
        goal = group.applied(new)
        eventually(lambda: group.applied(full) >= goal, 60)
        assert group.processes[full].poll() is None
        assert group.processes[full].pid == pid
    assert load.report["longest_s"] < 5


def test_after_a_kill_the_next_write_waits_for_no_election_timeout(stage):
    """A broken connection says at once that the leader is gone. Times: `benchmarks --only FO`."""
    stage.starter = "tests.client.counting:start"
    stage.form()
    with stage.load() as load:
        for _ in range(3):
            leader = stage.leader()
            stage.kill(leader)
            load.wait_for_more()
            stage.start(leader)
            eventually(lambda leader=leader: stage.is_up(leader))
    assert load.report["longest_s"] < 5


PROGRAM = """
import sys
from raft_actors import Node, Supervisor, events
from raft_actors.kv_store import KVStore
Node.start(sys.argv[1])
events.subscribe(lambda event: print(event, flush=True))
spec = (KVStore, {"name": "kv", "data_dir": sys.argv[2], "restart": "permanent"})
Supervisor.start_link([spec], strategy="one_for_one")
sys.stdin.read()
"""


def test_a_program_that_just_ends_hands_over_first(stage):
    """It stops nothing of what it started: the end of the interpreter does."""
    for name in NAMES:
        stage.launch(name, "-c", PROGRAM, name, str(stage.data_dir(name)))
    for name in NAMES:
        eventually(lambda name=name: stage.is_up(name))
    assert Raft.set_configuration(stage.addresses[0], stage.addresses)[0] == "ok"
    leader = stage.leader()
    term = Raft.status(stage.address(leader))[1]["current_term"]
    for name in others(leader):  # a follower that has answered nothing yet can't take over
        eventually(lambda name=name: stage.applied(name) == stage.applied(leader))
    process = stage.processes.pop(leader)
    process.stdin.close()
    assert process.wait(30) == 0, stage.log(leader).read_text()
    assert said(stage, leader, f"leader=None, term={term + 1})"), "it saw its successor's term"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_told_to_stop_hands_over_first(group, number):
    leader = group.leader()
    term = Raft.status(group.address(leader))[1]["current_term"]
    group.signal(leader, number)
    new = group.leader(others(leader))
    assert Raft.status(group.address(new))[1]["current_term"] == term + 1
    assert group.processes[leader].wait(30) == 0
    group.processes.pop(leader).stdin.close()
    assert said(group, leader, f"leader=None, term={term + 1})"), "it saw its successor's term"
