"""What RocksDB, its binding, LMDB and msgpack are taken at their word for, asked of the real ones.

Each test goes red with a version that breaks the promise, and says who lives by it.
"""

import math
import subprocess
import sys
import threading

import lmdb
import msgpack
import pytest
from rocksdict import Options, Rdict, WriteBatch

KEYS = [b"k%05d" % number for number in range(5_000)]


def opened(path):
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    return Rdict(str(path), options)


@pytest.fixture
def database(tmp_path):
    """5,000 keys, half of them in a table and half in memory."""
    database = opened(tmp_path / "rocks")
    put(database, KEYS[::2], b"old")
    database.flush()
    put(database, KEYS[1::2], b"old")
    yield database
    database.close()


def put(database, keys, value):
    batch = WriteBatch(raw_mode=True)
    for key in keys:
        batch.put(key, value)
    database.write(batch)


def rest_of(cursor):
    items = []
    while cursor.valid():
        items.append((cursor.key(), cursor.value()))
        cursor.next()
    cursor.status()
    return items


def changed(database):
    """Change everything that there is, in every way."""
    put(database, [*KEYS[:2_000], b"a new one", b"zz"], b"new")
    database.delete(KEYS[2_500])
    database.delete_range(KEYS[3_000], KEYS[4_000])
    database.flush()
    database.compact_range(None, None)
    put(database, KEYS, b"newer")
    database.flush_wal(True)


def test_a_cursor_of_rocksdb_looks_at_the_moment_when_it_was_made(database):
    """`DiskDict.frozen` is one, read by a thread while commands change the state."""
    untouched, begun = database.iter(), database.iter()
    begun.seek(KEYS[0])
    seen = [(begun.key(), begun.value())]
    begun.next()
    changed(database)
    untouched.seek(KEYS[0])
    assert seen + rest_of(begun) == rest_of(untouched) == [(key, b"old") for key in KEYS]


def test_a_cursor_of_rocksdb_is_read_by_another_thread_than_its_maker(database):
    cursor = database.iter()
    found = []

    def read():
        cursor.seek(KEYS[0])
        found.extend(rest_of(cursor))

    thread = threading.Thread(target=read)
    thread.start()
    changed(database)
    thread.join()
    assert found == [(key, b"old") for key in KEYS]


def test_a_cursor_of_rocksdb_outlives_what_is_closed_and_keeps_it_locked_no_longer(tmp_path):
    """A snapshot's writer may still read while its peer ends; the next peer opens the state."""
    database = opened(tmp_path / "rocks")
    put(database, KEYS, b"old")
    cursor = database.iter()
    database.close()
    cursor.seek(KEYS[0])
    assert len(rest_of(cursor)) == len(KEYS)
    with pytest.raises(Exception, match="lock"):
        opened(tmp_path / "rocks")
    del cursor
    opened(tmp_path / "rocks").close()


def with_a_damaged_block(path):
    """A database whose table has a flipped bit in the middle, where the entries are."""
    database = opened(path)
    put(database, KEYS, b"v" * 100)
    database.flush()
    database.close()
    (table,) = path.glob("*.sst")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    return opened(path)


def test_rocksdb_tells_of_a_damaged_block_whoever_asks_for_it(tmp_path):
    """`status` after a cursor's end tells it, and `get`. The end of `items` tells nothing, so who
    reads by it counts, as `RocksStore.slice` does."""
    database = with_a_damaged_block(tmp_path / "rocks")
    cursor = database.iter()
    cursor.seek(KEYS[0])
    with pytest.raises(Exception, match="Corruption"):
        rest_of(cursor)
    refused = 0
    for key in KEYS:
        try:
            assert database.get(key) == b"v" * 100
        except Exception as error:
            assert "Corruption" in str(error)  # noqa: PT017
            refused += 1
    assert refused
    assert len(list(database.items(from_key=KEYS[0]))) <= len(KEYS) - refused
    database.close()


def test_a_batch_of_rocksdb_is_there_whole_or_not_at_all_wherever_its_log_was_cut(tmp_path):
    """A log has its ballot."""
    database = opened(tmp_path / "rocks")
    for turn in range(1, 9):
        put(database, [b"index", *KEYS[:5]], b"%d" % turn)
    (log,) = (tmp_path / "rocks").glob("*.log")
    content = log.read_bytes()
    others = {
        file.name: file.read_bytes()
        for file in (tmp_path / "rocks").iterdir()
        if file != log and file.name != "LOCK"
    }
    database.close()
    found = set()
    for number, length in enumerate(range(0, len(content) + 1, 29)):
        copy = tmp_path / f"cut{number}"
        copy.mkdir()
        for name, whole in others.items():
            (copy / name).write_bytes(whole)
        (copy / log.name).write_bytes(content[:length])
        database = opened(copy)
        (value,) = {database.get(key) for key in (b"index", *KEYS[:5])}
        found.add(value)
        database.close()
    assert found >= {None, b"1", b"4", b"7"}


