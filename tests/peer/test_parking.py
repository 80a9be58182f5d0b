"""Parked calls between nodes: who asks is gone, and what was entered for it is taken out."""

import threading

import pytest

from raft_actors import Config, encoding
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.leader_watch import LeaderWatch, Observer
from raft_actors.client.parking import Parking
from raft_actors.errors import NoConnection
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import CLIENT
from raft_actors.replica.questions import Applied
from raft_actors.replica.requests import CONFIGURE, PARK, STATUS, UNPARK, WRITE
from tests.helpers import eventually
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_any_node,
    make_memory_node,
    make_node,
    make_script,
    network,
    own_directories,
)

NOTHING = encoding.dumps(())
FAR = 1 << 40
CHILD = """
    import sys
    from raft_actors import Cluster, Node
    Node.start("asker")
    watches = [Cluster(("kv", sys.argv[1])).watch_leader() for _ in range(20)]
    for watch in watches:
        while not watch.get(20).ready:
            pass
    print("watching")
    sys.stdin.readline()
"""


@pytest.fixture
def serve(tmp_path):
    """Start a peer, `kv`, on a node; it is a group of its own."""
    served = []

    def start(node, **config):
        peers = peers_of(node)
        served.append(peers)
        config = Config(data_dir=tmp_path / node.name, log_store="memory", **config)
        assert peers.start(KVStore, "kv", config)[0] == "ok"
        members = encoding.dumps(((("kv", node.name),), (), None, False))
        assert asked(node, node, CONFIGURE, members)[0] == "ok"
        return node

    yield start
    for peers in served:
        peers.stop("kv")


def asked(node, member, operation, payload=NOTHING):
    body = [operation, "kv", payload, 0, 1]
    return encoding.loads(peers_of(node).router.request(("kv", member.name), body).get(20))


def parked(member):
    return asked(member, member, STATUS)[1]["parked"]


def park(node, member, question, number):
    body = [PARK, "kv", encoding.dumps(question.encodable()), 0, number]
    return peers_of(node).router.request(("kv", member.name), body)


def watch_on(node, member):
    finder = LeaderFinder(lambda: peers_of(node).router, (("kv", member.name),))
    return LeaderWatch(Observer(finder, Parking(finder)))


def test_a_call_from_another_node_is_answered_when_there_is_news(make_any_node, serve):  # noqa: F811
    member, asker = serve(make_any_node("a@one")), make_any_node("b@one")
    index = asked(member, member, STATUS)[1]["last_applied"]
    call = park(asker, member, Applied(index + 1), 7)
    eventually(lambda: parked(member) == 1)
    assert not call.done()
    assert asked(asker, member, WRITE, encoding.dumps(("set", "k", 1))) == ("ok", "k", 1)
    assert encoding.loads(call.get(20)) == ("ok", index + 1)
    assert parked(member) == 0


def test_calls_are_taken_back_one_by_one(make_any_node, serve):  # noqa: F811
    member, asker = serve(make_any_node("a@one")), make_any_node("b@one")
    for number in range(1, 1_001):
        park(asker, member, Applied(FAR), number)
    eventually(lambda: parked(member) == 1_000)
    peers_of(asker).router.unpark(("kv", member.name), [*range(1, 901)])
    asker.flush()
    eventually(lambda: parked(member) == 100)
    peers_of(asker).router.unpark(("kv", "nobody@one"), [1])


def test_the_end_of_a_link_takes_the_calls_out_at_both_ends(make_any_node, serve):  # noqa: F811
    """Planted: the router does not tell the peer."""
    member = serve(make_any_node("a@one"))
    asker, other = make_any_node("b@one"), make_any_node("c@one")
    calls = [park(asker, member, Applied(FAR), number) for number in range(1, 11)]
    kept = park(other, member, Applied(FAR), 1)
    eventually(lambda: parked(member) == 11)
    asker.disconnect(member.name)
    for call in calls:
        with pytest.raises(NoConnection):
            call.get(20)
    eventually(lambda: parked(member) == 1)
    assert not kept.done()
    assert set(peers_of(member).router.parked_at) == {other.name}
    again = park(asker, member, Applied(FAR), 1)
    eventually(lambda: parked(member) == 2)
    asker.stop()
    eventually(lambda: parked(member) == 1)
    assert again.done()


def test_a_process_that_is_killed_leaves_no_call_behind(make_node, serve, make_script):  # noqa: F811
    member = serve(make_node("a@localhost", host="127.0.0.1"))
    child = make_script(CHILD, member.name)
    assert child.line() == "watching"
    eventually(lambda: parked(member) == 20)
    child.kill()
    eventually(lambda: parked(member) == 0)


