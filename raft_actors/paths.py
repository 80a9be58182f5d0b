"""Paths: relative ones are made absolute at once, because a program may change its working
directory later. And files and directories that no other user can read.
"""

import os
from pathlib import Path
from typing import IO, Any

__all__ = ["absolute", "make_private", "open_private"]


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
    """Make `directory` if it does not exist; only this user can read it. An existing directory is
    not changed.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file like `path.open`. If the file is new, only this user can read it."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, mode, opener=opener, **options)
