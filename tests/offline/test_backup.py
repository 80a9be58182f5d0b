"""Backups: written, checked, and restored as the beginning of a new group."""

import json
import os
import subprocess
import sys

import pytest

from raft_actors import terms
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import command_of
from raft_actors.core.membership import Configuration
from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.offline.backup import check_backup
from raft_actors.offline.force import CannotForce
from raft_actors.offline.stopped import stopped
from raft_actors.stores import open_store
from raft_actors.stores.backup import read_header
from tests.offline.directories import OWNER, founding, log_of, make, record_of, take_snapshot
from tests.offline.test_examine import run

OTHER = ("restored", "z@elsewhere")


@pytest.fixture(params=["rocksdb", "lmdb"])
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
    other = {"rocksdb": "lmdb", "lmdb": "rocksdb"}[kind]
    assert restore(file, tmp_path / "new", other).exit_code == 0
    assert run("verify", tmp_path / "new").exit_code == 0
    assert record_of(tmp_path / "new")["owner"] == list(OTHER)
    with stopped(tmp_path / "new") as store:
        saved = store.load()
        entries = store.entries(saved.first, saved.last)
        pieces = list(store.snapshots.pieces(store.snapshots.newest())) if snapshot else []
    assert (saved.first, saved.last) == (snapshot + 1, 201)
    assert entries[:-1] == log_of(200)[snapshot:]
    assert [len(piece) for _, piece in pieces] == ([snapshot - 2] if snapshot else [])
    payload = command_of(entries[-1])[0]
    configuration = Configuration.decode(payload, 201)
    assert configuration.members == (OTHER,)
    assert configuration.group != founding().group
    record = json.loads(payload)["forced"]
    assert record["group"] == founding().group
    assert record["backup_made_at"] == read_header(file).made_at
    assert Ballot(*saved.ballot).term == 4
    assert Ballot(*saved.ballot).voted_for == OTHER


def test_a_backup_is_never_written_over(tmp_path, file):
    source = make("lmdb", tmp_path / "peer")
    file.write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        run("export", source, file)
    assert file.read_text() == "mine"
    with pytest.raises(StoreError, match="is no directory: make it first"):
        run("export", source, tmp_path / "nowhere" / "backup")
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_is_never_restored_over(tmp_path, file):
    run("export", make("lmdb", tmp_path / "peer"), file)
    with pytest.raises(StoreError, match="is there already"):
        restore(file, tmp_path / "peer")
    assert run("verify", tmp_path / "peer").exit_code == 0


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
            check_backup(file)


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
from raft_actors.offline import backup
backup.{step} = lambda *_, **__: os.kill(os.getpid(), 9)
backup.import_backup(Path(sys.argv[1]), Path(sys.argv[2]), peer=("restored", "z@elsewhere"),
                     kind="rocksdb")
"""


@pytest.mark.parametrize("step", ["restore", "begin", "force", "check", "sync_directory"])
def test_killed_at_any_step_an_import_leaves_nothing_or_all(tmp_path, file, step):
    run("export", make("lmdb", tmp_path / "peer", snapshot=100, compacted=50), file)
    new = tmp_path / "new"
    killed = subprocess.run([sys.executable, "-c", KILLED.format(step=step), str(file), str(new)])
    assert killed.returncode == -9
    assert new.exists() == (step == "sync_directory")
    if not new.exists():
        assert restore(file, new).exit_code == 0
    assert run("verify", new).exit_code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, "new", "peer"]


def test_terms_of_a_newer_version_are_refused(file):
    from raft_actors.stores.snapshots import framed

    file.write_bytes(framed(b"h" + terms.dumps(("raft_actors backup", 99, {}))))
    with pytest.raises(StoreCorrupt, match="has format 99, and this version"):
        run("verify", file)
