"""A forked process has none of its parent's threads: what it inherited says so at once."""

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from raft_actors.kv_store import KVStore
from raft_actors.node.local_node import LocalNode
from raft_actors.node.node import Node
from raft_actors.peer.peers import directories_of_tests, stop_trees

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def said_in_a_child(*calls):
    """Fork, make the calls there, and return what each raised and how long all of them took."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            began, said = time.monotonic(), []
            for call in calls:
                try:
                    said.append(f"returned {call()!r}")
                except BaseException as error:
                    said.append(f"{type(error).__name__}: {error}")
            report = "\n".join([f"{time.monotonic() - began}", *said])
            os.write(writer, report.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        took, *said = file.read().split("\n")
    os.waitpid(child, 0)
    return float(took), said


@pytest.fixture(params=["of no node", "of a node"])
def cluster(request, trio, tmp_path, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if request.param == "of a node":
        Node.start("parent")
    handle = Cluster(trio())
    handle.write(("set", "k", 1))
    yield handle
    Node.stop()


def test_a_handle_of_the_parent_is_told_what_to_do(cluster):
    """Planted: ask on, until the timeout."""
    pipeline, watch = cluster.pipeline(), cluster.watch_leader()
    watch.get()
    used, fresh = AsyncCluster(cluster.members), AsyncCluster(cluster.members)
    asyncio.run(used.write(("set", "k", 2)))

    def awaited(call):
        return lambda: asyncio.run(call())

    took, said = said_in_a_child(
        lambda: cluster.write(("set", "k", 4)),
        lambda: cluster.read(("get", "k")),
        lambda: cluster.cast(("set", "k", 4)),
        lambda: cluster.status(),
        lambda: cluster.await_leader(),
        lambda: cluster.pipeline().write(("set", "k", 4)),
        lambda: pipeline.write(("set", "k", 4)),
        lambda: watch.get(),
        awaited(lambda: used.write(("set", "k", 4))),
        awaited(lambda: used.status()),
        awaited(lambda: fresh.write(("set", "k", 4))),
        awaited(lambda: fresh.read(("get", "k"))),
    )
    assert [each for each in said if not each.startswith("NoNode: this process was forked")] == []
    assert took < 5
    assert cluster.write(("set", "k", 5)) == ("ok", "k", 5)


def test_a_handle_made_in_the_child_says_at_once_that_it_needs_a_node(cluster):
    """The members are in the parent, which is another process now."""
    members = [(name, "parent@host") for name, _node in cluster.members]
    took, said = said_in_a_child(lambda: Cluster(members, timeout=60).write(("set", "k", 4)))
    assert said[0].startswith("NoNode: this process is no node")
    assert took < 5


def test_what_is_under_way_in_the_parent_is_not_waited_for_in_the_child(cluster, monkeypatch):
    monkeypatch.setattr(
        type(cluster._client.finder.router), "submit", lambda *_: None
    )  # it is not answered
    pending = cluster.pipeline(timeout=30).write(("set", "k", 2))
    took, said = said_in_a_child(pending.result)
    assert said[0].startswith("NoNode: this process was forked")
    assert took < 5


def test_a_child_waits_for_no_lock_that_a_thread_of_the_parent_held(cluster):
    """Planted: the process is looked at where a request is sent, which comes after the locks."""
    finder, fresh = cluster._client.finder, Cluster(cluster.members)
    held, over = threading.Event(), threading.Event()

    def hold():
        with finder.lock, fresh._client.session_lock:
            held.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    finder.leader = None
    try:
        _took, said = said_in_a_child(
            lambda: cluster.read(("get", "k")), lambda: fresh.write(("set", "k", 1))
        )
    finally:
        over.set()
        holder.join()
    assert [each for each in said if not each.startswith("NoNode: this process was forked")] == []


def test_a_remote_ref_of_the_parent_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    node = LocalNode("parent").start()
    try:
        ref = node.whereis(("anybody", "b@elsewhere"))
        took, said = said_in_a_child(
            lambda: ref.tell("anything"),
            lambda: ref.ask("anything"),
            lambda: ref.watch(print),
            lambda: node.ping("b@elsewhere"),
        )
    finally:
        node.stop()
    assert [each for each in said if not each.startswith("NoNode: this process was forked")] == []
    assert took < 5


def test_a_child_may_start_a_node_and_make_a_handle_of_its_own(cluster, tmp_path):
    def own():
        name = Node.start("child")
        answer = Raft.start_peer(KVStore, name="own", data_dir=tmp_path / "own")
        assert answer[0] == "ok"
        assert Raft.set_configuration("own", ["own"])[0] == "ok"
        return Cluster(("own", name)).write(("set", "k", "child"))

    _took, said = said_in_a_child(own)
    assert said == ["returned ('ok', 'k', 'child')"]


FORKS = """
import os, sys
from raft_actors import Cluster, OnDiskStateMachine, Raft

class Words(OnDiskStateMachine):
    def handle_write(self, command, state):
        state[command] = 1
        return "ok", state

peers = Raft.test_cluster(Words)
Cluster(peers).write("one")
child = os.fork()
if child == 0:
    print("the child ends")
    sys.exit(7)
print("its status is", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(Cluster(peers).write("two"))
"""


def test_a_child_that_ends_as_a_program_does_is_not_ended_by_rocksdb():
    """At its exit RocksDB joins its threads, which the child does not have: a SIGSEGV. Planted:
    leave the exit handlers as they are.
    """
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=60
    )
    said = ["the child ends", "its status is 7", "ok"]
    assert (run.stdout.splitlines(), run.stderr, run.returncode) == (said, "", 0)


def test_the_end_of_a_child_leaves_the_directories_of_its_parents_tests(tmp_path):
    """Planted: keep them in the child's list too."""
    directory = tmp_path / "of a test"
    directory.mkdir()
    directories_of_tests.append(directory)
    try:
        _took, said = said_in_a_child(stop_trees, lambda: list(directories_of_tests))
        assert said == ["returned None", "returned []"]
        assert directory.exists()
    finally:
        directories_of_tests.remove(directory)


@pytest.mark.parametrize("kind", [Cluster, AsyncCluster])
@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_a_handle_that_is_to_be_sent_to_another_process_says_what_to_send(kind, duplicate):
    """Planted: the error is that of the first lock in it."""
    handle = kind("peer1")
    with pytest.raises(TypeError, match="pass the addresses of the members"):
        duplicate(handle)
    handle.close()
