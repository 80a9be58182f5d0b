"""Versions: which protocols this code speaks between nodes. Both ends use the newest common one.

A version only adds: kinds of messages, or fields at the end of one, each marked with the version
that brought it (`since`, in core/messages.py). So whatever a node says in a version, all that speak
a newer one understand; and what the other end does not know is never sent to it. The rules for
releases are in docs/upgrades.md.
"""

__all__ = ["SPOKEN", "in_words", "newest", "newest_common", "oldest"]

SPOKEN = [2]
"""Every protocol version that this code speaks, oldest first, without gaps."""


def oldest() -> int:
    """What to speak while it is not known what the other end does."""
    return SPOKEN[0]


def newest() -> int:
    return SPOKEN[-1]


def newest_common(offered: list[object]) -> int | None:
    """Return the version to use with a node that offers these; None if there is none."""
    return max((version for version in SPOKEN if version in offered), default=None)


def in_words(spoken: list[int]) -> str:
    if len(spoken) == 1:
        return f"protocol version {spoken[0]}"
    return f"protocol versions {spoken[0]} to {spoken[-1]}"
