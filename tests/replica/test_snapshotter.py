"""Snapshots of real peers: when they are taken, what starts from them, and what is refused."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raft_actors import Frozen, Raft, StateMachine, UndoDict
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_here
from raft_actors.replica.recovery import recover
from raft_actors.replica.snapshotter import Writer, WriterEnded
from raft_actors.stores import open_store
from raft_actors.stores.files import DiskFiles
from raft_actors.stores.snapshots import Snapshots
from tests.helpers import eventually
from tests.peer_fixtures import peer_of

DURABLE = ["rocksdb", "lmdb"]


def status(name):
    return Raft.status(name)[1]


def compact(leader, beyond):
    """Take snapshots until the log is cut, although somebody was heard a moment ago."""

    def is_cut():
        assert Raft.write(leader, ("set", "0", 0))[0] == "ok"
        return Raft.snapshot(leader)[0] == "ok" and status(leader)["first_index"] > beyond

    eventually(is_cut)


def lone(make_peer, machine=KVStore, **options):
    name, _ = make_peer(machine, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name


def write_many(name, count, first=0):
    for number in range(first, first + count):
        assert Raft.write(name, ("set", number, number)) == ("ok", number, number)


def snapshot_files(path: Path) -> list[Path]:
    return sorted((path / "snapshots").glob("*.snapshot"))


class Notes(StateMachine):
    """A state that the default can't encode: it says itself how."""

    class Page:
        def __init__(self, text):
            self.text = text

    def init(self, name):
        return [self.Page("first")]

    def handle_write(self, command, state):
        return len(state), [*state, self.Page(command)]

    def handle_read(self, query, state):
        return [page.text for page in state]

    def snapshot(self, state):
        return (page.text for page in state)

    def restore(self, data):
        return [self.Page(text) for text in data]


class Frosty(Notes):
    def snapshot(self, state):
        return Frozen([page.text for page in state])


class Opaque(Notes):
    snapshot = StateMachine.snapshot
    restore = StateMachine.restore


class Undoing(KVStore):
    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        state[command[1]] = command[2]
        return ("ok", *command[1:]), state


@pytest.mark.parametrize("store", [*DURABLE, "memory"])
def test_a_snapshot_is_taken_by_itself_and_the_log_begins_after_it(make_peer, store):
    name = lone(make_peer, log_store=store, snapshot_entries=50, snapshot_trailing=10)
    write_many(name, 120)
    eventually(lambda: status(name)["snapshot_index"] >= 100)
    assert status(name)["first_index"] == status(name)["snapshot_index"] - 9
    assert Raft.get_entry(name, 1) == ("error", "compacted")
    assert Raft.read(name, ("get", 0)) == ("ok", 0)


@pytest.mark.parametrize("store", [*DURABLE, "memory"])
@pytest.mark.parametrize("machine", [KVStore, Undoing, Notes, Frosty])
def test_a_restarted_peer_goes_on_from_its_snapshot(make_peer, tmp_path, store, machine):
    options = {"log_store": store, "data_dir": tmp_path / "data", "snapshot_trailing": 1}
    name = lone(make_peer, machine, **options)
    write = (lambda n: ("set", n, [n])) if issubclass(machine, KVStore) else str
    read = ("get", 7) if issubclass(machine, KVStore) else "all"
    for number in range(10):
        Raft.write(name, write(number))
    ok, index = Raft.snapshot(name)
    assert (ok, index) == ("ok", status(name)["last_applied"])
    Raft.write(name, write(10))
    before = Raft.read(name, read)
    state = peer_of(name).replica.applier.applied.state
    assert Raft.stop(name) == "ok"
    make_peer(machine, name=name, **options)
    eventually(lambda: Raft.read(name, read) == before)
    assert status(name)["first_index"] == index
    again = peer_of(name).replica.applier.applied.state
    assert type(again) is type(state)
    if machine in {KVStore, Undoing}:
        assert list(again.items()) == list(state.items())


