"""FilesStore: what only the log of our own does, or does in its own way."""

import shutil
import stat

import pytest

from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores import Saved, open_store, segment
from raft_actors.stores.files_store import FilesStore
from raft_actors.stores.segment_records import scanned
from tests.stores.helpers import filled, names_in, straced_saves

OWNER = ("counter", "a@host")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peer"


def file_of(path, number=1):
    return path / "log.files" / f"{number:012}.log"


def several(path, monkeypatch, count=6):
    """Make a store with this many segments, each of one save."""
    monkeypatch.setattr(segment, "RECORDS_MAX", 2)
    store = open_store("files", path, OWNER)
    for index in range(1, count + 1):
        store.save((index, None), index, [b"entry %d" % index * 40])
    store.close()
    assert len(names_in(path / "log.files")) == count


# Writing.


def test_a_save_is_one_write_and_one_sync(path, tmp_path):
    """Planted: no fdatasync; and a second write for each save."""
    calls = "fsync,fdatasync,pwrite64,pwritev,ftruncate,openat"
    _, between, _ = straced_saves("files", path, tmp_path / "trace", calls)
    assert between.count("fdatasync(") == between.count("pwrite64(") == 10
    assert not any(call in between for call in ("fsync(", "ftruncate(", "openat("))


def test_only_this_user_can_read_the_files(path):
    open_store("files", path, OWNER).close()
    assert stat.S_IMODE((path / "log.files").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(path).stat().st_mode) == 0o600


def test_segments_without_an_entry_after_the_base_are_removed(path, monkeypatch):
    several(path, monkeypatch)
    store = open_store("files", path, OWNER)
    store.compact(4, 1)
    assert len(names_in(path / "log.files")) == 6  # the base is not on the disk yet
    store.save((7, None), 7, [b"entry 7"])
    assert names_in(path / "log.files")[0] == file_of(path, 5).name
    store.close()
    store = open_store("files", path, OWNER)
    assert store.load() == Saved((7, None), 5, 7, 1)
    store.close()


def test_a_store_whose_files_are_removed_acknowledges_nothing(path):
    store = open_store("files", path, OWNER)
    file_of(path).unlink()
    with pytest.raises(StoreError, match="was removed"):
        store.save((1, None), 0, [])
    store.close()


# A damaged disk.


@pytest.mark.parametrize("cut", [1, 5, 100, 300, 500])
def test_a_record_torn_at_the_end_is_cut_off_and_told(path, cut, caplog):
    filled("files", path)
    whole = file_of(path).read_bytes()
    records, _ = scanned(whole, 1)
    end = records[-1].at + records[-1].size
    file_of(path).write_bytes(whole[: end - 512 - cut] + bytes(len(whole) - end + 512 + cut))
    store = FilesStore(path)
    assert store.had_torn_tail
    assert "ended within a save, which is cut off" in caplog.text
    assert store.load() == Saved((19, None), 1, 19)
    store.save((20, None), 20, [b"again"])
    store.close()
    store = FilesStore(path)
    assert not store.had_torn_tail
    assert store.entries(20, 20) == [b"again"]
    store.close()


def test_a_file_that_was_cut_off_between_two_records_is_refused(path):
    """Planted: a record does not say how long the file was; then its end is as good as any."""
    filled("files", path)
    whole = file_of(path).read_bytes()
    for record in scanned(whole, 1)[0][2:]:
        file_of(path).write_bytes(whole[: record.at])
        with pytest.raises(StoreCorrupt, match=r"cut off after \d+ bytes: it had \d+.*move its"):
            FilesStore(path)


def test_a_sector_of_zeros_before_the_last_record_is_refused(path):
    """Planted: no later record is looked for; then a lost sector is taken for a torn record, and
    all after it is forgotten.
    """
    filled("files", path)
    whole = file_of(path).read_bytes()
    for record in scanned(whole, 1)[0][:-1]:
        stop = record.at - record.at % 512 + 512
        file_of(path).write_bytes(whole[: record.at] + bytes(stop - record.at) + whole[stop:])
        with pytest.raises(StoreCorrupt, match="and later ones are"):
            FilesStore(path)


def test_no_flipped_bit_makes_a_record_of_zeros_look_torn(path):
    """Planted: zeros are not escaped; then the last save is forgotten, silently."""
    store = FilesStore(path)
    store.save((1, None), 1, [bytes(3_000), bytes(31) + b"\1" + bytes(1_000)])
    store.close()
    whole = file_of(path).read_bytes()
    (_, record), _ = scanned(whole, 1)
    for at in range(record.at, record.at + record.size):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        file_of(path).write_bytes(data)
        with pytest.raises(StoreCorrupt, match=r"1\.log, byte \d+: a record is not what was"):
            FilesStore(path)


@pytest.mark.parametrize("number", range(1, 7))
def test_a_missing_segment_is_refused(path, monkeypatch, number):
    several(path, monkeypatch)
    file_of(path, number).unlink()
    for _ in range(2):  # and nothing is made in its place
        with pytest.raises(StoreCorrupt, match=r"missing.*move its data directory"):
            FilesStore(path)


def test_swapped_segments_are_refused(path, monkeypatch):
    several(path, monkeypatch)
    file_of(path, 2).rename(path / "other")
    file_of(path, 3).rename(file_of(path, 2))
    (path / "other").rename(file_of(path, 3))
    with pytest.raises(StoreCorrupt, match="it has no sound index"):
        FilesStore(path)


@pytest.mark.parametrize("number", [1, 6])
def test_a_segment_of_another_peer_is_refused(path, tmp_path, monkeypatch, number):
    """Planted: the incarnation is not looked at; then there are two votes in one log."""
    several(path, monkeypatch)
    several(tmp_path / "other", monkeypatch)
    shutil.copy(file_of(tmp_path / "other", number), file_of(path, number))
    with pytest.raises(StoreCorrupt, match="of another data directory"):
        FilesStore(path)


def test_all_segments_of_another_peer_are_refused(path, tmp_path, monkeypatch):
    several(path, monkeypatch)
    several(tmp_path / "other", monkeypatch)
    shutil.rmtree(path / "log.files")
    shutil.copytree(tmp_path / "other" / "log.files", path / "log.files")
    with pytest.raises(StoreCorrupt, match=r"of another data directory.*move its data directory"):
        FilesStore(path)


def test_a_damaged_log_without_its_record_is_not_made_anew(path):
    """Planted: what can't be read is taken for a making that was interrupted."""
    filled("files", path)
    (path / "store.json").rename(path / "store.json.draft")
    (path / "holder.json").unlink()
    data = bytearray(file_of(path).read_bytes())
    data[5_000] ^= 1
    file_of(path).write_bytes(data)
    with pytest.raises(StoreCorrupt):
        FilesStore(path)
    assert file_of(path).read_bytes() == data
