"""`raft-actors recover inspect`, `entries` and `verify`, on directories sound and damaged."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime

import pytest
from typer.testing import CliRunner

from raft_actors import encoding
from raft_actors.core.entry import COMMAND, CONFIG, NOOP, VERSION, encode
from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.machine.sessions import END, NEW
from raft_actors.stores import open_store, segment
from raft_actors.stores.durable import key
from raft_actors.stores.store_record import FORMAT, write_record
from raft_actors.tools.commands import app
from raft_actors.tools.offline.entries import entry_view
from tests.ground.test_encoding import in_a_set
from tests.tools.offline.directories import OWNER, command, founding, make, record_of, take_snapshot


@pytest.fixture(params=["rocksdb", "lmdb", "files"])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


def run(*arguments):
    answer = CliRunner().invoke(app, ["recover", *map(str, arguments)])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def as_json(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def problems(path):
    answer = run("verify", path, "--json")
    found = json.loads(answer.stdout)["problems"]
    assert answer.exit_code == (1 if found else 0)
    return " ".join(found)


def changed(kind, path, change):
    store = open_store(kind, path)
    change(store)
    store.close()


def test_a_backup_in_the_place_of_a_directory_is_sent_where_it_belongs(path):
    make("rocksdb", path)
    backup = path.with_name("kv.backup")
    assert run("export", path, backup).exit_code == 0
    for verb in ("inspect", "entries"):
        with pytest.raises(StoreCorrupt, match=rf"recover verify {backup} checks it"):
            run(verb, backup)


def test_all_that_is_in_a_directory_is_shown(kind, path):
    make(kind, path, count=200, compacted=50, snapshot=60)
    found = as_json("inspect", path)
    assert found["store"]["owner"] == list(OWNER)
    assert found["store"]["kind"] == kind
    assert found["ballot"]["term"] == 3
    assert found["log"]["first"], found["log"]["last"] == (51, 200)
    assert found["terms"] == [[1, 51, 99], [3, 100, 200]]
    assert found["kinds"] == {"command": 150}
    assert [each["index"] for each in found["snapshots"]] == [60]
    assert found["snapshots"][0]["configuration"]["group"] == founding().group
    assert found["problems"] == []
    table = run("inspect", path).stdout
    for shown in (f"{kind}, format {FORMAT}", "kv:a@host", "51 to 200", "kv:c@host", "right"):
        assert shown in table


def test_configurations_and_entries_are_shown(kind, path):
    make(kind, path, count=20)
    found = as_json("inspect", path)
    assert [each["index"] for each in found["configurations"]] == [1]
    views = as_json("entries", path, "--from", 1, "--to", 4)
    assert [(view["index"], view["kind"]) for view in views] == [
        (1, "config"), (2, "noop"), (3, "command"), (4, "command"),
    ]  # fmt: skip
    assert views[2]["data"] == repr(("set", "key3", "v" * 100))
    assert views[2]["request"] == [3, 1]
    assert "key4" in run("entries", path, "--from", 4).stdout


def test_an_entry_that_can_not_be_read_on_this_machine_is_shown_as_its_bytes_are():
    """The hash of a moment needs the offset of its zone, which is not known here."""
    payload = in_a_set(datetime(2026, 1, 1, tzinfo=encoding.UnknownZone.of("Mars/Base")))
    assert entry_view(7, encode(1, COMMAND, payload, index=7))["data"] == repr(payload)


def test_what_is_asked_of_the_sessions_is_shown_as_that():
    """Planted: as a command of no bytes."""
    views = [
        entry_view(7, encode(1, COMMAND, request=request, index=7))
        for request in ((NEW, 0), (END, 7), (7, 3), (0, 0))
    ]
    assert [(view["kind"], view["data"]) for view in views] == [
        ("session", "('open', 7)"),
        ("session", "('end', 7)"),
        ("session", "('settle', 7, 3)"),
        ("command", "b''"),
    ]


def test_names_are_whole_in_eighty_columns_too(path):
    long_names = (
        OWNER,
        ("inventory_of_berlin", "b@warehouse"),
        ("inventory_of_munich", "c@warehouse"),
    )
    make("rocksdb", path, count=20, members=long_names)
    table = run("inspect", path).stdout
    assert all(f"{name}:{node}" in table for name, node in long_names), table
    assert founding(long_names).group in table


def test_a_sound_directory_is_sound(kind, path):
    make(kind, path, count=3_000, compacted=900, snapshot=1_000)
    answer = run("verify", path)
    assert answer.exit_code == 0
    assert "sound; 2,100 entries" in answer.stdout


def test_a_fresh_directory_is_sound(kind, path):
    open_store(kind, path).close()
    assert problems(path) == ""


def test_one_in_use_is_refused_and_one_that_is_none_too(kind, path):
    make(kind, path)
    store = open_store(kind, path)
    for order in ("inspect", "verify", "entries"):
        with pytest.raises(DataDirInUse, match=f"process {os.getpid()}"):
            run(order, path)
    store.close()
    with pytest.raises(StoreCorrupt, match=f"do you mean {path}"):
        run("verify", path.parent)
    with pytest.raises(StoreCorrupt, match="no data directory"):
        run("verify", path / "nowhere")
    assert not (path / "nowhere").exists()


DAMAGE = {
    "terms that fall": (
        lambda store: store.save(None, 201, [command(201, 2)]),
        "entry 201 is of term 2, after one of 3",
    ),
    "a term above the ballot's": (
        lambda store: store.save(None, 201, [command(201, 9)]),
        "entry 201 is of term 9, and the ballot knows 3 only",
    ),
    "an entry that is none": (
        lambda store: store.save(None, 201, [b"?"]),
        "entry 201 is not what its leader wrote there: its checksum is wrong",
    ),
    "an entry of another index": (
        lambda store: store.save(None, 201, [command(200, 3)]),
        "entry 201 is not what its leader wrote there: its checksum is wrong",
    ),
    "an entry of an unknown kind": (
        lambda store: store.save(None, 201, [encode(3, 77, index=201)]),
        "entry 201 is not what raft_actors writes",
    ),
    "a time that no clock shows": (
        lambda store: store.save(None, 201, [encode(3, COMMAND, b"x", time_ms=2**63, index=201)]),
        f"entry 201 is of a time that no clock shows: {2**63} ms",
    ),
    "a machine version that is none": (
        lambda store: store.save(None, 201, [encode(3, VERSION, b"", index=201)]),
        "entry 201 is no machine version",
    ),
    "a configuration that is none": (
        lambda store: store.save(None, 201, [encode(3, CONFIG, b"{}", index=201)]),
        "entry 201 is no configuration",
    ),
    "a configuration that the ballot doesn't name": (
        lambda store: store.save(
            None, 201, [encode(3, CONFIG, founding().settled().encode(), index=201)]
        ),
        "the ballot names entry 1 as the newest configuration, which is 201",
    ),
    "a configuration after a strange one": (
        lambda store: store.save(
            (3, None, 201), 201,
            [
                encode(3, CONFIG, founding().encode().replace(b'"previous": 0', b'"previous": 7'),
                       index=201)
            ],
        ),
        "names 7 as the one before it, which is 1",
    ),
    "a ballot of an unknown form": (
        lambda store: store.save((1, 2, 3, 4, 5, 6, 7, 8), 0, []),
        "the ballot can't be read",
    ),
    "a beginning that nothing stands for": (
        lambda store: store.compact(90, 1),
        "the log begins at entry 91, and no snapshot stands for those before it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_what_cannot_be_is_told(kind, path, what):
    change, expected = DAMAGE[what]
    changed(kind, make(kind, path), change)
    assert expected in problems(path)
    answer = run("verify", path)
    assert answer.exit_code == 1
    assert "move its data directory away" in answer.stdout


def test_entries_that_are_none_are_shown_with_what_is_wrong(kind, path):
    """Planted: they end the command with a traceback, and nothing is shown."""
    strange = {
        21: (b"short", "is not what its leader wrote there"),
        22: (encode(3, 77, b"unknown", index=22), "is not what raft_actors writes"),
        23: (encode(3, CONFIG, b"[1", index=23), "is no configuration"),
        24: (encode(3, CONFIG, b"[1]", index=24), "is no configuration"),
        25: (
            encode(3, COMMAND, b"\x01", time_ms=2**64 - 1, index=25),
            "a time that no clock shows",
        ),
        26: (encode(3, VERSION, b"much too long", index=26), "is no machine version"),
        27: (encode(3, NOOP, extensions=b"\0\1\0\1", index=27), "is not what raft_actors writes"),
    }
    entries = [
        *(entry for entry, _ in strange.values()),
        encode(3, COMMAND, b"\x07", (5, 6), extensions=b"\0\1\0\2\xab\xcd", index=28),
    ]  # fmt: skip
    changed(kind, make(kind, path, count=20), lambda store: store.save(None, 21, entries))
    views = {view["index"]: view for view in as_json("entries", path)}
    assert list(views) == list(range(1, 29))
    assert [index for index, view in views.items() if view["damage"]] == list(strange)
    assert all(what in views[index]["damage"] for index, (_, what) in strange.items())
    assert views[21]["data"] == repr(b"short")
    assert views[23]["data"] == repr(b"[1")
    assert views[28] == {
        "index": 28, "term": 3, "kind": "command", "time": None, "request": [5, 6], "data": "7",
        "extensions": {"1": "abcd"}, "damage": None,
    }  # fmt: skip
    shown = " ".join(run("entries", path, "--from", 20).stdout.split())
    assert shown.count("damage: it is") == len(strange)
    assert "5/6" in shown
    assert "extensions {'1': 'abcd'}" in shown


def test_what_is_not_in_the_encoding_of_the_terminal_is_shown_as_numbers(path):
    store = open_store("lmdb", path, OWNER)
    store.save((1, OWNER, 0), 1, [encode(1, COMMAND, encoding.dumps("é"), index=1)])
    store.close()
    code = "from raft_actors.tools.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", code, "recover", "entries", path], capture_output=True, text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert answer.returncode == 0, answer
    assert "'\\xe9'" in answer.stdout


def test_a_damaged_snapshot_is_told(kind, path):
    make(kind, path, snapshot=60, compacted=50)
    snapshot = next((path / "snapshots").iterdir())
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 1
    snapshot.write_bytes(data)
    assert f"{snapshot.name} is damaged at byte" in problems(path)
    assert "damaged" in run("inspect", path).stdout


def test_a_snapshot_that_is_cut_off_is_told(kind, path):
    make(kind, path, snapshot=60, compacted=50)
    snapshot = next((path / "snapshots").iterdir())
    snapshot.write_bytes(snapshot.read_bytes()[:-5])
    assert f"{snapshot.name} is cut off" in problems(path)


STRANGE = {
    "a file of others": ("notes.txt", "note: snapshots/notes.txt is no snapshot"),
    "a draft": ("9-9-1.draft", "note: snapshots/9-9-1.draft is not finished"),
    "a name that is none": ("x.snapshot", "peer/snapshots/x.snapshot is not named as a"),
    "a part that is none": ("x.part", "peer/snapshots/x.part is not named as a"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_strange_among_the_snapshots_is_told(path, what):
    """Planted: parts are not looked at; then all is sound, and the peer doesn't start."""
    name, expected = STRANGE[what]
    make("lmdb", path, snapshot=60)
    (path / "snapshots" / name).write_text("mine")
    assert expected in run("verify", path).stdout


