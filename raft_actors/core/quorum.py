"""Quorum: what a majority has reached."""

from collections.abc import Sequence

__all__ = ["majority_value"]


def majority_value(values: Sequence[float]) -> float:
    """Return the largest value that more than half of `values` are at or above.

    It serves match indexes (what is committed, §5.3), confirmed rounds (which reads may answer,
    thesis 6.4) and times last heard (whether the leader still leads, thesis 6.2) alike.
    """
    return sorted(values)[(len(values) - 1) // 2]
