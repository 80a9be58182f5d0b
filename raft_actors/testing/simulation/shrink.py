"""Shrink: find the few fates of a failing plan that matter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from raft_actors.testing.simulation.plan import Plan
from raft_actors.testing.simulation.runner import Failure, cut_short, play
from raft_actors.testing.simulation.script import TALLY, Script

__all__ = ["shrink"]

PLAYS_MAX = 1_500
"""How many plays shrinking uses at most: enough for a few thousand fates."""


def shrink(
    failure: Failure,
    script: Script = TALLY,
    *,
    plays_max: int = PLAYS_MAX,
    progress: Callable[[int], None] = lambda _fates: None,
) -> Failure:
    """Return a failure of the same kind in which every fate is needed, or the shortest one that
    `plays_max` plays find.

    This is delta debugging: it leaves out large parts first, then smaller ones, down to single
    fates, and repeats the single fates while that finds something.

    progress   is called after each success with the number of fates that are left
    """
    plays = 0

    def still_fails(plan: Plan) -> Failure | None:
        nonlocal plays
        plays += 1
        again = play(plan, script)
        return again if isinstance(again, Failure) and again.kind == failure.kind else None

    best = still_fails(cut_short(failure)) or failure
    for simplify in simplifications(best.plan):
        tried = still_fails(simplify(best.plan))
        if tried is not None:
            best = Failure(cut_short(tried), tried.after, tried.violation)
            progress(len(best.plan.fates))
    size = len(best.plan.fates) // 2
    while size and plays < plays_max:
        place, found = 0, False
        while place < len(best.plan.fates) and plays < plays_max:
            fates = best.plan.fates
            tried = still_fails(replace(best.plan, fates=fates[:place] + fates[place + size :]))
            if tried is not None:
                best, found = Failure(cut_short(tried), tried.after, tried.violation), True
                progress(len(best.plan.fates))
            else:
                place += size
        if size > 1:
            size //= 2
        elif not found:
            break
    return best


def simplifications(plan: Plan) -> Iterator[Callable[[Plan], Plan]]:
    """Return functions that make a plan simpler: without reordering, without encoding and drift,
    and without each kind of fate.
    """
    yield lambda plan: replace(plan, window=1, batch=1)
    yield lambda plan: replace(plan, encoded=False, rates=(1.0,) * len(plan.names))
    for kind in sorted({kind for kind, _first, _second in plan.fates} - {"deliver", "tick"}):
        yield partial(without, kind)


def without(kind: str, plan: Plan) -> Plan:
    return replace(plan, fates=tuple(fate for fate in plan.fates if fate[0] != kind))
