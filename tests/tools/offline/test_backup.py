"""Backups: written, checked, and restored as the beginning of a new group."""

import json
import os
import resource
import subprocess
import sys
from contextlib import closing

import pytest

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import command_of, encode
from raft_actors.errors import REJOIN, DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import open_store
from raft_actors.stores.backup_file import (
    BackupHeader,
    BackupWriter,
    blocks_of,
    read_header,
)
from raft_actors.stores.blocks import framed
from raft_actors.stores.snapshots import PIECE, Snapshots
from raft_actors.tools.offline import backup
from raft_actors.tools.offline.backup import drafted, export_backup, verify_backup
from raft_actors.tools.offline.examine import Examined
from raft_actors.tools.offline.force_configuration import CannotForce
from raft_actors.tools.offline.stopped_peer import batches, stopped
from tests.tools.offline.directories import OWNER, founding, log_of, make, record_of, take_snapshot
from tests.tools.offline.test_examine import run

OTHER = ("restored", "z@elsewhere")


@pytest.fixture(params=["rocksdb", "lmdb", "files"])
def kind(request):
    return request.param


@pytest.fixture
def file(tmp_path):
    return tmp_path / "monday.backup"


def restore(file, path, kind="rocksdb"):
    return run("import", file, path, "--peer", ":".join(OTHER), "--to", kind)


@pytest.mark.parametrize("snapshot", [0, 150, 200])
def test_what_was_exported_is_what_is_imported(kind, tmp_path, file, snapshot):
    source = make(kind, tmp_path / "peer", snapshot=snapshot, compacted=max(snapshot - 20, 0))
    assert run("export", source, file).exit_code == 0
    assert "all up to entry 200" in run("verify", file).stdout
    assert json.loads(run("verify", file, "--json").stdout) == {"notes": [], "problems": []}
    other = {"rocksdb": "files", "lmdb": "rocksdb", "files": "lmdb"}[kind]
    assert restore(file, tmp_path / "new", other).exit_code == 0
    assert run("verify", tmp_path / "new").exit_code == 0
    assert record_of(tmp_path / "new")["owner"] == list(OTHER)
    with stopped(tmp_path / "new") as store:
        saved = store.load()
        entries = store.entries(saved.first, saved.last)
        pieces = list(store.snapshots.pieces(store.snapshots.newest())) if snapshot else []
    assert (saved.first, saved.last) == (snapshot + 1, 201)
    assert entries[:-1] == log_of(200)[snapshot:]
    assert [len(piece) for kind, piece in pieces if kind == PIECE] == (
        [snapshot - 2] if snapshot else []
    )
    payload = command_of(entries[-1])[0]
    configuration = Configuration.decode(payload, 201)
    assert configuration.members == (OTHER,)
    assert configuration.group != founding().group
    record = json.loads(payload)["forced"]
    assert record["group"] == founding().group
    assert record["backup_made_at"] == read_header(file).made_at
    assert Ballot(*saved.ballot).term == 4
    assert Ballot(*saved.ballot).voted_for == OTHER


def test_large_entries_are_held_a_few_at_a_time(tmp_path):
    """Planted: 64 are read before their sizes are looked at; of the largest that is half a GiB."""
    entry = bytes(1 << 20)
    with closing(open_store("lmdb", tmp_path / "peer", OWNER)) as store:
        store.save((1, OWNER, 0), 1, [entry] * 70)
        parts = [len(entries) for _, entries in batches(store, 1, 70)]
    assert sum(parts) == 70
    assert max(parts) * len(entry) <= 12 << 20


def test_a_backup_is_never_written_over(tmp_path, file):
    source = make("lmdb", tmp_path / "peer")
    file.write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        run("export", source, file)
    assert file.read_text() == "mine"
    with pytest.raises(StoreError, match="is no directory: make it first"):
        run("export", source, tmp_path / "nowhere" / "backup")
    assert not (tmp_path / "nowhere").exists()


def test_a_path_that_can_not_be_is_told(tmp_path, file):
    source = make("lmdb", tmp_path / "peer")
    run("export", source, file)
    long = tmp_path / ("x" * 300)
    orders = (
        ("export", source, long),
        ("verify", long),
        ("import", long, tmp_path / "new", "--peer", "a:b@c"),
        ("import", file, long, "--peer", "a:b@c"),
    )
    for order in orders:
        with pytest.raises(StoreError, match="File name too long"):
            run(*order)
    with pytest.raises(StoreError, match="/ is there already"):
        restore(file, "/")


def test_a_directory_is_never_restored_over(tmp_path, file):
    run("export", make("lmdb", tmp_path / "peer"), file)
    with pytest.raises(StoreError, match="is there already"):
        restore(file, tmp_path / "peer")
    assert run("verify", tmp_path / "peer").exit_code == 0


