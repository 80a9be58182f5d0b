"""DiskDict: a state that is kept on disk, in a RocksDB database of its own, its DiskTable.

The keys of its database, `<data_dir>/machine`:

    "index"                 the index of the last applied entry, 8 bytes
    "k" + the key, UTF-8    the value of the key, encoded
    "of"                    the incarnation of the data directory that the state is in, 8 bytes

Index and values are written together into RocksDB's memory, after each batch of commands. RocksDB
writes this memory to disk as a whole: when it is large, at a `sync` and at the end. So after a
crash the state may be older than before, but is never torn. The peer continues from its index, and
applies the later entries of the log again.

There is no write-ahead log. If such logs are not synced, a power failure may cut the end of one off
while the next one is there. RocksDB would continue after such a gap, and report nothing.
"""

import logging
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any

from rocksdict import Options, Rdict, RdictIter, WriteBatch, WriteOptions

from raft_actors import encoding
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.machine.state_image import FrozenItems
from raft_actors.paths import make_private
from raft_actors.stores.files import advice_on
from raft_actors.stores.rocksdb_forks import guard_forks
from raft_actors.stores.rocksdb_wal import damage_in

__all__ = ["DiskDict", "DiskTable"]

logger: logging.Logger = logging.getLogger("raft_actors.state_machine")

INDEX = b"index"
FIRST_KEY = b"k"
OF = b"of"  # sorts after all keys
SLICE = 1_000
"""Items that are read at once, and items in one piece of a snapshot."""

GONE: Any = object()


class DiskDict:
    """A dict on disk. Keys are strings, in order; values are everything that can be encoded.

    It has only what a state machine may use. The methods by which the peer writes and closes the
    database are those of the table: a command that called one of them would end every replica, or
    change the state of one replica only.
    """

    __slots__ = ("_raft_table",)

    def __init__(self, table: "DiskTable") -> None:
        self._raft_table = table

    def __getitem__(self, key: str) -> Any:
        return self._raft_table[key]

    def __contains__(self, key: str) -> bool:
        return key in self._raft_table

    def get(self, key: str, default: Any = None) -> Any:
        return self._raft_table.get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self._raft_table[key] = value

    def __delitem__(self, key: str) -> None:
        del self._raft_table[key]

    def items(self, prefix: str = "", *, start: str = "") -> Iterator[tuple[str, Any]]:
        """Yield (key, value) in the order of the keys: only keys that begin with `prefix`, from
        `start` on. Don't change the dict meanwhile."""
        return self._raft_table.items(prefix, start=start)

    def commit(self) -> None:
        """Keep the changes of the command. The library calls it, as that of an `UndoDict`."""
        self._raft_table.commit()

    def rollback(self) -> None:
        """Drop the changes of the command. The library calls it, as that of an `UndoDict`."""
        self._raft_table.rollback()


