"""Segment: one append-only file of a `FilesStore`. See `segment_records` for its bytes."""

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, pack, unpack_from

from raft_actors.paths import open_regular
from raft_actors.stores.segment_records import (
    HEAD,
    INDEX,
    RESTART,
    Damage,
    Record,
    record_at,
    record_of,
    scanned,
    size_at_end,
)

__all__ = ["Change", "Segment", "body_of"]

BYTES_MAX = 16 * 1024 * 1024
RECORDS_MAX = 16_384  # an opening reads 100,000 a second
AHEAD = 256 * 1024  # zeros that are written with a record, so that later syncs write no metadata
PAGE = 4096
READ_BYTES = 1024 * 1024  # of several records together

CHANGE = Struct(">IQQQI")
NO_BALLOT = 0xFFFFFFFF
SPAN = Struct(">QQI")


@dataclass(slots=True)
class Change:
    """What a record does to the store.

    ballot      encoded; None leaves it unchanged
    base, base_term  of the last entry that was compacted
    first       the log ends before this entry, and `count` entries follow; 0: it is unchanged
    """

    ballot: bytes | None
    base: int
    base_term: int
    first: int
    count: int

    @classmethod
    def of(cls, record: Record) -> "Change":
        size, base, base_term, first, count = CHANGE.unpack_from(record.body)
        start = CHANGE.size
        ballot = None if size == NO_BALLOT else record.body[start : start + size]
        return cls(ballot, base, base_term, first, count)


def body_of(
    ballot: bytes | None, base: tuple[int, int], first: int, entries: Sequence[bytes]
) -> bytes:
    size = NO_BALLOT if ballot is None else len(ballot)
    count = len(entries)
    return b"".join((
        CHANGE.pack(size, *base, first, count), ballot or b"",
        pack(f">{count}I", *map(len, entries)), *entries,
    ))  # fmt: skip


