"""Files: the few things that snapshots need of a directory, and two that have them."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from raft_actors.errors import StoreError
from raft_actors.paths import open_private

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
    errno.ENOTDIR: "move it away",
    errno.ENOENT: "see that the directory it is to be in is there",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "let this process open more files: ulimit -n",
    errno.ENFILE: "let this system open more files",
    errno.EFBIG: "let this process write larger files: ulimit -f",
}
OTHER = "make the disk good"


class Files(Protocol):
    """A flat directory of one peer's. Raises StoreError when the disk refuses.

    place  where it is, for messages
    """

    place: str

    def names(self) -> list[str]:
        """Return the names of the files, in no order."""

    def size(self, name: str) -> int:
        """Return the bytes of a file; 0 for one that is not there."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes; fewer at the end of the file."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Put `data` at `offset`, and let the file end there. Offset 0 makes the file if need be;
        any other is refused where there is none, for the file would begin with a hole."""

    def keep(self, draft: str, name: str) -> None:
        """Make a file durable, and give it its final name, durably too."""

    def remove(self, name: str) -> None:
        """Forget a file, if it is there."""


class DiskFiles:
    """A directory of the operating system. It is made with its first file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

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
            with (self.path / name).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise translated(self.path / name, error) from error

    def write(self, name: str, offset: int, data: bytes) -> None:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            make = 0 if offset else os.O_CREAT
            descriptor = os.open(self.path / name, os.O_WRONLY | make, 0o600)
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
            descriptor = os.open(self.path / draft, os.O_RDONLY)
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
    """Lives as long as the process, like the `MemoryStore` that it belongs to."""

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
    """Return what to raise: what the operating system refused, and what to do about it."""
    return StoreError(f"{path}: {error.strerror or error}; {advice_on(error)}")


def advice_on(error: BaseException) -> str:
    """Say what to do where the operating system has refused something.

    RocksDB and LMDB hand its words on in their own.
    """
    if isinstance(error, OSError):
        return ADVICE.get(error.errno or 0, OTHER)
    text = str(error)
    return next((advice for number, advice in ADVICE.items() if os.strerror(number) in text), OTHER)


def give_new_name(draft: Path, path: Path) -> None:
    """Give a file of the same directory its name. Raises FileExistsError if that is taken."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has links: take the name first, with an empty file
        open_private(path, "xb").close()
        draft.replace(path)
    else:
        draft.unlink()


def absent(path: Path) -> list[Path]:
    """Return which of `path` and the directories above it are not there."""
    return [each for each in (path, *path.parents) if not each.exists()]


def sync_names(path: Path, made: list[Path]) -> None:
    """Make every name that leads to `path` durable.

    Of what was there already some may come from a life that was killed before this, and some is
    not this user's to sync. made: what was not.
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