def test_what_can_not_be_read_is_named_and_no_damage(path):
    """Whoever may not read a snapshot must not be told to move the directory away."""
    make("lmdb", path, snapshot=60)
    (path / "snapshots" / "9-9-9-00000009.snapshot").mkdir()
    with pytest.raises(StoreError, match=r"00000009.snapshot: Is a directory; move it away$"):
        run("verify", path)


@pytest.mark.parametrize("owner", ["missing", "7", '["kv", 7]', '["kv"]', '"kv"'])
def test_a_directory_that_names_no_owner_is_refused(path, owner):
    """Planted: the owner is not looked at; then commands end with a KeyError or a TypeError."""
    record = record_of(make("lmdb", path))
    if owner == "missing":
        del record["owner"]
    else:
        record["owner"] = json.loads(owner)
    write_record(path / "store.json", record)
    for order in ("inspect", "verify", "entries"):
        with pytest.raises(StoreCorrupt, match=r"store.json names no owner; .*move its data dir"):
            run(order, path)


def test_a_snapshot_of_another_history_is_told_and_no_damage(kind, path):
    make(kind, path)
    changed(kind, path, lambda store: take_snapshot(store, 60, 2))
    answer = run("verify", path)
    assert answer.exit_code == 0
    assert "will begin its log behind the snapshot" in answer.stdout