def test_a_name_that_is_a_link_to_nowhere_is_taken(tmp_path, file):
    """Planted: `exists`; then the refusal is of a directory that nobody has heard of."""
    run("export", make("lmdb", tmp_path / "peer"), file)
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(StoreError, match=r"link is there already"):
        restore(file, link)
    assert sorted(each.name for each in tmp_path.iterdir() if "importing" in each.name) == []


def test_a_directory_in_use_is_not_exported(tmp_path, file):
    source = make("rocksdb", tmp_path / "peer")
    with stopped(source), pytest.raises(DataDirInUse, match=f"process {os.getpid()}"):
        run("export", source, file)
    assert not file.exists()


def test_a_directory_of_no_group_is_not_exported(tmp_path, file):
    open_store("lmdb", tmp_path / "fresh", OWNER).close()
    with pytest.raises(CannotForce, match="nothing to back up"):
        run("export", tmp_path / "fresh", file)


def test_a_snapshot_of_another_history_takes_the_place_of_the_log(tmp_path, file):
    """As when the peer starts: what is after it is not of its history."""
    source = make("lmdb", tmp_path / "peer")
    with stopped(source) as store:
        take_snapshot(store, 60, 2)
    run("export", source, file)
    assert read_header(file).last == 60


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_a_damaged_backup_is_refused(tmp_path, file, place):
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    data = bytearray(file.read_bytes())
    data[int(len(data) * place)] ^= 4
    file.write_bytes(data)
    for order in (lambda: run("verify", file), lambda: restore(file, tmp_path / "new")):
        with pytest.raises(StoreCorrupt, match=r"take another backup|no backup of raft_actors"):
            order()
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, "peer"]


def test_a_backup_that_is_cut_off_is_refused_wherever_that_is(tmp_path, file):
    """Planted: no END block is asked for; then a file cut between two blocks is taken."""
    run("export", make("lmdb", tmp_path / "peer", count=20), file)
    data = file.read_bytes()
    ends, at = [], 0
    while at < len(data):
        ends.append(at)
        at += 8 + int.from_bytes(data[at : at + 4], "big")
    for length in {*range(0, len(data), 97), *ends}:
        file.write_bytes(data[:length])
        with pytest.raises(StoreCorrupt):
            verify_backup(file)


def rotten(path):
    """Flip a bit in a stopped peer's snapshot, after its header."""
    snapshot = next((path / "snapshots").glob("*.snapshot"))
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 4
    snapshot.write_bytes(data)
    return path


def test_a_snapshot_that_was_damaged_before_makes_no_backup(tmp_path, file):
    """Planted: only the checksums of blocks are looked at; then it is found out by the import."""
    source = rotten(make("lmdb", tmp_path / "peer", snapshot=100, compacted=50))
    with pytest.raises(StoreCorrupt, match=r"no backup is made, .* take another backup") as told:
        run("export", source, file)
    assert REJOIN not in str(told.value)
    assert [each.name for each in tmp_path.iterdir()] == ["peer"]


def test_a_damaged_directory_stays_as_it_is(tmp_path, file):
    """Planted: it is not looked at first; then its ballot is put right, as by a start, and `verify`
    calls it sound afterwards.
    """
    source = make("lmdb", tmp_path / "peer")
    with stopped(source) as store:
        take_snapshot(store, 60, 2)
        store.save((3, OWNER, 7), 0, [])
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="the ballot names entry 7 as the newest config"):
            run("export", source, file)
    assert run("verify", source).exit_code == 1


def test_a_damaged_snapshot_in_a_backup_is_noticed_by_verify(tmp_path, file):
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    rotten(tmp_path / "peer")
    snapshot = next((tmp_path / "peer" / "snapshots").iterdir()).read_bytes()
    blocks = list(blocks_of(file))
    assert [block[:1] for block in blocks] == [b"h", b"s", b"l", b"e"]
    blocks[1] = b"s" + snapshot
    file.write_bytes(b"".join(map(framed, blocks)))
    with pytest.raises(StoreCorrupt, match=r"snapshot in .*monday.backup is not what its peer"):
        run("verify", file)
    answer = run("verify", file, "--json")
    assert answer.exit_code == 1
    (problem,) = json.loads(answer.stdout)["problems"]
    assert "is not what its peer wrote" in problem


@pytest.mark.parametrize("number", [1, 2, 3])
def test_blocks_that_hold_no_term_are_told(tmp_path, file, number):
    """Their checksums are right: a version that nobody knows wrote them, or a bad memory."""
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    blocks = list(blocks_of(file))
    blocks[number] = b"l\xff\xff\xff"
    file.write_bytes(b"".join(map(framed, blocks)))
    with pytest.raises(StoreCorrupt, match=r"holds what it should not: .* take another backup"):
        verify_backup(file)


