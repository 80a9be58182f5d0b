"""The status of a leader says how far each follower is, and since when who leads."""

import time

from raft_actors import Raft
from tests.helpers import eventually
from tests.node_fixtures import make_memory_node, network, own_directories  # noqa: F401 - fixtures
from tests.peer.test_cut_networks import group, leader_among, put  # noqa: F401 - fixture


def followers(group, leader):  # noqa: F811
    return {node: each for (_kv, node), each in group.status(leader)["followers"].items()}


def test_only_the_leader_knows_its_followers(trio):
    leader = trio()[0]
    leads = eventually(lambda: Raft.leader(leader))
    views = Raft.status(leads)[1]["followers"]
    assert leads not in views
    assert len(views) == 2
    for other in views:
        assert "followers" not in Raft.status(other)[1]


def test_a_follower_that_has_everything_lags_by_nothing(trio):
    name = trio()[0]
    leader = eventually(lambda: Raft.leader(name))
    assert Raft.write(leader, ("set", "k", 1))[0] == "ok"

    def even():
        status = Raft.status(leader)[1]
        views = status["followers"].values()
        return views if all(each["match"] == status["last_index"] for each in views) else None

    for each in eventually(even):
        assert (each["lag_entries"], each["lag_s"], each["inflight"]) == (0, 0.0, 0)
        assert each["next"] == each["match"] + 1
        assert 0.0 <= each["heard_s"] < 10.0
        assert each["connected"]
        assert each["snapshot"] is None


def test_a_follower_that_is_cut_off_lags_more_and_more(group, network):  # noqa: F811
    leader = leader_among(group, group.nodes)
    away, other = [node for node in group.nodes if node is not leader]
    for node in (leader, other):
        network.cut(away.name, node.name)
    for number in range(10):
        assert put(group, leader, number, number)[0] == "ok"
    view = eventually(lambda: (now := followers(group, leader)[away.name])["heard_s"] > 0.2 and now)
    assert view["lag_entries"] >= 10
    assert not view["connected"]
    later = eventually(
        lambda: (now := followers(group, leader)[away.name])["lag_s"] > view["lag_s"] and now
    )
    assert later["heard_s"] > view["heard_s"]
    assert followers(group, leader)[other.name]["connected"]


def test_every_peer_says_since_when_its_leader_leads(trio):
    names = trio()
    eventually(lambda: all(Raft.leader(name) for name in names))
    before = {name: Raft.status(name)[1]["since_s"] for name in names}
    eventually(lambda: all(Raft.status(name)[1]["since_s"] > before[name] for name in names))
    began = time.monotonic()
    new = Raft.transfer_leadership(Raft.leader(names[0]))[1]
    status = Raft.status(new)[1]
    assert status["since_s"] <= time.monotonic() - began
    assert status["queues"] == {"writes": 0, "reads": 0, "to_apply": 0}
