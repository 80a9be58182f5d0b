"""`Raft.backup` in one process: what it answers when it can't be done."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from raft_actors import Raft, StateMachine
from raft_actors.client import backup as module
from raft_actors.replica.requests import PART
from raft_actors.stores.backup_file import read_header
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


@pytest.fixture
def leader(make_peer):
    name, _ = make_peer(snapshot_chunk_bytes=1000)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    eventually(
        lambda: Raft.write(name, ("set", "key", "v" * 10_000)) == ("ok", "key", "v" * 10_000)
    )
    return name


@pytest.fixture
def file(tmp_path):
    return tmp_path / "monday.backup"


def test_a_backup_holds_all_that_was_acknowledged(leader, file):
    ok, index = Raft.backup(leader, file)
    assert ok == "ok"
    assert index == Raft.status(leader)[1]["last_applied"] == read_header(file).last


def test_a_follower_that_is_behind_gives_what_was_acknowledged_before_the_call(
    trio, file, monkeypatch
):
    """Planted: a follower gives what it has applied."""
    names = trio()
    leader = Raft.leader(names[0])
    follower = next(name for name in names if name != leader[0])
    peer = peer_of(follower)
    with monkeypatch.context() as behind, ThreadPoolExecutor() as pool:
        behind.setattr(peer.replica.applier, "apply", lambda: None)
        assert Raft.write(leader, ("set", "key", 1))[0] == "ok"
        acknowledged = Raft.status(leader)[1]["last_applied"]
        backup = pool.submit(Raft.backup, follower, file)
        eventually(lambda: peer.replica.applier.reads or backup.done())
        behind.undo()
        ok, index = backup.result(10)
    assert ok == "ok"
    assert index >= acknowledged


def test_a_backup_does_not_take_the_snapshot_that_was_begun_before_the_last_write(
    leader, file, held_writer
):
    """Planted: whoever waits is answered with the snapshot that ends next."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(Raft.snapshot, leader)
        held_writer.wait_for_one()
        assert Raft.write(leader, ("set", "key", "late"))[0] == "ok"
        acknowledged = Raft.status(leader)[1]["last_applied"]
        backup = pool.submit(Raft.backup, leader, file)
        eventually(lambda: peer_of(leader).replica.snapshotter.tickets)
        held_writer.release()
        assert first.result(10) == ("ok", acknowledged - 1)
        assert backup.result(10) == ("ok", acknowledged)


def test_a_newer_snapshot_in_between_begins_it_again(leader, file, monkeypatch):
    """Planted: no second try; then it answers not_found."""
    ask = module.ask
    calls = []

    def ask_after_a_newer(peer, operation, arguments, timeout):
        if operation == PART:
            calls.append(arguments[1])
            if len(calls) == 3:
                Raft.write(leader, ("set", "other", 1))
                Raft.snapshot(leader)
        return ask(peer, operation, arguments, timeout)

    monkeypatch.setattr(module, "ask", ask_after_a_newer)
    ok, index = Raft.backup(leader, file)
    assert ok == "ok"
    assert index == Raft.status(leader)[1]["last_applied"]
    assert calls.count(0) == 2
    assert [each.name for each in file.parent.glob("*.draft")] == []


@pytest.mark.parametrize("damage", ["a flipped bit", "a file that is too short"])
def test_a_snapshot_that_is_damaged_makes_no_backup(make_peer, tmp_path, file, damage):
    """Planted: its checksum is not looked at; then the import finds out. And nobody sees that
    nothing more comes; then the file grows without an end.
    """
    name, _ = make_peer(data_dir=tmp_path / "data", snapshot_chunk_bytes=1000)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    eventually(lambda: Raft.write(name, ("set", "key", "v" * 9_000)) == ("ok", "key", "v" * 9_000))
    assert Raft.snapshot(name)[0] == "ok"
    snapshot = next((tmp_path / "data" / "snapshots").glob("*.snapshot"))
    data = bytearray(snapshot.read_bytes())
    data[5_000] ^= 1
    snapshot.write_bytes(data if damage == "a flipped bit" else data[:5_500])
    error, (what, told) = Raft.backup(name, file)
    assert (error, what) == ("error", "backup_failed")
    assert "is not what its peer wrote: take another backup, of another member" in told
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_a_file_that_cannot_be_written_is_told(leader, tmp_path):
    (tmp_path / "there").write_text("mine")
    for path, why in (
        ("there", "is there already"),
        ("nowhere/file", "is no directory"),
        ("long" * 100, "File name too long"),
    ):
        error, (what, told) = Raft.backup(leader, tmp_path / path)
        assert (error, what) == ("error", "backup_failed")
        assert why in told
    assert (tmp_path / "there").read_text() == "mine"


def test_a_peer_that_is_not_there_is_told(leader, file):
    assert Raft.backup("nobody", file)[0] == "error"
    assert Raft.stop(leader) == "ok"
    assert Raft.backup(leader, file)[0] == "error"
    assert not file.exists()


def test_a_witness_has_nothing_to_give(make_peer, file):
    names = [make_peer()[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names, witnesses=names[2:])[0] == "ok"
    eventually(lambda: Raft.leader(names[2]) is not None)
    eventually(
        lambda: Raft.backup(names[2], file) == ("error", ("redirect", Raft.leader(names[0])))
    )
    assert not file.exists()


class Odd(StateMachine):
    def init(self, name):
        return object()

    def handle_write(self, command, state):
        return "done", state

    def handle_read(self, query, state):
        return "odd", state


def test_a_state_that_cannot_be_written_down_is_told(make_peer, file):
    name, _ = make_peer(Odd)
    Raft.set_configuration(name, [name])
    eventually(lambda: Raft.write(name, 1) == "done")
    error, (what, _why) = Raft.backup(name, file)
    assert (error, what) == ("error", "snapshot_failed")
    assert not file.exists()