class DiskTable:
    """The database of a DiskDict, with the changes that are not written to it yet.

    To be used on the peer's thread. The changes of a command count once the command has succeeded.

    index    the last entry whose changes are in the database
    pending  the changes of the running command: encoded values, and None for a removed key
    batch    the changes of commands before it that are not in the database yet
    failure  the first failure of the database. After it no result of a command counts, even if the
             state machine has caught the exception: the other replicas had no failure, so their
             results may differ
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: StoreError | None = None
        try:
            make_private(path)
            self.db: Rdict = opened(path)
        except Exception as error:
            raise StoreError(
                f"{path} can't be opened: {error}; {advice_on(error)}. If it is damaged, move it "
                "away, and the peer makes it anew from its snapshot and its log"
            ) from error
        self.pending: dict[bytes, bytes | None] = {}
        self.batch: dict[bytes, bytes | None] = {}
        self.index: int = int.from_bytes(self.stored(INDEX) or b"", "big")
        if not self.index:
            self.clear()  # a `refill` may have been interrupted

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, GONE)
        if value is GONE:
            raise KeyError(key)
        return value

    def __contains__(self, key: str) -> bool:
        return self.encoded(named(key)) is not None

    def get(self, key: str, default: Any = None) -> Any:
        value = self.encoded(named(key))
        return default if value is None else encoding.loads_stored(value)

    def __setitem__(self, key: str, value: Any) -> None:
        self.pending[named(key)] = encoding.dumps_stored(value, f"state[{key!r}]")

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.pending[named(key)] = None

    def items(self, prefix: str = "", *, start: str = "") -> Iterator[tuple[str, Any]]:
        """Yield (key, value) in the order of the keys: only keys that begin with `prefix`, from
        `start` on. Don't change the dict meanwhile."""
        begins = named(prefix)
        first = max(begins, named(start))
        changed = {**self.batch, **self.pending}
        there = ((key, value) for key, value in self.rows(first, begins) if key not in changed)
        new = sorted((key, value) for key, value in changed.items()
                     if value is not None and key >= first and key.startswith(begins))  # fmt: skip
        for key, value in merge(there, new):
            yield key[1:].decode(), encoding.loads_stored(value)

    # The methods of `DiskState`, and those for snapshots.

    def belong_to(self, incarnation: int) -> None:
        """Note the incarnation of the data directory. Raises StoreCorrupt if the state belongs to
        another data directory, to whose log its index refers. A state without a noted incarnation,
        of an earlier version, is accepted.
        """
        noted, mine = self.stored(OF), incarnation.to_bytes(8, "big")
        if noted not in (None, mine):
            raise StoreCorrupt(
                f"the state in {self.path} is of another data directory: move it away, and the "
                "peer makes it anew from its snapshot and its log"
            )
        if noted is None:
            batch = WriteBatch(raw_mode=True)
            batch.put(OF, mine)
            self.write(batch)

    def commit(self) -> None:
        """Keep the changes of the command, which has succeeded."""
        self.refuse_if_failed()
        if self.pending:
            self.batch.update(self.pending)
            self.pending.clear()

    def rollback(self) -> None:
        """Drop the changes of the command, which has failed or was a read."""
        self.pending.clear()
        self.refuse_if_failed()

    def flush(self, index: int) -> None:
        """Write the changes into the database, with the index of the last applied entry."""
        self.refuse_if_failed()
        batch = WriteBatch(raw_mode=True)
        for key, value in self.batch.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(INDEX, index.to_bytes(8, "big"))
        self.write(batch)
        self.batch.clear()
        self.index = index

    def sync(self) -> None:
        """Make the whole database durable, because the log is about to be compacted."""
        self.asked(lambda: self.db.flush(True))

    def frozen(self) -> FrozenItems:
        """Return the present content in pieces, which later changes do not affect."""
        # A cursor reads the content at the time when it was made; an iteration over `db.snapshot()`
        # reads the present content.
        cursor = self.asked(self.db.iter)

        def pieces() -> Iterator[Any]:
            self.tried(lambda: cursor.seek(FIRST_KEY))  # runs on the snapshot writer's thread
            while some := self.tried(lambda: slice_of(cursor, FIRST_KEY)):
                yield tuple(zip(*some, strict=True))

        return FrozenItems(pieces())

    def refill(self, pieces: Iterator[Any]) -> None:
        """Replace the content by the pieces of `frozen`. If this is interrupted, the index is 0,
        and the next start begins with an empty dict.
        """
        self.pending.clear()
        self.batch.clear()
        self.clear()
        for keys, values in pieces:
            batch = WriteBatch(raw_mode=True)
            for key, value in zip(keys, values, strict=True):
                batch.put(key, value)
            self.write(batch)

    def forget(self) -> None:
        """Remove the content, durably: the next start begins with an empty dict."""
        self.pending.clear()
        self.batch.clear()
        self.clear()
        self.sync()

    def close(self) -> None:
        """Close the database. If a full disk does not take its last changes, the log has them."""
        try:
            self.db.close()
        except Exception as error:
            logger.warning("%s: closing failed within a write: %s; the log has the rest",
                           self.path, error)  # fmt: skip

    # RocksDB.

    def encoded(self, key: bytes) -> bytes | None:
        for changes in (self.pending, self.batch):
            if key in changes:
                return changes[key]
        return self.stored(key)

    def stored(self, key: bytes) -> bytes | None:
        found: bytes | None = self.asked(lambda: self.db.get(key))
        return found

    def rows(self, first: bytes, begins: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) from the key `first` on, while the keys begin with `begins`."""

        def read() -> list[tuple[bytes, bytes]]:
            cursor = self.db.iter()  # a new one for each slice: a cursor keeps the database open
            cursor.seek(first)
            return slice_of(cursor, begins)

        while some := self.asked(read):
            yield from some
            first = some[-1][0] + b"\0"

    def clear(self) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(b"", OF)
        self.write(batch)
        self.index = 0

    def write(self, batch: WriteBatch) -> None:
        self.asked(lambda: self.db.write(batch))

    def asked(self, ask: Any) -> Any:
        """Call `ask`, and note a failure: after it this state takes no command any more."""
        try:
            return self.tried(ask)
        except StoreError as error:
            self.failure = error
            raise

    def tried(self, ask: Any) -> Any:
        try:
            return ask()
        except Exception as error:
            raise StoreError(
                f"{self.path}: {error}; {advice_on(error)}. If it is damaged, stop the "
                "peer and move it away: it is made anew from the snapshot and the log"
            ) from error.with_traceback(None)  # the frames of the traceback would keep cursors open

    def refuse_if_failed(self) -> None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # else each raise makes the traceback longer


def opened(path: Path) -> Rdict:
    if damage := damage_in(path):
        raise StoreCorrupt(damage)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    guard_forks()
    database = Rdict(str(path), options)
    writing = WriteOptions()
    writing.disable_wal = True  # type: ignore[assignment, method-assign]  # its stub is wrong
    database.set_write_options(writing)
    return database


def slice_of(cursor: RdictIter, begins: bytes) -> list[tuple[Any, Any]]:
    """Return the next items whose keys begin with `begins`; an empty list after the last one.

    Raises if the database can't be read. `Rdict.items` would end there as if there were no more
    items.
    """
    some: list[tuple[Any, Any]] = []
    while len(some) < SLICE and cursor.valid() and (key := cursor.key()).startswith(begins):
        some.append((key, cursor.value()))
        cursor.next()
    cursor.status()
    return some


def named(key: str) -> bytes:
    try:
        return FIRST_KEY + key.encode()
    except AttributeError:
        raise TypeError(
            f"a key of a state on disk is a str, not {type(key).__name__}: make a str of it"
        ) from None
