"""Paths: relative ones are made absolute at once, because a program may change its working
directory later. And files and directories that no other user can read.
"""

import errno
import os
import stat
from pathlib import Path
from typing import IO, Any

__all__ = ["absolute", "make_private", "open_private", "open_regular", "read_regular"]


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return `path` as an absolute path.

    Raises ValueError for a path with a null byte, and for a relative path if the working directory
    has been removed.
    """
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r} is no path: a null byte can't be in one")
    try:
        return Path(path).absolute()
    except FileNotFoundError:
        raise ValueError(
            f"{str(path)!r} is relative, and the working directory of this process is gone: give "
            "an absolute path"
        ) from None


def make_private(directory: Path) -> None:
    """Make `directory` if it does not exist, and the directories above it that do not exist; only
    this user can read them. Existing directories are not changed.

    `Path.mkdir` makes those above with the modes of the umask. If others may write there, they can
    put a directory of their own in the place of this one.
    """
    if not directory.parent.exists():
        make_private(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file like `path.open`. If the file is new, only this user can read it."""

    return open(path, mode, opener=open_regular, **options)


def read_regular(path: Path) -> bytes:
    """Return the content of a file. Raises OSError as `open_regular` does."""
    with open(path, "rb", opener=open_regular) as file:
        return file.read()


def open_regular(name: str | os.PathLike[str], flags: int) -> int:
    """Open a file like `os.open`; a new one can be read by this user only.

    Raises OSError (ENXIO) at once for a named pipe and a socket: opening a pipe would wait until
    another process opens its other end. A directory may be opened for reading, as with `os.open`.
    """
    descriptor = os.open(name, flags | os.O_NONBLOCK, 0o600)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "it is no regular file", os.fspath(name))
    os.set_blocking(descriptor, True)
    return descriptor
