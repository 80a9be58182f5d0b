"""`raft-actors recover replay` and `diff`: states of before, made on a copy."""

import ast
import json
import os
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from raft_actors import Cluster, OnDiskStateMachine, Raft, StateMachine
from raft_actors.core.entry import CONFIG, encode
from raft_actors.effects import Tell, Timer, TimerFired
from raft_actors.errors import DataDirInUse, MachineTooOld, StoreCorrupt, StoreError
from raft_actors.kv_store import KVStore
from raft_actors.replica.carrier import Carrier
from raft_actors.stores import open_store
from raft_actors.stores.durable import key
from raft_actors.tools.commands import app
from raft_actors.tools.launch import CannotLaunch
from raft_actors.tools.offline.history import CannotReplay
from tests.helpers import eventually
from tests.tools.offline import directories
from tests.tools.offline.directories import MEMBERS, OWNER, founding
from tests.tools.offline.replayed import (
    STATES,
    Shelf,
    ShelfOnDisk,
    Sum,
    log_of,
    make,
    plain_command,
)
from tests.tools.offline.test_examine import as_json, run

FOREIGN = "examples.sqlite_log_store:SqliteLog"
SHELF = ("--machine", "tests.tools.offline.replayed:Shelf")


@pytest.fixture(params=["rocksdb", "lmdb", FOREIGN], ids=["rocksdb", "lmdb", "foreign"])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where temporary files go; nothing is left in it."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    yield path
    assert list(path.iterdir()) == []


@pytest.fixture
def untouched(path):
    """Whether or not it could be replayed, nothing in the directory has changed."""
    before = {}
    yield lambda: before.update(files_in(path))
    assert before
    assert files_in(path) == before


def files_in(path):
    return {
        str(each.relative_to(path)): (each.stat().st_mtime_ns, each.is_file() and each.read_bytes())
        for each in [path, *path.rglob("*")]
    }


def state_of(view):
    return {ast.literal_eval(key): ast.literal_eval(value) for key, value in view["state"]["rows"]}


def of(kind):
    """A class that wrote a directory is imported only where it is named."""
    return ("--store", kind) if kind == FOREIGN else ()


def replayed(path, to, *more, machine=SHELF):
    return as_json("replay", path, *machine, "--to", to, *more)


@pytest.mark.parametrize("snapshots", [(), (6,), (5, 10)])
def test_the_state_after_any_entry_is_that_of_a_replica(kind, path, snapshots, untouched):
    make(kind, path, snapshots=snapshots)
    untouched()
    for index, state in STATES.items():
        view = replayed(path, index, "--uncommitted", *of(kind))
        assert state_of(view) == state, index
        assert view["index"] == index
        assert view["snapshot"] == max((each for each in snapshots if each <= index), default=0)
        assert view["version"] == (2 if index >= 9 else 1)
        assert view["sessions"] == (1 if index >= 3 else 0)
        assert view["committed"] == max(snapshots, default=0)


@pytest.mark.parametrize("snapshots", [(), (6,), (5, 10)])
def test_a_machine_whose_state_is_on_disk_is_replayed_elsewhere(path, snapshots, untouched):
    make("rocksdb", path, machine=ShelfOnDisk, snapshots=snapshots)
    (path / "machine").mkdir()
    (path / "machine" / "CURRENT").write_text("of the peer, and not looked at")
    untouched()
    on_disk = ("--machine", "tests.tools.offline.replayed:ShelfOnDisk")
    for index, state in STATES.items():
        assert state_of(replayed(path, index, "--uncommitted", machine=on_disk)) == state, index
    found = as_json("diff", path, 6, 12, *on_disk, "--uncommitted")
    assert found["added"] == [["'c'", "'THREE'"], ["'keys'", "'2'"]]


