"""A program changes its working directory: every path keeps meaning what it meant when given."""

import pytest

import supervision
from raft_actors import Config, Raft
from raft_actors.client import backup
from raft_actors.node.cookie_file import path_of
from raft_actors.node.host_name import short_host_name
from raft_actors.node.local_node import LocalNode
from raft_actors.node.port_files import PortFiles
from raft_actors.peer.peers import peer_spec, peers_of
from raft_actors.wire.cookie import UnsafeCookie
from tests.helpers import eventually
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures
from tests.peer_fixtures import KVStore


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Begin in the directory `here`; calling it goes to another."""
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda: monkeypatch.chdir(tmp_path / "elsewhere")


def directory_of(peers, name):
    return peers.hosted[peers.running[name]].path


def test_paths_of_a_config_are_absolute_from_the_start(tmp_path, elsewhere):
    config = Config(data_dir="data", trace="trace")
    elsewhere()
    changed = Config.of(config, apply_max=7)
    assert (changed.data_dir, changed.trace) == (tmp_path / "here/data", tmp_path / "here/trace")


def test_a_relative_path_in_a_directory_that_is_gone_is_refused_in_words(tmp_path, elsewhere):
    (tmp_path / "here").rmdir()
    with pytest.raises(ValueError, match="'data' is relative, and the working directory"):
        Config(data_dir="data")
    assert LocalNode("a").name  # it needs none


@pytest.mark.parametrize("config", [{}, {"data_dir": "logs"}])
def test_a_peer_that_crashes_comes_back_to_the_directory_that_it_had(
    tmp_path, elsewhere, make_node, config  # noqa: F811
):  # fmt: skip
    """Planted: look for `data` where the process is by then."""
    peers = peers_of(make_node("a", config=config))
    elsewhere()
    first = peers.start(KVStore, "p", Config())[1]
    path = tmp_path / "here" / config.get("data_dir", "data") / f"a@{short_host_name()}" / "p"
    assert directory_of(peers, "p") == path
    supervision.kill(first)
    eventually(lambda: peers.running.get("p") not in {None, first})
    assert directory_of(peers, "p") == path
    assert not list((tmp_path / "elsewhere").iterdir())
    assert peers.stop("p") == "ok"


def test_peers_are_traced_where_the_environment_said_when_the_first_spec_was_made(
    tmp_path, elsewhere, monkeypatch
):
    """Planted: where the process is when each is made."""
    monkeypatch.setenv("RAFT_TRACE", "trace")
    spec = peer_spec(KVStore, name="traced_peer", data_dir="data")
    elsewhere()
    status, supervisor = spec.start()
    assert status == "ok"
    supervision.stop(supervisor, "shutdown")
    assert len(list((tmp_path / "here/trace").iterdir())) == 1
    later = peer_spec(KVStore, name="traced_later", data_dir=tmp_path / "later").start()[1]
    supervision.stop(later, "shutdown")
    assert len(list((tmp_path / "here/trace").iterdir())) == 2
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_backup_goes_where_its_path_pointed_when_it_was_asked_for(
    tmp_path, elsewhere, monkeypatch, make_peer
):
    name, _ = make_peer(log_store="memory")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    snapshot = backup.snapshot

    def meanwhile(peer, timeout):
        elsewhere()
        return snapshot(peer, timeout)

    monkeypatch.setattr(backup, "snapshot", meanwhile)
    assert Raft.backup(name, "kv.backup")[0] == "ok"
    assert (tmp_path / "here/kv.backup").exists()


def test_a_node_is_found_and_leaves_no_file_behind_after_a_change_of_directory(
    tmp_path, elsewhere, monkeypatch, make_node  # noqa: F811
):  # fmt: skip
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", "run")
    node = make_node("a")
    files = PortFiles()
    elsewhere()
    assert files.read(node.name).port == node.port
    node.stop()
    assert not (tmp_path / "here/run" / node.name).exists()


def test_a_relative_xdg_path_is_made_absolute(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "config")
    assert path_of("member") == tmp_path / "here/config/raft_actors/cookie"


def test_no_home_is_told_in_words(monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("none")))
    with pytest.raises(UnsafeCookie, match="no home directory for its file: set RAFT_ACTORS"):
        path_of("member")
