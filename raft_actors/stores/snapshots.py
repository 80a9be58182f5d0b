"""Snapshots: the files that replace the beginning of a peer's log. They have checksums.

A file is a sequence of blocks (stores/blocks.py):

    HEADER      the first block, see `Header`
    SESSION     the session of one client, as `Sessions.stored` yields it
    DUTY        a timer, or a message of the outbox, as `Duties.stored` yields it
    PIECE       a part of the state machine's state
    END         the last block: the number of blocks before it

The names of the files:

    <index>-<term>-<size>-<checksum>.snapshot          complete and synced
    <index>-<term>-<size>-<checksum>.reached           empty: the log has reached that snapshot
    <index>-<term>-<size>-<checksum>.part              the received part of a leader's snapshot
    <index>-<term>-<n>.draft                           being written; `n` is unique in the process

`size` and `checksum` are those of the whole file. A file gets its final name last, so a file with
the name `.snapshot` is complete.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from re import compile as pattern
from typing import Any
from zlib import crc32

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.snapshot import Snapshot, SnapshotReceipt
from raft_actors.errors import REJOIN, RaftError, StoreCorrupt, StoreError
from raft_actors.stores.blocks import blocks, framed, head_of
from raft_actors.stores.files import Files

__all__ = ["DUTY", "END", "HEADER", "PIECE", "SESSION", "Draft", "Header", "Snapshots"]

FORMAT = 1
MAGIC = "raft_actors snapshot"

HEADER, SESSION, DUTY, PIECE, END = b"h", b"s", b"d", b"p", b"e"
ASKED_AGAIN = "it is asked for again, and its sender looks at its own file"
SENT_TO_NOBODY = "it is sent to nobody, and another is taken of the state: look at the disk"
DRAFTS = itertools.count(1)
NAME = pattern(r"(\d+)-(\d+)-(\d+)-([0-9a-f]{8})\.(snapshot|reached|part)")


@dataclass(frozen=True, slots=True)
class Header:
    """The first block of a snapshot.

    index, term     index and term of the last entry that the snapshot replaces
    configuration   the newest configuration at or before `index`, encoded; `configured` is its
                    index
    kind            how the pieces of the state are put together, see `machine.state_image`
    machine         the version of the state machine from which the state is
    """

    index: int
    term: int
    configuration: bytes
    configured: int
    kind: str
    machine: int = 1

    def encode(self) -> bytes:
        return HEADER + encoding.dumps((MAGIC, FORMAT, asdict(self)))


class Draft:
    """A snapshot that one thread is writing."""

    def __init__(self, files: Files, header: Header) -> None:
        self.files = files
        self.header = header
        self.name: str = f"{header.index}-{header.term}-{next(DRAFTS)}.draft"
        self.size: int = 0
        self.checksum: int = 0
        self.count: int = 0
        try:
            self.add(header.encode())
        except StoreError:
            with suppress(StoreError):  # the next attempt has another name, so remove this file
                self.abandon()
            raise

    def add(self, payload: bytes) -> None:
        """Write one more block."""
        block = framed(payload)
        self.files.write(self.name, self.size, block)
        self.size += len(block)
        self.checksum = crc32(block, self.checksum)
        self.count += 1

    def finish(self, *, reached: bool = False) -> Snapshot:
        """Write the last block, sync the file, and give it its final name.

        reached  whether the log has saved the snapshot's last entry: it has if the snapshot is of
                 this peer's own state
        """
        self.add(END + encoding.dumps(self.count))
        header = self.header
        configuration = Configuration.decode(header.configuration, header.configured)
        snapshot = Snapshot(header.index, header.term, configuration, self.size, self.checksum)
        if reached:
            note_reached(self.files, snapshot)
        self.files.keep(self.name, name_of(snapshot))
        return snapshot

    def abandon(self) -> None:
        self.files.remove(self.name)


class Snapshots:
    """The snapshots of one peer. To be used by one thread, except for `Draft` and `look_at`."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot, by its name and header; None if there is none.

        Raises StoreCorrupt if the header is damaged, or has a format that is not known here.
        """
        names = [name for name in self.files.names() if name.endswith(".snapshot")]
        found = max(map(self.numbers, names), default=None)
        if found is None:
            return None
        index, term, size, checksum = found
        header = self.header(Snapshot(index, term, size=size, checksum=checksum))
        configuration = Configuration.decode(header.configuration, header.configured)
        return Snapshot(index, term, configuration, size, checksum)

    def read(self, snapshot: Snapshot, offset: int, size: int) -> bytes:
        """Return a part of the snapshot's file, to be sent."""
        return self.files.read(name_of(snapshot), offset, min(size, snapshot.size - offset))

    def draft(self, header: Header) -> Draft:
        return Draft(self.files, header)

    def is_reached(self, snapshot: Snapshot) -> bool:
        """Return whether the log has once reached the snapshot's end. If so, a log that ends before
        it now has lost entries. If not, it is a leader's snapshot that is ahead of the log, and the
        log was not yet made to begin after it.
        """
        return mark_of(snapshot) in self.files.names()

    def reached(self, snapshot: Snapshot) -> None:
        """Note that the log has reached the snapshot, see `note_reached`. If the disk is full, a
        later call does it.
        """
        with suppress(StoreError):
            if snapshot.index and not self.is_reached(snapshot):
                note_reached(self.files, snapshot)

    def prune(self, keep: Iterable[Snapshot]) -> None:
        """Remove all snapshots but those in `keep`, and all drafts."""
        kept = {name for one in keep for name in (name_of(one), mark_of(one))}
        for name in self.files.names():
            if name.endswith(".draft") or (
                name.endswith((".snapshot", ".reached")) and name not in kept
            ):
                self.files.remove(name)

    # The snapshots of a leader.

    def incoming(self) -> SnapshotReceipt | None:
        """Return how much of a leader's snapshot was received; remove the parts of older ones."""
        parts = [name for name in self.files.names() if name.endswith(".part")]
        newest = max(parts, key=self.numbers, default="")
        kept = None
        for name in parts:
            index, term, size, checksum = self.numbers(name)
            have = self.files.size(name)
            if name == newest and have < size:
                kept = SnapshotReceipt(index, term, size, checksum, have)
            else:
                self.files.remove(name)
        return kept

    def receive(self, incoming: SnapshotReceipt, offset: int, data: bytes) -> None:
        """Write a part of a snapshot. With its first part all other unfinished ones are removed."""
        name = part_of(incoming)
        if offset == 0:
            for other in self.files.names():
                if other.endswith(".part") and other != name:
                    self.files.remove(other)
        self.files.write(name, offset, data)

    def finish(
        self, incoming: SnapshotReceipt, before: Callable[[], None] = lambda: None
    ) -> Snapshot:
        """Check the received file, call `before`, and give the file its final name.

        Raises StoreCorrupt if the file is damaged; then it is removed.
        """
        name = part_of(incoming)
        try:
            header = self.check(name, incoming.size, incoming.checksum, ASKED_AGAIN)
        except StoreCorrupt:
            self.files.remove(name)
            raise
        configuration = Configuration.decode(header.configuration, header.configured)
        snapshot = Snapshot(
            incoming.index, incoming.term, configuration, incoming.size, incoming.checksum
        )
        before()
        self.files.keep(name, name_of(snapshot))
        return snapshot

    # Reading.

    def header(self, snapshot: Snapshot) -> Header:
        name = name_of(snapshot)
        expected = snapshot.index, snapshot.term
        return header_in(self.place(name), next(self.blocks(name), b""), expected, REJOIN)

    def pieces(self, snapshot: Snapshot) -> Iterator[tuple[bytes, Any]]:
        """Yield (kind, content) of each SESSION, DUTY and PIECE.

        Raises StoreCorrupt at a damaged block; and at the end if the END block is missing, or if
        the checksum of the whole file is wrong.
        """
        name, total = name_of(snapshot), 0
        for count, payload in enumerate(self.blocks(name)):
            kind = payload[:1]
            total = crc32(payload, crc32(head_of(payload), total))
            if kind == END:
                if payload == END + encoding.dumps(count) and total == snapshot.checksum:
                    return
                break
            if kind != HEADER:
                yield kind, encoding.loads_stored(memoryview(payload)[1:])
        raise StoreCorrupt(
            f"{self.place(name)} ends too early, or is not what was written; {REJOIN}"
        )

    def look_at(self, snapshot: Snapshot) -> str:
        """Read the whole file, and return what is wrong with it; "" if nothing is. May be called on
        any thread.
        """
        try:
            self.check(name_of(snapshot), snapshot.size, snapshot.checksum, SENT_TO_NOBODY)
        except RaftError as error:
            return str(error)
        return ""

    def check(self, name: str, size: int, checksum: int, remedy: str = REJOIN) -> Header:
        """Read a whole file. Raises StoreCorrupt if the file is incomplete or damaged; `remedy` is
        the advice in its message."""
        first, total, whole = b"", 0, False
        for count, payload in enumerate(blocks(self.files, name, remedy)):
            first = first or payload
            total = crc32(payload, crc32(head_of(payload), total))
            whole = payload == END + encoding.dumps(count)
        if not whole or total != checksum or self.files.size(name) != size:
            raise StoreCorrupt(f"{self.place(name)} is not what was written; {remedy}")
        index, term = self.numbers(name)[:2]
        return header_in(self.place(name), first, (index, term), remedy)

    def numbers(self, name: str) -> tuple[int, int, int, int]:
        """Return (index, term, size, checksum) of a name. Raises StoreCorrupt for other names."""
        found = NAME.fullmatch(name)
        if found is None:
            raise StoreCorrupt(f"{self.place(name)} is not named as a snapshot is; move it away")
        index, term, size = map(int, found.group(1, 2, 3))
        return index, term, size, int(found.group(4), 16)

    def place(self, name: str) -> str:
        """Return the name of a file for messages, with its directory."""
        return f"{self.files.place}/{name}"

    def blocks(self, name: str) -> Iterator[bytes]:
        return blocks(self.files, name, REJOIN)