def test_what_changed_is_told_with_the_commands_that_changed_it(kind, path, untouched):
    make(kind, path, snapshots=(5,))
    untouched()
    found = as_json("diff", path, 5, 12, *SHELF, "--uncommitted", *of(kind))
    assert found["added"] == [["'keys'", "'2'"], ["'c'", "'THREE'"]]
    assert found["removed"] == [["'b'", "'two'"]]
    assert found["changed"] == [["'a'", "'one'", "'FOUR'"]]
    assert found["replaced"] is None
    assert (found["from"]["version"], found["to"]["version"]) == (1, 2)
    assert [
        (each["index"], each["term"], each["kind"], each["request"], each["first"], each["reply"])
        for each in found["commands"]
    ] == [
        (6, 1, "command", [3, 1], 4, "'ok'"),
        (7, 1, "command", [0, 0], None,
         "('error', ('exception', 'ValueError', 'no whole'))"),
        (8, 1, "command", [0, 0], None, """('error', ('exception', 'KeyError', "'nothing'"))"""),
        (9, 2, "version", [0, 0], None, None),
        (10, 2, "command", [3, 3], None, "'ok'"),
        (11, 2, "command", [3, 4], None, "'ok'"),
        (12, 2, "command", [0, 0], None, "'ok'"),
    ]  # fmt: skip
    assert found["commands"][0]["time"] == "2027-01-15T08:00:06+00:00"


def test_a_state_that_is_no_mapping_is_shown_whole(path):
    make("lmdb", path, machine=Sum, snapshots=(8,))
    of_sum = ("--machine", "tests.tools.offline.replayed:Sum")
    assert replayed(path, 8, machine=of_sum)["state"] == {"type": "int", "value": "4"}
    found = as_json("diff", path, 4, 8, *of_sum)
    assert found["replaced"] == ["1", "4"]
    assert "the state is the same" in run("diff", path, 5, 6, *of_sum).stdout


class Boxed(StateMachine):
    """A state that is no term, and whose snapshot is."""

    class Box:
        def __init__(self, items):
            self.items = dict(items)

    def init(self, name):
        return self.Box({})

    def handle_write(self, command, state):
        return None, self.Box({**state.items, command[1]: command[0]})

    def handle_read(self, query, state):
        return None

    def snapshot(self, state):
        return state.items

    def restore(self, data):
        return self.Box(data)


def test_a_state_of_a_class_of_its_own_is_shown_as_its_snapshot_holds_it(path):
    make("lmdb", path, machine=Boxed, snapshots=(8,))
    boxed = ("--machine", f"{__name__}:Boxed")
    view = replayed(path, 5, machine=boxed)
    assert (view["state"]["type"], state_of(view)) == ("Box", {"a": "set", "b": "set"})
    found = as_json("diff", path, 4, 5, *boxed)
    assert found["added"] == [["'b'", "'set'"]]


def test_tables_fit_into_eighty_columns(path):
    make("lmdb", path, snapshots=(12,))
    state = run("replay", path, *SHELF, "--to", 12).stdout
    for shown in ("kv:a@host after entry 12", "the snapshot of entry 12", "'FOUR'", "UndoDict"):
        assert shown in state
    changes = run("diff", path, 5, 12, *SHELF).stdout
    for shown in ("added", "removed", "changed", "'THREE'", "3/3", "2027-01-15T08:00:10", "1, then",
                  "as at entry 4", "'ValueError'"):  # fmt: skip
        assert shown in changes, shown
    lines = (state + changes).splitlines()
    assert max(map(len, lines)) <= 80
    assert "may never have been committed" not in state + changes


def test_an_entry_that_is_not_known_to_be_committed_is_replayed_if_asked_only(path, untouched):
    make("rocksdb", path, snapshots=(6,))
    untouched()
    with pytest.raises(CannotReplay, match=r"shows it up to entry 6\. .*then add --uncommitted"):
        run("replay", path, *SHELF, "--to", 7)
    with pytest.raises(CannotReplay, match=r"entry 7 .* may never have been committed"):
        run("diff", path, 5, 7, *SHELF)
    shown = run("replay", path, *SHELF, "--to", 7, "--uncommitted").stdout
    assert "entries after 6 may never have been committed" in shown
    with pytest.raises(CannotReplay, match="ends at entry 14: it has no entry 15"):
        run("replay", path, *SHELF, "--to", 15, "--uncommitted")


