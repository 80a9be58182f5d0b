"""LmdbStore: what only LMDB does, or does in its own way."""

import re
import subprocess
import sys

import pytest

from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores import lmdb as lmdb_store
from raft_actors.stores import open_store
from raft_actors.stores.lmdb import SWEEP, LmdbStore
from raft_actors.stores.lmdb_pages import damage_in
from tests.stores.helpers import filled, straced_saves
from tests.tools.offline.directories import make

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


def all_of(store):
    saved = store.load()
    return store.entries(saved.first, saved.last)


# Durability.


def test_a_save_syncs_its_pages_and_then_the_page_that_makes_them_count(path, tmp_path):
    """Planted: sync=False, and metasync=False."""
    before, between, _ = straced_saves(
        "lmdb", path, tmp_path / "trace", "openat,fdatasync,pwrite64"
    )
    opened = re.findall(r'log\.lmdb", O_WRONLY\|O_DSYNC\S* = (\d+)', before)
    assert len(opened) == 1
    synced = re.findall(rf"(fdatasync)\(|pwrite64\({opened[0]}, .*, 120, (\d+)\)", between)
    assert [bool(pages) for pages, _ in synced] == [True, False] * 10
    assert {int(place) // PAGE for _, place in synced[1::2]} == {0, 1}


# The map.


def test_the_map_grows_with_the_file(path, monkeypatch):
    """Planted: MapFullError is not caught; then the fifth save raises it."""
    monkeypatch.setattr(lmdb_store, "MAP_BYTES", 64 * 1024)
    store = LmdbStore(path)
    for index in range(1, 31):
        store.save((index, None), index, [b"%d" % index * 5_000])
    store.save(None, 31, [b"large" * 1_000_000] * 2)  # larger than twice the map
    expected = [b"%d" % index * 5_000 for index in range(1, 31)] + [b"large" * 1_000_000] * 2
    assert all_of(store) == expected
    store.close()
    store = LmdbStore(path)  # whose first map is smaller than the file again
    store.save(None, 33, [b"more" * 100_000])
    assert all_of(store) == [*expected, b"more" * 100_000]
    store.close()


NO_ADDRESSES = """
import resource, sys
from raft_actors.errors import StoreError
from raft_actors.stores import lmdb
lmdb.MAP_BYTES = 1 << 26
store = lmdb.LmdbStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, resource.RLIM_INFINITY))
index = 0
try:
    while True:
        store.save((index + 1, None), index + 1, [b"x" * 10_000_000])
        index += 1
except StoreError as error:
    print(index, error)
for verb in (lambda: store.save((99, None), 0, []), lambda: store.entries(1, 1)):
    try:
        verb()
    except StoreError as error:
        print(error)
store.close()
"""


def test_without_addresses_the_store_stops_and_the_process_does_not(path):
    """LMDB has no map any more then, and the binding knows it."""
    child = subprocess.run(
        [sys.executable, "-c", NO_ADDRESSES, str(path)], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    told, *later = child.stdout.splitlines()
    count, _, reason = told.partition(" ")
    assert "Cannot allocate memory" in reason
    assert "takes nothing more" in later[0]
    assert "closed" in later[1]
    store = LmdbStore(path)
    assert all_of(store) == [b"x" * 10_000_000] * int(count)
    store.close()


# Compaction.


def test_compacted_entries_are_removed_a_few_with_each_save(path):
    """Planted: `swept` is always `oldest`; then nothing is removed."""
    store = LmdbStore(path)
    store.save(None, 1, [b"x"] * 10_000)
    store.compact(9_000, 1)
    assert store.oldest <= 1 + SWEEP
    last = 10_000
    while store.oldest < store.first:
        before = store.oldest
        store.save(None, last + 1, [b"x"] * 500)
        last += 500
        assert 500 < store.oldest - before <= SWEEP + 500 or store.oldest == store.first
    assert last < 20_000
    with store.database.begin() as transaction:
        assert transaction.stat()["entries"] == last - 9_000 + 2  # the base, and whose it is
    store.close()


def test_a_restarted_store_goes_on_removing(path):
    store = LmdbStore(path)
    store.save(None, 1, [b"x"] * 1_000)
    store.compact(900, 1)
    store.close()
    store = LmdbStore(path)
    assert 1 < store.oldest < 901
    for index in range(1_001, 1_021):
        store.save((index, None), index, [b"x"])
    assert store.oldest == store.first == 901
    assert all_of(store) == [b"x"] * 120
    store.close()


def test_the_file_stays_as_large_as_the_log_it_keeps(path):
    store = LmdbStore(path)
    sizes = []
    for start in range(1, 10_000, 500):
        for first in range(start, start + 500, 25):
            store.save((first, None), first, [b"x" * 500] * 25)
        store.compact(max(start - 500, 0), 1)
        sizes.append(store.directory.database.stat().st_size)
    assert sizes[-1] <= sizes[9]
    store.close()


# A damaged file.


def changed(path, change):
    file = path / "log.lmdb"
    data = bytearray(file.read_bytes())
    change(data)
    file.write_bytes(data)


def flip(data, position):
    data[position] ^= 1


def test_an_entry_that_is_not_what_was_written_is_refused(path):
    """LMDB has no checksums. Planted: ours is not looked at; then the wrong entry is given."""
    filled("lmdb", path)
    changed(path, lambda data: flip(data, data.index(bytes([7]) * 1000) + 500))
    store = LmdbStore(path)
    assert len(store.entries(8, 20)) == 13
    told = r"entry 7 is not what was written.*move its data directory"
    with pytest.raises(StoreCorrupt, match=told):
        store.entries(1, 20)
    store.close()


def test_a_ballot_that_is_not_what_was_written_is_refused(path):
    store = LmdbStore(path)
    store.save((1, ("someone", "a@host")), 0, [])
    store.close()
    changed(path, lambda data: flip(data, data.index(b"someone")))
    store = LmdbStore(path)
    with pytest.raises(StoreCorrupt, match="ballot is not what was written"):
        store.load()
    store.close()


@pytest.mark.parametrize("saves", range(2, 9))
def test_a_first_page_that_would_take_the_log_back_is_refused(path, saves):
    """Planted: the record of free pages is not looked at; then one in some hundred flipped bits
    makes the page of before the newest, and the last save is forgotten, silently.
    """
    filled("lmdb", path, count=saves)
    file = path / "log.lmdb"
    data = file.read_bytes()
    for page in (0, PAGE):
        for bit in range(64):
            changed(path, lambda data, page=page, bit=bit: flip_bit(data, page + 16 + 128, bit))
            assert "transaction" in damage_in(file), (page, bit)
            file.write_bytes(data)
    LmdbStore(path).close()


def flip_bit(data, position, bit):
    data[position + bit // 8] ^= 1 << bit % 8


READER = """
import sys
from raft_actors.errors import StoreCorrupt
from raft_actors.stores import open_store
path, pages = sys.argv[1], range(2, int(sys.argv[2]))
file = path + "/log.lmdb"
with open(file, "rb") as whole:
    data = whole.read()

def all_of(store):
    saved = store.load()
    return saved, store.entries(saved.first, saved.last)

store = open_store("lmdb", path)
sound = all_of(store)
store.close()
for page in pages:
    for damaged in (
        data[: page * 4096],
        data[: page * 4096] + bytes(4096) + data[(page + 1) * 4096 :],
        data[: page * 4096 + 448] + bytes(4096) + data[(page + 1) * 4096 + 448 :],
    ):
        with open(file, "wb") as changed:
            changed.write(damaged)
        store = None
        try:
            store = open_store("lmdb", path)
            assert all_of(store) == sound
        except StoreCorrupt:
            print("refused")
        finally:
            if store is not None:
                store.close()
"""


@pytest.mark.parametrize("compacted", [False, True])
def test_a_lost_page_or_a_file_cut_off_is_refused_and_ends_no_process(path, compacted):
    """Planted: entries are read with a cursor, or the oldest is sought by one, which may step to
    the next page; then LMDB aborts at a page of zeros. Or the length of the file is not looked
    at; then the process ends with SIGBUS.
    """
    if compacted:
        make("lmdb", path, count=200, compacted=50)
    else:
        filled("lmdb", path)
    pages = (path / "log.lmdb").stat().st_size // PAGE
    child = subprocess.run(
        [sys.executable, "-c", READER, str(path), str(pages)], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    assert pages < child.stdout.count("refused") < 3 * pages


@pytest.mark.parametrize("content", [b"", b"x", bytes(100_000), b"SQLite format 3\0" * 1_000])
def test_a_file_of_another_kind_is_refused(path, content):
    LmdbStore(path).close()
    (path / "log.lmdb").write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"is damaged \(log.lmdb: it"):
        LmdbStore(path)


# The package.


def test_without_the_package_the_command_to_run_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.delitem(sys.modules, "raft_actors.stores.lmdb")
    with pytest.raises(StoreError, match=r"pip install 'raft_actors\[lmdb\]'"):
        open_store("lmdb", path)
    assert not path.exists()
