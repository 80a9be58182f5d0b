"""Versions: which protocols this code speaks between nodes. Both ends use the newest common one.

A version only adds: kinds of messages, or fields at the end of one, each marked with the version
that brought it (`since`, in core/messages.py). So whatever a node says in a version, all that speak
a newer one understand; and what the other end does not know is never sent to it. The rules for
releases are in docs/upgrades.md.
"""

__all__ = [
    "SPOKEN",
    "check_required",
    "in_words",
    "newest",
    "newest_common",
    "oldest",
    "spoken_from",
]

SPOKEN = [3]
"""Every protocol version that this code speaks, oldest first, without gaps."""


def oldest() -> int:
    """What to speak while it is not known what the other end does."""
    return SPOKEN[0]


def newest() -> int:
    return SPOKEN[-1]


def spoken_from(required: int) -> list[int]:
    """Return the versions to offer to others and to take from them: none below `required`."""
    return [version for version in SPOKEN if version >= required]


def check_required(required: int) -> None:
    """Raise ValueError when nobody could be spoken with."""
    if not spoken_from(required):
        raise ValueError(
            f"Config.require_version is {required}, and this release speaks {in_words(SPOKEN)}: "
            "demand less, or install a newer release"
        )


def newest_common(spoken: list[int], offered: list[object]) -> int | None:
    """Return the newest of `spoken` that the other node offers; None if there is none."""
    return max((version for version in spoken if version in offered), default=None)


def in_words(spoken: list[int]) -> str:
    if len(spoken) == 1:
        return f"protocol version {spoken[0]}"
    return f"protocol versions {spoken[0]} to {spoken[-1]}"
