"""Snapshots: what stands for the beginning of a peer's log, in files that check themselves.

A file is a row of blocks (stores/blocks.py):

    HEADER      first: see `Header`
    SESSION     one client's session, as `Sessions.stored` gives it
    PIECE       a part of the machine's state, as it was taken
    END         last: the number of blocks before it

    <index>-<term>-<size>-<checksum>.snapshot          whole, and durable
    <index>-<term>-<size>-<checksum>.reached           empty: the log has reached that snapshot
    <index>-<term>-<size>-<checksum>.part              what has come so far of a leader's
    <index>-<term>-<n>.draft                           being written; no two of a process share one

`size` and `checksum` are of the whole file. A name is given last, so what has it is whole.
"""

import itertools
from collections.abc import Iterable, Iterator
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

__all__ = ["END", "HEADER", "PIECE", "SESSION", "Draft", "Header", "Snapshots"]

FORMAT = 1
MAGIC = "raft_actors snapshot"

HEADER, SESSION, PIECE, END = b"h", b"s", b"p", b"e"
ASKED_AGAIN = "it is asked for again, and its sender looks at its own file"
SENT_TO_NOBODY = "it is sent to nobody, and another is taken of the state: look at the disk"
DRAFTS = itertools.count(1)
NAME = pattern(r"(\d+)-(\d+)-(\d+)-([0-9a-f]{8})\.(snapshot|reached|part)")


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot says of itself.

    index, term     of the last entry that it stands for
    configuration   the newest at or before it, encoded; `configured` is that one's index
    kind            how the pieces of the state are put together; see `machine.state_image`
    machine         the version of the state machine that the state is of
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
    """A snapshot that is being written, by one thread."""

    def __init__(self, files: Files, header: Header) -> None:
        self.files = files
        self.header = header
        self.name = f"{header.index}-{header.term}-{next(DRAFTS)}.draft"
        self.size = self.checksum = self.count = 0
        try:
            self.add(header.encode())
        except StoreError:
            with suppress(StoreError):  # each try has a name of its own: none must stay
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
        """Make it durable, and a snapshot.

        reached  whether it is of the log beside it, which then has its last entry durably
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
    """The snapshots of one peer. One thread, but for `Draft`s."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def newest(self) -> Snapshot | None:
        """Return the newest, as its name and its header tell of it.

        Raises StoreCorrupt if the header is damaged or of a version that is not known here.
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
        """Return a part of it, to be sent."""
        return self.files.read(name_of(snapshot), offset, min(size, snapshot.size - offset))

    def draft(self, header: Header) -> Draft:
        return Draft(self.files, header)

    def is_reached(self, snapshot: Snapshot) -> bool:
        """Tell whether a log that ends before it has lost something. A leader's snapshot may be
        ahead of the log, until that begins behind it.
        """
        return mark_of(snapshot) in self.files.names()

    def reached(self, snapshot: Snapshot) -> None:
        """See `note_reached`. A full disk has room for it another time."""
        with suppress(StoreError):
            if snapshot.index and not self.is_reached(snapshot):
                note_reached(self.files, snapshot)

    def prune(self, keep: Iterable[Snapshot]) -> None:
        """Remove every snapshot but these, and what is left of drafts."""
        kept = {name for one in keep for name in (name_of(one), mark_of(one))}
        for name in self.files.names():
            if name.endswith(".draft") or (
                name.endswith((".snapshot", ".reached")) and name not in kept
            ):
                self.files.remove(name)

    # A leader's.

    def incoming(self) -> SnapshotReceipt | None:
        """Return what is here of a leader's snapshot; older parts are removed."""
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
        """Take a part in. The first of a snapshot ends all others that are under way."""
        name = part_of(incoming)
        if offset == 0:
            for other in self.files.names():
                if other.endswith(".part") and other != name:
                    self.files.remove(other)
        self.files.write(name, offset, data)

    def finish(self, incoming: SnapshotReceipt) -> Snapshot:
        """Check what has come, and make it a snapshot.

        Raises StoreCorrupt if it is damaged; then nothing of it is left.
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
        self.files.keep(name, name_of(snapshot))
        return snapshot

    # Reading.

    def header(self, snapshot: Snapshot) -> Header:
        name = name_of(snapshot)
        expected = snapshot.index, snapshot.term
        return header_in(self.place(name), next(self.blocks(name), b""), expected, REJOIN)

    def pieces(self, snapshot: Snapshot) -> Iterator[tuple[bytes, Any]]:
        """Yield (kind, term) of each SESSION and PIECE.

        Raises StoreCorrupt where a block is damaged, or the end is missing, or all blocks together
        are not what was written.
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
        """Read all of it, on any thread; return what is wrong with it, or ""."""
        try:
            self.check(name_of(snapshot), snapshot.size, snapshot.checksum, SENT_TO_NOBODY)
        except RaftError as error:
            return str(error)
        return ""

    def check(self, name: str, size: int, checksum: int, remedy: str = REJOIN) -> Header:
        """Read all of a file. Raises StoreCorrupt unless it is whole and undamaged; `remedy` is
        what it says to do."""
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
        """Return (index, term, size, checksum). Raises StoreCorrupt for a name of no such form."""
        found = NAME.fullmatch(name)
        if found is None:
            raise StoreCorrupt(f"{self.place(name)} is not named as a snapshot is; move it away")
        index, term, size = map(int, found.group(1, 2, 3))
        return index, term, size, int(found.group(4), 16)

    def place(self, name: str) -> str:
        """Return what a file is called in messages."""
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
    """Note that the log has the last entry of it durably, or begins there."""
    mark = mark_of(snapshot)
    files.write(f"{mark}.draft", 0, b"")
    files.keep(f"{mark}.draft", mark)


def part_of(incoming: SnapshotReceipt) -> str:
    return f"{stem_of(incoming)}.part"


def stem_of(one: Snapshot | SnapshotReceipt) -> str:
    return f"{one.index}-{one.term}-{one.size}-{one.checksum:08x}"
