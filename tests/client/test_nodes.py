"""A handle and the node of its process: either may be there first, and the node may come and go."""

import asyncio

import pytest

from raft_actors import AsyncCluster, Cluster, Node
from raft_actors.config import Config
from raft_actors.errors import NoNode
from raft_actors.peer.peers import peers_of
from tests.counter import Counter
from tests.node_fixtures import make_node, own_directories

__all__ = ["make_node", "own_directories"]


@pytest.fixture
def elsewhere(make_node, tmp_path):
    """A group of one on another node; returns its address."""
    node = make_node("elsewhere")
    address = ("kv", node.name)
    config = Config(log_store="memory", data_dir=tmp_path / "kv")
    answer = peers_of(node).start(Counter, "kv", config, members=[address])
    assert answer[0] == "ok", answer
    yield address
    Node.stop()
    peers_of(node).stop_all()


def test_a_handle_goes_on_with_the_node_that_was_started_since(elsewhere):
    """Planted: it keeps to the node that the process was when the handle was made."""
    cluster = Cluster(elsewhere, timeout=30)
    with pytest.raises(NoNode, match=r"call Node\.start\(name\) first"):
        cluster.write(1)
    for number, name in enumerate(("one", "one", "two"), 1):
        Node.start(name)
        assert cluster.write(1) == number
        assert cluster.read("any", consistency="follower") == number
        assert cluster.status()[elsewhere]["current_state"] == "leader"
        Node.stop()
        with pytest.raises(NoNode, match=r"call Node\.start\(name\) first"):
            cluster.read("any")


def test_a_handle_for_asyncio_does_so_too(elsewhere):
    cluster = AsyncCluster(elsewhere, timeout=30)
    for number, name in enumerate(("one", "two"), 1):
        Node.start(name)
        assert asyncio.run(cluster.write(1)) == number
        Node.stop()
    cluster.close()


def test_what_is_under_way_as_the_node_is_started_anew_runs_once(elsewhere):
    Node.start("one")
    cluster = Cluster(elsewhere, timeout=30)
    cluster.write(0)
    with cluster.pipeline() as pipeline:
        pending = [pipeline.write(1) for _ in range(200)]
        Node.stop()
        Node.start("two")
        pending += [pipeline.write(1) for _ in range(200)]
    assert sorted(each.result() for each in pending) == list(range(1, 401))
