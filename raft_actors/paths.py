"""Paths: absolute from where they are given, for a program may change its working directory; and
files and directories that no other user can read.
"""

import os
from pathlib import Path
from typing import IO, Any

__all__ = ["absolute", "make_private", "open_private"]


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return `path`, which from now on names the same file wherever the program goes.

    Raises ValueError for a relative one where the working directory has been removed.
    """
    try:
        return Path(path).absolute()
    except FileNotFoundError:
        raise ValueError(
            f"{str(path)!r} is relative, and the working directory of this process is gone: give "
            "an absolute path"
        ) from None


def make_private(directory: Path) -> None:
    """Make `directory` if need be, for this user alone. One that is there stays as it is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """As `path.open`; a file that this makes is for this user alone."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, mode, opener=opener, **options)
