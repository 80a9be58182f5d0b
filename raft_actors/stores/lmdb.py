"""LmdbStore: a peer's ballot and log in LMDB, durable when `save` returns.

The keys of its database, the file `log.lmdb`. Each value begins with a checksum, 4 bytes:

    ".ballot"                     the ballot, encoded
    ".base"                       index and term of the last entry that was compacted, 8 bytes
                                  each, big-endian
    ".store"                      the incarnation of the store, 8 bytes, big-endian
    "e" + 8 bytes, big-endian     the entry of this index. These keys sort after all others, so that
                                  a new entry is appended at the end

stores/data_directory.py describes the files beside the database. docs/decisions/lmdb.md says what
LMDB leaves to the program that uses it.
"""

from collections.abc import Callable, Sequence
from zlib import crc32

import lmdb

from raft_actors.stores.durable import BALLOT, BASE, STORE, DurableStore, index_of, key
from raft_actors.stores.lmdb_pages import damage_in, problems_of

__all__ = ["LmdbStore"]

MAP_BYTES = 1 << 30  # of the address space, not of memory or disk; doubled for a larger file
EMPTY_BYTES = 2 * 4096  # the first two pages, of the smallest size; a commit adds others
SWEEP = 64  # a save removes so many compacted entries and as many as it adds: in 0.1 ms

DAMAGE = (
    lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError,
)  # fmt: skip


class LmdbStore(DurableStore[lmdb.Environment]):
    """A save is one write transaction. LMDB syncs first the new pages, and then the page that
    refers to them.

    oldest   the first entry in the file. Compacted entries, before `first`, are removed little by
             little
    """

    kind = "lmdb"
    oldest: int = 1

    def open_database(self, *, create: bool) -> lmdb.Environment:
        path = self.directory.database
        exists = path.exists()
        if create and exists and path.stat().st_size <= EMPTY_BYTES:
            path.unlink()  # the making of the store was interrupted
        elif not create and not exists:
            raise self.damaged(f"{path.name} is missing")
        elif exists and (damage := damage_in(path)):
            raise self.damaged(f"{path.name}: {damage}")
        try:
            # LMDB needs no lock: the lock of the directory leaves it to one thread of one process.
            database = lmdb.open(
                str(path), map_size=MAP_BYTES, subdir=False, lock=False, lib_version=0, mode=0o600
            )
        except lmdb.Error as error:
            raise self.translate(error) from error
        if create:
            database.sync(True)
        return database

    def close_database(self, database: lmdb.Environment) -> None:
        database.close()

    def remove_database(self) -> None:
        self.directory.database.unlink()

    def find_ends(self) -> None:
        """Find the log's ends, and the oldest entry in the file by counting back from the last one.
        A cursor that seeks the oldest entry may step to the next page; if that page was overwritten
        with zeros, this would end the process.
        """
        super().find_ends()
        last = self.last
        with self.reading() as database, database.begin() as transaction:
            records = [transaction.get(record_key(name)) for name in (BALLOT, BASE, STORE)]
            count = transaction.stat()["entries"] - sum(each is not None for each in records)
            self.oldest = oldest = last - count + 1
            is_there = count == 0 or (oldest > 0 and transaction.get(key(oldest)) is not None)
            if not is_there or (oldest > 1 and transaction.get(key(oldest - 1)) is not None):
                raise self.damaged(f"it has {count} entries, not those from {oldest} to {last}")

    def find_last(self) -> int:
        with self.reading() as database, database.begin() as transaction:
            cursor = transaction.cursor()
            found = cursor.key() if cursor.last() else b""
        return index_of(found) if found[:1] == b"e" else 0

    def get(self, name: bytes) -> bytes | None:
        with self.reading() as database, database.begin() as transaction:
            value = transaction.get(record_key(name))
        return None if value is None else self.unsealed(record_key(name), value)

    def write(self, records: dict[bytes, bytes], first: int, entries: list[bytes]) -> None:
        swept = min(self.first, self.oldest + SWEEP + len(entries))

        def change(transaction: lmdb.Transaction) -> None:
            put(transaction, records)
            if first:
                self.remove(transaction, first, self.last)
                self.append(transaction, first, entries)
            self.remove(transaction, self.oldest, swept - 1)

        self.commit(change)
        self.oldest = swept

    def delete_through(self, records: dict[bytes, bytes], through: int) -> None:
        """Remove some of the entries now. Later saves remove the rest, so that none takes long."""
        swept = min(through + 1, self.oldest + SWEEP)

        def change(transaction: lmdb.Transaction) -> None:
            self.remove(transaction, self.oldest, swept - 1)
            put(transaction, records)

        self.commit(change)
        self.oldest = swept

    def delete_all(self, records: dict[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        def change(transaction: lmdb.Transaction) -> None:
            transaction.drop(self.database.open_db(txn=transaction), delete=False)
            put(transaction, records)
            self.append(transaction, first, entries)

        self.commit(change)
        self.oldest = first

    def commit(self, change: Callable[[lmdb.Transaction], None]) -> None:
        """Make the change in one transaction: all or nothing, and synced.

        If the file becomes larger than the map, LMDB undoes the change. Then the map is doubled,
        and the change is made again.
        """
        with self.writing() as database:
            while True:
                try:
                    with database.begin(write=True) as transaction:
                        change(transaction)
                except lmdb.MapFullError:
                    database.set_mapsize(2 * database.info()["map_size"])
                else:
                    return

    def append(self, transaction: lmdb.Transaction, first: int, entries: Sequence[bytes]) -> None:
        names = [key(index) for index in range(first, first + len(entries))]
        log = [(name, sealed(name, entry)) for name, entry in zip(names, entries, strict=True)]
        _, added = transaction.cursor().putmulti(log, append=True)
        if added < len(log):
            raise self.damaged(f"it has entries after {self.last}")

    def remove(self, transaction: lmdb.Transaction, first: int, last: int) -> None:
        for index in range(first, last + 1):
            if not transaction.delete(key(index)):
                raise self.missing(index, index)

    def slice(self, first: int, last: int) -> list[bytes]:
        """Read the entries one by one. A cursor would be faster by a third, but would end the
        process at a page that is missing.
        """
        entries: list[bytes] = []
        with self.reading() as database, database.begin() as transaction:
            for index in range(first, last + 1):
                value = transaction.get(key(index))
                if value is None:
                    raise self.missing(first, last)
                entries.append(self.unsealed(key(index), value))
        return entries

    def find_problems(self) -> list[str]:
        path = self.directory.database
        return [f"{path.name}: {each}" for each in problems_of(path)] if path.exists() else []

    def unsealed(self, name: bytes, value: bytes) -> bytes:
        content = value[4:]
        if crc32(content, crc32(name)).to_bytes(4, "big") != value[:4]:
            what = f"entry {index_of(name)}" if name[:1] == b"e" else name.decode()
            raise self.damaged(f"{what} is not what was written")
        return content

    def is_damage(self, error: BaseException) -> bool:
        return isinstance(error, DAMAGE)


def record_key(name: bytes) -> bytes:
    return b"." + name


def sealed(name: bytes, content: bytes) -> bytes:
    """Return `content` with a checksum of key and content before it. LMDB has no checksums, so it
    returns damaged data of a disk without an error.
    """
    return crc32(content, crc32(name)).to_bytes(4, "big") + content


def put(transaction: lmdb.Transaction, records: dict[bytes, bytes]) -> None:
    for name, record in records.items():
        transaction.put(record_key(name), sealed(record_key(name), record))