@pytest.mark.parametrize(("index", "term"), [(60, 2), (10_000, 1)])
def test_a_log_that_does_not_reach_a_snapshot_of_its_own_is_damage(kind, path, index, term):
    def taken(store):
        store.snapshots.reached(take_snapshot(store, index, term))

    make(kind, path)
    changed(kind, path, taken)
    assert f"the snapshot at entry {index} is of term {term}, and the log " in problems(path)


def test_a_flipped_bit_in_an_old_entry_is_told(kind, path, monkeypatch):
    monkeypatch.setattr(segment, "BYTES_MAX", 10_000)
    make(kind, path, count=2_000)
    store = open_store(kind, path)
    store.save(store.load().ballot, 0, [])  # so that a segment is closed
    store.close()
    patterns = {"rocksdb": "log.rocksdb/*.sst", "lmdb": "log.lmdb", "files": "log.files/*.log"}
    file = min(path.glob(patterns[kind]))
    data = bytearray(file.read_bytes())
    data[data.index(b"key777") + 30] ^= 1
    file.write_bytes(data)
    assert "is damaged" in problems(path)


def test_damage_that_no_peer_starts_with_is_refused_in_words(kind, path):
    make(kind, path)
    patterns = {"rocksdb": "log.rocksdb/CURRENT", "lmdb": "log.lmdb", "files": "log.files/*.log"}
    (file,) = path.glob(patterns[kind])
    file.unlink()
    for order in ("inspect", "verify"):
        with pytest.raises(StoreCorrupt, match="move its data directory away"):
            run(order, path)


