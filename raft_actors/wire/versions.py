"""Versions of the protocol between nodes. Two nodes use the newest version that both support.

A new version only adds: kinds of messages, or fields at the end of a message. Each addition is
marked with the version that brought it (`since`, in core/messages.py). So a node that supports a
newer version understands every message of an older one; and a node never sends what the version of
the connection does not have. The rules for releases are in docs/upgrades.md.
"""

__all__ = [
    "SUPPORTED",
    "check_required",
    "described",
    "newest",
    "newest_common",
    "oldest",
    "supported_from",
]

SUPPORTED = [3]
"""Every protocol version that this code supports, oldest first, without gaps."""


def oldest() -> int:
    """Return the version to use as long as the versions of the other node are not known."""
    return SUPPORTED[0]


def newest() -> int:
    return SUPPORTED[-1]


def supported_from(required: int) -> list[int]:
    """Return the versions to offer to other nodes and to accept: none below `required`."""
    return [version for version in SUPPORTED if version >= required]


def check_required(required: int) -> None:
    """Raise ValueError if this release supports no version from `required` on."""
    if not supported_from(required):
        raise ValueError(
            f"Config.require_version is {required}, and this release supports "
            f"{described(SUPPORTED)}: set a lower require_version, or install a newer release"
        )


def newest_common(supported: list[int], offered: list[object]) -> int | None:
    """Return the newest of `supported` that the other node offers; None if there is none."""
    return max((version for version in supported if version in offered), default=None)


def described(versions: list[int]) -> str:
    if len(versions) == 1:
        return f"protocol version {versions[0]}"
    return f"protocol versions {versions[0]} to {versions[-1]}"
