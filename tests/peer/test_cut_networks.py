"""Peers whose network is cut and restored: who leads, what is acknowledged, what is forgotten."""

import pytest

from raft_actors import Config, encoding
from raft_actors.errors import NoConnection
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import READ, WRITE
from tests.helpers import eventually
from tests.node_fixtures import make_memory_node, network, own_directories  # noqa: F401 - fixtures
from tests.peer.test_between_nodes import Group

QUICK = Config(
    log_store="memory", min_election_timeout=0.2, max_election_timeout=0.4, heartbeat_timeout=0.04
)


@pytest.fixture
def group(make_memory_node, tmp_path):  # noqa: F811
    group = Group(make_memory_node, tmp_path, QUICK)
    yield group
    group.end()


def leader_among(group, nodes):
    """Wait until one of these nodes has the leader, and return it."""

    def found():
        return [node for node in nodes if group.status(node)["current_state"] == "leader"]

    return eventually(found)[0]


def put(group, node, key, value):
    return group.ask(node, ("kv", node.name), WRITE, encoding.dumps(("set", key, value)))


def read(group, node, key):
    return group.ask(node, ("kv", node.name), READ, encoding.dumps(("get", key)))[1]


def test_a_leader_that_is_cut_off_acknowledges_nothing_and_follows_when_it_is_back(
    group,
    network,  # noqa: F811
):
    old = leader_among(group, group.nodes)
    others = [node for node in group.nodes if node is not old]
    assert put(group, old, "before", 1)[0] == "ok"
    for node in others:
        network.cut(old.name, node.name)
    body = [WRITE, "kv", encoding.dumps(("set", "meanwhile", "lost")), 0, 1]
    lost = peers_of(old).router.request(("kv", old.name), body)
    new = leader_among(group, others)
    assert put(group, new, "after", 2)[0] == "ok"
    eventually(lambda: group.status(old)["current_state"] != "leader")
    for node in others:
        network.restore(old.name, node.name)
    eventually(lambda: group.status(old)["last_applied"] == group.status(new)["last_applied"])
    assert encoding.loads(lost.get(10))[0] == "error"
    leader = leader_among(group, group.nodes)
    assert [read(group, leader, key) for key in ("before", "after", "meanwhile")] == [
        1,
        2,
        "key_not_found",
    ]


def test_a_follower_that_is_cut_off_catches_up_and_disturbs_no_leader(group, network):  # noqa: F811
    """Pre-votes, thesis 9.6: it comes back with the term that it left with."""
    leader = leader_among(group, group.nodes)
    term = group.status(leader)["current_term"]
    away, other = [node for node in group.nodes if node is not leader]
    for node in (leader, other):
        network.cut(away.name, node.name)
    for number in range(10):
        assert put(group, leader, number, number)[0] == "ok"
    eventually(lambda: group.status(away)["leader"] is None)
    for node in (leader, other):
        network.restore(away.name, node.name)
    goal = group.status(leader)["commit_index"]
    eventually(lambda: group.status(away)["last_applied"] >= goal)
    assert group.status(leader)["current_state"] == "leader"
    assert group.status(leader)["current_term"] == term


def test_a_client_that_is_cut_off_from_a_peer_is_told_whether_its_request_was_sent(
    group,
    network,  # noqa: F811
    make_memory_node,  # noqa: F811
):
    leader = leader_among(group, group.nodes)
    client = make_memory_node("client")
    router, address = peers_of(client).router, ("kv", leader.name)
    body = [WRITE, "kv", encoding.dumps(("set", "k", 1)), 0, 1]
    assert encoding.loads(router.request(address, body).get(10))[0] == "ok"
    for node in group.nodes:
        if node is not leader:
            network.cut(leader.name, node.name)  # so that the next request is not answered
    under_way = router.request(address, body)
    eventually(lambda: group.status(leader)["last_index"] > group.status(leader)["commit_index"])
    network.cut(client.name, leader.name)
    with pytest.raises(NoConnection) as failed:
        under_way.get(10)
    assert failed.value.was_sent
    with pytest.raises(NoConnection, match="the network between them is cut") as failed:
        router.request(address, body).get(10)
    assert not failed.value.was_sent