def configuration(index, previous, members=MEMBERS, **record):
    fields = json.loads(founding(members).encode()) | {"previous": previous} | record
    return encode(2, CONFIG, json.dumps(fields).encode(), index=index)


def test_a_later_configuration_proves_the_one_before_it_committed(path, tmp_path):
    entries = [*log_of(), configuration(15, 1), configuration(16, 15)]
    make("lmdb", path, entries=entries, configuration=16)
    assert replayed(path, 15)["committed"] == 15
    forced = [*log_of(), configuration(15, 1, forced={"by": "somebody", "at": "once"})]
    make("lmdb", tmp_path / "forced", entries=forced, configuration=15)
    assert replayed(tmp_path / "forced", 0)["committed"] == 0


def test_the_whole_log_of_an_only_voter_is_committed(path):
    make("lmdb", path, members=(OWNER,))
    assert state_of(replayed(path, 14)) == STATES[14]


def test_what_is_compacted_is_refused_and_the_next_state_named(kind, path, untouched):
    make(kind, path, snapshots=(6, 10), compacted=8)
    untouched()
    assert state_of(replayed(path, 6, *of(kind))) == STATES[6]
    assert state_of(replayed(path, 11, "--uncommitted", *of(kind))) == STATES[11]
    with pytest.raises(CannotReplay, match=r"entry 4 .* entries 1 to 8 are .* after entry 6"):
        run("replay", path, *SHELF, "--to", 4, *of(kind))
    with pytest.raises(CannotReplay, match=r"entry 8 .* entries 7 to 8 are .* after entry 10"):
        run("replay", path, *SHELF, "--to", 8, *of(kind))
    with pytest.raises(CannotReplay, match=r"entries 7 to 8 of .* are compacted"):
        run("diff", path, 6, 10, *SHELF, *of(kind))


def test_a_directory_in_use_is_refused_and_one_that_is_none_too(kind, path, tmp_path):
    make(kind, path, snapshots=(6,))
    store = open_store(kind, path)
    with pytest.raises(DataDirInUse, match=f"{path} is in use by process {os.getpid()}"):
        run("replay", path, *SHELF, "--to", 6, *of(kind))
    store.close()
    with pytest.raises(StoreCorrupt, match=f"{tmp_path} is no data directory"):
        run("replay", tmp_path, *SHELF, "--to", 6, *of(kind))


def test_a_class_that_only_the_directory_names_is_not_imported(path):
    make(FOREIGN, path)
    with pytest.raises(StoreError, match="is imported only if you name it"):
        run("replay", path, *SHELF, "--to", 0)


def test_a_peer_that_starts_meanwhile_is_refused(path, monkeypatch):
    """Planted: the lock is not taken; then half of the copy may be of another moment."""
    make("lmdb", path, snapshots=(6,))
    refused = []
    copy = shutil.copyfile

    def start_meanwhile(*arguments, **options):
        with pytest.raises(DataDirInUse):
            open_store("lmdb", path)
        refused.append(1)
        return copy(*arguments, **options)

    monkeypatch.setattr(shutil, "copyfile", start_meanwhile)
    run("replay", path, *SHELF, "--to", 6)
    assert refused
    (path / "lock").unlink()
    started = []

    def start_without_lock(*arguments, **options):
        if not started:
            started.append(open_store("lmdb", path))
        return copy(*arguments, **options)

    monkeypatch.setattr(shutil, "copyfile", start_without_lock)
    with pytest.raises(DataDirInUse):
        run("replay", path, *SHELF, "--to", 6)
    started[0].close()


def test_a_witness_has_no_state_to_show(path, tmp_path):
    make("lmdb", path)

    def make_witness(store):
        known = [[OWNER, store.directory.incarnation]]
        entry = configuration(15, 1, witnesses=[OWNER], incarnations=known)
        store.save((2, OWNER, 15), 15, [entry])

    with_store(path, make_witness)
    with pytest.raises(CannotReplay, match="is a witness's, which keeps no state"):
        run("replay", path, *SHELF, "--to", 0)
    other = make("lmdb", tmp_path / "other")
    with_store(other, lambda store: directories.take_snapshot(store, 6, 1, kind="witness"))
    with pytest.raises(CannotReplay, match="is a witness's, which keeps no state"):
        run("replay", other, *SHELF, "--to", 6)


