"""Staleness: whether stale reads are as stale as they may be, and no more."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from raft_actors.tools.torture.operation import OK, STALE, Operation

__all__ = ["Staleness", "look_for_staler"]

NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Staleness:
    """The result for the stale reads of a history.

    reads   how many were answered
    behind  how many of them missed a write that was acknowledged before they began
    staler  the reads that missed a write acknowledged before their bound, or returned a value that
            was never written
    """

    reads: int = 0
    behind: int = 0
    staler: list[str] = field(default_factory=list)


def look_for_staler(
    found: Staleness, key: str, calls: Iterable[Operation], values: list[Any]
) -> None:
    """Judge the stale reads of one key.

    values  all that were put there, in their order; each is written by one call only
    """
    place_of = {value: place for place, value in enumerate(values)}
    calls = list(calls)
    acknowledged = sorted(
        (call.completed, place_of[call.value])
        for call in calls
        if call.changes and call.value in place_of
    )
    for read in calls:
        if read.kind != STALE or read.outcome != OK:
            continue
        found.reads += 1
        if read.seen is not None and read.seen not in place_of:
            found.staler.append(f"{read.described()} on {key}: it never held that")
            continue
        place = -1 if read.seen is None else place_of[read.seen]
        found.behind += newest_by(acknowledged, read.invoked) > place
        if read.staleness_s is None:
            continue
        bound = read.invoked - read.staleness_s * NANOSECONDS
        if newest_by(acknowledged, bound) > place:
            found.staler.append(f"{read.described()} on {key}")


def newest_by(acknowledged: list[tuple[int, int]], when: float) -> int:
    """The place of the newest value acknowledged before `when`; -1 for none."""
    return max((place for completed, place in acknowledged if completed < when), default=-1)