def test_a_snapshot_of_nothing_new_is_the_one_there_is(make_peer):
    name = lone(make_peer)
    first = Raft.snapshot(name)
    assert first == ("ok", 1)
    assert Raft.snapshot(name) == first


def test_only_the_newest_snapshot_is_kept(make_peer, tmp_path):
    name = lone(make_peer, data_dir=tmp_path / "data")
    for number in range(3):
        write_many(name, 5, first=5 * number)
        Raft.snapshot(name)
    (newest,) = snapshot_files(tmp_path / "data")
    assert newest.name.startswith("16-1-")
    assert {file.stem for file in newest.parent.iterdir()} == {newest.stem}


def test_a_machine_whose_state_cannot_be_encoded_says_so_at_once(make_peer, caplog):
    name = lone(make_peer, Opaque, snapshot_entries=1)
    assert "no snapshots, so the log is kept whole: state[0]: a Page can't be" in caplog.text
    Raft.write(name, "more")
    answer, (reason, detail) = Raft.snapshot(name)
    assert (answer, reason) == ("error", "snapshot_failed")
    assert "a Page can't be encoded" in detail
    assert Raft.read(name, "all") == ["first", "more"]


def test_a_follower_far_behind_gets_the_snapshot_while_the_others_go_on(make_peer, trio):
    """With chunks so small that the transfer takes many of them."""
    names = trio(snapshot_trailing=5, snapshot_chunk_bytes=512, log_store="rocksdb")
    leader = Raft.leader(names[0])[0]
    away = next(name for name in names if name != leader)
    path = Path(peer_of(away).path)
    assert Raft.stop(away) == "ok"
    write_many(leader, 600)
    compact(leader, 300)
    make_peer(KVStore, name=away, data_dir=path, snapshot_trailing=5)
    eventually(lambda: status(away)["last_applied"] == status(leader)["last_applied"])
    assert status(away)["snapshot_index"] > 300
    assert Raft.stop(leader) == "ok"
    eventually(lambda: Raft.leader(away) not in (None, (leader, Raft.leader(away)[1])))
    assert Raft.read(Raft.leader(away), ("get", 599)) == ("ok", 599)


