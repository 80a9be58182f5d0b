"""LogStore: where a peer's ballot and log survive. The contract that every store keeps.

`testing.LogStoreContract` holds each store to what is said here. Whoever brings a store of their
own writes a `LogDatabase`, at the end of this file, and names it in `Config(log_store=...)`.
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
"""(term, voted_for, ...): a tuple that `terms` can encode. A store doesn't look inside."""

Mark = tuple[int, int]
"""(incarnation, inode): what tells a store from every other, and from a copy of it."""

FRESH_BALLOT: StoredBallot = (0, None)
"""What a peer that never saved has: term 0, and nobody voted for."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a store holds: the newest ballot, and the entries `first..last`.

    The log is empty when `last` is `first` - 1: first=1, last=0 in a fresh store, and
    first=n+1, last=n after compaction through n. `base_term` is the term of the entry before
    `first`, 0 for none.

    incarnation  a number above 0 that this store was given when it was made, and no other has: a
                 disk that was wiped comes back with another
    """

    ballot: StoredBallot = FRESH_BALLOT
    first: int = 1
    last: int = 0
    base_term: int = 0
    incarnation: int = field(default=0, compare=False)


def new_incarnation() -> int:
    return 1 + randbelow((1 << 62) - 1)


class LogStore(Protocol):
    """Where a peer's ballot and log survive. One owner, one thread. Indexes start at 1.

    snapshots  the peer's snapshots, kept beside the log
    mark       a peer that is restarted must find the store of the same mark
    """

    snapshots: Snapshots

    @property
    def mark(self) -> Mark: ...

    def load(self) -> Saved:
        """Tell what the store holds. Never reads the whole log."""

    def save(self, ballot: StoredBallot | None, first: int, entries: list[bytes]) -> None:
        """Write all of it or nothing; it is durable when this returns.

        The log from `first` on becomes `entries`, so a truncation can't be torn from the append
        that caused it (Raft §5.3), and an empty list only truncates.

        ballot   None leaves the ballot as it is
        first    0 (then without entries) leaves the log as it is; otherwise an index from the
                 first kept entry to one after the last

        Raises StoreError when the disk doesn't take it. Then nothing may be assumed about this
        save, and every later one is refused: after a failed sync an operating system may forget
        what it could not write, and call the next sync a success. Reopen the store.
        """

    def entries(self, first: int, last: int) -> list[bytes]:
        """Return the entries `first..last`, `last` being no later than the last one saved.

        Raises LogCompacted below the first kept entry.
        """

    def compact(self, through: int, term: int) -> None:
        """Forget the entries up to `through`, of `term`, for which a snapshot stands.

        Durable with the next save only: a crash before it brings the entries back, which does no
        harm.
        """

    def restart(
        self, ballot: StoredBallot, index: int, term: int, entries: Sequence[bytes] = ()
    ) -> None:
        """Let the log begin after `index`, of `term`, where a leader's snapshot ends, and be
        `entries`.

        All of it or nothing, with the ballot, and durable when this returns; raises as `save`.
        What was in the log is gone, also what was beyond `index`: kept behind a snapshot of
        another history it could win an election (Raft §5.4.1).
        """

    def check(self) -> None:
        """Raise StoreError unless what was saved is still where it was saved. As `save` does
        after the write: what a removed directory takes is lost with the process.
        """

    def close(self) -> None:
        """Let go of the disk. Closing twice is fine."""

    def destroy(self) -> None:
        """Close, and remove what was stored."""


class LogDatabase(Protocol):
    """The database behind a store on a disk: some named records, and a log of entries from 1 on.

    This is all that a package writes in order to bring a store of its own. It need not know what
    the records and entries mean, and need not import anything. `stores/foreign.py` makes a
    `LogStore` of it: that has the lock, owner and incarnation of the data directory, the snapshots,
    the bounds of the log, and takes nothing more after a write that failed.

    One owner, and one thread at a time, not always the same one. Names and values are bytes. An
    error of any type may be raised: it ends the peer, whose supervisor opens the database again,
    later and later. `errors.StoreCorrupt` says that what is stored is damaged, and what to do.
    """

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        """Open the database in the directory `path`, which is there and holds nothing else.

        create  make it; one may be there, whose making was interrupted: open that one. Without
                `create` it must be there, and whole: raise, and never begin an empty one in its
                place, for a peer that forgot its vote could vote twice
        """

    def get(self, name: bytes) -> bytes | None:
        """Return the record of this name, None if there is none."""

    def last(self) -> int:
        """Return the index of the last entry, 0 if there is none. Quick, however long the log."""

    def entries(self, first: int, last: int) -> list[bytes]:
        """Return the entries `first..last`, some hundreds at most. Raise if one is missing."""

    def write(self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        """Put `records` by name and, unless `first` is 0, remove the log from `first` on, and
        append `entries` there.

        All of it or nothing, whenever the process or the machine stops; on the disk, synced, when
        this returns.
        """

    def delete_through(self, records: Mapping[bytes, bytes], through: int) -> None:
        """Put `records`, and remove the entries up to `through`: both or nothing. It need not be
        synced: a later `write` does that.
        """

    def delete_all(
        self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]
    ) -> None:
        """Put `records`, and let the log be `entries`, from `first` on: all of it or nothing, and
        synced, as in `write`. The log may have ended before `first` or gone on behind it.
        """

    def close(self) -> None:
        """Let go of the files. Nothing is called after it."""
