"""RocksStore: what only RocksDB does, or does in its own way."""

import subprocess
import sys

import pytest

from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores import Saved
from raft_actors.stores.rocksdb import RocksStore
from raft_actors.stores.rocksdb_wal import (
    HEADER_BYTES,
    SIZE_AND_TYPE,
    damage_in,
    has_right_checksum,
    is_torn,
)
from tests.stores.helpers import filled, straced_saves


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


def write_ahead_log(path):
    logs = [log for log in (path / "log.rocksdb").glob("*.log") if log.stat().st_size]
    assert len(logs) == 1
    return logs[0]


# Durability.


def test_a_save_syncs_once_and_a_save_of_nothing_does_not(path, tmp_path):
    _, between, _ = straced_saves("rocksdb", path, tmp_path / "trace", "fsync,fdatasync")
    assert between.count("sync(") == 10


# A damaged disk.


def damaged(path, change):
    log = write_ahead_log(path)
    data = bytearray(log.read_bytes())
    log.write_bytes(change(data))


def with_flipped(data, position):
    data[position] ^= 0xFF
    return data


@pytest.mark.parametrize("cut", [1, 5, 500, 1000, 1040])
def test_a_record_torn_at_the_end_is_cut_off_and_told(path, cut, caplog):
    filled("rocksdb", path)
    damaged(path, lambda data: data[:-cut])
    store = RocksStore(path)
    assert store.had_torn_tail
    assert "ended within a save, which is cut off" in caplog.text
    saved = store.load()
    assert saved.last in (19, 20)
    assert saved.ballot == (saved.last, None)  # all of a save or nothing
    assert len(store.entries(1, saved.last)) == saved.last
    store.close()


