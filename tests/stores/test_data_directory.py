"""Data directory: what all durable stores have in common on the disk."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import open_store
from raft_actors.stores.files import DiskFiles
from raft_actors.stores.store_record import kind_of, read_record, write_record
from raft_actors.tools.offline.stopped_peer import stopped
from tests.tools.offline.directories import OWNER, make


def test_a_store_of_another_kind_is_refused(tmp_path):
    open_store("rocksdb", tmp_path / "peer").close()
    record = tmp_path / "peer" / "store.json"
    write_record(record, read_record(record.parent) | {"kind": "etcd"})
    with pytest.raises(StoreError, match=r"the kind 'etcd': start .*Config\(log_store=\"etcd\"\)"):
        open_store("rocksdb", tmp_path / "peer")


@pytest.mark.parametrize(
    ("newer", "message"),
    [
        ({"format": 4, "kind": "etcd"}, "has format 4, and this version .* the version that wrote"),
        (
            {"kind": "etcd"},
            "of the kind .etcd., .* use the program that wrote it",
        ),
        ({"kind": ["rocksdb"]}, "of the kind \\['rocksdb'\\], which"),
    ],
)
def test_what_a_later_version_wrote_is_refused_to_commands_too(tmp_path, newer, message):
    """Planted: the kind is looked at first; then the command ends in a ValueError."""
    open_store("rocksdb", tmp_path / "peer").close()
    record = tmp_path / "peer" / "store.json"
    write_record(record, read_record(record.parent) | newer)
    with pytest.raises(StoreCorrupt, match=message), stopped(tmp_path / "peer"):
        pass


def test_a_store_without_an_incarnation_is_refused(tmp_path):
    open_store("rocksdb", tmp_path / "peer").close()
    record = tmp_path / "peer" / "store.json"
    write_record(record, read_record(record.parent) | {"incarnation": None})
    with pytest.raises(StoreCorrupt, match=r"names no incarnation; .*Raft\.join"):
        open_store("rocksdb", tmp_path / "peer")


def test_no_flipped_bit_of_the_record_is_believed(tmp_path):
    """Planted: no checksum; then this one is another's, or of another life. Planted: the format is
    looked at first; then a flipped digit sends a person to look for a release that there is not.
    """
    path = tmp_path / "peer"
    open_store("lmdb", path, ("counter", "a@host")).close()
    record = path / "store.json"
    whole = record.read_bytes()
    before = read_record(path)
    refused = r"what raft_actors writes|is damaged"
    for at in range(len(whole.rstrip())):
        for bit in range(8):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            record.write_bytes(changed)
            with pytest.raises(StoreCorrupt, match=refused):
                kind_of(path)
    record.write_bytes(whole)
    assert read_record(path) == before


def test_a_record_of_before_checksums_is_read(tmp_path):
    path = tmp_path / "peer"
    open_store("lmdb", path, ("counter", "a@host")).close()
    (path / "store.json").write_text(json.dumps(read_record(path)) + "\n")
    store = open_store("lmdb", path, ("counter", "a@host"))
    store.close()


def test_a_child_that_outlives_a_killed_process_does_not_hold_its_directory(tmp_path):
    """Planted: nothing is forgotten after a fork; then the directory stays in use."""
    code = (
        "import os, sys, time\n"
        "from raft_actors.stores import open_store\n"
        "store = open_store('rocksdb', sys.argv[1])\n"
        "read, write = os.pipe()\n"
        "if (child := os.fork()) == 0:\n"
        "    os.write(write, b'x')\n"
        "    time.sleep(60)\n"
        "os.read(read, 1)\n"
        "print(child, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "peer")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            with pytest.raises(DataDirInUse, match=f"process {parent.pid}"):
                open_store("rocksdb", tmp_path / "peer")
            parent.kill()
            parent.wait()
            open_store("rocksdb", tmp_path / "peer").close()
        finally:
            os.kill(child, signal.SIGKILL)
            parent.kill()


@pytest.mark.parametrize("kind", ["rocksdb", "lmdb", "files"])
@pytest.mark.parametrize("how", ["removed", "a link to nowhere"])
def test_a_directory_that_has_lost_its_record_is_not_called_the_wrong_path(tmp_path, kind, how):
    """Planted: "is no data directory: choose an empty one"; a peer that does has no vote."""
    path = make(kind, tmp_path / "peer", snapshot=60)
    (path / "store.json").unlink()
    if how != "removed":
        (path / "store.json").symlink_to("nowhere")
    for refused in (lambda: open_store(kind, path, OWNER), lambda: kind_of(path)):
        with pytest.raises(StoreCorrupt, match=r"peer/store.json is missing; stop this peer"):
            refused()
    assert (path / f"log.{kind}").exists()


def test_a_store_in_memory_is_its_peers_too(tmp_path):
    """Planted: whoever has its path gets it, and with it another peer's vote."""
    store = open_store("memory", tmp_path / "peer", ("kv", "a@host"))
    store.save((7, None), 0, [])
    store.close()
    for other in (("kv", "b@host"), ("queue", "a@host")):
        with pytest.raises(DataDirInUse, match=r"belongs to peer kv on a@host and holds its vote"):
            open_store("memory", tmp_path / "peer", other)
    again = open_store("memory", tmp_path / "peer", ("kv", "a@host"))
    assert again.load().ballot == (7, None)
    again.destroy()
    open_store("memory", tmp_path / "peer", ("queue", "a@host")).destroy()


@pytest.mark.parametrize(
    "name",
    [
        "store.json",
        "store.json.draft",
        "holder.json",
        "lock",
        "snapshots/5-1.snapshot",
        "log.rocksdb/CURRENT",
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path, name):
    """Opening a named pipe waits for its other end: a start would hang."""
    path = make("rocksdb", tmp_path / "peer", snapshot=60)
    file = path / name
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    if name.startswith("snapshots/"):
        with pytest.raises(StoreError, match="it is no regular file; move it away"):
            DiskFiles(file.parent).read(file.name, 0, 1)
        return
    if name == "log.rocksdb/CURRENT":
        with pytest.raises(StoreCorrupt, match="CURRENT is no regular file"):
            open_store("rocksdb", path)
        return
    if name == "store.json.draft":
        (path / "store.json").unlink()
        shutil.rmtree(path / "log.rocksdb")
        shutil.rmtree(path / "snapshots")
    with pytest.raises(StoreError, match="move it away"):
        open_store("rocksdb", path)
