"""RocksStore: durable through kill -9, honest about a damaged or full disk, refuses strangers."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import FRESH_BALLOT, Saved, open_store
from raft_actors.stores.rocks import RocksStore

OWNER = ("counter", "a@host")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


def filled(path, count=20, size=1000):
    """Make a store with `count` entries, one save each, and leave it as kill -9 would."""
    code = (
        "import os, sys\n"
        "from raft_actors.stores.rocks import RocksStore\n"
        "store = RocksStore(sys.argv[1], ('counter', 'a@host'))\n"
        "count, size = map(int, sys.argv[2:])\n"
        "for index in range(1, count + 1):\n"
        "    store.save((index, None), index, [bytes([index % 256]) * size])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = subprocess.run([sys.executable, "-c", code, str(path), str(count), str(size)])
    assert child.returncode == -signal.SIGKILL


def names_in(path):
    return sorted(file.name for file in path.iterdir())


def write_ahead_log(path):
    logs = [log for log in (path / "log.rocksdb").glob("*.log") if log.stat().st_size]
    assert len(logs) == 1
    return logs[0]


# Durability.

SAVER = """
import sys
from raft_actors.stores.rocks import RocksStore
store = RocksStore(sys.argv[1])
index = store.load().last
while True:
    batch = [b"%d" % number * 50 for number in range(index + 1, index + 1 + index % 7 + 1)]
    store.save((index + 1, ("a", "b@c")), index + 1, batch)
    index += len(batch)
    print(index, flush=True)
"""


def test_nothing_acknowledged_is_lost_by_kill_9(path):
    """Planted: print before save; then the last index printed is missing after some kill."""
    acknowledged = 0
    for _ in range(5):
        command = [sys.executable, "-c", SAVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(40):
                child.stdout.readline()
            child.kill()
            rest = child.stdout.read().split()  # what it had printed when it was killed
        acknowledged = max(acknowledged, int(rest[-1]) if rest else 0)
        store = RocksStore(path)
        saved = store.load()
        assert saved.last >= acknowledged
        assert saved.ballot[0] <= saved.last
        assert store.entries(1, saved.last) == [
            b"%d" % number * 50 for number in range(1, saved.last + 1)
        ]
        acknowledged = saved.last
        store.close()


def test_a_save_syncs_once_and_a_save_of_nothing_does_not(path, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = (
        "import os, sys\n"
        "from raft_actors.stores.rocks import RocksStore\n"
        "store = RocksStore(sys.argv[1])\n"
        "store.save((1, None), 1, [b'x'] * 100)\n"
        "os.write(2, b'MARK')\n"
        "for index in range(101, 111): store.save((index, None), index, [b'x'])\n"
        "for _ in range(10): store.save(None, 0, [])\n"
        "os.write(2, b'MARK')\n"
    )
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    command = [sys.executable, "-c", code, str(path)]
    child = subprocess.run([*strace, *command], capture_output=True, text=True)
    if "ptrace" in child.stderr:
        pytest.skip("strace is not allowed here")
    between = trace.read_text().split("MARK")[1]
    assert between.count("sync(") == 10


def test_other_threads_run_while_a_save_syncs(path):
    """Planted: one synced write in place of write and flush_wal; then none runs."""
    store = RocksStore(path)
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


# A damaged disk.


def damaged(path, change):
    log = write_ahead_log(path)
    data = bytearray(log.read_bytes())
    log.write_bytes(change(data))


def with_flipped(data, position):
    data[position] ^= 0xFF
    return data


@pytest.mark.parametrize("cut", [1, 5, 500, 1000, 1040])
def test_a_record_torn_at_the_end_is_cut_off(path, cut):
    filled(path)
    damaged(path, lambda data: data[:-cut])
    store = RocksStore(path)
    saved = store.load()
    assert saved.last in (19, 20)
    assert saved.ballot == (saved.last, None)  # all of a save or nothing
    assert len(store.entries(1, saved.last)) == saved.last
    store.close()


def test_preallocated_zeros_at_the_end_do_no_harm(path):
    filled(path)
    damaged(path, lambda data: data + bytes(10_000))
    store = RocksStore(path)
    assert store.load() == Saved((20, None), 1, 20)
    store.close()


@pytest.mark.parametrize("place", [0.01, 0.3, 0.5, 0.9])
def test_damage_before_the_end_is_refused_not_cut_off(path, place):
    """Planted: RocksDB's own recovery mode (point in time); then the log is shorter, silently."""
    filled(path)
    damaged(path, lambda data: with_flipped(data, int(len(data) * place)))
    for _ in range(2):  # and refused again
        with pytest.raises(StoreCorrupt, match=r"is damaged \(Corruption.*move the directory"):
            RocksStore(path)