def test_a_directory_of_no_group_has_nothing_to_replay(path):
    open_store("lmdb", path, OWNER).close()
    with pytest.raises(CannotReplay, match="is of no group"):
        run("replay", path, *SHELF, "--to", 0)


def with_store(path, change, kind="lmdb"):
    store = open_store(kind, path)
    change(store)
    store.close()


def test_from_a_damaged_directory_nothing_is_replayed(path, untouched):
    make("lmdb", path, snapshots=(6,))
    with_store(path, lambda store: store.save(None, 14, [plain_command(13, ("set", "d", "x"))]))
    untouched()
    with pytest.raises(StoreCorrupt, match=f"{path} is damaged: entry 14 is not what its leader"):
        run("replay", path, *SHELF, "--to", 6)


def test_a_flipped_bit_in_the_database_names_the_directory_and_not_its_copy(path, untouched):
    make("rocksdb", path)
    with_store(path, lambda store: store.db.put(key(5), b"?"), "rocksdb")
    untouched()
    with pytest.raises(StoreCorrupt, match="entry 5 is not what its leader wrote") as caught:
        run("diff", path, 3, 6, *SHELF, "--uncommitted")
    assert "raft-actors-replay" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_gone_names_the_directory_and_not_its_copy(path, kind, untouched):
    make(kind, path)
    database = path / f"log.{kind}"
    shutil.rmtree(database) if database.is_dir() else database.unlink()
    untouched()
    with pytest.raises(StoreCorrupt, match=str(path)) as caught:
        run("replay", path, *SHELF, "--to", 0, *of(kind))
    assert "raft-actors-replay" not in str(caught.value)


def test_a_damaged_snapshot_is_refused(path, untouched):
    make("lmdb", path, snapshots=(6,))
    (file,) = path.glob("snapshots/*.snapshot")
    file.write_bytes(file.read_bytes()[:-9] + b"?" + file.read_bytes()[-8:])
    untouched()
    with pytest.raises(StoreCorrupt, match=f"nothing is replayed, for {path} is damaged"):
        run("replay", path, *SHELF, "--to", 2)


@pytest.mark.parametrize("snapshots", [(), (10,)])
def test_a_backup_is_replayed_like_the_directory_that_it_was_made_of(path, tmp_path, snapshots):
    make("lmdb", path, snapshots=snapshots)
    file = tmp_path / "peer.backup"
    run("export", path, file)
    for index in (11, 12, 14):
        assert state_of(replayed(file, index, "--uncommitted")) == STATES[index]
    found = as_json("diff", file, 10, 12, *SHELF, "--uncommitted")
    assert found["removed"] == [["'b'", "'two'"]]
    if snapshots:
        with pytest.raises(CannotReplay, match="entries 1 to 10 are compacted"):
            run("replay", file, *SHELF, "--to", 4)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(StoreCorrupt, match="take another backup"):
        run("replay", file, *SHELF, "--to", 10)


class Raising(StateMachine):
    def init(self, name):
        raise ValueError("nothing to begin with")


class Old(Shelf):
    version = 1


def test_a_machine_that_can_not_do_it_is_refused_in_words(path):
    make("lmdb", path)
    for name, error, text in (
        ("nothing", CannotLaunch, "module:Class"),
        ("no.such.module:Shelf", CannotLaunch, "no module named 'no'"),
        (f"{__name__}:files_in", CannotLaunch, "is no state machine"),
        (f"{__name__}:Raising", CannotReplay, "ValueError: nothing to begin with"),
        (f"{__name__}:Old", MachineTooOld, "its group runs version 2 of Old"),
    ):
        with pytest.raises(error, match=text):
            run("replay", path, "--machine", name, "--to", 9, "--uncommitted")
    assert state_of(replayed(path, 8, "--uncommitted", machine=("--machine", f"{__name__}:Old")))