def test_a_lost_page_of_lmdb_is_told(path):
    make("lmdb", path, count=2_000)
    file = path / "log.lmdb"
    data = file.read_bytes()
    file.write_bytes(data[: 20 * 4096] + bytes(4096) + data[21 * 4096 :])
    assert "log.lmdb: " in problems(path)


def longer(data, name):
    """Let the value of this key have 512 MiB."""
    data[data.rindex(name) - 5] ^= 0x20


BELIEVED = {
    "the length of an entry": lambda data: longer(data, key(7)),
    "the length of the ballot": lambda data: longer(data, b".ballot"),
    "the end of the file": lambda data: data.__delitem__(slice(len(data) // 2, None)),
}
COMMANDS = """
import sys
from typer.testing import CliRunner
from raft_actors import encoding
from raft_actors.tools.commands import app
path = sys.argv[1]
for order in (
    ["recover", "inspect", path],
    ["recover", "verify", path],
    ["recover", "entries", path],
    ["recover", "export", path, path + ".backup"],
    ["recover", "force-configuration", path, "kv:a@host", "--yes"],
    ["migrate", path, "--to", "rocksdb"],
    ["migrate", path, "--to", "lmdb"],
):
    answer = CliRunner().invoke(app, order)
    print(order[1], answer.exit_code, type(answer.exception).__name__, answer.exception, "|",
          " ".join(answer.output.split()), flush=True)
"""


@pytest.mark.parametrize("damage", BELIEVED)
def test_what_lmdb_would_believe_is_refused_by_every_command(path, damage):
    """Planted: the store is opened, or read, before it is looked at; then SIGBUS ends it."""
    store = open_store("lmdb", path, OWNER)
    store.save((1, OWNER, 0), 1, [encode(1, COMMAND, b"x" * 5_000, index=1)] * 20)
    store.close()
    file = path / "log.lmdb"
    data = bytearray(file.read_bytes())
    BELIEVED[damage](data)
    file.write_bytes(data)
    child = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(path)], capture_output=True, text=True
    )
    assert child.returncode == 0, child
    shown, verified, entries, exported, forced, *migrated = child.stdout.splitlines()
    assert shown.startswith("inspect 0 ")
    assert "log.lmdb: " in shown
    assert verified.startswith("verify 1 SystemExit")
    assert "damage: log.lmdb: " in verified
    assert " CannotForce " in forced
    for refused in (entries, *migrated):
        assert f" StoreCorrupt {path} is damaged (log.lmdb: " in refused
        assert "move its data directory away" in refused
    assert f"StoreCorrupt no backup is made, for {path} is damaged: log.lmdb: " in exported
    assert "take another backup, of another member" in exported
    assert not path.with_name("peer.backup").exists()
    assert file.read_bytes() == data


def test_a_torn_tail_is_told_and_no_damage(path, tmp_path):
    store = open_store("rocksdb", path, OWNER)
    store.save((1, OWNER, 0), 1, [encode(1, COMMAND, b"x", index=1)])
    store.save(None, 2, [encode(1, COMMAND, b"y" * 1_000, index=2)])
    crashed = shutil.copytree(path, tmp_path / "crashed")
    store.close()
    log = next(log for log in (crashed / "log.rocksdb").glob("*.log") if log.stat().st_size)
    log.write_bytes(log.read_bytes()[:-10])
    answer = run("verify", crashed)
    assert answer.exit_code == 0
    assert "ended within a save, which is cut off" in answer.stdout
    assert as_json("inspect", crashed)["log"]["last"] == 1