def flip(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "a flipped bit": flip,
    "a missing end": lambda file: os.truncate(file, file.stat().st_size // 2),
    "a missing file": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_leader_notices_that_its_snapshot_is_damaged_and_sends_another(trio, caplog, damage):
    """Planted: nobody at the leader looks; then the same file is sent, and refused, for ever, or,
    where its end is missing, the leader reads nothing for ever.
    """
    names = trio(snapshot_trailing=5, snapshot_chunk_bytes=512)
    leader = Raft.leader(names[0])[0]
    away = next(name for name in names if name != leader)
    peer = peer_of(away)
    assert Raft.stop(away) == "ok"
    write_many(leader, 300)
    compact(leader, 200)
    files = Path(peer_of(leader).path)
    (file,) = snapshot_files(files)
    DAMAGE[damage](file)
    Raft.start_peer(KVStore, name=away, data_dir=Path(peer.path))
    try:
        last = status(leader)["last_applied"]
        eventually(lambda: status(away)["last_applied"] == last)
        assert f"{leader}: the newest snapshot of this peer is damaged: " in caplog.text
        assert "another is taken of the state: look at the disk" in caplog.text
        assert "troubles" not in status(leader), "there is another"
        snapshots = peer_of(leader).store.snapshots
        assert snapshots.look_at(snapshots.newest()) == ""
        assert len(snapshot_files(files)) == 1
        assert "move its data directory" not in caplog.text  # nobody's is damaged
        assert "has sent is damaged" not in caplog.text, "its last part never left"
    finally:
        Raft.stop_peer(away)


def test_a_snapshot_that_is_whole_is_sent_again_after_a_refusal(trio, monkeypatch):
    """What came was changed on its way, or by the disk of who got it."""
    names = trio(snapshot_trailing=5)
    leader = Raft.leader(names[0])[0]
    away = next(name for name in names if name != leader)
    path = Path(peer_of(away).path)
    assert Raft.stop(away) == "ok"
    write_many(leader, 300)
    compact(leader, 200)
    check, refused = Snapshots.check, []

    def check_worse_at_first(snapshots, name, *arguments):
        if name.endswith(".part") and not refused:
            refused.append(name)
            raise StoreCorrupt("damaged on its way")
        return check(snapshots, name, *arguments)

    monkeypatch.setattr(Snapshots, "check", check_worse_at_first)
    Raft.start_peer(KVStore, name=away, data_dir=path)
    try:
        last = status(leader)["last_applied"]
        eventually(lambda: status(away)["last_applied"] == last)
        assert refused
        assert "troubles" not in status(leader)
    finally:
        Raft.stop_peer(away)


def test_a_backup_of_a_snapshot_that_is_gone_is_an_error_and_ends_no_peer(make_peer, tmp_path):
    name = lone(make_peer, data_dir=tmp_path / "data")
    write_many(name, 3)
    assert Raft.snapshot(name)[0] == "ok"
    (file,) = snapshot_files(tmp_path / "data")
    file.unlink()
    error, (reason, text) = Raft.backup(name, tmp_path / "backup")
    assert (error, reason) == ("error", "backup_failed")
    assert "No such file" in text
    assert Raft.read(name, ("get", 2)) == ("ok", 2)


def test_sessions_survive_in_the_snapshot(make_peer, tmp_path):
    """A command that was answered before the snapshot does not run again after a restart."""
    from raft_actors import Cluster, encoding
    from raft_actors.replica.requests import WRITE

    options = {"data_dir": tmp_path / "data", "snapshot_trailing": 1}
    name = lone(make_peer, **options)
    with Cluster(name) as cluster:
        cluster.write(("set", "x", 1))
        session = cluster._client.session.number
        cluster.write(("set", "x", 2))
    Raft.snapshot(name)
    Raft.stop(name)
    make_peer(name=name, **options)
    eventually(lambda: Raft.read(name, ("get", "x")) == ("ok", 2))
    body = [WRITE, name, encoding.dumps(("set", "x", 1)), session, 1]
    peers_here().router.request((name, peers_here().node.name), body).get(5)
    assert Raft.read(name, ("get", "x")) == ("ok", 2)


def test_a_damaged_snapshot_is_refused_with_what_to_do(make_peer, tmp_path):
    path = tmp_path / "data"
    name = lone(make_peer, data_dir=path, snapshot_trailing=1)
    write_many(name, 20)
    Raft.snapshot(name)
    Raft.stop(name)
    (file,) = snapshot_files(path)
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    _, (error, reason) = make_peer(name=name, data_dir=path)
    assert error == "error"
    assert "is damaged at byte" in str(reason)
    assert "Raft.join(" in str(reason)


def test_a_log_whose_snapshot_is_gone_is_refused(make_peer, tmp_path):
    path = tmp_path / "data"
    name = lone(make_peer, data_dir=path, snapshot_trailing=1)
    write_many(name, 20)
    Raft.snapshot(name)
    Raft.stop(name)
    snapshot_files(path)[0].unlink()
    _, (error, reason) = make_peer(name=name, data_dir=path)
    assert error == "error"
    assert "entries are missing" in str(reason)


def test_the_peer_goes_on_where_no_snapshot_can_be_written(make_peer, tmp_path, caplog):
    """A file in the way of their directory stands for a disk that refuses."""
    path = tmp_path / "data"
    name = lone(make_peer, data_dir=path)
    write_many(name, 3)
    obstacle = path / "snapshots"
    obstacle.write_text("in the way")
    answer, (reason, _detail) = Raft.snapshot(name)
    assert (answer, reason) == ("error", "snapshot_failed")
    assert "no snapshot could be taken, so the log grows" in caplog.text
    write_many(name, 3, first=3)
    obstacle.unlink()
    assert Raft.snapshot(name) == ("ok", 7)


WRITER = """
import os, sys, threading, time
from pathlib import Path
from raft_actors import Raft
from raft_actors.kv_store import KVStore
path = Path(sys.argv[1])
Raft.start_peer(KVStore, name="peer", data_dir=path, snapshot_entries=40, snapshot_trailing=5)
Raft.set_configuration("peer", ["peer"])
while Raft.leader("peer") is None:
    time.sleep(0.01)
n = int(sys.argv[2])
while True:
    if Raft.write("peer", ("set", n, "x" * 200))[0] == "ok":
        print(n, flush=True)
    n += 1
"""


@pytest.mark.parametrize("store", DURABLE)
def test_no_kill_at_any_moment_loses_what_was_acknowledged(tmp_path, store):
    """SIGKILL among writes and snapshots, again and again, in the same directory."""
    program = WRITER.replace("snapshot_entries=40", f"log_store={store!r}, snapshot_entries=40")
    known = 0
    for life in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data"), str(known)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for _ in range(150 + 37 * life):
            known = int(child.stdout.readline()) + 1
        child.kill()
        child.wait()
        known = max([known, *(int(line) + 1 for line in child.stdout if line.strip())])
        child.stdout.close()
    opened = open_store(store, tmp_path / "data")
    try:
        from raft_actors.config import Config
        from raft_actors.core.entry import COMMAND, kind_of, payload_of
        from raft_actors.machine.replicated_state import ReplicatedState

        found = recover(opened, Config(log_store=store))
        assert found.snapshot.index > 300
        applied = ReplicatedState(KVStore(), "peer")
        applied.restore(opened.snapshots, found.snapshot)
        log = found.log
        for entry in log.between(found.snapshot.index + 1, log.last_index):
            if kind_of(entry) == COMMAND:
                applied.write(payload_of(entry))
        assert set(range(known)) <= set(applied.state)
    finally:
        opened.close()


def test_a_write_ahead_log_cut_off_before_its_own_snapshot_is_refused(make_peer, tmp_path):
    """Planted: it is taken for a crash just after a leader's snapshot; then a peer without its vote
    and entries that it had acknowledged takes part.
    """
    path = tmp_path / "data"
    command = [sys.executable, "-c", WRITER, str(path), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        eventually(lambda: child.stdout.readline() and len(snapshot_files(path)) > 0)
        child.kill()
        child.stdout.read()
    (log,) = [file for file in (path / "log.rocksdb").glob("*.log") if file.stat().st_size]
    whole = log.read_bytes()
    last = int(snapshot_files(path)[0].name.split("-")[0])
    log.write_bytes(whole[: len(whole) // 10])
    for _ in range(2):
        _, (error, reason) = make_peer(name="peer", data_dir=path)
        assert error == "error"
        text = str(reason)
        assert f"snapshot at entry {last}" in text
        assert "durable are missing; stop this peer, move its data directory away" in text


def test_a_writer_that_was_given_up_is_not_listened_to(make_peer, tmp_path, held_writer):
    """It hung in the disk, its successor's peer has another, and then it tells how it ended.

    Planted: every writer is listened to; then the draft of the other is removed under it.
    """
    path = tmp_path / "data"
    name = lone(make_peer, data_dir=path, snapshot_trailing=1)
    write_many(name, 20)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(Raft.snapshot, name)
        held_writer.wait_for_one()
        given_up = Writer(None, None, None)
        ref = peers_here().running[name]
        ref.tell(WriterEnded(given_up, Snapshot(1, 1)))
        ref.tell(WriterEnded(given_up, None, "the disk is gone"))
        write_many(name, 1)
        held_writer.release()
        assert answer.result(10) == ("ok", status(name)["last_applied"] - 1)
    Raft.stop(name)
    assert make_peer(name=name, data_dir=path)[1][0] == "ok"


def test_who_waits_for_a_snapshot_that_is_given_up_gets_the_next(make_peer, held_writer):
    name = lone(make_peer)
    write_many(name, 3)
    snapshotting = peer_of(name).replica.snapshotter
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(Raft.snapshot, name)
        held_writer.wait_for_one()
        writer = snapshotting.writer
        writer.given_up = True
        held_writer.release()
        writer.wait(10)
        assert not answer.done()
        snapshotting.give_up()  # what a leader's snapshot does, on the peer's thread, which is idle
        assert Raft.snapshot(name) == answer.result(10) == ("ok", 4)


def test_a_peer_that_ends_answers_who_waits_for_its_snapshot(make_peer, held_writer, monkeypatch):
    monkeypatch.setattr("raft_actors.replica.snapshotter.WRITER_S", 0.01)
    name = lone(make_peer)
    write_many(name, 3)
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(Raft.snapshot, name)
        held_writer.wait_for_one()
        write_many(name, 1)
        next_one = pool.submit(Raft.snapshot, name)
        eventually(lambda: peer_of(name).replica.snapshotter.tickets)
        Raft.stop(name)
        assert begun.result(10) == next_one.result(10) == ("error", "no_peer")


def test_no_file_begins_with_a_hole(tmp_path):
    """Where it was removed while it was written, what follows is refused."""
    files = DiskFiles(tmp_path)
    files.write("draft", 0, b"abc")
    files.write("draft", 3, b"def")
    files.remove("draft")
    with pytest.raises(StoreError, match="No such file"):
        files.write("draft", 6, b"ghi")
    assert files.names() == []


def test_the_state_may_change_while_it_is_written(make_peer, tmp_path):
    """Lists inside the state are appended to all the time: a piece that can change is encoded
    before anything more is applied. Planted: every piece taken for constant; then a restarted
    peer has entries twice.
    """

    class Growing(StateMachine):
        def init(self, name):
            return {}

        def handle_write(self, command, state):
            state.setdefault(command % 50, []).append(command)
            return len(state[command % 50]), state

        def handle_read(self, query, state):
            return {key: list(value) for key, value in state.items()}

    path = tmp_path / "data"
    name = lone(make_peer, Growing, data_dir=path, snapshot_trailing=1)
    stop = threading.Event()
    asked = []

    def snapshots():
        while not stop.is_set():
            asked.append(Raft.snapshot(name))

    thread = threading.Thread(target=snapshots)
    thread.start()
    for number in range(1_500):
        Raft.write(name, number)
    stop.set()
    thread.join()
    assert all(answer[0] == "ok" for answer in asked)
    before = Raft.read(name, "all")
    Raft.stop(name)
    make_peer(Growing, name=name, data_dir=path)
    eventually(lambda: Raft.read(name, "all") == before)


def test_a_store_with_a_part_of_a_snapshot_says_how_much_it_has(tmp_path):
    from raft_actors.core.snapshot import SnapshotReceipt

    store = open_store("rocksdb", tmp_path / "data")
    incoming = SnapshotReceipt(9, 2, 100, 7)
    store.snapshots.receive(incoming, 0, b"x" * 30)
    store.snapshots.receive(incoming, 30, b"x" * 30)
    store.close()
    store = open_store("rocksdb", tmp_path / "data")
    assert store.snapshots.incoming() == SnapshotReceipt(9, 2, 100, 7, 60)
    store.snapshots.receive(incoming, 60, b"x" * 40)
    with pytest.raises(StoreCorrupt):
        store.snapshots.finish(incoming)
    assert store.snapshots.incoming() is None
    assert snapshot_files(tmp_path / "data") == []
    store.close()
