"""Backup: one file with everything that a group had committed up to an index, with checksums.

It is a sequence of blocks (stores/blocks.py):

    HEADER      the first block, see `BackupHeader`
    SNAPSHOT    a part of the snapshot's file, unchanged
    ENTRIES     a part of the log after the snapshot, in order
    END         the last block: the number of blocks before it

The file is written with the temporary name `<name>.<random>.draft`, which no other backup has. It
gets its final name when it is complete, synced and was read again without an error.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self
from zlib import crc32

from raft_actors import encoding
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.names import Address
from raft_actors.paths import open_private
from raft_actors.stores.blocks import blocks, framed
from raft_actors.stores.files import DiskFiles, advice_on, give_new_name, sync_directory, translated

__all__ = ["ENTRIES", "REMEDY", "SNAPSHOT", "BackupHeader", "BackupWriter", "read_backup",
           "read_header", "refuse_name"]  # fmt: skip

MAGIC = "raft_actors backup"
FORMAT = 2  # 1: entries without checksums and extensions
HEADER, SNAPSHOT, ENTRIES, END = b"h", b"s", b"l", b"e"
REMEDY = "take another backup"


@dataclass(frozen=True, slots=True)
class BackupHeader:
    """The first block of a backup.

    made_at        the time when the backup was made, ISO 8601
    peer           the peer that the data is from
    term, last     term and index of the last entry in the backup
    first          index of the first entry after the snapshot; last + 1 if there is none
    configuration  the newest configuration, encoded; `configured` is its index
    snapshot       index, term, size and checksum of the snapshot; size 0 if there is none
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
    def incoming(self) -> SnapshotReceipt:
        return SnapshotReceipt(*self.snapshot)


class BackupWriter:
    """Writes a backup to `path`, which must not exist. After a failure no file is left.

    Raises StoreError if the backup can't be written.
    """

    def __init__(self, path: Path, header: BackupHeader) -> None:
        self.path: Path = refuse_name(path)
        self.header = header
        self.draft: Path = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.draft")
        self.count: int = 0

    def __enter__(self) -> Self:
        with self.refused_in_words():
            self.file: IO[bytes] = open_private(self.draft, "xb")
        try:
            self.add(HEADER, encoding.dumps((MAGIC, FORMAT, asdict(self.header))))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the error of a full disk was raised before
            self.file.close()
        with suppress(OSError):
            self.draft.unlink(missing_ok=True)  # after `finish` there is no draft any more

    def add_snapshot_part(self, data: bytes) -> None:
        self.add(SNAPSHOT, data)

    def add_entries(self, entries: list[bytes]) -> None:
        self.add(ENTRIES, encoding.dumps(entries))

    def finish(self) -> None:
        """Sync the file, read it again, and give it its final name.

        Raises StoreCorrupt if the content does not fit the header, because the snapshot was damaged
        before.
        """
        self.add(END, encoding.dumps(self.count))
        with self.refused_in_words():
            self.file.flush()
            os.fsync(self.file.fileno())
        try:
            for _ in read_backup(self.draft):
                pass
        except StoreCorrupt as error:
            raise StoreCorrupt(f"no backup is made: {error}") from error
        with self.refused_in_words():
            give_new_name(self.draft, self.path)
            sync_directory(self.path.parent)

    def add(self, kind: bytes, content: bytes) -> None:
        with self.refused_in_words():
            self.file.write(framed(kind + content))
        self.count += 1

    @contextmanager
    def refused_in_words(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            raise is_there(self.path) from error
        except OSError as error:
            raise StoreError(
                f"{self.path} can't be written: {error.strerror or error}; {advice_on(error)}, or "
                "choose another place"
            ) from error


def refuse_name(path: Path) -> Path:
    """Return `path` as an absolute path. Raises StoreError if no backup can be written there."""
    path = path.absolute()
    try:
        if path.exists():
            raise is_there(path)
        if not path.parent.is_dir():
            raise StoreError(f"{path.parent} is no directory: make it first")
    except OSError as error:
        raise translated(path, error) from error
    return path


def is_there(path: Path) -> StoreError:
    return StoreError(f"{path} is there already: choose another name, or remove it")


def read_header(path: Path) -> BackupHeader:
    """Return the header of a backup. Raises StoreCorrupt for a file that is no backup, or has a
    format that this version does not know.
    """
    try:
        payload = next(blocks_of(path), b"")
        magic, version, fields = encoding.loads_stored(payload[1:])
    except (StoreCorrupt, ValueError, TypeError):
        payload, magic = b"", None
    if payload[:1] != HEADER or magic != MAGIC:
        raise StoreCorrupt(
            f"{path} is no backup of raft_actors, or damaged at its beginning: {REMEDY}"
        )
    if version != FORMAT:
        raise StoreCorrupt(
            f"{path} has format {version!r}, and this version of raft_actors knows format "
            f"{FORMAT}: use the version that wrote it"
        )
    return BackupHeader(**fields)


def read_backup(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yield (SNAPSHOT, bytes) and (ENTRIES, list of entries), in the order of the file.

    Raises StoreCorrupt at a damaged block, and at the end if the content does not fit the header:
    the snapshot has a checksum of its own, and may have been damaged before it came into the
    backup.
    """
    header = read_header(path)
    size = checksum = entries = 0
    is_whole = False
    for count, payload in enumerate(blocks_of(path)):
        kind = payload[:1]
        content = payload[1:] if kind == SNAPSHOT else term_in(path, payload)
        is_whole = kind == END and content == count
        if kind == SNAPSHOT:
            size += len(content)
            checksum = crc32(content, checksum)
            yield kind, content
        elif kind == ENTRIES:
            entries += len(content)
            yield kind, content
    if not is_whole or entries != header.last - header.first + 1:
        raise StoreCorrupt(f"{path} does not end where it should: {REMEDY}")
    if (size, checksum) != (header.incoming.size, header.incoming.checksum):
        raise StoreCorrupt(
            f"the snapshot in {path} is not what its peer wrote: {REMEDY}, of another member"
        )


def term_in(path: Path, payload: bytes) -> Any:
    try:
        return encoding.loads_stored(memoryview(payload)[1:])
    except ValueError as error:
        raise StoreCorrupt(f"{path} holds what it should not: {error}; {REMEDY}") from error


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield the payloads of the blocks. Raises StoreCorrupt and StoreError."""
    try:
        if not path.is_file():
            raise StoreError(f"{path} is no file")
    except OSError as error:
        raise translated(path, error) from error
    return blocks(DiskFiles(path.absolute().parent), path.name, REMEDY)
