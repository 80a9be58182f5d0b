"""Files: the operations on a directory that snapshots need, on a disk and in memory."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from raft_actors.errors import StoreError
from raft_actors.paths import open_private, open_regular

__all__ = [
    "OTHER", "DiskFiles", "Files", "MemoryFiles", "absent", "advice_on", "give_new_name",
    "sync_directory", "sync_names", "translated",
]  # fmt: skip

ADVICE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or raise this user's quota",
    errno.EROFS: "see that its disk is good, and mount it for writing",
    errno.EACCES: "let this user read and write it",
    errno.EPERM: "let this user read and write it",
    errno.EISDIR: "move it away",
    errno.ENOTDIR: "choose another place, or move away the file that is where a directory must be",
    errno.ENOENT: "see that the directory it is to be in is there",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "let this process open more files: ulimit -n",
    errno.ENFILE: "let this system open more files",
    errno.EEXIST: "choose another place, or move away what is there",
    errno.ENXIO: "move it away",
    errno.ELOOP: "see where its links lead",
    errno.EFBIG: "let this process write larger files: ulimit -f",
}
OTHER = "make the disk good"


class Files(Protocol):
    """A flat directory of one peer. The methods raise StoreError if the disk fails.

    place  the directory's path or another name of it, for messages
    """

    place: str

    def names(self) -> list[str]:
        """Return the names of the files, in any order."""

    def size(self, name: str) -> int:
        """Return the number of bytes of a file; 0 if there is no such file."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes; fewer at the end of the file."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset`, and cut the file off after it. With offset 0 a missing file is
        made; with another offset a missing file is an error, because it would begin with a hole."""

    def keep(self, draft: str, name: str) -> None:
        """Sync a file, give it its final name, and sync the name."""

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""


class DiskFiles:
    """A directory on a disk. It is made with its first file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place: str = str(path)

    def names(self) -> list[str]:
        try:
            return [each.name for each in self.path.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise translated(self.path, error) from error

    def size(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise translated(self.path / name, error) from error

    def read(self, name: str, offset: int, size: int) -> bytes:
        try:
            with open(self.path / name, "rb", buffering=0, opener=open_regular) as file:
                return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise translated(self.path / name, error) from error

    def write(self, name: str, offset: int, data: bytes) -> None:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            make = 0 if offset else os.O_CREAT
            descriptor = open_regular(self.path / name, os.O_WRONLY | make)
            try:
                view, at = memoryview(data), offset
                while view:
                    written = os.pwrite(descriptor, view, at)
                    view, at = view[written:], at + written
                os.ftruncate(descriptor, at)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise translated(self.path / name, error) from error

    def keep(self, draft: str, name: str) -> None:
        try:
            descriptor = open_regular(self.path / draft, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            (self.path / draft).replace(self.path / name)
            sync_directory(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise translated(self.path / name, error) from error

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            try:
                (self.path / name).unlink()
            except FileNotFoundError:
                raise
            except OSError as error:
                raise translated(self.path / name, error) from error


class MemoryFiles:
    """Files in memory, which are lost when the process ends, like their `MemoryStore`."""

    place = "memory"

    def __init__(self) -> None:
        self.contents: dict[str, bytearray] = {}

    def names(self) -> list[str]:
        return list(self.contents)

    def size(self, name: str) -> int:
        return len(self.contents.get(name, b""))

    def read(self, name: str, offset: int, size: int) -> bytes:
        return bytes(self.contents[name][offset : offset + size])

    def write(self, name: str, offset: int, data: bytes) -> None:
        content = self.contents.setdefault(name, bytearray())
        assert offset <= len(content), "a hole in a file"
        content[offset:] = data

    def keep(self, draft: str, name: str) -> None:
        self.contents[name] = self.contents.pop(draft)

    def remove(self, name: str) -> None:
        self.contents.pop(name, None)


def translated(path: Path | str, error: OSError) -> StoreError:
    """Return the StoreError for an error of the operating system, with advice what to do."""
    return StoreError(f"{path}: {error.strerror or error}; {advice_on(error)}")


def advice_on(error: BaseException) -> str:
    """Return advice what to do about an error of the operating system.

    Errors of RocksDB and LMDB have the text of the operating system's error in their own text.
    """
    if isinstance(error, OSError):
        return ADVICE.get(error.errno or 0, OTHER)
    if isinstance(error, UnicodeError):
        return "choose a path that is UTF-8"
    text = str(error)
    return next((advice for number, advice in ADVICE.items() if os.strerror(number) in text), OTHER)


def give_new_name(draft: Path, path: Path) -> None:
    """Rename `draft` to `path`, in the same directory. Raises FileExistsError if `path` exists."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has links: reserve the name with an empty file first
        open_private(path, "xb").close()
        draft.replace(path)
    else:
        draft.unlink()


def absent(path: Path) -> list[Path]:
    """Return which of `path` and its parent directories do not exist."""
    return [each for each in (path, *path.parents) if not each.exists()]


def sync_names(path: Path, made: list[Path]) -> None:
    """Sync the directories above `path`, so that every name in this path is durable.

    Directories that existed before are synced, too: a process that made them may have been killed
    before it has synced them. But for these an error is ignored, because this user may not have the
    right to sync them.

    made  the directories that did not exist before
    """
    for parent in path.parents:
        try:
            sync_directory(parent)
        except OSError:
            if any(each.parent == parent for each in made):
                raise


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
