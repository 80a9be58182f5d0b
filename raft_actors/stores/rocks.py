"""RocksStore: a peer's ballot and log in RocksDB, durable when `save` returns.

The directory of one peer:

    store.json      what this is, its format, and whose it is; written last when it is made
    holder.json     the process that has it open, for messages
    log.rocksdb/    RocksDB; its keys:
        "ballot"                          the ballot, as terms
        "e" + 8 bytes, big-endian         the entry of this index
        "first"                           the first kept index, 8 bytes, big-endian

Why the write-ahead log is read as it is, and why RocksDB at all: docs/decisions/stores.md.
"""

import contextlib
import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)

from raft_actors import terms
from raft_actors.errors import DataDirInUse, LogCompacted, RaftError, StoreCorrupt, StoreError
from raft_actors.stores.store import FRESH_BALLOT, Ballot, Saved

__all__ = ["RocksStore"]

MAGIC = "raft_actors store"
FORMAT = 1

KIB = 1024
MIB = 1024 * KIB
MEMTABLE_BYTES = 64 * MIB  # a flush of it competes with the peer for the disk: make them rare
MEMTABLES_MAX = 4  # with 2, appends of 1 MiB wait for flushes and take twice as long
MEMTABLES_BYTES_MAX = 512 * MIB  # of all stores of the process together
PREALLOCATED_BYTES = 4 * MIB  # of the write-ahead log; RocksDB's own is 70 MiB for each store
SLICE = 512  # entries read in one go: an iterator holds the interpreter, 0.2 ms for these

BALLOT = b"ballot"
FIRST = b"first"
ENTRIES_END = b"f"  # after every b"e..."; itself no key

SHARED_MEMTABLES = WriteBufferManager(MEMTABLES_BYTES_MAX, False)
SHARED_CACHE = Cache(32 * MIB)


