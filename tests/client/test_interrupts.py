"""Ctrl-C at any instant: whatever a handle does, it and its other threads can go on.

Python runs the handler of a signal as a function is entered and as a call of C returns. So here
KeyboardInterrupt is raised at each of these instants in turn.
"""

import sys
import threading
from itertools import count

import pytest

from raft_actors import Cluster, Raft, RaftError
from raft_actors.future import Future
from tests.node_helpers import interrupted_at
from tests.signals import handled_at_each_line


def elsewhere(work):
    """Run `work` on another thread, for that one passes no lock which this one has kept."""
    outcome = []

    def attempt():
        try:
            outcome.append(work())
        except RaftError as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    return outcome


def pipeline(cluster):
    with cluster.pipeline() as pipeline:
        pipeline.write(0)
        pipeline.read("any")


def watch(cluster):
    with cluster.watch_leader() as watch:
        watch.get(5)


WORK = {
    "write": lambda cluster: cluster.write(0),
    "read": lambda cluster: cluster.read("any"),
    "read of a follower": lambda cluster: cluster.read("any", consistency="follower"),
    "cast": lambda cluster: cluster.cast(0),
    "pipeline": pipeline,
    "watch": watch,
    "status": lambda cluster: cluster.status(),
}


def write_to_the_leader(cluster):
    Raft.write(cluster.await_leader(), 0)


@pytest.mark.parametrize("name", [*WORK, "Raft.write"])
def test_a_signal_handler_may_do_what_it_interrupts(counters, name):
    """Planted: a lock of the node, of its peers or of the admission that no second call passes."""
    cluster = Cluster(counters[0], timeout=5)
    work = {**WORK, "Raft.write": write_to_the_leader}[name]
    assert handled_at_each_line(lambda: work(cluster), "raft_actors", "supervision") > 50
    assert elsewhere(lambda: cluster.write(0)) == [0]


@pytest.mark.parametrize("name", WORK)
def test_ctrl_c_at_any_instant_leaves_the_handle_to_its_other_threads(counters, name, monkeypatch):
    """Planted: `acquire` before the `try`, in the finder and in `opened`."""
    odd = []
    monkeypatch.setattr(sys, "unraisablehook", odd.append)
    for turn in count(1):
        cluster = Cluster(counters[0], timeout=5)
        with interrupted_at(turn) as seen:
            WORK[name](cluster)
        assert elsewhere(lambda cluster=cluster: cluster.write(0)) == [0], seen[-1]
        if len(seen) < turn:
            break
    assert [each for each in odd if each.exc_type is not KeyboardInterrupt] == []


def test_ctrl_c_in_a_wait_keeps_the_answer_from_nobody():
    """Planted: no `finally` behind the `acquire` of `get`, and none behind the `pop`."""
    for turn in count(1):
        future = Future()
        waiting = threading.Thread(target=future.get, daemon=True)
        waiting.start()
        with interrupted_at(turn) as seen:
            future.set(1)
        future.set(2)
        waiting.join(10)
        assert not waiting.is_alive(), seen[-1]
        if len(seen) < turn:
            break


def test_ctrl_c_as_the_answer_comes_lets_the_others_have_it():
    for turn in count(1):
        future = Future()
        answers = []
        answering = threading.Timer(0.02, future.set, [1])
        answering.start()
        with interrupted_at(turn) as seen:
            future.get(5)
        answering.join()
        waiting = threading.Thread(
            target=lambda future=future: answers.append(future._gate.acquire(timeout=5))
        )
        waiting.start()
        waiting.join(10)
        assert answers == [True], seen[-1]
        if len(seen) < turn:
            break
