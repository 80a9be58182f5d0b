"""RocksStore: a peer's ballot and log in RocksDB, durable when `save` returns.

The keys of its database, `log.rocksdb`:

    "ballot"                      the ballot, as terms
    "e" + 8 bytes, big-endian     the entry of this index
    "first"                       the first kept index, 8 bytes, big-endian

What stands beside it: stores/directory.py. Why the write-ahead log is read as it is, and why
RocksDB at all: docs/decisions/stores.md.
"""

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
from raft_actors.errors import LogCompacted, RaftError, StoreCorrupt, StoreError
from raft_actors.stores.directory import REMEDY, Owner, StoreDirectory
from raft_actors.stores.store import FRESH_BALLOT, Ballot, Saved

__all__ = ["RocksStore"]

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

    def __init__(self, path: str | Path, owner: Owner | None = None) -> None:
        self.directory = StoreDirectory(path, "rocksdb")
        self.path = self.directory.path
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

    def open(self, owner: Owner | None) -> None:
        directory = self.directory
        directory.open(owner)
        self.db = self.open_database(create=directory.is_new)
        if directory.is_new:
            directory.finish(owner)

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
        try:
            self.close_database()
        finally:
            self.directory.close()

    def destroy(self) -> None:
        try:
            self.close_database()
            # In this order, so that what a crash leaves of it is refused instead of reused.
            shutil.rmtree(self.directory.database)
            self.directory.remove()
        except OSError as error:
            raise StoreError(f"{self.path} can't be removed: {error}") from error
        finally:
            self.directory.close()

    # RocksDB.

    def open_database(self, *, create: bool) -> Rdict:
        try:
            return Rdict(str(self.directory.database), options(create=create))
        except Exception as error:
            raise self.told(error) from error

    def close_database(self) -> None:
        db, self.db = self.db, None
        try:
            if db is not None:
                db.close()
        except Exception as error:
            if not self.failure:
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
        if text.startswith(("Corruption", "Invalid argument")):
            return StoreCorrupt(f"{self.path} is damaged ({text}); {REMEDY}")
        return StoreError(f"{self.path}: {text}")


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
