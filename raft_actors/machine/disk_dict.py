"""DiskDict: a state that lives on disk, in a RocksDB of the peer's own; see `on_disk`.

The keys of its database, `<data_dir>/machine`:

    "index"                 the entry of the log after which the state is this, 8 bytes
    "k" + the key, UTF-8    its value, as a term
    "of"                    the incarnation of the data directory that it is in, 8 bytes

Index and values are written together, after each batch of commands, into RocksDB's memory; it
writes that to disk whole when there is much of it, at a `sync` and at the end. So after a crash the
state may be older than it was, but is never torn: it goes on from its index, and the log makes the
rest anew.

There is no write-ahead log: one that is not synced may lose its end in a power cut, while the next
one is there. RocksDB goes on behind such a gap, and says nothing.
"""

import logging
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any

from rocksdict import Options, Rdict, RdictIter, WriteBatch, WriteOptions

from raft_actors import encoding
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.machine.state_image import Frozen
from raft_actors.paths import make_private
from raft_actors.stores.files import advice_on
from raft_actors.stores.rocksdb_wal import damage_in

__all__ = ["DiskDict"]

logger = logging.getLogger("raft_actors.state_machine")

INDEX = b"index"
FIRST_KEY = b"k"
OF = b"of"  # after all keys
SLICE = 1_000
"""Items read in one go, and in one piece of a snapshot."""

GONE: Any = object()


class DiskDict:
    """A dict on disk: str keys, in order, and terms as values.

    For the peer's thread. What a command changes counts once it has succeeded.

    index    the entry of the log after which the state is what is in the database
    pending  what the command that runs has changed; encoded, None for what is gone
    batch    what those before it have changed, and is not in the database yet
    failure  why the database did not answer, once. Nothing counts any more then, whatever a
             machine that caught it has made of it: the other replicas were answered
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: StoreError | None = None
        try:
            make_private(path)
            self.db = opened(path)
        except Exception as error:
            raise StoreError(
                f"{path} can't be opened: {error}; {advice_on(error)}. If it is damaged, move it "
                "away, and the peer makes it anew from its snapshot and its log"
            ) from error
        self.pending: dict[bytes, bytes | None] = {}
        self.batch: dict[bytes, bytes | None] = {}
        self.index = int.from_bytes(self.stored(INDEX) or b"", "big")
        if not self.index:
            self.clear()  # of what `refill` was cut off in

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
        """Yield keys and values in order of the keys: those that begin with `prefix`, from
        `start` on. Don't change the dict meanwhile."""
        begins = named(prefix)
        first = max(begins, named(start))
        changed = {**self.batch, **self.pending}
        there = ((key, value) for key, value in self.rows(first, begins) if key not in changed)
        new = sorted((key, value) for key, value in changed.items()
                     if value is not None and key >= first and key.startswith(begins))  # fmt: skip
        for key, value in merge(there, new):
            yield key[1:].decode(), encoding.loads_stored(value)

    # What the framework calls.

    def belong_to(self, incarnation: int) -> None:
        """Be a part of this data directory. Raises StoreCorrupt if it is one of another: the index
        would say nothing then. One that was made before this was noted is taken.
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
        """The command has succeeded."""
        self.refuse_if_failed()
        if self.pending:
            self.batch.update(self.pending)
            self.pending.clear()

    def rollback(self) -> None:
        """The command has failed, or was a read."""
        self.pending.clear()
        self.refuse_if_failed()

    def flush(self, index: int) -> None:
        """Put what has changed into the database, with the entry after which it is so."""
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
        """Make all of it durable: the log is about to be cut."""
        self.asked(lambda: self.db.flush(True))

    def frozen(self) -> Frozen:
        """Return all of it as it is now, in pieces, whatever becomes of it."""
        # A cursor looks at the moment when it was made; what `db.snapshot()` iterates over is now.
        cursor = self.asked(self.db.iter)

        def pieces() -> Iterator[Any]:
            self.tried(lambda: cursor.seek(FIRST_KEY))  # by the snapshot's writer
            while some := self.tried(lambda: slice_of(cursor, FIRST_KEY)):
                yield tuple(zip(*some, strict=True))

        return Frozen(pieces())

    def refill(self, pieces: Iterator[Any]) -> None:
        """Take in what `frozen` gave. Cut off in the middle, it is at index 0, and empty."""
        self.pending.clear()
        self.batch.clear()
        self.clear()
        for keys, values in pieces:
            batch = WriteBatch(raw_mode=True)
            for key, value in zip(keys, values, strict=True):
                batch.put(key, value)
            self.write(batch)

    def close(self) -> None:
        """Let go of the disk. What a full one does not take any more, the log makes anew."""
        try:
            self.db.close()
        except Exception as error:
            logger.warning("%s was closed in the middle of a write: %s; the log makes it anew",
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
        """Yield keys and values from `first` on, while the keys begin so."""

        def read() -> list[tuple[bytes, bytes]]:
            cursor = self.db.iter()  # one that lives keeps the database open: not for longer
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
        """Ask for what the state depends on: a failure is the end of this one."""
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
            ) from error.with_traceback(None)  # its frames hold cursors

    def refuse_if_failed(self) -> None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # else it grows each time it is raised


def opened(path: Path) -> Rdict:
    if damage := damage_in(path):
        raise StoreCorrupt(damage)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    database = Rdict(str(path), options)
    writing = WriteOptions()
    writing.disable_wal = True  # type: ignore[assignment, method-assign]  # its stub errs
    database.set_write_options(writing)
    return database


def slice_of(cursor: RdictIter, begins: bytes) -> list[tuple[Any, Any]]:
    """Take the next items whose keys begin so; none after the last.

    Raises where the database can't be read: `Rdict.items` ends there as if that were all.
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