class Segment:
    """start  the segment decides what the entries from this one on are; older segments do not
    count for them
    last   the last entry of the log at the end of the segment
    end    the position of the next record
    size   bytes of the file that are on the disk

    newest_read  the record that was read last: entries that are read one by one are often in one

    is_indexed  whether a segment that was read as a whole ends with an index

    `firsts`, `places` and `sizes` say where the entries are: the first one of a record, and the
    position and the bytes of the record.
    """

    def __init__(self, path: Path, number: int, incarnation: int) -> None:
        self.path: Path = path
        self.number: int = number
        self.incarnation: int = incarnation
        self.start: int = 0
        self.last: int = 0
        self.end: int = 0
        self.size: int = 0
        self.records: int = 0
        self.firsts: array[int] = array("Q")
        self.places: array[int] = array("Q")
        self.sizes: array[int] = array("Q")
        self.handle: int | None = None
        self.is_indexed: bool = False
        self.newest_read: Record | None = None

    @classmethod
    def made(cls, path: Path, number: int, incarnation: int, body: bytes) -> "Segment":
        """Make the file with its first record, and sync it, but not its name."""
        segment = cls(path, number, incarnation)
        segment.handle = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        segment.append(HEAD, body)
        return segment

    # Reading a file that was there.

    @property
    def descriptor(self) -> int:
        if self.handle is None:
            self.handle = open_regular(self.path, os.O_RDWR)
        return self.handle

    def read_all(self) -> tuple[list[Record], bool]:
        """Return the records, and whether a torn one follows them. `end` is known afterwards."""
        size = os.fstat(self.descriptor).st_size
        data = self.read(0, size)
        try:
            records, torn = scanned(data, self.number)
        except Damage as error:
            raise self.damage(str(error)) from error
        self.size = size
        self.records = len(records)
        self.end = records[-1].at + records[-1].size if records else 0
        for record in records:
            self.look_at(record)
        return records, torn

    def read_incarnation(self) -> int:
        """Return the incarnation of the store, as the first record has it; 0 if there is none."""
        record = self.record(0, os.fstat(self.descriptor).st_size)
        return record.incarnation if record is not None else 0

    def read_closed(self) -> Change | None:
        """Read the first record and the index of a closed segment; return the change of the first
        one. None: the segment has no whole index at its end.
        """
        size = self.size = os.fstat(self.descriptor).st_size
        tail = self.read(max(size - PAGE, 0), min(size, PAGE))
        length = size_at_end(tail)
        if not 0 < length < size:
            return None
        index = self.record(size - length, length)
        if index is None or index.kind != INDEX:
            return None
        self.take(index)
        record = self.record(0, min(size, PAGE)) or self.record(0, size)
        if record is None or record.kind != HEAD:
            raise self.damage("byte 0: its first record is not what was written")
        self.look_at(record)
        self.end = size
        return Change.of(record)

    def record(self, at: int, size: int) -> Record | None:
        return record_at(self.read(at, size), at, self.number, at)

    def take(self, index: Record) -> None:
        """Take over what the index of the segment says."""
        self.look_at(index)
        self.start, self.last, count = SPAN.unpack_from(index.body)
        numbers = unpack_from(f">{3 * count}Q", index.body, SPAN.size)
        self.firsts = array("Q", numbers[:count])
        self.places = array("Q", numbers[count : 2 * count])
        self.sizes = array("Q", numbers[2 * count :])

    def look_at(self, record: Record) -> None:
        if record.incarnation != self.incarnation:
            raise self.damage("it is of another data directory")

    def read(self, at: int, size: int) -> bytes:
        data = os.pread(self.descriptor, size, at)
        while len(data) < size and (more := os.pread(self.descriptor, size - len(data),
                                                     at + len(data))):  # fmt: skip
            data += more
        return data

    def forget_from(self, first: int) -> None:
        """The log ends before the entry `first`."""
        while self.firsts and self.firsts[-1] >= first:
            del self.firsts[-1], self.places[-1], self.sizes[-1]
        self.start = min(self.start, first)
        self.last = first - 1

    def note(self, kind: int, change: Change, at: int, size: int) -> None:
        """Note where the entries of a record are."""
        if kind in (HEAD, RESTART):
            self.forget_from(0)
            self.start, self.last = change.first, change.first - 1
        elif change.first:
            self.forget_from(change.first)
        if change.count:
            self.firsts.append(change.first)
            self.places.append(at)
            self.sizes.append(size)
            self.last = change.first + change.count - 1

    def entries(self, first: int, last: int) -> list[bytes]:
        """Return entries that are in this segment."""
        found: list[bytes] = []
        number = bisect_right(self.firsts, first) - 1
        while first <= last:
            if number < 0 or number >= len(self.firsts):
                raise self.damage(f"it lacks entry {first}")
            start = stop = self.places[number]
            until = number
            while until < len(self.firsts) and self.firsts[until] <= last and (
                until == number or self.places[until] + self.sizes[until] - start <= READ_BYTES
            ):  # fmt: skip
                stop = self.places[until] + self.sizes[until]
                until += 1
            known = self.newest_read
            is_known = known is not None and until == number + 1 and known.at == start
            data = b"" if is_known else self.read(start, stop - start)
            for each in range(number, until):
                record = (
                    known if is_known else record_at(data, self.places[each], self.number, start)
                )
                if record is None or record.incarnation != self.incarnation:
                    raise self.damage(f"byte {self.places[each]}: a record is not what was written")
                self.newest_read = record
                end = self.firsts[each + 1] - 1 if each + 1 < len(self.firsts) else self.last
                found += entries_in(record, first, min(end, last))
                first = min(end, last) + 1
            number = until
        return found

    # Writing.

    @property
    def is_full(self) -> bool:
        return self.end >= BYTES_MAX or self.records >= RECORDS_MAX

    def append(self, kind: int, body: bytes) -> int:
        """Write a record, and sync it. Return its size."""
        record = record_of(kind, body, self.number, self.end, self.incarnation, self.size)
        end, data = self.end + len(record), record
        if end > self.size and kind != INDEX:
            ahead = AHEAD if len(record) < AHEAD else 0
            data += bytes(-(end + ahead) % PAGE + ahead)
        self.write(self.end, data)
        os.fdatasync(self.descriptor)
        self.size = max(self.size, self.end + len(data))
        self.end = end
        self.records += 1
        return len(record)

    def write(self, at: int, data: bytes) -> None:
        written = os.pwrite(self.descriptor, data, at)
        while written < len(data):  # a signal or a limit has ended the call early
            more = os.pwrite(self.descriptor, memoryview(data)[written:], at + written)
            if not more:
                raise OSError(0, f"{self.path.name} takes no more bytes")
            written += more

    def clear_rest(self) -> None:
        """Overwrite a torn record with zeros, so that it is never taken for a damaged one."""
        size = os.fstat(self.descriptor).st_size
        self.write(self.end, bytes(size - self.end))
        os.fdatasync(self.descriptor)

    def finish(self, *, has_index: bool = False) -> None:
        """Write the index, and cut off the zeros. Both are on the disk when this returns."""
        if has_index:
            os.fdatasync(self.descriptor)
        else:
            numbers = [*self.firsts, *self.places, *self.sizes]
            count = len(self.firsts)
            body = SPAN.pack(self.start, self.last, count) + pack(f">{3 * count}Q", *numbers)
            self.append(INDEX, body)
        os.ftruncate(self.descriptor, self.end)
        os.fsync(self.descriptor)
        self.size = self.end

    def close(self) -> None:
        handle, self.handle = self.handle, None
        if handle is not None:
            os.close(handle)

    def damage(self, how: str) -> Damage:
        return Damage(f"{self.path.parent.name}/{self.path.name}, {how}")


def entries_in(record: Record, first: int, last: int) -> list[bytes]:
    """Return the entries `first..last` of a record."""
    body = record.body
    size, _, _, start, count = CHANGE.unpack_from(body)
    at = CHANGE.size + (0 if size == NO_BALLOT else size)
    sizes = unpack_from(f">{count}I", body, at)
    at += 4 * count + sum(sizes[: first - start])
    found = []
    for length in sizes[first - start : last - start + 1]:
        found.append(body[at : at + length])
        at += length
    return found
