"""Segments: the database of a `FilesStore`, which is a directory of numbered segments.

Only the newest segment is written to. A full one is closed in this order, each step on the disk
before the next one: the next segment is made, and its first record repeats ballot, base and end of
the log; the full one gets its index. So a segment with an index that has no successor has lost it,
and an opening reads the newest segment and the indexes of the others.

A compaction removes whole segments, the oldest first, once a later record with the new base is on
the disk.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from raft_actors.paths import make_private
from raft_actors.stores.files import sync_directory
from raft_actors.stores.segment import Change, Segment, body_of
from raft_actors.stores.segment_records import HEAD, INDEX, RESTART, SAVE, Damage, Record

__all__ = ["Segments"]

DIGITS = 12


class Segments:
    """segments    in the order of their numbers; the last one is the newest
    ballot      encoded; None: none was saved
    base        index and term of the last entry that was compacted
    kept_base   the base that is on the disk
    last        the index of the last entry
    had_torn_tail  whether a crash had torn the last save, which was cut off at the opening
    """

    def __init__(self, path: Path, incarnation: int) -> None:
        self.path: Path = path
        self.incarnation: int = incarnation
        self.segments: list[Segment] = []
        self.ballot: bytes | None = None
        self.base: tuple[int, int] = (0, 0)
        self.kept_base: tuple[int, int] = (0, 0)
        self.last: int = 0
        self.had_torn_tail: bool = False

    @classmethod
    def made(cls, path: Path, incarnation: int) -> "Segments":
        """Make the directory with one segment. What is there of a making that was interrupted is
        removed, unless something was saved in it; then that is returned.
        """
        make_private(path)
        if numbers := numbers_in(path):
            if numbers != [1]:
                raise Damage(f"{path.name} has segments of a store that was in use")
            if cls(path, 0).has_record(1):
                found = cls.opened(path, None)
                if found.ballot is not None or found.last or found.base[0]:
                    return found
                found.close()
            file_of(path, 1).unlink()
        made = cls(path, incarnation)
        made.begin_segment(1)
        sync_directory(path.parent)
        return made

    @classmethod
    def opened(cls, path: Path, incarnation: int | None) -> "Segments":
        """Open the segments that are there. Writes nothing if it raises Damage.

        incarnation  that all segments must have; None: that of the newest one
        """
        if not path.is_dir():
            raise Damage(f"{path.name} is missing")
        numbers = numbers_in(path)
        if not numbers:
            raise Damage(f"{path.name} has no segment, *.log")
        found = cls(path, incarnation or 0)
        try:
            found.read(numbers)
        except BaseException:
            found.close()
            raise
        return found

    # Opening.

    def read(self, numbers: list[int]) -> None:
        newest = self.segment(numbers[-1])
        self.segments = [newest]
        records, torn = newest.read_all()
        unfinished = None
        if not records and len(numbers) > 1:
            # A crash has interrupted the making of this segment. The one before goes on.
            unfinished, newest = newest, self.segment(numbers[-2])
            numbers = numbers[:-1]
            self.segments = [newest]
            unfinished.close()
            records, torn = newest.read_all()
        if not records:
            raise newest.damage("byte 0: it has no record")
        if records[-1].kind == INDEX:
            raise newest.damage(f"but no sound segment {newest.number + 1} after it: it is missing")
        self.replay(newest, records)
        unclosed = self.read_older(numbers, newest, Change.of(records[0]), len(records))
        if unfinished is not None:
            unfinished.path.unlink()
            sync_directory(self.path)
        if torn:
            newest.clear_rest()
        else:
            # A process that was killed may not have synced what it wrote last, and from now on
            # this is what the peer has promised.
            os.fsync(newest.descriptor)
        sync_directory(self.path)
        if unclosed is not None:
            unclosed.finish(has_index=unclosed.is_indexed)
        self.had_torn_tail = torn
        self.remove_old(numbers)

    def replay(self, segment: Segment, records: list[Record]) -> None:
        for number, record in enumerate(records):
            if (record.kind == HEAD) != (number == 0):
                raise segment.damage(f"byte {record.at}: a record is at a wrong place")
            if record.kind == INDEX:
                continue
            change = Change.of(record)
            segment.note(record.kind, change, record.at, record.size)
            if change.ballot is not None:
                self.ballot = change.ballot
            self.base = self.kept_base = (change.base, change.base_term)
        self.last = segment.last

    def read_older(
        self, numbers: list[int], newest: Segment, head: Change, count: int
    ) -> Segment | None:
        """Read the closed segments that are needed. Return the one that is still to be closed.

        head   the first record of the newest segment, which has `count` records
        """
        unclosed = None
        while self.oldest_start > self.base[0] + 1:
            number = self.segments[0].number - 1
            if number not in numbers:
                raise Damage(f"{self.path.name}/{name_of(number)} is missing")
            older = self.segment(number)
            self.segments.insert(0, older)
            own = older.read_closed()
            if number == newest.number - 1 and count == 1:
                unclosed = older  # or closed by a process that was killed before it had synced that
                older.is_indexed = own is not None
            if own is None:
                if unclosed is not older:
                    raise older.damage(
                        "it has no sound index at its end: it was cut off, or damaged"
                    )
                own = self.read_unclosed(older, head)
            if older.last != head.first - 1:
                raise older.damage(f"it ends with entry {older.last}, not {head.first - 1}")
            head = own
        return unclosed

    def read_unclosed(self, segment: Segment, head: Change) -> Change:
        """Read the segment before one that has only its first record, `head`: a crash has
        interrupted the closing.
        """
        records, _ = segment.read_all()
        if not records:
            raise segment.damage("byte 0: it has no record")
        state = Segments(self.path, self.incarnation)
        state.replay(segment, records)
        if (state.ballot, state.last) != (head.ballot, head.first - 1):
            raise segment.damage(f"its end is not that from which segment {segment.number + 1} "
                                 "goes on")  # fmt: skip
        segment.is_indexed = records[-1].kind == INDEX
        return Change.of(records[0])

    def segment(self, number: int) -> Segment:
        found = Segment(file_of(self.path, number), number, self.incarnation)
        if not self.incarnation:
            self.incarnation = found.incarnation = found.read_incarnation()
        return found

    def has_record(self, number: int) -> bool:
        """Return whether the first record of the segment is complete."""
        segment = self.segment(number)
        try:
            return bool(segment.read_all()[0])
        finally:
            segment.close()

    @property
    def newest(self) -> Segment:
        return self.segments[-1]

    @property
    def oldest_start(self) -> int:
        return min(segment.start for segment in self.segments)

    # Reading.

    def entries(self, first: int, last: int) -> list[bytes]:
        found: list[bytes] = []
        while first <= last:
            until = last
            for segment in reversed(self.segments):
                if segment.start <= first:
                    break
                until = min(until, segment.start - 1)
            else:
                raise Damage(f"{self.path.name} lacks entry {first}")
            found += segment.entries(first, until)
            first = until + 1
            if segment is not self.newest:
                segment.close()
        return found

    # Writing.

    def save(self, ballot: bytes | None, first: int, entries: Sequence[bytes]) -> None:
        self.put(SAVE, ballot, self.base, first, entries)

    def restart(self, ballot: bytes, base: tuple[int, int], entries: Sequence[bytes]) -> None:
        self.put(RESTART, ballot, base, base[0] + 1, entries)

    def put(
        self,
        kind: int,
        ballot: bytes | None,
        base: tuple[int, int],
        first: int,
        entries: Sequence[bytes],
    ) -> None:
        if self.newest.is_full:
            self.begin_next()
        newest, at = self.newest, self.newest.end
        size = newest.append(kind, body_of(ballot, base, first, entries))
        if not os.fstat(newest.descriptor).st_nlink:
            raise OSError(0, f"{self.path.name}/{newest.path.name} was removed")
        newest.note(kind, Change(ballot, *base, first, len(entries)), at, size)
        if ballot is not None:
            self.ballot = ballot
        self.last = newest.last
        self.base_is_kept(base)

    def begin_segment(self, number: int) -> Segment:
        body = body_of(self.ballot, self.base, self.last + 1, [])
        segment = Segment.made(file_of(self.path, number), number, self.incarnation, body)
        segment.start, segment.last = self.last + 1, self.last
        self.segments.append(segment)
        sync_directory(self.path)
        return segment

    def begin_next(self) -> None:
        full = self.newest
        self.begin_segment(full.number + 1)
        full.finish()
        full.close()
        self.base_is_kept(self.base)

    def base_is_kept(self, base: tuple[int, int]) -> None:
        """Note that this base is on the disk. Segments that are before it can go."""
        if base != self.kept_base:
            self.base = self.kept_base = base
            self.remove_old([segment.number for segment in self.segments])

    def remove_old(self, numbers: list[int]) -> None:
        """Remove the segments that have nothing of the log from its base on, the oldest first."""
        while len(self.segments) > 1 and (
            min(segment.start for segment in self.segments[1:]) <= self.base[0] + 1
        ):
            self.segments.pop(0).close()
        for number in numbers:
            if number < self.segments[0].number:
                file_of(self.path, number).unlink(missing_ok=True)

    def close(self, *, finish: bool = False) -> None:
        """Close the files. `finish`: write the base first, if it is not on the disk yet."""
        try:
            if finish and self.base != self.kept_base:
                self.save(None, 0, [])
        finally:
            for segment in self.segments:
                segment.close()


def name_of(number: int) -> str:
    return f"{number:0{DIGITS}}.log"


def file_of(path: Path, number: int) -> Path:
    return path / name_of(number)


def numbers_in(path: Path) -> list[int]:
    stems = [each.stem for each in path.glob("*.log") if len(each.stem) == DIGITS]
    return sorted(int(stem) for stem in stems if stem.isdecimal())