FILLER = """
import os, sys
from rocksdict import Options, Rdict, WriteBatch, WriteOptions
options = Options(raw_mode=True)
options.create_if_missing(True)
options.set_write_buffer_size(1 << 16)  # it is full many times
database = Rdict(sys.argv[1], options)
writing = WriteOptions()
writing.disable_wal = True
database.set_write_options(writing)
for number in range(1, 3_001):
    batch = WriteBatch(raw_mode=True)
    batch.put(b"index", b"%d" % number)
    batch.put(b"k%05d" % number, b"x" * 900)
    if number % 7 == 0:
        batch.delete(b"k%05d" % (number - 3))
    database.write(batch)
os.kill(os.getpid(), 9)
"""


def test_what_rocksdb_has_without_its_log_is_all_up_to_a_batch(tmp_path):
    """A state on disk is that after its index, wherever its process was killed."""
    subprocess.run([sys.executable, "-c", FILLER, str(tmp_path / "rocks")], check=False)
    database = opened(tmp_path / "rocks")
    index = int(database.get(b"index"))
    assert index > 1_000
    there = {number for number in range(1, 3_001) if database.get(b"k%05d" % number) is not None}
    gone = {number - 3 for number in range(7, index + 1, 7)}
    assert there == set(range(1, index + 1)) - gone
    database.close()


@pytest.fixture
def environment(tmp_path):
    environment = lmdb.open(
        str(tmp_path / "lmdb"), map_size=1 << 24, subdir=False, lock=False, lib_version=0
    )
    yield environment
    environment.close()


def test_a_transaction_of_lmdb_that_raises_has_changed_nothing(environment):
    """`LmdbStore.commit` makes a change again after a full map, and gives up after damage."""
    with environment.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    with pytest.raises(ZeroDivisionError), environment.begin(write=True) as transaction:  # noqa: PT012
        transaction.put(b"a", b"2")
        transaction.put(b"b", b"2")
        transaction.delete(b"a")
        raise ZeroDivisionError
    with environment.begin() as transaction:
        assert list(transaction.cursor()) == [(b"a", b"1")]


def test_a_full_map_of_lmdb_changes_nothing_and_takes_all_once_it_has_grown(environment):
    environment.set_mapsize(1 << 16)
    value = bytes(1 << 17)
    with pytest.raises(lmdb.MapFullError), environment.begin(write=True) as transaction:  # noqa: PT012
        transaction.put(b"a", b"1")
        transaction.put(b"b", value)
    environment.set_mapsize(1 << 20)
    with environment.begin(write=True) as transaction:
        assert transaction.get(b"a") is None
        transaction.put(b"b", value)
    with environment.begin() as transaction:
        assert list(transaction.cursor()) == [(b"b", value)]


def test_a_transaction_of_lmdb_reads_what_the_one_before_has_written(environment):
    """No reader stays open between two saves, so none may see an older state."""
    for number in range(200):
        with environment.begin(write=True) as transaction:
            transaction.put(b"a", b"%d" % number)
            transaction.put(b"%d" % number, bytes(5_000))
        with environment.begin() as transaction:
            assert transaction.get(b"a") == b"%d" % number


def test_keys_that_are_out_of_order_are_not_appended_by_lmdb(environment):
    """`LmdbStore` appends entries so, and takes a smaller number for damage."""
    with environment.begin(write=True) as transaction:
        transaction.put(b"e5", b"there")
        _, added = transaction.cursor().putmulti([(b"e4", b""), (b"e6", b"")], append=True)
        assert added == 1
        assert [key for key, _ in transaction.cursor()] == [b"e5", b"e6"]
        _, added = transaction.cursor().putmulti([(b"e7", b""), (b"e8", b"")], append=True)
        assert added == 2
        assert not transaction.delete(b"e9")
        assert transaction.delete(b"e8")
        assert transaction.stat()["entries"] == 3


VALUES = [
    None, True, False, 0, -1, 1, 127, 128, -33, -(1 << 63), (1 << 64) - 1, 0.0, -0.0, 1e308,
    math.inf, "", "a", "\0", "\N{SNOWMAN}" * 40_000, b"", b"a", b"\xc1" * 70_000,
]  # fmt: skip


def test_msgpack_gives_back_what_it_was_given_and_of_the_same_type():
    """Entries, replies and snapshots are such bytes, and equal on every replica."""
    for value in [*VALUES, tuple(VALUES), {value: value for value in VALUES}]:
        data = msgpack.Packer().pack(value)
        assert data == msgpack.Packer().pack(value)
        assert data[0] != 0xC1  # which marks what msgpack alone can't tell
        found = msgpack.unpackb(data, use_list=False, strict_map_key=False)
        assert found == value
        assert type(found) is type(value)
        if type(value) is tuple:
            assert list(map(type, found)) == list(map(type, value))
            assert list(map(repr, found)) == list(map(repr, value))  # -0.0 is no 0.0


def test_msgpack_refuses_what_it_can_not_give_back():
    for value in (1 << 64, -(1 << 63) - 1):
        with pytest.raises(OverflowError):
            msgpack.Packer().pack(value)
    with pytest.raises(UnicodeEncodeError):
        msgpack.Packer().pack("\ud800")
    for cut in (b"", b"\x92\x01", b"\xc4\x05ab"):
        with pytest.raises(ValueError, match=r"incomplete|out of data|Unpack failed"):
            msgpack.unpackb(cut)
    with pytest.raises(msgpack.ExtraData):
        msgpack.unpackb(b"\x01\x02")
