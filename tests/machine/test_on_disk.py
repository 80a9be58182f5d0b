"""A state machine whose state is on disk: it is never torn, and goes on from where it is."""

import shutil
import subprocess
import sys
import threading

import pytest

from raft_actors import Cluster, OnDiskStateMachine, Raft, encoding
from raft_actors.errors import StoreError
from raft_actors.machine.disk_dict import DiskTable
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import WRITE
from tests.helpers import eventually
from tests.peer_fixtures import peer_of
from tests.replica.test_snapshotter import compact


class Ledger(OnDiskStateMachine):
    def handle_write(self, command, state):
        match command:
            case ("set", key, value):
                state[key] = value
                return ("ok", key, value), state
            case ("fail", key):
                state[key] = "half done"
                del state["0"]
                raise ValueError("no")
            case ("delete", key):
                del state[key]
                return "deleted", state

    def handle_read(self, query, state):
        if query == "all":
            return dict(state.items())
        if query == "spoil":
            state["spoilt"] = True
            return "spoilt"
        return state.get(query)


class CallsWhatItLikes(Ledger):
    def handle_write(self, command, state):
        match command:
            case ("call", method, *arguments):
                return getattr(state, method)(*arguments), state
            case ("put", attribute, value):
                setattr(state, attribute, value)
        return super().handle_write(command, state)