def test_a_missing_file_is_refused(path):
    filled(path)
    RocksStore(path).close()  # moves the log into a table
    next((path / "log.rocksdb").glob("*.sst")).unlink()
    with pytest.raises((StoreCorrupt, StoreError), match=str(path)):
        RocksStore(path)


def test_a_missing_database_is_refused_not_made_anew(path):
    """Planted: create_if_missing always; then a peer forgets its vote and its log."""
    filled(path)
    (path / "log.rocksdb").rename(path.parent / "elsewhere")
    with pytest.raises(StoreCorrupt, match="is damaged"):
        RocksStore(path)


def test_a_hole_in_the_log_is_found_when_it_is_read(path):
    store = RocksStore(path)
    store.save(None, 1, [b"x"] * 10)
    store.database.delete(b"e" + (5).to_bytes(8, "big"))
    with pytest.raises(StoreCorrupt, match="lacks entries between 1 and 10"):
        store.entries(1, 10)
    store.close()


def test_a_torn_settings_file_of_the_binding_does_no_harm(path):
    filled(path)
    (path / "log.rocksdb" / "rocksdict-config.json").write_text('{"raw_')
    store = RocksStore(path)
    assert store.load().last == 20
    store.close()


def test_an_interrupted_creation_is_taken_up(path):
    RocksStore(path).close()
    (path / "store.json").rename(path / "store.json.draft")
    store = RocksStore(path, OWNER)
    assert store.load() == Saved(FRESH_BALLOT, 1, 0)
    store.close()


# A disk that refuses.

FULL_DISK = """
import os, resource, signal, sys
from raft_actors.errors import StoreError
from raft_actors.stores.rocks import RocksStore
store = RocksStore(sys.argv[1])
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
for save in (lambda: store.save((99, None), 0, []), lambda: store.compact(1)):
    try:
        save()
    except StoreError as error:
        print(error)
assert store.load().last == index
store.close()
"""


def test_a_full_disk_stops_the_store_until_it_is_opened_again(path):
    """Planted: `failure` never set; then the two later writes succeed."""
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    count, told, *later = child.stdout.splitlines()
    assert "File too large" in told
    assert len(later) == 2
    assert all("takes nothing more, since a write failed: IO error" in line for line in later)
    store = RocksStore(path)
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


def test_a_full_file_system_loses_nothing_acknowledged(small_disk):
    path = small_disk / "peer"
    ballast = small_disk / "ballast"
    store = RocksStore(path)
    ballast.write_bytes(bytes(5_000_000))  # as much room must be there again to open it
    with pytest.raises(StoreError, match="No space left"):  # noqa: PT012
        for index in range(100):  # it ends with the last acknowledged one
            store.save(None, index + 1, [b"x" * 100_000])
    with pytest.raises(StoreError, match="takes nothing more"):
        store.save(None, index + 1, [b"x"])
    store.close()
    ballast.unlink()
    store = RocksStore(path)
    saved = store.load()
    assert saved.last >= index > 10
    assert store.entries(1, index) == [b"x" * 100_000] * index
    store.save(None, saved.last + 1, [b"y"])
    store.close()


