"""Backup: one file with all that a group knew at an index, which checks itself.

It is a row of blocks, framed as those of a snapshot (stores/snapshots.py):

    HEADER      first: see `BackupHeader`
    SNAPSHOT    a part of the snapshot's file, as it is
    ENTRIES     a part of the log after it, in order
    END         last: the number of blocks before it

A file is written under another name and gets its own when it is whole and durable.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from raft_actors import terms
from raft_actors.core.membership import Address
from raft_actors.core.snapshot import Incoming
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores.files import DiskFiles
from raft_actors.stores.snapshots import Snapshots, framed

__all__ = ["BackupHeader", "BackupWriter", "read_backup", "read_header"]

MAGIC = "raft_actors backup"
FORMAT = 1
HEADER, SNAPSHOT, ENTRIES, END = b"h", b"s", b"l", b"e"


@dataclass(frozen=True, slots=True)
class BackupHeader:
    """What a backup says of itself.

    made_at        when, ISO 8601
    peer           whose data it is
    term, last     term and index of the last entry that it stands for
    first          the first entry after the snapshot; last + 1 if there is none
    configuration  the newest, encoded; `configured` is its index
    snapshot       index, term, size and checksum of the snapshot; size 0 for none
    """

    made_at: str
    peer: Address
    term: int
    first: int
    last: int
    configuration: bytes
    configured: int
    snapshot: tuple[int, int, int, int]

    @property
    def incoming(self) -> Incoming:
        return Incoming(*self.snapshot)


class BackupWriter:
    """Writes a backup to `path`, which must not be there; leaves nothing half made.

    Raises StoreError.
    """

    def __init__(self, path: Path, header: BackupHeader) -> None:
        self.path = path.absolute()
        if self.path.exists():
            raise StoreError(f"{self.path} is there already: choose another name, or remove it")
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.path.parent} is no directory: make it first")
        self.files = DiskFiles(self.path.parent)
        self.draft = f"{self.path.name}.draft"
        self.size = self.count = 0
        self.add(HEADER, terms.dumps((MAGIC, FORMAT, asdict(header))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.remove(self.draft)  # unless it is finished

    def add_snapshot_part(self, data: bytes) -> None:
        self.add(SNAPSHOT, data)

    def add_entries(self, entries: list[bytes]) -> None:
        self.add(ENTRIES, terms.dumps(entries))

    def finish(self) -> None:
        """Make it durable, under its name."""
        self.add(END, terms.dumps(self.count))
        self.files.keep(self.draft, self.path.name)

    def add(self, kind: bytes, content: bytes) -> None:
        block = framed(kind + content)
        self.files.write(self.draft, self.size, block)
        self.size += len(block)
        self.count += 1


def read_header(path: Path) -> BackupHeader:
    """Raises StoreCorrupt for what is no backup, or of a version that is not known here."""
    payload = next(iter(blocks_of(path)), b"")
    try:
        magic, version, fields = terms.loads(payload[1:])
    except ValueError:
        magic, version, fields = None, None, {}
    if payload[:1] != HEADER or magic != MAGIC:
        raise StoreCorrupt(f"{path} is no backup of raft_actors")
    if version != FORMAT:
        raise StoreCorrupt(
            f"{path} has format {version!r}, and this version of raft_actors knows format "
            f"{FORMAT}: use the version that wrote it"
        )
    return BackupHeader(**fields)


def read_backup(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yield (SNAPSHOT, bytes) and (ENTRIES, list of entries), in the order of the file.

    Raises StoreCorrupt where a block is damaged, or the end is missing.
    """
    for count, payload in enumerate(blocks_of(path)):
        kind, content = payload[:1], payload[1:]
        if kind == END:
            if terms.loads(content) == count:
                return
            break
        if kind == SNAPSHOT:
            yield kind, content
        elif kind == ENTRIES:
            yield kind, terms.loads(content)
    raise StoreCorrupt(f"{path} ends too early: take another backup")


def blocks_of(path: Path) -> Iterable[bytes]:
    """Yield the payloads. Raises StoreCorrupt, StoreError."""
    if not path.is_file():
        raise StoreError(f"{path} is no file")
    try:
        yield from Snapshots(DiskFiles(path.absolute().parent)).blocks(path.name)
    except StoreCorrupt as error:
        what = str(error).partition(";")[0]
        raise StoreCorrupt(f"{what}: take another backup") from error
