"""LogStore: the contract of every log store, which keeps a peer's ballot and log.

`testing.LogStoreContract` tests that a store keeps the contract. To add a store of your own, write
a `LogDatabase`, see the end of this file, and name it in `Config(log_store=...)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbelow
from typing import Any, Protocol, Self

from raft_actors.stores.snapshots import Snapshots

__all__ = [
    "FRESH_BALLOT",
    "LogDatabase",
    "LogStore",
    "Mark",
    "Saved",
    "StoredBallot",
    "new_incarnation",
]

StoredBallot = tuple[Any, ...]
"""(term, voted_for, ...): a tuple that `encoding` can encode. A store does not use its content."""

Mark = tuple[int, int]
"""(incarnation, inode): differs for any two stores, and for a store and a copy of it."""

FRESH_BALLOT: StoredBallot = (0, None)
"""The ballot of a peer that has never saved one: term 0, and no vote."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The content of a store: the newest ballot, and the entries `first..last`.

    The log is empty when `last` is `first` - 1: first=1, last=0 in a fresh store, and
    first=n+1, last=n after compaction through n. `base_term` is the term of the entry before
    `first`, 0 for none.

    incarnation  a random number above 0 that the store got when it was made, and no other store
                 has. So a peer whose disk was wiped comes back with another incarnation
    """

    ballot: StoredBallot = FRESH_BALLOT
    first: int = 1
    last: int = 0
    base_term: int = 0
    incarnation: int = field(default=0, compare=False)


def new_incarnation() -> int:
    return 1 + randbelow((1 << 62) - 1)


class LogStore(Protocol):
    """Keeps a peer's ballot and log. It has one owner, and is used by one thread. Indexes start at
    1.

    snapshots  the peer's snapshots, which are kept beside the log
    mark       identifies the store: a peer that is restarted must find a store with the same mark
    """

    snapshots: Snapshots

    @property
    def mark(self) -> Mark: ...

    def load(self) -> Saved:
        """Return the content of the store, without reading the whole log."""

    def save(self, ballot: StoredBallot | None, first: int, entries: list[bytes]) -> None:
        """Write ballot and entries, all or nothing. They are durable when this returns.

        `entries` replace the log from `first` on. So a crash can't separate a truncation from the
        append that caused it (Raft §5.3). An empty list only truncates.

        ballot   None leaves the ballot unchanged
        first    0, with no entries, leaves the log unchanged; otherwise an index from the first
                 entry of the log to the one after the last

        Raises StoreError if the disk fails. Then this save may have been written or not, and every
        later save is refused: after a failed sync an operating system may drop the data that it
        could not write, and report success for the next sync. The store must be opened again.
        """

    def entries(self, first: int, last: int) -> list[bytes]:
        """Return the entries `first..last`; `last` is at most the last saved entry.

        Raises LogCompacted if `first` is before the first entry of the log.
        """

    def compact(self, through: int, term: int) -> None:
        """Remove the entries up to `through`, of `term`: a snapshot has replaced them.

        That is durable only with the next save. A crash before may bring the entries back, which
        does no harm.
        """

    def restart(
        self, ballot: StoredBallot, index: int, term: int, entries: Sequence[bytes] = ()
    ) -> None:
        """Replace the whole log by `entries`, which begin after `index`, of `term`, the end of a
        leader's snapshot.

        Log and ballot are written all or nothing, and are durable when this returns. Raises like
        `save`. The old entries after `index` are removed, too: they do not continue the snapshot,
        and with them the peer could win an election that it must not win (Raft §5.4.1).
        """

    def check(self) -> None:
        """Raise StoreError if the files of the store were removed or replaced. `save` checks this
        after each write: data in removed files is lost when the process ends.
        """

    def close(self) -> None:
        """Close the files. A second call does nothing."""

    def destroy(self) -> None:
        """Close the store, and remove its files."""


class LogDatabase(Protocol):
    """The database of a store on a disk: some named records, and a log of entries from index 1 on.

    A package that brings its own store writes only this class. It need not know what the records
    and entries mean, and need not import anything. `stores/foreign.py` makes a `LogStore` of it,
    with the lock, owner and incarnation of the data directory, the snapshots and the bounds of the
    log. That `LogStore` also refuses every write after one that failed.

    A database has one owner, and is used by one thread at a time, but not always by the same one.
    Names and values are bytes. A method may raise any exception: that ends the peer, and its
    supervisor opens the database again, after pauses that get longer. Raise `errors.StoreCorrupt`
    if the content is damaged, with a message that says what to do.
    """

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        """Open the database in the directory `path`, which exists and has no other files.

        create  True: make the database. If there is one whose making was interrupted, open that
                one. False: the database must be there, and complete. If it is not, raise, and never
                make an empty one in its place: a peer that has lost its vote could vote twice
        """

    def get(self, name: bytes) -> bytes | None:
        """Return the record with this name, None if there is none."""

    def last(self) -> int:
        """Return the index of the last entry, 0 if there is none. This must be quick, also for a
        long log.
        """

    def entries(self, first: int, last: int) -> list[bytes]:
        """Return the entries `first..last`, at most some hundreds. Raise if one is missing."""

    def write(self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        """Write `records` by name. Unless `first` is 0, also remove the log from `first` on, and
        append `entries` there.

        All of this must be written or nothing, whenever the process or the host stops. It must be
        synced to the disk when this returns.
        """

    def delete_through(self, records: Mapping[bytes, bytes], through: int) -> None:
        """Write `records`, and remove the entries up to `through`: both or nothing. This need not
        sync: a later `write` does.
        """

    def delete_all(
        self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]
    ) -> None:
        """Write `records`, and replace the whole log by `entries`, which begin at `first`: all or
        nothing, and synced, as in `write`. The old log may have ended before `first`, or after it.
        """

    def close(self) -> None:
        """Close the files. No other method is called after this one."""
