"""Surroundings: what this package must find around it, told in words where it is not there.

Only the standard library is imported here: the check comes before everything else.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["check_surroundings"]

OURS = "DynamicSupervisor"
"""A word of our own `supervision/__init__.py`, and of no other package's of that name."""


def check_surroundings() -> None:
    """Raise ImportError on a system that this does not run on, and where another package or module
    that is called `supervision` is found before ours.
    """
    try:
        import fcntl  # noqa: F401 - files are locked by it
    except ImportError as error:
        raise ImportError(
            f"raft_actors runs on Linux, macOS and other POSIX systems: {sys.platform} has no "
            "fcntl. On Windows, run it in WSL"
        ) from error
    if foreign := foreign_supervision():
        raise ImportError(foreign)


def foreign_supervision() -> str:
    """Say what is found under the name of our `supervision`; nothing if that is ours."""
    loaded = sys.modules.get("supervision")
    spec = find_spec("supervision") if loaded is None else loaded.__spec__
    place = spec and spec.origin
    if place and (hasattr(loaded, OURS) or is_ours(Path(place))):
        return ""
    if not place:
        return (
            "raft_actors comes with a package supervision, which is not there, or not whole: "
            "pip install --force-reinstall raft_actors"
        )
    return (
        "another package is called supervision, as one that raft_actors brings, and is in the "
        f"way: {place}. If it was installed, pip uninstall supervision and pip install "
        "--force-reinstall raft_actors, or give each of the two an environment of its own; if it "
        "is a file of yours, rename it"
    )


def is_ours(place: Path) -> bool:
    try:
        return OURS in place.read_text()
    except (OSError, ValueError):  # in an archive, or compiled
        return True
