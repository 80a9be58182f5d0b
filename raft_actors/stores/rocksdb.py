"""RocksStore: a peer's ballot and log in RocksDB, durable when `save` returns.

The keys of its database, `log.rocksdb`:

    "ballot"                      the ballot, encoded
    "e" + 8 bytes, big-endian     the entry of this index
    "base"                        index and term of the last entry that was compacted, 8 bytes
                                  each, big-endian
    "store"                       the incarnation of the store, 8 bytes, big-endian

stores/data_directory.py describes the files beside the database. docs/decisions/stores.md has the
reasons for RocksDB, and for the way in which its write-ahead log is read.
"""

import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
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

from raft_actors.paths import make_private
from raft_actors.stores.durable import DurableStore, index_of, key
from raft_actors.stores.rocksdb_forks import guard_forks
from raft_actors.stores.rocksdb_wal import damage_in, is_torn

__all__ = ["RocksStore"]

logger: logging.Logger = logging.getLogger("raft_actors.stores")

KIB = 1024
MIB = 1024 * KIB
MEMTABLE_BYTES = 64 * MIB  # large, so that flushes, which use the same disk as saves, are rare
MEMTABLES_MAX = 4  # with 2, appends of 1 MiB wait for flushes and take twice as long
MEMTABLES_BYTES_MAX = 512 * MIB  # of all stores of the process together
PREALLOCATED_BYTES = 4 * MIB  # for the write-ahead log; RocksDB's default is 70 MiB for each store

ENTRIES_END = b"f"  # sorts after every key of an entry; no key itself

SHARED_MEMTABLES = WriteBufferManager(MEMTABLES_BYTES_MAX, False)
SHARED_CACHE = Cache(32 * MIB)


class RocksStore(DurableStore[Rdict]):
    """A save writes one batch into the write-ahead log, and syncs the log once.

    The batch is written without a sync, and then `flush_wal` syncs. A sync within `Rdict.write`
    would keep the interpreter's lock, so that no other thread of the process could run.
    """

    kind = "rocksdb"

    def open_database(self, *, create: bool) -> Rdict:
        path = self.directory.database
        if not create and not any(path.glob("*.log")):
            # RocksDB would open it, without the saves that were only in the missing file.
            raise self.damaged(f"a file of {path.name} is missing: its write-ahead log, *.log")
        if damage := damage_in(path):
            raise self.damaged(f"{path.name}: {damage}")
        if create:
            make_private(path)  # RocksDB would make a directory that other users can read
        self.had_torn_tail: bool = is_torn(path)
        guard_forks()
        try:
            database = Rdict(str(path), options(create=create))
        except Exception as error:
            raise self.translate(error) from error
        if self.had_torn_tail:
            logger.warning("%s ended within a save, which is cut off: if a crash has torn it, "
                           "it was never acknowledged", self.path)  # fmt: skip
        return database

    def close_database(self, database: Rdict) -> None:
        database.close()

    def abandon_database(self, database: Rdict) -> None:
        """Close the database without a flush. A flush would make a new file at the old path, and
        the moved directory's manifest would name a file that it does not have. Nothing is lost
        without the flush: everything is in the write-ahead log.
        """
        database.cancel_all_background(True)
        with suppress(Exception):  # the error that a flush is not possible any more
            database.close()

    def remove_database(self) -> None:
        shutil.rmtree(self.directory.database)

    def find_last(self) -> int:
        with self.reading() as database:
            cursor = database.iter()
            try:
                cursor.seek_for_prev(ENTRIES_END)
                cursor.status()
                found: Any = cursor.key() if cursor.valid() else b""
            finally:
                del cursor  # as long as a cursor exists, the database stays open and locked
        return index_of(found) if found[:1] == b"e" else 0

    def get(self, name: bytes) -> bytes | None:
        with self.reading() as database:
            found: bytes | None = database.get(name)
            return found

    def write(self, records: dict[bytes, bytes], first: int, entries: list[bytes]) -> None:
        batch = WriteBatch(raw_mode=True)
        for name, record in records.items():
            batch.put(name, record)
        for index, entry in enumerate(entries, first):
            batch.put(key(index), entry)
        end = first + len(entries)
        if first and end <= self.last:
            # Only if entries are removed, because a range tombstone makes reads slower.
            batch.delete_range(key(end), ENTRIES_END)
        with self.writing() as database:
            database.write(batch)
            database.flush_wal(True)

    def delete_through(self, records: dict[bytes, bytes], through: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for name, record in records.items():
            batch.put(name, record)
        batch.delete_range(key(self.first), key(through + 1))
        with self.writing() as database:
            database.write(batch)

    def delete_all(self, records: dict[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        batch = WriteBatch(raw_mode=True)
        for name, record in records.items():
            batch.put(name, record)
        batch.delete_range(key(0), ENTRIES_END)
        for index, entry in enumerate(entries, first):
            batch.put(key(index), entry)
        with self.writing() as database:
            database.write(batch)
            database.flush_wal(True)

    def slice(self, first: int, last: int) -> list[bytes]:
        count = last - first + 1
        with self.reading() as database:
            items: list[tuple[Any, Any]] = list(islice(database.items(from_key=key(first)), count))
            # Keys are unique and in order.
            if len(items) < count or items[0][0] != key(first) or items[-1][0] != key(last):
                # At a damaged block the iteration ends without an error; `get` raises it.
                for index in range(first, last + 1):
                    if database.get(key(index)) is None:
                        raise self.missing(index, last)
        return [entry for _, entry in items]

    def is_damage(self, error: BaseException) -> bool:
        text = str(error)
        if "IO error" in text:  # an error of the operating system
            return "No such file" in text
        return text.startswith(("Corruption", "Invalid argument"))


def options(*, create: bool) -> Options:
    chosen = Options(raw_mode=True)
    chosen.create_if_missing(create)
    # A record that is cut off at the end was never acknowledged, and is dropped. Damage before the
    # end is an error. RocksDB's default, point in time, would drop everything after the damage and
    # report nothing.
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
    # So that an idle store writes nothing, and RocksDB's own log file stays short.
    chosen.set_stats_dump_period_sec(0)
    chosen.set_stats_persist_period_sec(0)
    chosen.set_keep_log_file_num(1)
    chosen.set_max_log_file_size(1 * MIB)
    return chosen
