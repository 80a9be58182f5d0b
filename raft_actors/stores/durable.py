"""DurableStore: what the log stores on a disk have in common. Each kind adds its database.

This class has the bounds of the log, the errors and when they are raised, and the order in which a
store is opened and closed. A kind defines the rest: the methods that raise NotImplementedError.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage
from struct import Struct
from typing import Any, ClassVar, Generic, Self, TypeVar

from raft_actors import encoding
from raft_actors.errors import REJOIN, LogCompacted, RaftError, StoreCorrupt, StoreError
from raft_actors.stores.data_directory import DataDirectory, Owner
from raft_actors.stores.files import DiskFiles, advice_on
from raft_actors.stores.log_store import FRESH_BALLOT, Mark, Saved, StoredBallot
from raft_actors.stores.snapshots import Snapshots

__all__ = ["BALLOT", "BASE", "STORE", "DurableStore", "index_of", "key"]

SLICE = 512  # entries read at once. RocksDB keeps the interpreter's lock meanwhile, for 0.2 ms

ROOM_BYTES = 64 * 1024 * 1024  # if less is free on the disk, the text of an error says how much

BALLOT = b"ballot"
BASE = b"base"  # index and term of the last entry that was compacted
STORE = b"store"  # the incarnation of the store to which the database belongs
PAIR = Struct(">QQ")
INCARNATION = Struct(">Q")

Database = TypeVar("Database")


class DurableStore(Generic[Database]):
    """Opens the directory `path`, or makes it. `LogStore` describes the methods.

    check_first   whether the database is checked before it is opened; for LMDB that reads the whole
                  file. A database with `problems` is not opened, and reading from it raises them
    first, last   the entries in the log; the log is empty if `last` is `first` - 1
    base_term     the term of the entry before `first`
    failure       why the store takes no more writes; empty as long as no write has failed
    had_torn_tail  whether a crash had torn the last save, which was cut off at the opening

    Raises DataDirInUse if this or another process has the store open, or if it belongs to another
    peer; StoreCorrupt if it is no store of this format, or damaged; StoreError if the operating
    system reports an error.
    """

    kind: ClassVar[str]
    first: int
    last: int
    base_term: int
    had_torn_tail = False

    def __init__(
        self,
        path: str | Path,
        owner: Owner | None = None,
        *,
        mark: Mark | None = None,
        check_first: bool = False,
    ) -> None:
        self.directory: DataDirectory = DataDirectory(path, self.kind)
        self.path: Path = self.directory.path
        self.snapshots: Snapshots = Snapshots(DiskFiles(self.directory.snapshots))
        self.failure: str = ""
        self.problems: list[str] = []
        self.db: Database | None = None
        try:
            self.directory.open(owner, mark)
            if check_first:
                self.problems = self.find_problems()
            if not self.problems:
                self.db = self.open_database(create=self.directory.is_new)
                self.find_ends()
                if self.directory.is_new:
                    self.refuse_what_was_saved()
                    self.claim()
                    self.directory.finish(owner)
                else:
                    self.refuse_another()
                self.directory.remember()
        except OSError as error:
            self.close()
            raise StoreError(f"{self.path} can't be opened: {error}; {advice_on(error)}") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def beside(cls, other: "DurableStore[Any]") -> Self:
        """Make an empty database in the directory of the store `other`, for a migration. `other`
        stays the store of the directory, and its lock protects both.
        """
        store = cls.__new__(cls)
        store.directory = DataDirectory(other.path, cls.kind)
        store.path, store.snapshots, store.failure = other.path, other.snapshots, ""
        store.directory.incarnation = other.directory.incarnation
        store.problems, store.db = [], None
        if store.directory.database.exists():  # an earlier migration was interrupted
            store.remove_database()
        store.db = store.open_database(create=True)
        store.find_ends()
        store.claim()
        return store

    def reopen(self) -> None:
        """Close the database and open it again, so that later reads read the disk."""
        self.release()
        self.db = self.open_database(create=False)
        self.find_ends()

    # The methods that a kind defines.

    def open_database(self, *, create: bool) -> Database:
        raise NotImplementedError

    def close_database(self, database: Database) -> None:
        raise NotImplementedError

    def abandon_database(self, database: Database) -> None:
        """Close the database and write nothing: at its path there may be another directory now."""
        self.close_database(database)

    def remove_database(self) -> None:
        raise NotImplementedError

    def find_last(self) -> int:
        """Return the index of the last entry in the database; 0 if there is none."""
        raise NotImplementedError

    def get(self, name: bytes) -> bytes | None:
        """Return the record with one of the names BALLOT, BASE and STORE; None if there is none."""
        raise NotImplementedError

    def write(self, records: dict[bytes, bytes], first: int, entries: list[bytes]) -> None:
        """Write `records` by name. Unless `first` is 0, also replace the log from `first` on by
        `entries`. All or nothing, and synced.
        """
        raise NotImplementedError

    def delete_through(self, records: dict[bytes, bytes], through: int) -> None:
        """Write `records`, and remove the entries up to `through`: both or nothing, not synced."""
        raise NotImplementedError

    def delete_all(self, records: dict[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        """Write `records`, and replace the whole log by `entries`, which begin at `first`. All or
        nothing, and synced.
        """
        raise NotImplementedError

    def slice(self, first: int, last: int) -> list[bytes]:
        """Read the entries `first..last`, at most SLICE. Raises StoreCorrupt if one is missing."""
        raise NotImplementedError

    def is_damage(self, error: BaseException) -> bool:
        """Return whether the error means a damaged database, and not a failure of the operating
        system.
        """
        raise NotImplementedError

    def find_problems(self) -> list[str]:
        """Return the damages of the database that could end a process which opens or reads it."""
        return []

    # The methods of `LogStore`.

    def load(self) -> Saved:
        stored = self.get(BALLOT)
        try:
            ballot = encoding.loads_stored(stored) if stored else FRESH_BALLOT
            return Saved(ballot, self.first, self.last, self.base_term, self.directory.incarnation)
        except ValueError as error:
            raise StoreCorrupt(f"{self.path} has a broken ballot; {REJOIN}") from error

    def save(self, ballot: StoredBallot | None, first: int, entries: list[bytes]) -> None:
        if not self.first <= first <= self.last + 1 and (first or entries):
            raise AssertionError(f"entries from {first} on would leave a hole after {self.last}")
        last = first + len(entries) - 1 if first else self.last
        if ballot is None and not entries and last == self.last:
            return
        records = {} if ballot is None else {BALLOT: encoding.dumps(ballot, "ballot")}
        self.write(records, first, entries)
        self.last = last
        self.check()

    def entries(self, first: int, last: int) -> list[bytes]:
        if first < self.first:
            raise LogCompacted(f"entry {first} is compacted; the log starts at {self.first}")
        if last > self.last:
            raise AssertionError(f"entry {last} is beyond the last, {self.last}")
        entries: list[bytes] = []
        for start in range(first, last + 1, SLICE):
            entries += self.slice(start, min(start + SLICE - 1, last))
        return entries

    def compact(self, through: int, term: int) -> None:
        if through < self.first:
            return
        if through > self.last:
            raise AssertionError(f"entry {through} is not there and can't be compacted")
        self.delete_through({BASE: PAIR.pack(through, term)}, through)
        self.first, self.base_term = through + 1, term

    def restart(
        self, ballot: StoredBallot, index: int, term: int, entries: Sequence[bytes] = ()
    ) -> None:
        records = {
            BALLOT: encoding.dumps(ballot, "ballot"), BASE: PAIR.pack(index, term),
            STORE: self.claimed,
        }  # fmt: skip
        self.delete_all(records, index + 1, entries)
        self.first, self.last, self.base_term = index + 1, index + len(entries), term
        self.check()

    @property
    def mark(self) -> Mark:
        return self.directory.mark

    def check(self) -> None:
        try:
            self.directory.check()
        except StoreError as error:
            self.failure = str(error)
            raise

    def close(self) -> None:
        try:
            self.release()
        finally:
            self.directory.close()

    def destroy(self) -> None:
        try:
            self.release()
            # In this order: if a crash interrupts it, the rest is refused and not used again.
            self.remove_database()
            self.directory.remove()
        except OSError as error:
            raise StoreError(f"{self.path} can't be removed: {error}") from error
        finally:
            self.directory.close()

    # Methods for the kinds.

    @property
    def database(self) -> Database:
        if self.problems:
            raise self.damaged(self.problems[0])
        if self.db is None:
            raise StoreError(f"{self.path} is closed: open it again")
        return self.db

    def reading(self) -> "DatabaseAccess[Database]":
        """Return a context with the database for reading. It translates the database's errors into
        StoreError and StoreCorrupt.
        """
        return DatabaseAccess(self)

    def writing(self) -> "DatabaseAccess[Database]":
        """Return a context with the database for writing. Raises StoreError if a write has failed
        before. If this write fails, all later ones are refused.
        """
        if self.failure:
            raise StoreError(
                f"{self.path} takes nothing more, since a write failed: {self.failure}; "
                "when that is done, restart the peer"
            )
        return DatabaseAccess(self, writes=True)

    def translate(self, error: BaseException) -> RaftError:
        if self.is_damage(error):
            return self.damaged(str(error))
        said, advice = self.complaint(error)
        room = ""
        with suppress(OSError):  # LMDB may report a full disk as an input/output error
            if (free := disk_usage(self.path).free) < ROOM_BYTES:
                room, advice = f" (the disk has room for {free:,} bytes)", "make room"
        return StoreError(f"{self.path}: {said}{room}; {advice}")

    def complaint(self, error: BaseException) -> tuple[str, str]:
        """Return the text of the database's error, and advice what to do about it."""
        return str(error), advice_on(error)

    def damaged(self, how: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self.path} is damaged ({how}); {REJOIN}")

    def missing(self, first: int, last: int) -> StoreCorrupt:
        return StoreCorrupt(f"{self.path} lacks entries between {first} and {last}; {REJOIN}")

    # The rest.

    def refuse_what_was_saved(self) -> None:
        """Raise StoreCorrupt unless the database is empty. If its making was interrupted, it is
        empty, because nothing is saved before `DataDirectory.finish`.
        """
        if self.load() != Saved():
            what = f"store.json is missing, and {self.directory.database.name} has a vote or a log"
            raise self.damaged(what)

    def claim(self) -> None:
        """Write the incarnation into the database, so that the database of another data directory,
        with another vote, is noticed.
        """
        self.write({STORE: self.claimed}, 0, [])

    @property
    def claimed(self) -> bytes:
        return INCARNATION.pack(self.directory.incarnation)

    def refuse_another(self) -> None:
        """Raise StoreCorrupt for the database of another data directory. A database without an
        incarnation, of an earlier version, is accepted.
        """
        if self.get(STORE) not in (None, self.claimed):
            name = self.directory.database.name
            raise self.damaged(f"{name} is of another data directory, and so are its vote and log")

    def find_ends(self) -> None:
        """Find the log's first and last index, without reading the log."""
        stored = self.get(BASE)
        base, self.base_term = PAIR.unpack(stored) if stored else (0, 0)
        self.first, self.last = base + 1, max(self.find_last(), base)

    def is_there(self) -> bool:
        try:
            self.directory.check()
        except StoreError:
            return False
        return True

    def release(self) -> None:
        database, self.db = self.db, None
        if database is None:
            return
        try:
            if self.is_there():
                self.close_database(database)
            else:
                self.abandon_database(database)
        except Exception as error:
            if not self.failure:
                raise self.translate(error) from error


class DatabaseAccess(Generic[Database]):
    """The context of one read or write of a store's database. A generator with `contextmanager`
    would take three times as long.
    """

    __slots__ = ("store", "writes")

    def __init__(self, store: DurableStore[Database], *, writes: bool = False) -> None:
        self.store: DurableStore[Database] = store
        self.writes: bool = writes

    def __enter__(self) -> Database:
        return self.store.database

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        told = error if isinstance(error, RaftError) else self.store.translate(error)
        if self.writes:  # after any exception it is unknown how much was written
            self.store.failure = str(told)
        if isinstance(error, Exception) and told is not error:
            raise told from error


def key(index: int) -> bytes:
    """Return the key of an entry. Keys, compared as bytes, have the order of the indexes."""
    return b"e" + index.to_bytes(8, "big")


def index_of(key: Any) -> int:
    return int.from_bytes(key[1:], "big")
