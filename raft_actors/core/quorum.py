"""Quorum: the value that a majority has reached."""

from collections.abc import Sequence

__all__ = ["majority_value"]


def majority_value(values: Sequence[float]) -> float:
    """Return the largest value that more than half of `values` have reached.

    The values are match indexes (which entries are committed, §5.3), confirmed rounds (which reads
    may be answered, thesis 6.4), times of the last answer (whether the leader still leads, thesis
    6.2) or ends of promises (whether it has a lease, thesis 6.4.1).
    """
    return sorted(values)[(len(values) - 1) // 2]