def test_a_peer_that_ends_answers_its_calls_and_starts_again_with_none(make_node, serve):  # noqa: F811
    member, asker = serve(make_node("a@one")), make_node("b@one")
    call = park(asker, member, Applied(FAR), 1)
    eventually(lambda: parked(member) == 1)
    peers_of(member).stop("kv")
    assert encoding.loads(call.get(20)) == ("error", "no_peer")
    assert encoding.loads(park(asker, member, Applied(FAR), 2).get(20)) == ("error", "no_peer")


def test_a_peer_that_crashes_answers_its_calls(make_node, serve):  # noqa: F811
    member, asker = serve(make_node("a@one")), make_node("b@one")
    call = park(asker, member, Applied(FAR), 1)
    eventually(lambda: parked(member) == 1)
    peer = peers_of(member).hosted[peers_of(member).running["kv"]]
    peer.replica.inspection.status = lambda: 1 / 0
    assert asked(member, member, STATUS) == ("error", "no_peer")
    assert encoding.loads(call.get(20)) == ("error", "no_peer")


def test_a_watch_goes_on_through_cut_links(make_any_node, serve):  # noqa: F811
    member, asker = serve(make_any_node("a@one")), make_any_node("b@one")
    watch, seen = watch_on(asker, member), []
    reader = threading.Thread(target=lambda: [seen.append(each) for each in watch])
    reader.start()
    for _ in range(3):
        eventually(lambda: seen and seen[-1].ready and parked(member) == 1)
        seen.clear()
        member.disconnect(asker.name)
        eventually(lambda: seen and not seen[0].ready)
    eventually(lambda: seen[-1].leader == ("kv", member.name))
    watch.close()
    reader.join(10)
    eventually(lambda: parked(member) == 0)


def test_a_flood_of_calls_is_refused_and_keeps_nobody_out(make_node, serve):  # noqa: F811
    """The flood of benchmarks.watches is a larger one. Planted: no share for a source."""
    bound = 200
    member, asker = serve(make_node("a@one"), parked_max=bound), make_node("b@one")
    calls = [park(asker, member, Applied(FAR), number) for number in range(3_000)]
    assert encoding.loads(calls[-1].get(60)) == ("error", "overloaded")
    assert parked(member) == bound // 4
    other = make_node("c@one")
    kept = park(other, member, Applied(FAR), 1)
    eventually(lambda: parked(member) == bound // 4 + 1)
    assert not kept.done()
    watch = watch_on(asker, member)
    assert watch.get(20).ready, "who is refused is still answered what is news"
    watch.close()


def test_idle_calls_do_not_change_how_other_calls_are_sent(make_node, serve, monkeypatch):  # noqa: F811
    """Planted: they count as threads that wait, so that the bridge thread sends for all."""
    member, asker = serve(make_node("a@one")), make_node("b@one")
    calls = [park(asker, member, Applied(FAR), number) for number in range(1, 21)]
    eventually(lambda: parked(member) == 20)
    link = asker._bridge._links[member.name]
    assert len(link.calls) == len(link.long_calls) == 20
    flushed_for_all = []
    monkeypatch.setattr(asker._bridge._flusher, "_post", lambda *_: flushed_for_all.append(1))
    assert asked(asker, member, STATUS)[0] == "ok"
    assert flushed_for_all == []
    for call in calls[:5]:
        call.abandon()
    assert len(link.calls) == len(link.long_calls) == 15
    asker.disconnect(member.name)
    eventually(lambda: all(call.done() for call in calls))
    assert link.calls == {}
    assert link.long_calls == set()


def test_nonsense_is_refused_and_a_request_without_a_reader_is_dropped(make_node, serve, caplog):  # noqa: F811
    member, asker = serve(make_node("a@one")), make_node("b@one")
    for payload in (NOTHING, encoding.dumps(("leading", 7)), b"x" * 5_000):
        refused = asker.call(member.name, CLIENT, [PARK, "kv", payload, 0, 1])
        asker.flush()
        assert encoding.loads(refused.get(20))[1][0] == "bad_request"
    for body in ([UNPARK, "kv", b"\xff", 0, 0], [PARK, "kv", NOTHING, 0, 1], [UNPARK], 7):
        asker.cast(member.name, CLIENT, body)
    asker.flush()
    asked(asker, member, STATUS)  # comes after the others
    assert any("b@one sent a bad request" in line for line in caplog.messages)
    assert parked(member) == 0