def writer_of(file):
    entries = log_of(3)
    header = BackupHeader(
        "2026-01-01", OWNER, 1, 1, 3, founding().encode(), 1, snapshot=(0, 0, 0, 0)
    )
    writer = BackupWriter(file, header)
    writer.__enter__()
    writer.add_entries(entries)
    return writer


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_backups_to_one_name_one_is_whole_and_one_refused(file, monkeypatch, has_links):
    """Planted: they share a draft; then both answer that all is well, and the file is garbage."""
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    one, other = writer_of(file), writer_of(file)
    one.add_entries([])
    other.finish()
    content = file.read_bytes()
    with pytest.raises(StoreError, match="is there already"):
        one.finish()
    for writer in (one, other):
        writer.__exit__()
    assert file.read_bytes() == content
    assert verify_backup(file).last == 3
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def refuse_links(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_a_disk_that_refuses_a_backup_is_told_and_nothing_stays(tmp_path, file, room):
    told = write_with_room(make("lmdb", tmp_path / "peer"), file, room)
    why = "File too large; let this process write larger files: ulimit -f"
    assert told == f"{file} can't be written: {why}, or choose another place"
    assert [each.name for each in tmp_path.iterdir()] == ["peer"]


def write_with_room(source, file, room):
    """Export while no file of this process may grow beyond `room` bytes; return what it told."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with stopped(source) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(StoreError) as told:
                export_backup(store, file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return str(told.value)


def test_of_two_imports_at_once_the_second_is_told_to_wait(tmp_path, file):
    """Planted: no lock; then it removes what the first has written."""
    run("export", make("lmdb", tmp_path / "peer"), file)
    with drafted(tmp_path / "new") as draft:
        draft.mkdir()
        with pytest.raises(StoreError, match=r"another import into .* is under way: wait for it"):
            restore(file, tmp_path / "new")
    assert (tmp_path / "new").is_dir()


def test_an_entry_that_is_none_makes_no_backup_and_is_noticed_in_one(tmp_path, file, monkeypatch):
    """Planted: entries are looked at by the import only, which ended in a struct.error."""
    source = make("lmdb", tmp_path / "peer", count=20)
    with stopped(source) as store:
        store.save(None, 21, [encode(3, 77, index=21)])
    with pytest.raises(StoreCorrupt, match=r"entry 21 is not what .* take another backup") as told:
        run("export", source, file)
    assert REJOIN not in str(told.value)
    assert not file.exists()
    monkeypatch.setattr(backup, "examine", lambda _: Examined("", {}))
    run("export", source, file)
    monkeypatch.undo()
    for order in (lambda: run("verify", file), lambda: restore(file, tmp_path / "new")):
        with pytest.raises(StoreCorrupt, match="entry 21 is not what"):
            order()
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, "peer"]


def test_what_fails_in_an_import_is_not_told_as_a_peers_damage(tmp_path, file, monkeypatch):
    """There is no data directory to be moved away yet."""
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    monkeypatch.setattr(Snapshots, "finish", disbelieve)
    with pytest.raises(StoreCorrupt, match=r"monday.backup can't be restored: .*another backup$"):
        restore(file, tmp_path / "new")
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, "peer"]


def disbelieve(*_):
    raise StoreCorrupt(f"it is not what was sent, or written; {REJOIN}")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(100)])
def test_what_is_no_backup_is_refused(tmp_path, file, content):
    file.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"no backup|cut off|damaged"):
        restore(file, tmp_path / "new")
    with pytest.raises(StoreError, match="is no file"):
        restore(tmp_path / "nothing", tmp_path / "new")
    assert not (tmp_path / "new").exists()


KILLED = """
import os, sys
from pathlib import Path
from raft_actors.tools.offline import backup
backup.{step} = lambda *_, **__: os.kill(os.getpid(), 9)
backup.import_backup(Path(sys.argv[1]), Path(sys.argv[2]), peer=("restored", "z@elsewhere"),
                     kind="rocksdb")
"""


@pytest.mark.parametrize("step", ["restore", "begin", "force", "check", "sync_names"])
def test_killed_at_any_step_an_import_leaves_nothing_or_all(tmp_path, file, step):
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    new = tmp_path / "new"
    killed = subprocess.run([sys.executable, "-c", KILLED.format(step=step), str(file), str(new)])
    assert killed.returncode == -9
    assert new.exists() == (step == "sync_names")
    if not new.exists():
        assert restore(file, new).exit_code == 0
    assert run("verify", new).exit_code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, "new", "peer"]


def test_terms_of_a_newer_version_are_refused(file):
    file.write_bytes(framed(b"h" + encoding.dumps(("raft_actors backup", 99, {}))))
    with pytest.raises(StoreCorrupt, match="has format 99, and this version"):
        run("verify", file)
