"""Peers live on a node: they end with it, and none is left behind that nobody knows of."""

import gc
import weakref

import pytest

from raft_actors import Config, Node, Raft, Supervisor
from raft_actors.errors import RaftError
from raft_actors.kv_store import KVStore
from raft_actors.node.local_node import LocalNode
from raft_actors.peer.peers import STOPPED_MAX, peers_here, peers_of
from supervision import exit_reason
from supervision import stop as stop_process
from tests.helpers import eventually


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield Node.start("one", config=Config(data_dir=tmp_path / "data"))
    Node.stop()


def test_a_node_that_is_stopped_takes_its_peers_along_whoever_supervises_them(node, tmp_path):
    """Planted: stop the node only. They went on, of one group still, and unknown to everybody."""
    started = [
        Raft.start_peer(KVStore, name=name, data_dir=tmp_path / name)[1].actor_ref for name in "ab"
    ]
    kind, tree = Supervisor.start_link(
        [(KVStore, {"name": "c", "data_dir": tmp_path / "c"})], strategy="one_for_one"
    )
    assert kind == "ok"
    started.append(peers_here().running["c"])
    assert Raft.set_configuration("a", ["a", "b", "c"])[0] == "ok"
    assert Raft.write(Raft.leader("a"), ("set", "k", 1)) == ("ok", "k", 1)
    Node.stop()
    assert [exit_reason(ref) for ref in started] == ["shutdown"] * 3
    assert exit_reason(tree) is None
    assert Raft.status("a") == ("error", "no_peer")
    stop_process(tree, "shutdown")

    assert Node.start("one") == node
    for name in "abc":
        assert Raft.start_peer(KVStore, name=name, data_dir=tmp_path / name)[0] == "ok"
    eventually(lambda: Raft.leader("a") is not None)
    assert Raft.read(Raft.leader("a"), ("get", "k")) == ("ok", 1)


def test_a_node_is_not_started_over_peers_of_no_node(make_peer, tmp_path, monkeypatch):
    """Planted: start it. They went on as nonode@nohost, and nobody could reach or stop them."""
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    name, _ = make_peer()
    with pytest.raises(RaftError, match=rf"\['{name}'\].*Raft.stop_peer for each"):
        Node.start("one")
    assert Node.self() == "nonode@nohost"
    assert Raft.stop_peer(name) == "ok"
    Node.start("one")
    Node.stop()


def test_what_a_node_knows_of_peers_that_came_and_went_is_bounded(make_peer, monkeypatch):
    monkeypatch.setattr("raft_actors.peer.peers.STOPPED_MAX", 2)
    assert STOPPED_MAX > 2
    peers = peers_here()
    names = [make_peer()[0] for _ in range(4)]
    for name in names:
        Raft.stop_peer(name)
    assert not peers.supervisors.keys() & set(names)
    assert len(peers.members.keys() & set(names)) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # other tests' waste
def test_a_node_that_is_stopped_is_forgotten():
    """Planted: hold all peers in a table by node, whose values hold the node."""
    node = LocalNode("gone")
    peers_of(node)
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
