"""Surroundings: what this package needs of the system and of other packages. If something is
missing, an ImportError says what.

Only the standard library is imported here, because the check runs before all other imports.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["check_surroundings"]

OURS = "DynamicSupervisor"
"""A word in our `supervision/__init__.py`, by which it differs from other packages with that
name."""


def check_surroundings() -> None:
    """Raise ImportError on a system that this package does not support, and if Python finds another
    package or module with the name `supervision` before ours.
    """
    try:
        import fcntl  # noqa: F401 - the locks of files need it
    except ImportError as error:
        raise ImportError(
            f"raft_actors runs on Linux, macOS and other POSIX systems: {sys.platform} has no "
            "fcntl. On Windows, run it in WSL"
        ) from error
    if foreign := foreign_supervision():
        raise ImportError(foreign)


def foreign_supervision() -> str:
    """Return the message for a `supervision` that is missing or not ours; "" if it is ours."""
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
