"""What every store on a disk keeps: durable through kill -9, honest about a disk that refuses, and
the directory of one peer only.
"""

import gc
import os
import shutil
import subprocess
import sys
import threading
import time

import psutil
import pytest

from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import FRESH_BALLOT, Saved, open_store
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.store_record import read_record, write_record
from tests.stores.helpers import delete_entry, filled, names_in

KINDS = ("rocksdb", "lmdb", "files")
OWNER = ("counter", "a@host")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


# Durability.

SAVER = """
import sys
from raft_actors.stores import open_store
store = open_store(*sys.argv[1:3])
index = store.load().last
while True:
    batch = [b"%d" % number * 50 for number in range(index + 1, index + 1 + index % 7 + 1)]
    store.save((index + 1, ("a", "b@c")), index + 1, batch)
    index += len(batch)
    print(index, flush=True)
"""


def test_nothing_acknowledged_is_lost_by_kill_9(kind, path):
    """Planted: print before save; then the last index printed is missing after some kill."""
    acknowledged = 0
    for _ in range(5):
        command = [sys.executable, "-c", SAVER, kind, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(40):
                child.stdout.readline()
            child.kill()
            rest = child.stdout.read().split()  # what it had printed when it was killed
        acknowledged = max(acknowledged, int(rest[-1]) if rest else 0)
        store = open_store(kind, path)
        saved = store.load()
        assert saved.last >= acknowledged
        assert saved.ballot[0] <= saved.last
        assert store.entries(1, saved.last) == [
            b"%d" % number * 50 for number in range(1, saved.last + 1)
        ]
        acknowledged = saved.last
        store.close()


def test_other_threads_run_while_a_save_syncs(kind, real_disk):
    """Planted: one synced write in place of write and flush_wal; then none runs."""
    store = open_store(kind, real_disk / "peer")
    stop = threading.Event()
    turns = [0]

    def turn():
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=turn)
    old = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # a thread runs only when another lets go of the interpreter
    try:
        thread.start()
        before, began = turns[0], time.perf_counter()
        for index in range(1, 51):
            store.save(None, index, [b"x"])
        during, took_s = turns[0] - before, time.perf_counter() - began
    finally:
        sys.setswitchinterval(old)
        stop.set()
        thread.join()
        store.close()
    if during < 10 and took_s / 50 < 0.0001:
        pytest.skip("this disk syncs too fast for anything to run meanwhile")
    assert during >= 10


# A disk that refuses.

FULL_DISK = """
import os, resource, signal, sys
from raft_actors.errors import StoreError
from raft_actors.stores import open_store
store = open_store(*sys.argv[1:3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
index = 0
try:
    while True:
        store.save((index + 1, None), index + 1, [b"x" * 10_000])
        index += 1
except StoreError as error:
    print(index)
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for save in (lambda: store.save((99, None), 0, []), lambda: store.compact(1, 1)):
    try:
        save()
    except StoreError as error:
        print(error)
assert store.load().last == index
store.close()
"""


def test_a_full_disk_stops_the_store_until_it_is_opened_again(kind, path):
    """Planted: `failure` never set; then the two later writes succeed."""
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, kind, str(path)], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    count, told, *later = child.stdout.splitlines()
    assert "File too large" in told or "Input/output error" in told  # LMDB's, for half a write
    assert len(later) == 2
    assert all("takes nothing more, since a write failed: " in line for line in later)
    store = open_store(kind, path)
    saved = store.load()
    assert saved.last >= int(count) > 10
    assert saved.ballot == (saved.last, None)
    assert len(store.entries(1, saved.last)) == saved.last
    store.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    gc.collect()
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_file_system_loses_nothing_acknowledged(kind, small_disk):
    path = small_disk / "peer"
    ballast = small_disk / "ballast"
    store = open_store(kind, path)
    ballast.write_bytes(bytes(5_000_000))  # as much room must be there again to open it
    full = r"(No space left|output error).* has room for [\d,]+ bytes"
    with pytest.raises(StoreError, match=full):  # noqa: PT012
        for index in range(100):  # it ends with the last acknowledged one
            store.save(None, index + 1, [b"x" * 100_000])
    with pytest.raises(StoreError, match="takes nothing more"):
        store.save(None, index + 1, [b"x"])
    store.close()
    ballast.unlink()
    store = open_store(kind, path)
    saved = store.load()
    assert saved.last >= index > 10
    assert store.entries(1, index) == [b"x" * 100_000] * index
    store.save(None, saved.last + 1, [b"y"])
    store.close()