def header_in(file: str, payload: bytes, expected: tuple[int, int], remedy: str) -> Header:
    try:
        magic, version, fields = encoding.loads_stored(payload[1:])
    except (ValueError, TypeError):
        magic, version, fields = None, None, {}
    if payload[:1] != HEADER or magic != MAGIC:
        raise StoreCorrupt(f"{file} is no snapshot of raft_actors; {remedy}")
    if version != FORMAT:
        raise StoreCorrupt(
            f"{file} has format {version!r}, and this version of raft_actors knows format "
            f"{FORMAT}: use the version that wrote it"
        )
    try:
        header = Header(**fields)
        Configuration.decode(header.configuration, header.configured)
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(f"{file} has a header that nobody writes: {error}; {remedy}") from error
    if (header.index, header.term) != expected:
        raise StoreCorrupt(f"{file} is one of entry {header.index} inside; {remedy}")
    return header


def name_of(snapshot: Snapshot) -> str:
    return f"{stem_of(snapshot)}.snapshot"


def mark_of(snapshot: Snapshot) -> str:
    return f"{stem_of(snapshot)}.reached"


def note_reached(files: Files, snapshot: Snapshot) -> None:
    """Note on the disk that the log has saved the snapshot's last entry, or begins after it."""
    mark = mark_of(snapshot)
    files.write(f"{mark}.draft", 0, b"")
    files.keep(f"{mark}.draft", mark)


def part_of(incoming: SnapshotReceipt) -> str:
    return f"{stem_of(incoming)}.part"


def stem_of(one: Snapshot | SnapshotReceipt) -> str:
    return f"{one.index}-{one.term}-{one.size}-{one.checksum:08x}"