@pytest.mark.parametrize("size", [10, 5_000, 33_000, 100_000])
def test_what_was_torn_is_known_from_what_was_saved(path, size):
    """Planted: parts of a record are not looked at; then one over several blocks seems whole."""
    filled("rocksdb", path, count=7, size=size)
    log = write_ahead_log(path)
    whole = log.read_bytes()
    assert not is_torn(log.parent)
    for length in range(len(whole) - size, len(whole), size // 97 + 1):
        log.write_bytes(whole[:length])
        assert is_torn(log.parent), length
    log.write_bytes(whole + bytes(40_000))
    assert not is_torn(log.parent)


def fragments_in(data):
    """Yield where each begins."""
    at = 0
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        yield at
        at += 7 + int.from_bytes(data[at + 4 : at + 6], "little")


@pytest.mark.parametrize(("count", "size"), [(20, 50), (9, 5_000), (3, 40_000)])
def test_what_was_torn_is_not_called_damaged(path, count, size):
    """A peer that a crash made refuse its own log would be worse than a flipped bit."""
    filled("rocksdb", path, count=count, size=size)
    log = write_ahead_log(path)
    whole = log.read_bytes()
    cuts = range(0, 2 * size + 200, size // 300 + 1)
    for data in (*(whole[: len(whole) - cut] for cut in cuts), whole + bytes(40_000)):
        log.write_bytes(data)
        assert not damage_in(log.parent), len(data)


@pytest.mark.parametrize(("count", "size"), [(20, 50), (9, 5_000), (3, 40_000)])
@pytest.mark.parametrize("byte", [4, 5])
def test_a_flipped_bit_of_a_size_is_not_taken_for_a_torn_record(path, count, size, byte):
    """Planted: only the torn fragment itself is checked; then one in the middle ends the log."""
    filled("rocksdb", path, count=count, size=size)
    log = write_ahead_log(path)
    whole = log.read_bytes()
    last_block = (len(whole) - 1) // 32768 * 32768
    beyond = 0
    for at in fragments_in(whole):
        for bit in range(8):
            data = bytearray(whole)
            data[at + byte] ^= 1 << bit
            end = at + 7 + int.from_bytes(data[at + 4 : at + 6], "little")
            if at >= last_block and end > len(data):  # RocksDB finds the others by their checksum
                log.write_bytes(data)
                assert "of another size" in damage_in(log.parent), (at, bit)
                beyond += 1
    assert beyond
    with pytest.raises(StoreCorrupt, match=r"of another size .*move its data directory"):
        RocksStore(path)


@pytest.mark.parametrize("kind", [5, 6, 7, 8, 11])
@pytest.mark.parametrize(("count", "size"), [(20, 50), (3, 40_000)])
def test_a_flipped_bit_of_a_type_does_not_hang_who_opens_the_log(path, kind, count, size):
    """RocksDB takes the first record of such a type for the end of the log, and looks for what
    follows a later one forever."""
    filled("rocksdb", path, count=count, size=size)
    log = write_ahead_log(path)
    whole = log.read_bytes()
    for at in fragments_in(whole):
        data = bytearray(whole)
        data[at + 6] = kind
        log.write_bytes(data)
        with pytest.raises(StoreCorrupt, match=r"of a type that was never written"):
            RocksStore(path)


def closed_with_a_manifest(path):
    """A store that was filled and closed; return its manifest."""
    filled("rocksdb", path)
    RocksStore(path).close()
    database = path / "log.rocksdb"
    return database / (database / "CURRENT").read_text().strip()


def test_a_flipped_bit_in_the_manifest_forgets_no_table_and_does_not_hang(path):
    """Planted: only the write-ahead log is looked at; then a vote was gone, or the process hung."""
    manifest = closed_with_a_manifest(path)
    assert not damage_in(manifest.parent)
    whole = manifest.read_bytes()
    starts = list(fragments_in(whole))
    assert len(starts) > 3
    for at in starts:
        for bit in range(16):
            data = bytearray(whole)
            data[at + 4 + bit // 8] ^= 1 << bit % 8
            if at + 7 + int.from_bytes(data[at + 4 : at + 6], "little") > len(data):
                manifest.write_bytes(data)
                with pytest.raises(StoreCorrupt, match=r"MANIFEST.* has a record of another size"):
                    RocksStore(path)
        for kind in (5, 6, 7, 8, 11):
            data = bytearray(whole)
            data[at + 6] = kind
            manifest.write_bytes(data)
            with pytest.raises(StoreCorrupt, match=r"MANIFEST.* of a type that was never written"):
                RocksStore(path)


def test_a_manifest_that_a_crash_has_torn_is_not_called_damaged(path):
    manifest = closed_with_a_manifest(path)
    whole = manifest.read_bytes()
    for length in range(len(whole)):
        manifest.write_bytes(whole[:length])
        assert not damage_in(manifest.parent), length


def test_the_checksum_is_that_of_rocksdb(path):
    filled("rocksdb", path, count=1, size=100)
    log = write_ahead_log(path).read_bytes()
    size, _ = SIZE_AND_TYPE(log, 4)
    record = log[HEADER_BYTES + size :]  # the second: the first says whose the database is
    assert has_right_checksum(record, 0)
    assert not has_right_checksum(with_flipped(bytearray(record), 60), 0)


def test_preallocated_zeros_at_the_end_do_no_harm(path):
    filled("rocksdb", path)
    damaged(path, lambda data: data + bytes(10_000))
    store = RocksStore(path)
    assert not store.had_torn_tail
    assert store.load() == Saved((20, None), 1, 20)
    store.close()


@pytest.mark.parametrize("place", [0.01, 0.3, 0.5, 0.9])
def test_damage_before_the_end_is_refused_not_cut_off(path, place):
    """Planted: RocksDB's own recovery mode (point in time); then the log is shorter, silently."""
    filled("rocksdb", path)
    damaged(path, lambda data: with_flipped(data, int(len(data) * place)))
    for _ in range(2):  # and refused again
        with pytest.raises(StoreCorrupt, match=r"is damaged \(Corruption.*move its data directory"):
            RocksStore(path)


@pytest.mark.parametrize("name", ["*.sst", "MANIFEST-*", "CURRENT"])
def test_a_missing_file_is_refused(path, name):
    """Planted: what RocksDB calls an IO error is never damage; then nothing says what to do."""
    filled("rocksdb", path)
    RocksStore(path).close()  # moves the log into a table
    next((path / "log.rocksdb").glob(name)).unlink()
    with pytest.raises(StoreCorrupt, match=rf"{path} is damaged .*move its data directory"):
        RocksStore(path)


@pytest.mark.parametrize("closed", [False, True])
def test_a_missing_write_ahead_log_is_refused(path, closed):
    """Planted: RocksDB opens it; then the vote and all entries are forgotten without a word."""
    filled("rocksdb", path)
    if closed:
        RocksStore(path).close()
    for log in (path / "log.rocksdb").glob("*.log"):
        log.unlink()
    for _ in range(2):  # and nothing is made in its place
        with pytest.raises(StoreCorrupt, match=r"missing: its write-ahead log.*move its data"):
            RocksStore(path)


def test_a_store_killed_before_its_first_save_is_opened(path):
    filled("rocksdb", path, count=0)
    store = RocksStore(path)
    assert store.load() == Saved()
    store.close()


def test_a_torn_settings_file_of_the_binding_does_no_harm(path):
    filled("rocksdb", path)
    (path / "log.rocksdb" / "rocksdict-config.json").write_text('{"raw_')
    store = RocksStore(path)
    assert store.load().last == 20
    store.close()


# A disk that refuses.


def test_a_process_without_file_descriptors_is_not_told_of_damage(path, tmp_path):
    """Planted: an invalid argument is damage, whatever it tells; then a good directory is to be
    moved away.
    """
    filled("rocksdb", path)
    code = (
        "import os, resource, sys\n"
        "from raft_actors.errors import StoreError\n"
        "from raft_actors.stores.rocksdb import RocksStore\n"
        "_, most = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))\n"
        "held = []\n"
        "while True:\n"
        "    try: held.append(os.dup(0))\n"
        "    except OSError: break\n"
        "while held:\n"
        "    try: store = RocksStore(sys.argv[1])\n"
        "    except StoreError as error: print(error)\n"
        "    else: break\n"
        "    os.close(held.pop())\n"
        "print(store.load().last)\n"
        "os._exit(0)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    *refusals, last = child.stdout.splitlines()
    assert last == "20"
    assert any("incompatible" in refusal for refusal in refusals)
    for refusal in refusals:
        assert "Too many open files" in refusal
        assert "damaged" not in refusal


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