class RocksStore:
    """Opens the directory `path`, or makes it. See `LogStore` for the verbs.

    A save puts one batch into the write-ahead log and syncs that once. The batch goes in unsynced
    and `flush_wal` syncs it, because `Rdict.write` would hold the interpreter through the sync
    and no other thread of the process could run.

    Raises DataDirInUse when another process, or this one, has it open or when it is another
    peer's; StoreCorrupt for what is no store of this format, or damaged; StoreError when the
    operating system refuses.
    """

    def __init__(self, path: str | Path, owner: tuple[str, str] | None = None) -> None:
        self.path = Path(path).absolute()
        self.failure = ""
        self.db: Rdict | None = None
        try:
            self.open(owner)
            self.first, self.last = self.find_ends()
        except OSError as error:
            self.close()
            raise StoreError(f"{self.path} can't be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    def open(self, owner: tuple[str, str] | None) -> None:
        absent = [path for path in (self.path, *self.path.parents) if not path.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        is_new = self.check_format(owner)
        self.db = self.open_database(create=is_new)
        self.write_holder(owner)
        if is_new:
            self.write_format(owner)
            for path in (self.path, *(path.parent for path in absent)):
                sync_directory(path)

    # The verbs.

    def load(self) -> Saved:
        try:
            ballot = self.database.get(BALLOT)
            return Saved(terms.loads(ballot) if ballot else FRESH_BALLOT, self.first, self.last)
        except ValueError as error:
            raise StoreCorrupt(f"{self.path} has a broken ballot; {REMEDY}") from error
        except RaftError:
            raise
        except Exception as error:
            raise self.told(error) from error

    def save(self, ballot: Ballot | None, first: int, entries: list[bytes]) -> None:
        assert self.first <= first <= self.last + 1 or (first == 0 and not entries), "a hole"
        batch = WriteBatch(raw_mode=True)
        last = self.last
        if ballot is not None:
            batch.put(BALLOT, terms.dumps(ballot, "ballot"))
        if first:
            for index, entry in enumerate(entries, first):
                batch.put(key(index), entry)
            last = first + len(entries) - 1
            if last < self.last:  # a range tombstone makes reads slower: only where one is needed
                batch.delete_range(key(last + 1), ENTRIES_END)
        if batch.is_empty():
            return
        self.write(batch, sync=True)
        self.last = last

    def entries(self, first: int, last: int) -> list[bytes]:
        if first < self.first:
            raise LogCompacted(f"entry {first} is compacted; the log starts at {self.first}")
        assert last <= self.last, "entries beyond the last"
        entries: list[bytes] = []
        for start in range(first, last + 1, SLICE):
            entries += self.slice(start, min(start + SLICE - 1, last))
        return entries

    def compact(self, through: int) -> None:
        if through < self.first:
            return
        batch = WriteBatch(raw_mode=True)
        batch.put(FIRST, (through + 1).to_bytes(8, "big"))
        batch.delete_range(key(self.first), key(through + 1))
        self.write(batch, sync=False)
        self.first, self.last = through + 1, max(self.last, through)

    def close(self) -> None:
        db, self.db = self.db, None
        if db is None:
            return
        with contextlib.suppress(OSError):
            self.holder_file.unlink()
        try:
            db.close()
        except Exception as error:
            if not self.failure:
                raise self.told(error) from error

    def destroy(self) -> None:
        self.close()
        try:
            # In this order, so that what a crash leaves of it is refused instead of reused.
            shutil.rmtree(self.path / "log.rocksdb")
            self.format_file.unlink()
        except OSError as error:
            raise StoreError(f"{self.path} can't be removed: {error}") from error
        with contextlib.suppress(OSError):  # something of others is in it
            self.path.rmdir()

    # RocksDB.

    def open_database(self, *, create: bool) -> Rdict:
        path = self.path / "log.rocksdb"
        try:
            return Rdict(str(path), options(create=create))
        except Exception as error:
            raise self.told(error) from error

    @property
    def database(self) -> Rdict:
        if self.db is None:
            raise StoreError(f"{self.path} is closed: open it again")
        return self.db

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        if self.failure:
            raise StoreError(
                f"{self.path} takes nothing more, since a write failed: {self.failure}; "
                "make the disk good and restart the peer"
            )
        database = self.database
        try:
            database.write(batch)
            if sync:
                database.flush_wal(True)
        except Exception as error:
            self.failure = str(error)
            raise self.told(error) from error

    def find_ends(self) -> tuple[int, int]:
        """Find the log's first and last index, by seeking."""
        cursor = self.database.iter()
        try:
            stored: Any = self.database.get(FIRST, b"\1")
            first = int.from_bytes(stored, "big")
            cursor.seek_for_prev(ENTRIES_END)
            cursor.status()
            found = cursor.key() if cursor.valid() else b""
        except Exception as error:
            raise self.told(error) from error
        finally:
            del cursor  # a living cursor keeps the database open and locked
        if found[:1] != b"e" or found < key(first):
            return first, first - 1
        return first, int.from_bytes(found[1:], "big")

    def slice(self, first: int, last: int) -> list[bytes]:
        """Read `first..last`, and make sure that none is missing: keys are unique and in order."""
        count = last - first + 1
        try:
            items: list[tuple[Any, Any]] = list(
                islice(self.database.items(from_key=key(first)), count)
            )
        except RaftError:
            raise
        except Exception as error:
            raise self.told(error) from error
        if len(items) < count or items[0][0] != key(first) or items[-1][0] != key(last):
            raise StoreCorrupt(f"{self.path} lacks entries between {first} and {last}; {REMEDY}")
        return [entry for _, entry in items]

    def told(self, error: Exception) -> Exception:
        """RocksDB's complaint, all of one type, in our words and ours of type."""
        text = str(error)
        if "lock hold" in text or "While lock file" in text:
            return DataDirInUse(
                f"{self.path} is in use by {self.holder()}: stop that peer, or give this one a "
                "data_dir of its own"
            )
        if text.startswith(("Corruption", "Invalid argument")):
            return StoreCorrupt(f"{self.path} is damaged ({text}); {REMEDY}")
        return StoreError(f"{self.path}: {text}")

    # What stands beside the database.

    @property
    def format_file(self) -> Path:
        return self.path / "store.json"

    @property
    def holder_file(self) -> Path:
        return self.path / "holder.json"

    def check_format(self, owner: tuple[str, str] | None) -> bool:
        """Tell whether the store is yet to be made; raise if the directory is not ours."""
        try:
            record = json.loads(self.format_file.read_text())
        except FileNotFoundError:
            strange = sorted(set(os.listdir(self.path)) - OURS)  # noqa: PTH208
            if strange:
                raise StoreCorrupt(
                    f"{self.path} is no data directory of raft_actors (it holds {strange[0]!r}): "
                    "choose a new one, or an empty one"
                ) from None
            return True
        except ValueError:
            record = None
        if not isinstance(record, dict) or record.get("what") != MAGIC:
            raise StoreCorrupt(f"{self.format_file} is not what raft_actors writes; {REMEDY}")
        if record.get("format") != FORMAT:
            raise StoreCorrupt(
                f"{self.path} has format {record.get('format')!r}, and this version of "
                f"raft_actors knows format {FORMAT}: use the version that wrote it"
            )
        known = record.get("owner")
        if owner is not None and known is not None and known != list(owner):
            raise DataDirInUse(
                f"{self.path} belongs to peer {' on '.join(map(str, known))} and holds its vote; "
                f"it can't be used by {' on '.join(owner)}: give that one a data_dir of its own"
            )
        return False

    def write_format(self, owner: tuple[str, str] | None) -> None:
        """Say that the store is made. Until this is on the disk, nothing is saved."""
        draft = self.path / "store.json.draft"
        record = {"what": MAGIC, "format": FORMAT, "owner": owner}
        with draft.open("w") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.format_file)

    def write_holder(self, owner: tuple[str, str] | None) -> None:
        self.holder_file.write_text(json.dumps({"pid": os.getpid(), "owner": owner}) + "\n")

    def holder(self) -> str:
        """Name who has the store open, as far as it is known."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(self.holder_file.read_text())
            who = f" (peer {' on '.join(record['owner'])})" if record["owner"] else ""
            here = ", this one" if record["pid"] == os.getpid() else ""
            return f"process {record['pid']}{here}{who}"
        return "another process"


OURS = {"log.rocksdb", "store.json.draft", "holder.json"}
REMEDY = (
    "remove this peer from its group, move the directory away, and add the peer again; under its "
    "old membership an empty directory could make it vote twice"
)


def key(index: int) -> bytes:
    return b"e" + index.to_bytes(8, "big")


def options(*, create: bool) -> Options:
    chosen = Options(raw_mode=True)
    chosen.create_if_missing(create)
    # A record cut off at the end was never acknowledged. Damage before the end is refused: the
    # default, point in time, would drop all that follows it and say nothing.
    chosen.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    chosen.set_write_buffer_size(MEMTABLE_BYTES)
    chosen.set_max_write_buffer_number(MEMTABLES_MAX)
    chosen.set_write_buffer_manager(SHARED_MEMTABLES)
    chosen.set_max_total_wal_size(PREALLOCATED_BYTES)  # with one column family, only that
    chosen.set_manifest_preallocation_size(64 * KIB)
    chosen.set_compression_type(DBCompressionType.none())  # entries are opaque
    table = BlockBasedOptions()
    table.set_block_cache(SHARED_CACHE)
    chosen.set_block_based_table_factory(table)
    chosen.set_max_open_files(64)
    # An idle store writes nothing and keeps its own log file short.
    chosen.set_stats_dump_period_sec(0)
    chosen.set_stats_persist_period_sec(0)
    chosen.set_keep_log_file_num(1)
    chosen.set_max_log_file_size(1 * MIB)
    return chosen


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
