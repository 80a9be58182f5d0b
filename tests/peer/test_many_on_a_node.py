"""Nodes with several peers: what the bridge's thread does for them, and what it leaves to them."""

import threading
from math import isclose

import pytest

from raft_actors import Config, encoding
from raft_actors.core.server import Server
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import CONFIGURE, READ, WRITE
from raft_actors.transport.limits import BridgeLimits
from tests.helpers import eventually
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_memory_node,
    network,
    own_directories,
)

NAMES = ("one", "two", "three")


class Watched(KVStore):
    """A store that remembers which threads ran it."""

    def __init__(self):
        self.threads = set()

    def handle_write(self, command, state):
        self.threads.add(threading.get_ident())
        return super().handle_write(command, state)

    def handle_read(self, query, state):
        self.threads.add(threading.get_ident())
        return super().handle_read(query, state)

    def snapshot(self, state):
        self.threads.add(threading.get_ident())
        return super().snapshot(state)


class Groups:
    """A group of each name, on three nodes of this process."""

    def __init__(self, make, directory, names=NAMES, **options):
        self.nodes = [make(name, limits=BridgeLimits()) for name in "abc"]
        for name in names:
            for node in self.nodes:
                path = directory / node.name / name
                config = Config(log_store="memory", data_dir=path, **options)
                assert peers_of(node).start(Watched, name, config)[0] == "ok"
            members = tuple((name, node.name) for node in self.nodes)
            payload = encoding.dumps((members, (), None, False))
            assert self.ask(self.nodes[0], name, CONFIGURE, payload)[0] == "ok"

    def ask(self, node, name, operation, payload):
        body = [operation, name, payload, 0, 1]
        return encoding.loads(peers_of(node).router.request((name, node.name), body).get(10))

    def peer(self, node, name):
        peers = peers_of(node)
        return peers.hosted[peers.running[name]]

    def leader(self, name):
        """The node whose peer leads."""

        leaders = []

        def found():
            leaders[:] = [
                n for n in self.nodes if self.peer(n, name).replica.core.role.name == "leader"
            ]
            return leaders

        eventually(found)
        return leaders[0]

    def write(self, name, key, value):
        payload = encoding.dumps(("set", key, value))

        def written():
            return self.ask(self.leader(name), name, WRITE, payload) == ("ok", key, value)

        eventually(written)


@pytest.fixture
def groups(make_memory_node, tmp_path):  # noqa: F811
    return lambda **options: Groups(make_memory_node, tmp_path, **options)


def test_the_bridge_steps_heartbeats_and_wakes_no_peer_for_them(groups, monkeypatch):
    """Planted: `Router.deliver` that only tells."""
    three = groups()
    bridges = {node._bridge.reactor._thread.ident for node in three.nodes}
    step, seen = Server.step, []

    def watched(core, event):
        seen.append((type(event).__name__, threading.get_ident() in bridges))
        step(core, event)

    def quiet():
        del seen[:]
        eventually(lambda: len(seen) >= 60)
        return {kind for kind, by_bridge in seen if not by_bridge} == set()

    monkeypatch.setattr(Server, "step", watched)
    for node in three.nodes:
        for name in NAMES:
            three.peer(node, name).replica.step = three.peer(node, name).replica.core.step
    eventually(quiet)
    assert {kind for kind, _ in seen} >= {"AppendEntries", "AppendReply", "Tick"}


def test_a_machine_runs_on_its_peers_own_thread_only(groups):
    """Planted: `Replica.flush_messages` that always performs, or knows nothing of due snapshots."""
    three = groups(snapshot_interval=0.05)
    for number in range(20):
        for name in NAMES:
            three.write(name, str(number), number)
    for name in NAMES:
        leader = three.leader(name)
        answer = three.ask(leader, name, READ, encoding.dumps(("get", "19")))
        assert answer == ("ok", 19)
        for node in three.nodes:
            peer = three.peer(node, name)
            eventually(lambda peer=peer: peer.replica.core.snapshot.index >= 20)
            assert len(peer.replica.applier.applied.machine.threads) == 1
    threads = [
        thread
        for name in NAMES for node in three.nodes
        for thread in three.peer(node, name).replica.applier.applied.machine.threads
    ]  # fmt: skip
    assert len(set(threads)) == 9
    assert not {node._bridge.reactor._thread.ident for node in three.nodes} & set(threads)


def test_a_machine_that_blocks_stops_no_other_group(groups, monkeypatch):
    three = groups()
    gate, reached = threading.Event(), threading.Event()
    write = Watched.handle_write

    def slow(machine, command, state):
        if command[1] == "block":
            reached.set()
            assert gate.wait(20)
        return write(machine, command, state)

    monkeypatch.setattr(Watched, "handle_write", slow)
    leader = three.leader("one")
    payload = encoding.dumps(("set", "block", 1))
    waiting = peers_of(leader).router.request(("one", leader.name), [WRITE, "one", payload, 0, 2])
    assert reached.wait(10)
    terms_before = {name: three.peer(leader, name).replica.core.term for name in NAMES[1:]}
    for number in range(20):
        for name in NAMES[1:]:
            three.write(name, str(number), number)
    assert terms_before == {name: three.peer(leader, name).replica.core.term for name in NAMES[1:]}
    gate.set()
    assert waiting.get(10)


def test_alarms_of_several_peers_ring_together(groups):
    three = groups()

    def on_the_beat():
        rings = [
            three.peer(node, name).alarm_at / (three.peer(node, name).config.heartbeat_timeout / 5)
            for node in three.nodes for name in NAMES
        ]  # fmt: skip
        return all(isclose(ring, round(ring), abs_tol=1e-3) for ring in rings)

    eventually(on_the_beat)


def test_the_peers_of_a_node_that_is_stopped_still_hear_their_alarms(groups):
    """Planted: `deliver_soon` without a way besides the bridge, and it leads for ever."""
    three = groups()
    node = three.leader("one")
    peer = three.peer(node, "one")
    node.stop()
    eventually(lambda: peer.replica.core.role.name != "leader")


def test_a_step_that_raises_on_the_bridges_thread_restarts_that_peer_and_no_other(
    groups, monkeypatch
):
    three = groups()
    three.write("one", "a", 1)
    node = three.nodes[0]
    before = {name: peers_of(node).running[name] for name in NAMES}
    broken = three.peer(node, "two")

    def boom(_event):
        raise RuntimeError("boom")

    monkeypatch.setattr(broken.replica, "step", boom)
    eventually(lambda: peers_of(node).running.get("two") not in {None, before["two"]})
    three.write("two", "b", 2)
    for name in ("one", "three"):
        assert peers_of(node).running[name] is before[name]
