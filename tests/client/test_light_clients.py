"""Handles of programs that are no nodes: they know the addresses of members, and have no name."""

import asyncio
import threading

import pytest

from raft_actors import AsyncCluster, Cluster, Config, Node
from raft_actors.client.light_client import group_of
from raft_actors.errors import NoLeader, NotAllowed, NotApplied, RaftError, Unavailable
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.wire.cookie import Cookie
from tests.client.test_forks import said_in_a_child
from tests.helpers import eventually
from tests.node_fixtures import make_node, make_script, own_directories
from tests.node_helpers import free_port

__all__ = ["make_node", "make_script", "own_directories"]

MEMBERS = ["a@h", "b@h", "c@h"]


@pytest.fixture
def make_group(make_node, tmp_path):
    """Start nodes with a peer "kv" each, that form one group."""

    def make(names=MEMBERS, **options):
        nodes = [make_node(name, **options) for name in names]
        for node in nodes:
            config = Config(data_dir=tmp_path / node.name)
            members = [("kv", name) for name in names]
            answer = peers_of(node).start(KVStore, "kv", config, members)
            assert answer[0] == "ok", answer
        return nodes

    return make


def addresses(nodes):
    return ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def sessions_at(node):
    peers = peers_of(node)
    peer = peers.hosted[peers.running["kv"]]
    return len(peer.replica.applier.applied.sessions.by_number)


def test_it_writes_and_reads_by_addresses_alone_and_leaves_nothing_behind(make_group):
    nodes, news = make_group(), []
    for node in nodes:
        node.monitor(news.append)
    with Cluster.connect(addresses(nodes), "kv") as kv:
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
        assert kv.read(("get", "k")) == ("ok", 1)
        assert sorted(kv.members) == [("kv", name) for name in MEMBERS]
        assert Node.self() == "nonode@nohost", "the process is no node"
        eventually(lambda: max(map(sessions_at, nodes)) == 1)
        assert {name for node in nodes for name in node.list()} <= set(MEMBERS)
    eventually(lambda: [sessions_at(node) for node in nodes] == [0, 0, 0])
    assert [each for each in news if "client-" in each.node] == []
    eventually(
        lambda: (
            not [
                name
                for node in nodes
                for name in node._bridge._links
                if name.startswith("client-") and node._bridge._links[name].connection
            ]
        )
    )
    with pytest.raises(NotApplied, match="this handle is closed"):
        kv.read(("get", "k"))


def test_one_address_is_enough_and_the_others_are_learned(make_group):
    nodes = make_group()
    with Cluster.connect([f"127.0.0.1:{nodes[0].port}"], "kv") as kv:
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
        assert sorted(kv.members) == [("kv", name) for name in MEMBERS]


def test_it_goes_on_with_the_others_when_a_member_ends(make_group):
    nodes = make_group()
    with Cluster.connect(addresses(nodes), "kv") as kv:
        leader = kv.await_leader()
        victim = next(node for node in nodes if node.name == leader[1])
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
        peers_of(victim).stop_all()
        victim.stop()
        assert kv.write(("set", "k", 2)) == ("ok", "k", 2)
        assert kv.read(("get", "k")) == ("ok", 2)


def test_a_forked_process_connects_by_itself(make_group):
    nodes = make_group(["a@h"])
    unused, used = (Cluster.connect(addresses(nodes), "kv") for _ in range(2))
    assert used.write(("set", "k", 1)) == ("ok", "k", 1)
    _, said = said_in_a_child(
        lambda: used.write(("set", "k", 2)),
        lambda: unused.write(("set", "k", 3)),
        lambda: used.close(),
        lambda: unused.close(),
    )
    assert said == ["returned ('ok', 'k', 2)", "returned ('ok', 'k', 3)", *["returned None"] * 2]
    assert used.read(("get", "k")) == ("ok", 3)
    assert unused.read(("get", "k")) == ("ok", 3)
    used.close()
    unused.close()
    eventually(lambda: sessions_at(nodes[0]) == 0)


def test_its_members_are_the_given_addresses_until_one_answers(make_group):
    nodes = make_group()
    given = [f"127.0.0.1:{node.port}" for node in nodes]
    with Cluster.connect(given, "kv") as kv:
        assert kv.members == [("kv", place) for place in given]
        assert repr(kv) == f"<Cluster of {', '.join(f'kv on {place}' for place in given)}>"
        kv.read(("get", "k"))
        assert sorted(kv.members) == [("kv", name) for name in MEMBERS]


def test_an_address_that_leads_to_another_node_by_now_is_asked_again(make_node, tmp_path):
    """As the address of a service does, or of a host that was set up anew. Planted: ask only the
    node that was found there first.
    """
    port = free_port()

    def start(name):
        node = make_node(name, port=port)
        config = Config(data_dir=tmp_path / name)
        assert peers_of(node).start(KVStore, "kv", config, [("kv", name)])[0] == "ok"
        return node

    first = start("a@h")
    with Cluster.connect(f"127.0.0.1:{port}", "kv", timeout=20) as kv:
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
        peers_of(first).stop_all()
        first.stop()
        second = start("b@h")
        assert kv.read(("get", "k")) == ("error", "key_not_found")
        assert kv.members == [("kv", "b@h")]
        assert kv.read(("get", "k")) == ("error", "key_not_found")
        peers_of(second).stop_all()
        second.stop()
        start("a@h")
        assert kv.read(("get", "k")) == ("ok", 1)


