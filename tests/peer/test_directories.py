"""A peer has one data directory: another in its place, or beside it, is not taken for it."""

import shutil

import pytest

import supervision
from raft_actors import Config, Raft
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_here, peers_of
from raft_actors.peer.watchdog import CHECK
from tests.helpers import eventually
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_memory_node,
    network,
    own_directories,
)


def lone(make_peer, path, store):
    """A peer that has founded a group of its own, by its declaration."""
    name, answer = make_peer(data_dir=path, log_store=store)
    assert answer[0] == "ok"
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert Raft.write(name, ("set", "k", "precious"))[0] == "ok"
    return name


def remove(path):
    shutil.rmtree(path)


def move(path):
    path.rename(path.with_name("away"))


def replace_by_a_copy(path):
    """Planted: only the incarnation is compared, which the copy has too."""
    shutil.copytree(path, path.with_name("copy"))
    move(path)
    path.with_name("copy").rename(path)


def remove_the_database(path):
    database = next(path.glob("log.*"))
    shutil.rmtree(database) if database.is_dir() else database.unlink()


WAYS = [remove, move, replace_by_a_copy, remove_the_database]


@pytest.mark.parametrize("store", ["rocksdb", "lmdb"])
@pytest.mark.parametrize("away", WAYS)
def test_nothing_is_acknowledged_once_the_data_directory_is_gone(
    make_peer, tmp_path, caplog, away, store
):
    """Planted: no look after the write. The system takes what is written to removed files."""
    name = lone(make_peer, tmp_path / "p", store)
    away(tmp_path / "p")
    assert Raft.write(name, ("set", "k", "lost"))[0] == "error"
    eventually(lambda: name not in peers_here().running)
    assert f"{tmp_path / 'p'} was removed, or replaced by another, while its peer" in caplog.text


def test_an_idle_peer_notices_that_its_directory_is_gone(make_peer, tmp_path, caplog):
    """Planted: only saves look. It tells itself to, every few seconds."""
    name = lone(make_peer, tmp_path / "p", "rocksdb")
    peer = peers_here().hosted[peers_here().running[name]]
    assert peer.watchdog.timer.message is CHECK
    peer.watchdog.ticks = 1
    peer.actor_ref.tell(CHECK)
    eventually(lambda: peer.watchdog.ticks == 0)  # the directory is there
    remove(tmp_path / "p")
    peer.actor_ref.tell(CHECK)
    eventually(lambda: name not in peers_here().running)
    assert "was removed, or replaced" in caplog.text


@pytest.mark.parametrize("away", [remove, replace_by_a_copy])
def test_a_peer_that_lost_its_directory_does_not_begin_anew(make_peer, tmp_path, caplog, away):
    """Planted: the supervisor restarts it as at the first start; the group is founded anew."""
    name = lone(make_peer, tmp_path / "p", "rocksdb")
    away(tmp_path / "p")
    supervision.kill(peers_here().running[name])
    eventually(lambda: "could not restart" in caplog.text)
    assert "bring back the directory, and the peer continues" in caplog.text
    assert name not in peers_here().running
    assert (tmp_path / "p").exists() == (away is replace_by_a_copy)


def test_a_peer_goes_on_when_its_directory_is_brought_back(make_peer, tmp_path, caplog):
    name = lone(make_peer, tmp_path / "p", "rocksdb")
    move(tmp_path / "p")
    supervision.kill(peers_here().running[name])
    eventually(lambda: "could not restart" in caplog.text)
    (tmp_path / "away").rename(tmp_path / "p")
    eventually(lambda: Raft.read(name, ("get", "k")) == ("ok", "precious"))


def test_a_peer_that_is_stopped_and_started_may_begin_anew(make_peer, tmp_path):
    """Who wipes a disk on purpose says so by stopping its peer."""
    name = lone(make_peer, tmp_path / "p", "rocksdb")
    assert Raft.stop(name) == "ok"
    remove(tmp_path / "p")
    assert make_peer(name=name, data_dir=tmp_path / "p")[1][0] == "ok"
    assert Raft.status(name)[1]["configuration"]["members"] == []


# A host with another name.


@pytest.fixture
def start(tmp_path, make_memory_node):  # noqa: F811
    """Start the peer `p` of a node in the directory that all of them share."""
    started = []

    def start(node_name, name="p", **fields):
        peers = peers_of(make_memory_node(node_name, config={"data_dir": tmp_path / "data"}))
        started.append(peers)
        return peers, peers.start(KVStore, name, Config(**fields))

    yield start
    for peers in started:
        for name in tuple(peers.running):
            peers.stop(name)


def test_a_host_that_was_renamed_does_not_begin_anew_without_a_word(start, tmp_path):
    """Planted: don't look beside."""
    peers, _ = start("a@old")
    assert peers.stop("p") == "ok"
    _, (status, reason) = start("a@new")
    assert status == "error"
    assert f"{tmp_path}/data/a@old/p exists, the directory of p on a@old: was this host" in str(
        reason
    )
    assert "Node.start('a@old')" in str(reason)
    assert not (tmp_path / "data/a@new/p").exists()
    peers.node.stop()
    assert start("a@old")[1][0] == "ok"


def test_a_peer_that_is_named_after_its_node_is_found_by_that_on_a_renamed_host_too(
    start, tmp_path, caplog
):
    """As in examples/kv_tree.py. Planted: look for the name as it is."""
    peers, _ = start("a@old", "p_a@old")
    assert peers.stop("p_a@old") == "ok"
    _, (status, reason) = start("a@new", "p_a@new")
    assert status == "error"
    assert f"{tmp_path}/data/a@old/p_a@old exists, the directory of p_a@old on a@old: was" in str(
        reason
    )
    assert start("a2@old", "p_a2@old")[1][0] == "ok"
    assert f"{tmp_path}/data/a@old/p_a@old of node a@old exists and is not in use" in caplog.text


def test_nodes_of_several_hosts_may_share_a_disk(start):
    assert start("a@one")[1][0] == "ok"
    peers, answer = start("a@two")
    assert answer[0] == "ok"
    assert peers.stop("p") == "ok"
    assert peers.start(KVStore, "p", Config())[0] == "ok"


def test_who_begins_anew_beside_the_directory_of_another_node_is_told(start, tmp_path, caplog):
    """Its name may be mistyped. Planted: look for this node's other hosts only."""
    beside = f"{tmp_path}/data/a@one/p of node a@one exists and is not in use"
    peers, _ = start("a@one")
    assert start("b@one")[1][0] == "ok"
    assert beside not in caplog.text
    assert peers.stop("p") == "ok"
    again, answer = start("a2@one")
    assert answer[0] == "ok"
    assert beside in caplog.text
    caplog.clear()
    assert again.stop("p") == "ok"
    assert again.start(KVStore, "p", Config())[0] == "ok"
    assert beside not in caplog.text  # it goes on with its own


def test_another_node_or_another_peer_of_a_node_begins_as_it_likes(start, tmp_path):
    peers, _ = start("a@one")
    assert peers.stop("p") == "ok"
    assert start("b@one")[1][0] == "ok"
    assert peers.start(KVStore, "q", Config())[0] == "ok"
    assert start("a@two", log_store="memory")[1][0] == "ok"
    assert start("a@three", data_dir=tmp_path / "own")[1][0] == "ok"