def test_a_path_that_cannot_be_a_directory_is_refused(kind, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "peer"):
        with pytest.raises(StoreError, match="can't be opened"):
            open_store(kind, path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_directory_is_refused(kind, path):
    open_store(kind, path).close()
    for hidden in (path / f"log.{kind}", path):
        hidden.chmod(0)
        try:
            with pytest.raises(StoreError, match="Permission denied"):
                open_store(kind, path)
        finally:
            hidden.chmod(0o700)


# What is there is not made anew.


def test_a_missing_database_is_refused_not_made_anew(kind, path):
    """Planted: create_if_missing always; then a peer forgets its vote and its log."""
    filled(kind, path)
    (path / f"log.{kind}").rename(path.parent / "elsewhere")
    with pytest.raises(StoreCorrupt, match="is damaged"):
        open_store(kind, path)


@pytest.mark.parametrize("how", [DurableStore.save, DurableStore.restart])
def test_a_database_of_another_directory_is_refused(kind, path, how):
    """Planted: nothing tells whose it is; then a peer goes on with another's vote and log."""
    others = path.with_name("other")
    for directory in (path, others):
        store = open_store(kind, directory)
        how(store, (7, ("b", "two@host")), 1, 0 if how is DurableStore.restart else [b"x"])
        store.close()
    database = path / f"log.{kind}"
    database.rename(path.with_name("away"))
    (others / f"log.{kind}").rename(database)
    with pytest.raises(StoreCorrupt, match=rf"log.{kind} is of another data directory.*Raft.join"):
        open_store(kind, path)


def test_a_directory_that_was_replaced_while_open_is_whole_when_it_comes_back(kind, path):
    """Planted: RocksDB flushes as it closes, into a file of the copy, which the true one lacks."""
    store = open_store(kind, path)
    store.save((7, None), 1, [b"x"] * 10)
    away = path.with_name("away")
    path.rename(away)
    shutil.copytree(away, path)
    with pytest.raises(StoreError, match="replaced by another"):
        store.save(None, 11, [b"y"])
    store.close()
    shutil.rmtree(path)
    away.rename(path)
    store = open_store(kind, path)
    assert store.load().last >= 10
    assert store.entries(1, 10) == [b"x"] * 10
    store.close()


@pytest.mark.parametrize("kind", ["rocksdb", "lmdb"])
def test_a_hole_in_the_log_is_found_when_it_is_read(kind, path):
    store = open_store(kind, path)
    store.save(None, 1, [b"x"] * 10)
    delete_entry(store, 5)
    with pytest.raises(StoreCorrupt, match=r"lacks entries between \d+ and 10"):
        store.entries(1, 10)
    store.close()


def test_an_interrupted_creation_is_taken_up(kind, path):
    open_store(kind, path).close()
    (path / "store.json").rename(path / "store.json.draft")
    store = open_store(kind, path, OWNER)
    assert store.load() == Saved(FRESH_BALLOT, 1, 0)
    store.close()


@pytest.mark.parametrize("size", [0, 100, 4096, 8192])
def test_an_interrupted_creation_of_half_a_file_is_taken_up(tmp_path, size):
    path = tmp_path / "peer"
    open_store("lmdb", path).close()
    (path / "store.json").unlink()
    file = path / "log.lmdb"
    file.write_bytes(file.read_bytes()[:size])
    store = open_store("lmdb", path)
    assert store.load() == Saved()
    store.close()


@pytest.mark.parametrize("saved", ["ballot", "entry", "base"])
def test_a_store_that_lost_its_record_is_refused_and_left_alone(kind, path, saved):
    """Planted: what is there is taken for what an interrupted creation left; then a new peer has
    the log of the old one, or its log is deleted.
    """
    store = open_store(kind, path, OWNER)
    if saved == "ballot":
        store.save((3, None), 0, [])
    elif saved == "entry":
        store.save(None, 1, [b"x"])
    else:
        store.restart((0, None), 7, 2)
    kept = store.load()
    store.close()
    (path / "store.json").rename(path.parent / "kept")
    for _ in range(2):
        with pytest.raises(
            StoreCorrupt, match=r"store.json is missing, .* move its data directory"
        ):
            open_store(kind, path, OWNER)
    (path.parent / "kept").rename(path / "store.json")
    store = open_store(kind, path, OWNER)
    assert store.load() == kept
    store.close()


# Whose directory it is.


def test_a_directory_in_use_elsewhere_names_the_process(kind, path):
    code = (
        "import sys\n"
        "from raft_actors.stores import open_store\n"
        "store = open_store(*sys.argv[1:3], ('counter', 'a@host'))\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, kind, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "open\n"
        holder = rf"process {child.pid} \(peer counter on a@host\)"
        with pytest.raises(DataDirInUse, match=f"{path} is in use by {holder}"):
            open_store(kind, path, OWNER)
    finally:
        child.communicate("")
    open_store(kind, path, OWNER).close()


def test_a_directory_in_use_here_says_so(kind, path):
    store = open_store(kind, path, OWNER)
    with pytest.raises(DataDirInUse, match=f"process {os.getpid()}, this one"):
        open_store(kind, path, OWNER)
    store.close()
    open_store(kind, path, OWNER).close()


def test_another_peers_directory_is_refused(kind, path):
    store = open_store(kind, path, OWNER)
    store.save((3, OWNER), 0, [])
    store.close()
    with pytest.raises(DataDirInUse, match=r"to peer counter on a@host .* by queue on a@host"):
        open_store(kind, path, ("queue", "a@host"))
    for same in (OWNER, None):
        store = open_store(kind, path, same)
        assert store.load().ballot == (3, OWNER)
        store.close()


@pytest.mark.parametrize("content", [["notes.txt"], [".hidden"], ["store.json.bak", "log.rocksdb"]])
def test_a_directory_of_other_things_is_refused_and_left_alone(kind, path, content):
    path.mkdir()
    for name in content:
        (path / name).write_text("mine")
    with pytest.raises(StoreCorrupt, match=r"no data directory of raft_actors.*choose a new"):
        open_store(kind, path)
    assert names_in(path) == sorted(content)


@pytest.mark.parametrize("other", [2, 4])
def test_a_directory_of_another_format_is_refused(kind, path, other):
    open_store(kind, path).close()
    write_record(path / "store.json", read_record(path) | {"format": other})
    with pytest.raises(
        StoreCorrupt, match=rf"has format {other}, and this version .* knows format 3: use"
    ):
        open_store(kind, path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"what": "a shop"}', "\x00\x00"])
def test_a_format_record_that_is_not_ours_is_refused(kind, path, content):
    open_store(kind, path).close()
    (path / "store.json").write_text(content)
    with pytest.raises(StoreCorrupt, match="is not what raft_actors writes"):
        open_store(kind, path)


def test_destroying_leaves_what_is_not_ours(kind, path):
    store = open_store(kind, path)
    (path / "notes.txt").write_text("mine")
    store.destroy()
    assert names_in(path) == ["notes.txt"]


def test_a_failed_open_leaves_nothing_open(kind, path):
    open_store(kind, path).close()
    (path / "store.json").rename(path.parent / "kept")
    (path / "notes.txt").write_text("")
    with pytest.raises(StoreCorrupt) as kept:
        open_store(kind, path)
    (path / "notes.txt").unlink()
    (path.parent / "kept").rename(path / "store.json")
    open_store(kind, path).close()
    assert kept.value


def test_a_hundred_stores_fit_into_a_process(kind, tmp_path):
    process = psutil.Process()
    threads, memory = process.num_threads(), process.memory_info().rss
    stores = [open_store(kind, tmp_path / str(number)) for number in range(100)]
    for store in stores:
        store.save((1, None), 1, [b"x"])
    assert process.num_threads() - threads < 20
    assert process.memory_info().rss - memory < 200_000_000
    for store in stores:
        store.close()