def test_who_can_not_be_reached_or_refuses_is_told_with_the_address(make_group):
    nobody = f"127.0.0.1:{free_port()}"
    kv = Cluster.connect(nobody, "kv", timeout=1)
    with pytest.raises((NoLeader, Unavailable), match=nobody.replace(".", r"\.")):
        kv.read(("get", "k"))
    kv.close()
    nodes = make_group(["a@h"])
    kv = Cluster.connect(addresses(nodes), "kv", cookie="another cookie of some length", timeout=1)
    with pytest.raises(RaftError, match="the cookies differ"):
        kv.read(("get", "k"))
    kv.close()
    kv = Cluster.connect(addresses(nodes), "other", timeout=1)
    with pytest.raises(RaftError, match="a@h"):
        kv.read(("get", "k"))
    kv.close()


@pytest.mark.parametrize("role", ["client", "reader"])
def test_its_cookie_says_what_it_may_do(make_group, role):
    secret = "a cookie of a member, and a long one"
    nodes = make_group(["a@h"], cookie=secret)
    with Cluster.connect(addresses(nodes), "kv", cookie=Cookie(secret).text_for(role)) as kv:
        assert kv.read(("get", "k")) == ("error", "key_not_found")
        if role == "client":
            assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
        else:
            with pytest.raises(NotAllowed):
                kv.write(("set", "k", 1))


def test_it_encrypts_as_nodes_do(make_group):
    nodes = make_group(["a@h"], tls="auto")
    with Cluster.connect(addresses(nodes), "kv", tls="auto") as kv:
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
    kv = Cluster.connect(addresses(nodes), "kv", timeout=1)
    with pytest.raises(RaftError, match="uses TLS"):
        kv.read(("get", "k"))
    kv.close()


def test_tasks_use_it_too_and_closing_does_not_hold_up_the_loop(make_group):
    nodes = make_group(["a@h"])

    async def main():
        async with AsyncCluster.connect(addresses(nodes), "kv") as kv:
            assert await kv.write(("set", "k", 1)) == ("ok", "k", 1)
            return await kv.read(("get", "k"))

    assert asyncio.run(main()) == ("ok", 1)
    eventually(lambda: sessions_at(nodes[0]) == 0)
    eventually(lambda: not [t for t in threading.enumerate() if "client-" in t.name])


def test_the_environment_names_group_and_addresses(make_group, monkeypatch):
    nodes = make_group(["a@h"])
    monkeypatch.setenv("RAFT_ACTORS_URL", f"raft://kv@{addresses(nodes)}")
    with Cluster.from_env() as kv:
        assert kv.write(("set", "k", 1)) == ("ok", "k", 1)
    monkeypatch.delenv("RAFT_ACTORS_URL")
    with pytest.raises(ValueError, match="set RAFT_ACTORS_URL to raft://PEER@HOST:PORT"):
        Cluster.from_env()


@pytest.mark.parametrize(
    ("given", "peer", "message"),
    [
        ("10.0.0.1:4001", None, "name the peer"),
        ("10.0.0.1", "kv", "'10.0.0.1' has no port"),
        ("", "kv", "at least one member"),
        ([], "kv", "at least one member"),
        ("10.0.0.1:99999", "kv", "is no address"),
        ("http://kv@10.0.0.1:4001", None, "is no URL of a group"),
        ("raft://10.0.0.1:4001", None, "is no URL of a group"),
        ("raft://kv@10.0.0.1:4001", "other", "names the peer kv, and not 'other'"),
        ("raft://k v@10.0.0.1:4001", None, "a peer's name is"),
    ],
)
def test_what_names_no_group_is_refused_at_once(given, peer, message):
    with pytest.raises((ValueError, RaftError), match=message):
        Cluster.connect(given, peer)


def test_addresses_may_be_of_ipv6_and_stand_twice():
    assert group_of("[::1]:4001, 10.0.0.1:4001,10.0.0.1:4001", "kv").addresses == (
        "[::1]:4001",
        "10.0.0.1:4001",
    )


def test_importing_a_client_loads_no_store_and_no_simulation(make_script):
    loaded = make_script(
        """
        import sys
        from raft_actors import Cluster
        print([name for name in sys.modules if name in {"rocksdict", "lmdb", "rich", "typer",
               "raft_actors.stores.rocksdb", "raft_actors.testing", "raft_actors.tools", "asyncio",
               "cryptography"}])
        print(sum(name.split(".")[0] in {"raft_actors", "supervision"} for name in sys.modules))
        print(len(sys.modules))
        """
    )
    assert loaded.line() == "[]"
    assert int(loaded.line()) < 240, "docs/programs_without_a_node.md has the number"
    assert int(loaded.line()) < 450
