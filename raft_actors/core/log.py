"""Log: the entries of one peer, as encoded frames. The newest ones are also in memory.

1 .. base           removed: a snapshot has replaced them
base+1 .. last      in the store, as soon as they are saved
tail_first .. last  in `tail`, in memory; all unsaved entries are among these
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Protocol

from raft_actors.core.entry import TERM_BYTES, first_damaged, term_of
from raft_actors.errors import LogCompacted, StoreCorrupt

__all__ = ["EntryReader", "Log"]

READ_AT_ONCE = 64
"""How many entries are read from the store at once."""


class EntryReader(Protocol):
    """The source of saved entries. Every log store is one."""

    def entries(self, first: int, last: int) -> list[bytes]: ...


class Log:
    """A peer's log. Indexes start at 1. An empty log ends at index 0, with term 0."""

    __slots__ = ("base", "base_term", "cache_bytes", "last_index", "last_term", "reader",
                 "tail", "tail_bytes", "tail_first", "unsaved")  # fmt: skip

    def __init__(
        self, reader: EntryReader, *, base: int, base_term: int, last: int, cache_bytes: int
    ) -> None:
        self.reader: EntryReader = reader
        self.base: int = base
        self.base_term: int = base_term
        self.cache_bytes: int = cache_bytes
        self.tail: list[bytes] = []
        self.tail_bytes: int = 0
        self.tail_first: int = last + 1
        self.unsaved: int = last + 1
        self.last_index: int = last
        self.last_term: int = base_term
        self.last_term = self.term_at(last)

    def term_at(self, index: int) -> int:
        """Return the term of the entry at `index`, or -1 if the log ends before it.

        Raises LogCompacted below `base`.
        """
        if index > self.last_index:
            return -1
        if index >= self.tail_first:
            return term_of(self.tail[index - self.tail_first])
        if index == self.base:
            return self.base_term
        return term_of(self.between(index, index)[0])

    def between(self, first: int, last: int) -> list[bytes]:
        """Return the entries `first..last`, both in the log. Raises LogCompacted below `base`."""
        if first <= self.base:
            raise LogCompacted(f"entry {first} is compacted; the log starts at {self.base + 1}")
        tail_first = self.tail_first
        if first >= tail_first:
            return self.tail[first - tail_first : last - tail_first + 1]
        if last < tail_first:
            return self.read(first, last)
        return self.read(first, tail_first - 1) + self.tail[: last - tail_first + 1]

    def read(self, first: int, last: int) -> list[bytes]:
        """Read entries from the store, to send or apply them.

        Raises StoreCorrupt for an entry with a wrong checksum, which is not what its leader wrote.
        The peer then ends; at its restart it checks its whole log (see `replica.recovery`).
        """
        entries = self.reader.entries(first, last)
        if damaged := first_damaged(entries, first):
            raise StoreCorrupt(f"entry {damaged} is not what its leader wrote: look at the disk")
        return entries

    def some(self, first: int, last: int) -> list[bytes]:
        """Return at least one entry from `first` on, and none after `last`. Entries in memory are
        all returned; of entries in the store at most READ_AT_ONCE, whatever their size."""
        tail_first = self.tail_first
        if first >= tail_first:
            return self.between(first, last)
        return self.between(first, min(last, tail_first - 1, first + READ_AT_ONCE - 1))

    def batch(self, first: int, bytes_max: int) -> list[bytes]:
        """Return entries from `first` on: at least one, and otherwise at most `bytes_max` bytes."""
        entries: list[bytes] = []
        room = bytes_max
        while first <= self.last_index:
            part = self.between(first, min(first + READ_AT_ONCE - 1, self.last_index))
            sizes = list(accumulate(map(len, part)))
            fitting = max(bisect_right(sizes, room), 0 if entries else 1)
            entries += part[:fitting]
            if fitting < len(part):
                break
            room -= sizes[-1]
            first += len(part)
        return entries

    def append(self, entries: list[bytes]) -> None:
        """Add `entries` at the end."""
        self.tail += entries
        self.tail_bytes += sum(map(len, entries))
        self.last_index += len(entries)
        self.last_term = term_of(entries[-1])

    def append_one(self, entry: bytes) -> None:
        """Add `entry` at the end."""
        self.tail.append(entry)
        self.tail_bytes += len(entry)
        self.last_index += 1
        self.last_term = int.from_bytes(entry[:TERM_BYTES], "big")  # `term_of`, for each command

    def extend(self, index: int, entries: list[bytes]) -> int:
        """Write `entries` after `index` and return the first index that changed.

        If the log has the same entries already, nothing is cut off, even if more entries follow
        them: a late or repeated request must not shorten the log. From the first entry that
        differs on, the log is replaced (Raft §5.3; Figure 2, AppendEntries 3 and 4). Frames are
        compared as bytes, never decoded.

        index     the entry before `entries`: base <= index <= last_index
        returns   index + len(entries) + 1 if nothing changed
        """
        if not entries:
            return index + 1
        if index == self.last_index:
            self.append(entries)
            return index + 1
        known = self.between(index + 1, min(self.last_index, index + len(entries)))
        if known != entries[: len(known)]:
            same = next(n for n, frame in enumerate(known) if frame != entries[n])
        else:
            same = len(known)
        if same < len(entries):
            if same < len(known):
                self.truncate(index + same)
            self.append(entries[same:])
        return index + same + 1

    def truncate(self, last: int) -> None:
        """Remove the entries after `last`."""
        if last < self.tail_first - 1:
            self.tail, self.tail_bytes, self.tail_first = [], 0, last + 1
        else:
            cut = last - self.tail_first + 1
            self.tail_bytes -= sum(map(len, self.tail[cut:]))
            del self.tail[cut:]
        self.last_index = last
        self.unsaved = min(self.unsaved, last + 1)
        self.last_term = self.term_at(last)

    def compact(self, through: int) -> None:
        """Remove the entries up to `through`, a saved entry: a snapshot has replaced them."""
        assert self.base <= through < self.unsaved, "only what is saved is compacted"
        self.base, self.base_term = through, self.term_at(through)
        if through >= self.tail_first:
            count = through - self.tail_first + 1
            self.tail_bytes -= sum(map(len, self.tail[:count]))
            del self.tail[:count]
            self.tail_first = through + 1

    def restart(self, index: int, term: int) -> None:
        """Make the log empty, with its end at `index` of `term`: a snapshot replaces it (§7)."""
        self.base = self.last_index = index
        self.base_term = self.last_term = term
        self.tail, self.tail_bytes = [], 0
        self.tail_first = self.unsaved = index + 1

    def take_unsaved(self) -> tuple[int, list[bytes]]:
        """Return (first index, entries) of the entries that no call has returned before. The caller
        saves them at once.
        """
        first = self.unsaved
        entries = self.tail[first - self.tail_first :]
        self.unsaved = self.last_index + 1
        return first, entries

    def trim(self) -> None:
        """Drop the oldest saved entries from memory if the tail is larger than `cache_bytes`.

        The tail is cut to half of that at once, so that the cost for each entry stays small.
        """
        if self.tail_bytes <= self.cache_bytes:
            return
        saved = self.unsaved - self.tail_first
        count = 0
        for frame in self.tail[:saved]:
            if self.tail_bytes <= self.cache_bytes // 2:
                break
            self.tail_bytes -= len(frame)
            count += 1
        del self.tail[:count]
        self.tail_first += count

    def newest_at_or_before(self, index: int, term: int) -> int:
        """Return the last index up to `index` whose entry is of `term` or of an older term.

        Terms never fall along a log, so a binary search finds the index in a few reads. Returns
        `base` if the terms of all entries in the log are newer.
        """
        low, high = self.base, min(index, self.last_index)
        while low < high:
            middle = (low + high + 1) // 2
            if self.term_at(middle) <= term:
                low = middle
            else:
                high = middle - 1
        return low

    def is_no_newer_than(self, *, last_index: int, last_term: int) -> bool:
        """Return whether a log with this end is at least as up to date as this one (§5.4.1).

        The log whose last entry has the later term is more up to date; if the terms are equal, the
        longer log is.
        """
        return (last_term, last_index) >= (self.last_term, self.last_index)