def test_entries_in_the_wrong_order_are_refused(path):
    make("lmdb", path)
    answer = CliRunner().invoke(app, ["recover", "diff", str(path), "7", "5", *SHELF])
    assert answer.exit_code == 2
    assert "swap them" in answer.stderr


class Loud(KVStore):
    def handle_write(self, command, state):
        print("a line of the machine's own")
        return super().handle_write(command, state)


def test_what_a_machine_prints_is_not_mixed_into_the_answer(path):
    make("lmdb", path)
    loud = ("--machine", f"{__name__}:Loud")
    answer = run("replay", path, *loud, "--to", 5, "--uncommitted", "--json")
    assert "a line of the machine's own" not in answer.stdout
    assert state_of(json.loads(answer.stdout)) == {"a": "one", "b": "two"}


class Ledger(OnDiskStateMachine):
    def handle_write(self, command, state):
        _set, key, value = command
        state[key] = value
        return "ok", state

    def handle_read(self, query, state):
        return dict(state.items())


class Readable(KVStore):
    def handle_read(self, query, state):
        return dict(state)


@pytest.mark.parametrize("machine", [Readable, Ledger])
@pytest.mark.parametrize("store", ["rocksdb", "lmdb"])
def test_a_real_peers_states_are_had_again(make_peer, path, machine, store, untouched, tmp_path):
    """With a snapshot in between, and a backup of the running peer."""
    options = {"data_dir": path, "log_store": store}
    name, _ = make_peer(machine, snapshot_trailing=1_000, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    states = {}
    cluster = Cluster(name)
    for number in range(12):
        cluster.write(("set", f"key{number % 5}", number))
        states[Raft.status(name)[1]["last_applied"]] = Raft.read(name, "all")
        if number == 5:
            assert Raft.snapshot(name)[0] == "ok"
    with pytest.raises(DataDirInUse):
        run("replay", path, "--machine", f"{__name__}:{machine.__name__}", "--to", 1)
    backup = tmp_path / "running.backup"
    ok, index = Raft.backup(name, backup)
    assert ok == "ok"
    cluster.close()
    Raft.stop_peer(name)
    untouched()
    named = ("--machine", f"{__name__}:{machine.__name__}")
    for each, state in states.items():
        assert state_of(replayed(path, each, machine=named)) == state, each
    assert state_of(replayed(backup, index, machine=named)) == states[max(states)]


class Dated(StateMachine):
    """Keeps what `meta` says of each command, and has effects, of which a timer comes back."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        meta = self.meta
        key = f"fired {command.name}" if isinstance(command, TimerFired) else command
        state[f"{key} at {meta.index}"] = (meta.index, meta.term, meta.time_ms, meta.request)
        if isinstance(command, TimerFired):
            return None, state
        return meta.index, state, [Timer(f"t{command}", 0.01), Tell("nobody", 1)]

    def handle_read(self, query, state):
        return state


def test_meta_and_what_effects_led_to_are_had_again_and_nothing_is_carried_out(
    make_peer, path, untouched, monkeypatch
):
    name, _ = make_peer(Dated, data_dir=path)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name) as cluster:
        for number in range(4):
            cluster.write(number)
        eventually(lambda: sum("fired" in key for key in cluster.read("all")) == 4)
        state = cluster.read("all")
    last = max(index for index, *_ in state.values())
    Raft.stop_peer(name)
    untouched()
    carried_out = []
    monkeypatch.setattr(Carrier, "look", lambda *_: carried_out.append(1))
    named = ("--machine", f"{__name__}:Dated")
    assert state_of(replayed(path, last, machine=named)) == state
    assert carried_out == []


def test_the_command_itself_says_in_one_line_why_not(path):
    make("lmdb", path)
    command = [sys.executable, "-m", "raft_actors", "recover", "replay", path, *SHELF, "--to", "9"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("raft-actors: entry 9 of ")
    assert ended.stderr.count("\n") == 1