def test_a_failed_sync_stops_the_store(path, monkeypatch):
    """A sync that failed once may lie the next time (PostgreSQL's fsync surprise of 2018)."""

    class Failing:
        def __init__(self, database):
            self.database = database

        def __getattr__(self, name):
            return getattr(self.database, name)

        def flush_wal(self, sync):
            raise Exception("IO error: Input/output error: While fdatasync")  # noqa: TRY002

    store = RocksStore(path)
    store.save(None, 1, [b"x"])
    store.db = Failing(store.db)
    with pytest.raises(StoreError, match="Input/output error"):
        store.save((1, None), 2, [b"y"])
    store.db = store.db.database
    with pytest.raises(StoreError, match="takes nothing more"):
        store.save((1, None), 2, [b"y"])
    assert store.load().last == 1
    store.close()


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "peer"):
        with pytest.raises(StoreError, match="can't be opened"):
            RocksStore(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_directory_is_refused(path):
    RocksStore(path).close()
    for hidden in (path / "log.rocksdb", path):
        hidden.chmod(0)
        try:
            with pytest.raises(StoreError, match="Permission denied"):
                RocksStore(path)
        finally:
            hidden.chmod(0o700)


# Whose directory it is.


def test_a_directory_in_use_elsewhere_names_the_process(path):
    code = (
        "import sys\n"
        "from raft_actors.stores.rocks import RocksStore\n"
        "store = RocksStore(sys.argv[1], ('counter', 'a@host'))\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "open\n"
        holder = rf"process {child.pid} \(peer counter on a@host\)"
        with pytest.raises(DataDirInUse, match=f"{path} is in use by {holder}"):
            RocksStore(path, OWNER)
    finally:
        child.communicate("")
    RocksStore(path, OWNER).close()


def test_a_directory_in_use_here_says_so(path):
    store = RocksStore(path, OWNER)
    with pytest.raises(DataDirInUse, match=f"process {os.getpid()}, this one"):
        RocksStore(path, OWNER)
    store.close()
    RocksStore(path, OWNER).close()


def test_another_peers_directory_is_refused(path):
    store = RocksStore(path, OWNER)
    store.save((3, OWNER), 0, [])
    store.close()
    with pytest.raises(DataDirInUse, match=r"to peer counter on a@host .* by queue on a@host"):
        RocksStore(path, ("queue", "a@host"))
    for same in (OWNER, None):
        store = RocksStore(path, same)
        assert store.load().ballot == (3, OWNER)
        store.close()


@pytest.mark.parametrize("content", [["notes.txt"], [".hidden"], ["store.json.bak", "log.rocksdb"]])
def test_a_directory_of_other_things_is_refused_and_left_alone(path, content):
    path.mkdir()
    for name in content:
        (path / name).write_text("mine")
    with pytest.raises(StoreCorrupt, match=r"no data directory of raft_actors.*choose a new"):
        RocksStore(path)
    assert names_in(path) == sorted(content)


def test_a_directory_of_a_newer_format_is_refused(path):
    RocksStore(path).close()
    record = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps(record | {"format": 2}))
    with pytest.raises(StoreCorrupt, match=r"has format 2, and this version .* knows format 1"):
        RocksStore(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"what": "a shop"}', "\x00\x00"])
def test_a_format_record_that_is_not_ours_is_refused(path, content):
    RocksStore(path).close()
    (path / "store.json").write_text(content)
    with pytest.raises(StoreCorrupt, match="is not what raft_actors writes"):
        RocksStore(path)


def test_destroying_leaves_what_is_not_ours(path):
    store = open_store("rocksdb", path)
    (path / "notes.txt").write_text("mine")
    store.destroy()
    assert names_in(path) == ["notes.txt"]


def test_a_failed_open_leaves_nothing_open(path):
    RocksStore(path).close()
    (path / "store.json").rename(path.parent / "kept")
    (path / "notes.txt").write_text("")
    with pytest.raises(StoreCorrupt) as kept:
        RocksStore(path)
    (path / "notes.txt").unlink()
    (path.parent / "kept").rename(path / "store.json")
    RocksStore(path).close()
    assert kept.value


def test_a_hundred_stores_fit_into_a_process(tmp_path):
    process = psutil.Process()
    threads, memory = process.num_threads(), process.memory_info().rss
    stores = [RocksStore(tmp_path / str(number)) for number in range(100)]
    for store in stores:
        store.save((1, None), 1, [b"x"])
    assert process.num_threads() - threads < 20
    assert process.memory_info().rss - memory < 200_000_000
    for store in stores:
        store.close()
