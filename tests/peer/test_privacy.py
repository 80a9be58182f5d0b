"""What is replicated, and who may speak for a node, is for the eyes of its user alone."""

import os
import stat

import pytest

from raft_actors import Config, Raft
from raft_actors.node.port_files import runtime_dir
from raft_actors.peer.peers import peers_of
from raft_actors.state_machine import OnDiskStateMachine
from raft_actors.stores import open_store
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures


class Shelf(OnDiskStateMachine):
    """Keeps what it is told."""

    def handle_write(self, command, state):
        state["it"] = command
        return command, state


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def seen_by_others(directory):
    """Return the files below `directory` that others can get at."""
    if not stat.S_IMODE(directory.stat().st_mode) & 0o077:
        return []
    seen = []
    for path in sorted(directory.iterdir()):
        if path.is_dir():
            seen += seen_by_others(path)
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            seen.append(str(path.relative_to(directory)))
    return seen


@pytest.mark.parametrize("store", ["rocksdb", "lmdb"])
def test_other_users_see_nothing_of_what_is_in_a_directory_that_is_open_to_them(
    make_peer, tmp_path, store
):
    """Service managers make such directories. Planted: RocksDB makes its own as it likes."""
    path = tmp_path / "open"
    path.mkdir(mode=0o755)
    name, _ = make_peer(Shelf, data_dir=path, log_store=store)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert Raft.write(name, "secret") == "secret"
    assert Raft.snapshot(name)[0] == "ok"
    assert seen_by_others(path) == []


@pytest.mark.parametrize("store", ["rocksdb", "lmdb"])
def test_other_users_see_nothing_of_what_a_peer_writes(make_peer, tmp_path, store):
    """Planted: directories and files as the umask leaves them."""
    tmp_path.chmod(0o755)
    name, _ = make_peer(Shelf, log_store=store, trace=tmp_path / "trace")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert Raft.write(name, "secret") == "secret"
    assert Raft.backup(name, tmp_path / "kv.backup")[0] == "ok"
    assert {path.name for path in tmp_path.iterdir()} == {name, "trace", "kv.backup"}
    assert seen_by_others(tmp_path) == []
    ours = ["lock", "holder.json", "store.json", *(["log.lmdb"] if store == "lmdb" else [])]
    written = [tmp_path / name / each for each in ours]
    written += [*(tmp_path / name / "snapshots").iterdir(), *(tmp_path / "trace").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def test_other_users_see_no_port_file(make_node):  # noqa: F811
    runtime_dir().mkdir(mode=0o755)
    node = make_node("a")
    assert stat.S_IMODE((runtime_dir() / node.name).stat().st_mode) == 0o600


def test_a_data_directory_that_is_open_to_others_is_warned_of(tmp_path, caplog):
    path = tmp_path / "peer"
    path.mkdir(mode=0o755)
    open_store("rocksdb", path).close()
    warned = (
        f"{path} is open to other users of this machine (its mode is 0755), with all that the "
        f"group replicates in it: run chmod -R go= {path}"
    )
    assert caplog.messages == [warned]
    path.chmod(0o700)
    caplog.clear()
    open_store("rocksdb", path).close()
    assert not caplog.messages


def test_a_peer_of_a_node_has_a_directory_of_its_own_mode(tmp_path, make_node):  # noqa: F811
    tmp_path.chmod(0o755)
    node = make_node("a", config={"data_dir": tmp_path / "data"})
    assert peers_of(node).start(Shelf, "p", Config())[0] == "ok"
    assert peers_of(node).stop("p") == "ok"
    assert seen_by_others(tmp_path / "data") == []


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_nobody_can_write_above_what_is_made_with_any_umask(
    no_umask, make_node, make_peer, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    """Who can write there puts a directory of his own in its place. Planted: `mkdir(parents=True)`,
    whose mode is only that of the last one.
    """
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "var" / "run"))
    make_node("a", audit_log=tmp_path / "log" / "audit" / "a.log")
    make_peer(data_dir=tmp_path / "data" / "of" / "it")
    for made in ("home", "home/config", "var", "var/run", "log", "log/audit", "data", "data/of"):
        assert (tmp_path / made).stat().st_mode & 0o777 == 0o700, made
