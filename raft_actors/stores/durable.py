"""DurableStore: what the log stores on a disk have in common. Each kind says how it keeps bytes.

Here are the bounds of the log, the errors and when they are raised, and the order in which a
store is opened and closed. A kind gives the rest: see the methods that raise NotImplementedError.
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

SLICE = 512  # entries read in one go: RocksDB holds the interpreter meanwhile, 0.2 ms for these

ROOM_BYTES = 64 * 1024 * 1024  # with less, a failure names the room that is left

BALLOT = b"ballot"
BASE = b"base"  # index and term of the last entry that was compacted
STORE = b"store"  # the incarnation of the store that the database is of
PAIR = Struct(">QQ")
INCARNATION = Struct(">Q")

Database = TypeVar("Database")


class DurableStore(Generic[Database]):
    """Opens the directory `path`, or makes it. See `LogStore` for the verbs.

    check_first   whether the database is looked at before it is opened, which takes reading all of
                  LMDB's; one with `problems` stays closed, and whoever reads from it hears of them
    first, last   the entries that are kept; the log is empty when `last` is `first` - 1
    base_term     the term of the entry before `first`
    failure       why nothing more is taken; empty while all is well
    had_torn_tail  whether the last save was torn by a crash, and cut off when the store was opened

    Raises DataDirInUse when another process, or this one, has it open or when it is another
    peer's; StoreCorrupt for what is no store of this format, or damaged; StoreError when the
    operating system refuses.
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
        self.directory = DataDirectory(path, self.kind)
        self.path = self.directory.path
        self.snapshots = Snapshots(DiskFiles(self.directory.snapshots))
        self.failure = ""
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
        """Make an empty database in the directory of another store, which stays the one that
        counts, and whose lock protects both.
        """
        store = cls.__new__(cls)
        store.directory = DataDirectory(other.path, cls.kind)
        store.path, store.snapshots, store.failure = other.path, other.snapshots, ""
        store.directory.incarnation = other.directory.incarnation
        store.problems, store.db = [], None
        if store.directory.database.exists():  # of a migration that was interrupted
            store.remove_database()
        store.db = store.open_database(create=True)
        store.find_ends()
        store.claim()
        return store

    def reopen(self) -> None:
        """Close the database and open it again, to see what is on the disk."""
        self.release()
        self.db = self.open_database(create=False)
        self.find_ends()

    # What a kind gives.

    def open_database(self, *, create: bool) -> Database:
        raise NotImplementedError

    def close_database(self, database: Database) -> None:
        raise NotImplementedError

    def abandon_database(self, database: Database) -> None:
        """Close it, and write nothing: another directory may be where it was opened."""
        self.close_database(database)

    def remove_database(self) -> None:
        raise NotImplementedError

    def find_last(self) -> int:
        """Return the index of the last entry in the database; 0 when there is none."""
        raise NotImplementedError

    def get(self, name: bytes) -> bytes | None:
        """Return what was put under one of the names above."""
        raise NotImplementedError

    def write(self, records: dict[bytes, bytes], first: int, entries: list[bytes]) -> None:
        """Put `records` by name and, unless `first` is 0, `entries` in the place of the log from
        `first` on: all in one go, and synced.
        """
        raise NotImplementedError

    def delete_through(self, records: dict[bytes, bytes], through: int) -> None:
        """Put `records`, and remove the entries up to `through`, in one go; unsynced."""
        raise NotImplementedError

    def delete_all(self, records: dict[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        """Put `records`, and `entries` from `first` on in the place of all others: in one go, and
        synced.
        """
        raise NotImplementedError

    def slice(self, first: int, last: int) -> list[bytes]:
        """Read `first..last`, no more than SLICE of them, and make sure that none is missing."""
        raise NotImplementedError

    def is_damage(self, error: BaseException) -> bool:
        """Tell whether the database complains of what it holds, not of the operating system."""
        raise NotImplementedError

    def find_problems(self) -> list[str]:
        """Return what is wrong with the database that could end who opens or reads it."""
        return []

    # The verbs.

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
            # In this order, so that what a crash leaves of it is refused instead of reused.
            self.remove_database()
            self.directory.remove()
        except OSError as error:
            raise StoreError(f"{self.path} can't be removed: {error}") from error
        finally:
            self.directory.close()

    # What a kind uses.

    @property
    def database(self) -> Database:
        if self.problems:
            raise self.damaged(self.problems[0])
        if self.db is None:
            raise StoreError(f"{self.path} is closed: open it again")
        return self.db

    def reading(self) -> "DatabaseAccess[Database]":
        """Give the database. What it complains of comes out in our words, and ours of type."""
        return DatabaseAccess(self)

    def writing(self) -> "DatabaseAccess[Database]":
        """Give the database, unless it failed before; what fails here is the last of it."""
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
        with suppress(OSError):  # LMDB calls a full disk an input/output error, now and then
            if (free := disk_usage(self.path).free) < ROOM_BYTES:
                room, advice = f" (the disk has room for {free:,} bytes)", "make room"
        return StoreError(f"{self.path}: {said}{room}; {advice}")

    def complaint(self, error: BaseException) -> tuple[str, str]:
        """Return what the database says, and what to do about it."""
        return str(error), advice_on(error)

    def damaged(self, how: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self.path} is damaged ({how}); {REJOIN}")

    def missing(self, first: int, last: int) -> StoreCorrupt:
        return StoreCorrupt(f"{self.path} lacks entries between {first} and {last}; {REJOIN}")

    # The rest.

    def refuse_what_was_saved(self) -> None:
        """Raise StoreCorrupt unless the database is empty. One whose making was interrupted is:
        nothing is saved before the directory is finished.
        """
        if self.load() != Saved():
            what = f"store.json is missing, and {self.directory.database.name} has a vote or a log"
            raise self.damaged(what)

    def claim(self) -> None:
        """Note in the database whose it is: it holds a vote, and files can be mixed up."""
        self.write({STORE: self.claimed}, 0, [])

    @property
    def claimed(self) -> bytes:
        return INCARNATION.pack(self.directory.incarnation)

    def refuse_another(self) -> None:
        """Raise StoreCorrupt for the database of another data directory. One that was made before
        this was noted is taken.
        """
        if self.get(STORE) not in (None, self.claimed):
            name = self.directory.database.name
            raise self.damaged(f"{name} is of another data directory, and so are its vote and log")

    def find_ends(self) -> None:
        """Find the log's first and last index, by seeking."""
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
    """One use of a store's database. `contextmanager` would cost three times as much."""

    __slots__ = ("store", "writes")

    def __init__(self, store: DurableStore[Database], *, writes: bool = False) -> None:
        self.store = store
        self.writes = writes

    def __enter__(self) -> Database:
        return self.store.database

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        told = error if isinstance(error, RaftError) else self.store.translate(error)
        if self.writes:  # whatever has ended it, nobody knows what of it is on the disk
            self.store.failure = str(told)
        if isinstance(error, Exception) and told is not error:
            raise told from error


def key(index: int) -> bytes:
    """The key of an entry: they are in order as bytes are."""
    return b"e" + index.to_bytes(8, "big")


def index_of(key: Any) -> int:
    return int.from_bytes(key[1:], "big")
