"""Paths: made absolute where they are given, for a program may change its working directory."""

import os
from pathlib import Path

__all__ = ["absolute"]


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