def lone(make_peer, **options):
    name, _ = make_peer(Ledger, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name


def write_many(name, count, first=0):
    for number in range(first, first + count):
        assert Raft.write(name, ("set", str(number), number)) == ("ok", str(number), number)


def expected(count):
    return dict(sorted((str(number), number) for number in range(count)))


def test_commands_and_reads_see_what_they_should(make_peer):
    name = lone(make_peer)
    write_many(name, 20)
    assert Raft.read(name, "all") == expected(20)
    assert Raft.write(name, ("delete", "7")) == "deleted"
    assert Raft.read(name, "7") is None
    assert Raft.write(name, ("delete", "7"))[1][:2] == ("exception", "KeyError")


def test_a_command_that_raises_and_a_read_change_nothing(make_peer):
    """Planted: no rollback after a read; then the next command writes what it left."""
    name = lone(make_peer)
    write_many(name, 3)
    assert Raft.write(name, ("fail", "x")) == ("error", ("exception", "ValueError", "no"))
    assert Raft.read(name, "spoil") == "spoilt"
    write_many(name, 1, first=3)
    assert Raft.read(name, "all") == expected(4)


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_restarted_peer_goes_on_without_running_anything_again(make_peer, tmp_path, snapshot):
    """Planted: `index` not read back; then every command runs again, and `delete` fails."""
    options = {"data_dir": tmp_path / "data", "snapshot_trailing": 1}
    name = lone(make_peer, **options)
    write_many(name, 10)
    if snapshot:
        assert Raft.snapshot(name)[0] == "ok"
    assert Raft.write(name, ("delete", "3")) == "deleted"
    last = Raft.status(name)[1]["last_applied"]
    Raft.stop(name)
    make_peer(Ledger, name=name, **options)
    assert peer_of(name).replica.applier.applied.index >= last
    eventually(lambda: Raft.read(name, "0") == 0)
    assert "3" not in Raft.read(name, "all")


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_state_that_is_gone_is_made_again(make_peer, tmp_path, snapshot):
    options = {"data_dir": tmp_path / "data", "snapshot_trailing": 1}
    name = lone(make_peer, **options)
    write_many(name, 30)
    if snapshot:
        assert Raft.snapshot(name)[0] == "ok"
    write_many(name, 5, first=30)
    Raft.stop(name)
    shutil.rmtree(tmp_path / "data" / "machine")
    make_peer(Ledger, name=name, **options)
    eventually(lambda: Raft.read(name, "all") == expected(35))


def test_a_state_ahead_of_its_log_is_refused(make_peer, tmp_path):
    name = lone(make_peer, data_dir=tmp_path / "data")
    write_many(name, 3)
    Raft.stop(name)
    state = DiskTable(tmp_path / "data" / "machine")
    state.flush(1_000)
    state.close()
    _, (error, reason) = make_peer(Ledger, name=name, data_dir=tmp_path / "data")
    assert error == "error"
    assert "move the state away" in str(reason)


def test_a_state_of_another_data_directory_is_refused(make_peer, tmp_path):
    """Planted: only the index is looked at; then a replica goes on with another group's state."""
    one = lone(make_peer, data_dir=tmp_path / "one")
    other = lone(make_peer, data_dir=tmp_path / "other")
    for name, count in ((one, 5), (other, 3)):
        write_many(name, count)
        Raft.stop(name)
    shutil.rmtree(tmp_path / "one" / "machine")
    (tmp_path / "other" / "machine").rename(tmp_path / "one" / "machine")
    _, (error, reason) = make_peer(Ledger, name=one, data_dir=tmp_path / "one")
    assert error == "error"
    assert "is of another data directory: move it away" in str(reason)
    shutil.rmtree(tmp_path / "one" / "machine")
    make_peer(Ledger, name=one, data_dir=tmp_path / "one")
    eventually(lambda: Raft.read(one, "all") == expected(5))


def filled_dict(path, count=2_500):
    state = DiskTable(path)
    for number in range(count):
        state[f"{number:05}"] = "old"
    state.commit()
    state.flush(1)
    return state


def in_pieces(pieces):
    return {
        key[1:].decode(): encoding.loads(value)
        for keys, values in pieces
        for key, value in zip(keys, values, strict=True)
    }


@pytest.mark.parametrize("read_before", [0, 1])
def test_what_is_frozen_is_the_state_of_that_moment(tmp_path, read_before):
    """Planted: an iterator of `db.snapshot()`, which iterates over now; replicas parted so."""
    state = filled_dict(tmp_path)
    pieces = state.frozen().pieces
    before = [next(pieces) for _ in range(read_before)]
    for number in range(0, 2_500, 2):
        state[f"{number:05}"] = "new"
    del state["02499"]
    state["00000.5"] = state["99999"] = "new"
    state.commit()
    state.flush(2)
    assert in_pieces([*before, *pieces]) == {f"{number:05}": "old" for number in range(2_500)}
    assert state["02498"] == state["99999"] == "new"
    state.close()


def test_a_state_with_a_damaged_table_is_an_error_and_no_shorter_state(tmp_path):
    """Planted: `Rdict.items`, which ends at the damage; then a part of a state went for all."""
    state = filled_dict(tmp_path / "machine")
    state.db.flush()
    state.close()
    (table,) = (tmp_path / "machine").glob("*.sst")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    state = DiskTable(tmp_path / "machine")
    with pytest.raises(StoreError, match="move it away: it is made anew"):
        list(state.frozen().pieces)
    assert state.failure is None  # a snapshot that fails changes nothing
    with pytest.raises(StoreError, match="move it away: it is made anew") as caught:
        list(state.items())
    assert state.failure is not None
    state.close()
    DiskTable(tmp_path / "machine").close()  # nothing that was raised keeps it open
    del caught


def test_a_flipped_bit_in_the_type_of_a_record_hangs_no_state_on_disk(tmp_path):
    """Planted: RocksDB looks by itself; then it takes the rest for an older use of the file, or
    looks for what follows for ever and holds the interpreter.
    """
    path = tmp_path / "machine"
    filled_dict(path, 10).close()
    (manifest,) = path.glob("MANIFEST-*")
    content = bytearray(manifest.read_bytes())
    content[6] = 5
    manifest.write_bytes(content)
    with pytest.raises(StoreError, match=r"never written to it.*move it away, and the peer makes"):
        DiskTable(path)


KILLED = """
import os, sys
from pathlib import Path
from raft_actors.machine import disk_dict
state = disk_dict.DiskTable(Path(sys.argv[1]))
for index in range(1, 3_001):
    state[f"{index:05}"] = "x" * 1_000
    state.commit()
    state.flush(index)
    if index in (700, 1_900):
        state.sync()
os.kill(os.getpid(), 9)
"""


def test_a_killed_state_is_that_after_its_index_and_not_older_than_its_last_sync(tmp_path):
    """Planted: nothing is flushed by `sync`."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "machine")], check=False)
    state = DiskTable(tmp_path / "machine")
    assert state.index >= 1_900
    assert [key for key, _ in state.items()] == [
        f"{index:05}" for index in range(1, state.index + 1)
    ]
    state.close()


def test_a_state_on_disk_has_no_log_whose_end_could_be_missing(tmp_path):
    """Planted: RocksDB's own write-ahead log. Where the end of one is lost, and the next is there,
    RocksDB goes on behind the gap: then the state has an index, and lacks what came before it.
    """
    state = filled_dict(tmp_path / "machine")
    state.sync()
    state["more"] = 1
    state.commit()
    state.flush(2)
    assert [log.stat().st_size for log in (tmp_path / "machine").glob("*.log")] == [0]
    state.close()
    state = DiskTable(tmp_path / "machine")
    assert (state.index, state["more"]) == (2, 1)
    state.close()


def test_a_state_that_was_being_replaced_begins_empty(tmp_path):
    """Planted: what had come of a leader's snapshot stayed under the commands that ran again."""
    state = filled_dict(tmp_path / "whole", 10)
    other = filled_dict(tmp_path / "part", 3)
    first = next(state.frozen().pieces)

    def cut_off():
        yield first
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        other.refill(cut_off())
    for each in (state, other):
        each.close()
    other = DiskTable(tmp_path / "part")
    assert (other.index, list(other.items())) == (0, [])
    other.close()


def test_a_peer_starts_again_while_its_snapshot_was_being_written(make_peer, tmp_path, held_writer):
    """Planted: the cursor of what was frozen stays; then the state is locked for ever."""
    name = lone(make_peer, data_dir=tmp_path / "data")
    write_many(name, 5)
    peer = peer_of(name)
    asking = threading.Thread(target=Raft.snapshot, args=(name,))
    asking.start()
    held_writer.wait_for_one()
    stopping = threading.Thread(target=Raft.stop, args=(name,))
    stopping.start()
    eventually(lambda: peer.replica.snapshotter.writer is None)
    held_writer.release()
    stopping.join()
    asking.join()
    assert make_peer(Ledger, name=name, data_dir=tmp_path / "data")[1][0] == "ok"
    eventually(lambda: Raft.read(name, "all") == expected(5))


@pytest.mark.parametrize(
    "command",
    [
        ("call", "close"),
        ("call", "clear"),
        ("call", "forget"),
        ("call", "flush", 1_000),
        ("call", "belong_to", 1),
        ("call", "refill", []),
        ("put", "index", 0),
    ],
    ids=lambda command: command[1],
)
def test_a_command_reaches_nothing_by_which_the_peer_keeps_its_database(
    make_peer, tmp_path, command
):
    """Planted: the state has these methods. A command that closes the database ends its peer, and
    again after each restart; `clear` removes what is in the database already, and nothing else,
    which differs from replica to replica.
    """
    name, _ = make_peer(CallsWhatItLikes, data_dir=tmp_path / "data")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    write_many(name, 3)
    kind, (raised, error, _text) = Raft.write(name, command)
    assert (kind, raised, error) == ("error", "exception", "AttributeError")
    assert Raft.write(name, ("set", "3", 3))[0] == "ok"
    Raft.stop(name)
    assert make_peer(CallsWhatItLikes, name=name, data_dir=tmp_path / "data")[1][0] == "ok"
    eventually(lambda: Raft.read(name, "all") == {"0": 0, "1": 1, "2": 2, "3": 3})


class HasAStateOfItsOwn(Ledger):
    def handle_write(self, command, state):
        self.state = "what the machine calls so"
        return super().handle_write(command, state)


@pytest.mark.parametrize("machine", [Ledger, HasAStateOfItsOwn])
def test_a_follower_far_behind_gets_the_state(make_peer, trio, machine):
    """Whatever attributes the machine has. Planted: `restore` finds the state in one of them."""
    names = trio(machine, snapshot_trailing=5, snapshot_chunk_bytes=1_000)
    leader = Raft.leader(names[0])[0]
    away = next(name for name in names if name != leader)
    path = peer_of(away).path
    Raft.stop(away)
    write_many(leader, 400)
    compact(leader, 200)
    make_peer(machine, name=away, data_dir=path)
    eventually(lambda: Raft.read(away, "all", consistency="stale") == expected(400))


def test_a_command_of_a_session_does_not_run_again_after_a_restart(make_peer, tmp_path):
    """Its reply is not known any more, and that is what its client is told."""
    options = {"data_dir": tmp_path / "data"}
    name = lone(make_peer, **options)
    cluster = Cluster(name)
    cluster.write(("set", "x", 1))
    session = cluster._client.session.number
    cluster.write(("set", "x", 2))
    Raft.stop(name)
    cluster.close()  # too late to end its session
    make_peer(Ledger, name=name, **options)
    eventually(lambda: Raft.read(name, "x") == 2)
    body = [WRITE, name, encoding.dumps(("set", "x", 1)), session, 1]
    answer = peers_here().router.request((name, peers_here().node.name), body).get(5)
    assert encoding.loads(answer) == ("error", "reply_forgotten")
    assert Raft.read(name, "x") == 2


class Counting(OnDiskStateMachine):
    def handle_write(self, command, state):
        state["runs"] = state.get("runs", 0) + 1
        return state["runs"], state

    def handle_read(self, query, state):
        return state.get("runs", 0)


def test_the_newest_command_of_a_session_does_not_run_again_after_a_restart(make_peer, tmp_path):
    """Planted: the sessions are brought to one entry before the state; then it runs twice."""
    options = {"data_dir": tmp_path / "data"}
    name, _ = make_peer(Counting, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    cluster = Cluster(name)
    assert [cluster.write("run") for _ in range(3)] == [1, 2, 3]
    session, index = cluster._client.session.number, peer_of(name).replica.applier.applied.index
    Raft.stop(name)
    cluster.close()
    state = DiskTable(tmp_path / "data" / "machine")
    assert (state.index, state["runs"]) == (index, 3)
    state.close()
    make_peer(Counting, name=name, **options)
    eventually(lambda: Raft.read(name, "runs") == 3)
    body = [WRITE, name, encoding.dumps("run"), session, 3]
    answer = peers_here().router.request((name, peers_here().node.name), body).get(5)
    assert encoding.loads(answer) == ("error", "reply_forgotten")
    assert Raft.read(name, "runs") == 3


PROGRAM = """
import sys, time
from pathlib import Path
from raft_actors import Raft
from tests.machine.test_on_disk import Ledger
Raft.start_peer(Ledger, name="peer", data_dir=Path(sys.argv[1]), snapshot_entries=50,
                snapshot_trailing=5)
Raft.set_configuration("peer", ["peer"])
while Raft.leader("peer") is None:
    time.sleep(0.01)
n = int(sys.argv[2])
state = Raft.read("peer", "all")
assert set(map(str, range(n))) <= set(state), (n, len(state))
while True:
    if Raft.write("peer", ("set", str(n), n))[0] == "ok":
        print(n, flush=True)
    n += 1
"""


def test_no_kill_at_any_moment_loses_what_was_acknowledged(tmp_path):
    known = 0
    for life in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), str(known)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for _ in range(120 + 31 * life):
            known = int(child.stdout.readline()) + 1
        child.kill()
        child.wait()
        known = max([known, *(int(line) + 1 for line in child.stdout if line.strip())])
        child.stdout.close()
    state = DiskTable(tmp_path / "data" / "machine")
    assert state.index > 400
    state.close()


def test_items_come_in_order_from_disk_and_from_what_has_changed(tmp_path):
    state = DiskTable(tmp_path)
    for number in range(0, 3_000, 2):
        state[f"k{number:04}"] = number
    state.commit()
    state.flush(1)
    for number in range(1, 3_000, 2):
        state[f"k{number:04}"] = number
    del state["k0010"]
    numbers = [number for number in range(3_000) if number != 10]
    assert [value for _key, value in state.items()] == numbers
    assert list(state.items("k00", start="k0008")) == [
        (f"k{number:04}", number) for number in numbers if 8 <= number < 100
    ]
    state.rollback()
    assert len(list(state.items())) == 1_500
    state.close()


class Unclosable:
    """A database that the full disk won't let close well."""

    def __init__(self, db):
        self.db = db

    def __getattr__(self, name):
        return getattr(self.db, name)

    def close(self):
        self.db.close()
        raise Exception("IO error: No space left on device")  # noqa: TRY002


def test_a_state_that_cannot_be_written_as_it_is_closed_is_left_to_the_log(tmp_path, caplog):
    state = DiskTable(tmp_path)
    state.db = Unclosable(state.db)
    state.close()
    assert "No space left on device; the log has the rest" in caplog.text


def test_whatever_closing_the_state_does_the_peer_can_start_again(make_peer, tmp_path, monkeypatch):
    """Planted: the store is not closed then; its lock stayed as long as the process."""
    name = lone(make_peer, data_dir=tmp_path / "data")
    write_many(name, 3)
    close = DiskTable.close

    def closes_badly(state):
        close(state)
        raise RuntimeError("odd")

    monkeypatch.setattr(DiskTable, "close", closes_badly)
    Raft.stop(name)
    monkeypatch.undo()
    assert make_peer(Ledger, name=name, data_dir=tmp_path / "data")[1][0] == "ok"
    eventually(lambda: Raft.read(name, "all") == expected(3))


@pytest.mark.parametrize("key", [1, 1.5, b"key", None, ("a", 1)])
def test_a_key_that_is_no_str_is_refused_with_what_it_is(tmp_path, key):
    """Planted: 'int' object has no attribute 'encode'."""
    state = DiskTable(tmp_path / "machine")
    uses = (lambda: state.get(key), lambda: state.__setitem__(key, 1), lambda: key in state)
    for use in uses:
        with pytest.raises(TypeError, match=f"is a str, not {type(key).__name__}: make"):
            use()
    state.close()
