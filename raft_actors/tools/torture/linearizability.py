"""Linearizability: is there one order of the calls that explains every answer?

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): take a call that
no other had ended before, run it on the model, go on, and step back where an answer does not fit.
Lowe's cache ("Testing for linearizability", 2017) makes it bearable: what has been taken and the
state it led to are never explored twice. Calls on different keys don't touch each other, so each
key is checked by itself (Herlihy and Wing 1990, locality); and where a moment passes without any
call under way, what came before touches what comes after through the state alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from raft_actors.tools.torture.operation import CAS, OK, READ, UNKNOWN, WRITE, Operation

__all__ = ["BROKEN", "LINEARIZABLE", "TOO_HARD", "Verdict", "check"]

LINEARIZABLE, BROKEN, TOO_HARD = "linearizable", "broken", "too hard"
CONFIGURATIONS_MAX = 2_000_000  # for one key, about 10 s; a sound history needs a few for each call

State = Any
Taken = tuple[int, State]
"""Which calls have been taken, a bit for each, and the state that they led to."""

IMPOSSIBLE = object()
END = object()


class TooHard(Exception):
    """The bound of the search is reached, without a verdict."""


@dataclass(slots=True)
class Verdict:
    """What the search found. Only `linearizable` is a pass.

    part    of a broken history, the calls between two quiet moments that no order explains
    starts  the states in which that part may have begun
    order   the longest beginning of an order that was found for it, as places in `part`
    """

    outcome: str
    part: list[Operation] = field(default_factory=list)
    starts: list[State] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


def check(
    operations: Sequence[Operation],
    *,
    initial: State = None,
    configurations_max: int = CONFIGURATIONS_MAX,
) -> Verdict:
    """Search for an order of all calls on one key.

    An unknown outcome may take effect at any time after its invocation, or never; a refused call
    has none and must be left out by the caller.
    """
    budget = Budget(configurations_max)
    parts = cut(operations)
    begun: list[set[State]] = [{initial}] + [set() for _ in parts]
    searches: list[Iterator[State]] = []
    if parts:
        searches.append(Search(parts[0], initial, budget).ends())
    try:
        while searches:
            depth = len(searches)
            state = next(searches[-1], END)
            if state is END:
                searches.pop()
            elif depth == len(parts):
                return Verdict(LINEARIZABLE)
            elif state not in begun[depth]:
                begun[depth].add(state)
                searches.append(Search(parts[depth], state, budget).ends())
    except TooHard:
        return Verdict(TOO_HARD)
    return explain(parts, begun) if parts else Verdict(LINEARIZABLE)


def cut(operations: Sequence[Operation]) -> list[list[Operation]]:
    """Sort the calls by invocation and cut them where none is under way."""
    parts: list[list[Operation]] = []
    busy_until = -inf
    for operation in sorted(operations, key=lambda operation: operation.invoked):
        if operation.invoked > busy_until:
            parts.append([])
        parts[-1].append(operation)
        busy_until = max(busy_until, latest(operation))
    return parts


def explain(parts: list[list[Operation]], begun: list[set[State]]) -> Verdict:
    """Tell which part stopped the search, and how far into it the best order went."""
    deepest = max(depth for depth, states in enumerate(begun) if states)
    part, starts = parts[deepest], sorted(begun[deepest], key=repr)
    best: list[int] = []
    for start in starts:
        search = Search(part, start, Budget(None))
        assert next(search.ends(), END) is END
        best = max(best, search.longest(), key=len)
    return Verdict(BROKEN, part, starts, best)


@dataclass(slots=True)
class Budget:
    """How many configurations may still be looked at; None for any number."""

    left: int | None

    def spend(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise TooHard


class Search:
    """The search in one part, from one state. `operations` are in the order of invocation."""

    def __init__(self, operations: list[Operation], start: State, budget: Budget) -> None:
        self.operations = operations
        self.root: Taken = (0, start)
        self.budget = budget
        self.known: dict[Taken, tuple[Taken, int] | None] = {}
        """Lowe's cache; to each configuration the one it was reached from, and by which call."""

    def ends(self) -> Iterator[State]:
        """Yield each state in which the part can end, once, as soon as it is found."""
        operations, known = self.operations, self.known
        needed = sum(
            1 << place for place, operation in enumerate(operations) if operation.outcome != UNKNOWN
        )
        found: set[State] = set()
        stack: list[tuple[Taken, tuple[Taken, int] | None]] = [(self.root, None)]
        while stack:
            here, came = stack.pop()
            if here in known:
                continue
            self.budget.spend()
            known[here] = came
            taken, state = here
            if taken & needed == needed and state not in found:
                found.add(state)
                yield state
            for place, after in self.steps(taken, state):
                stack.append(((taken | 1 << place, after), (here, place)))

    def steps(self, taken: int, state: State) -> list[tuple[int, State]]:
        """Return what may come next, the most urgent last.

        A call may be next if no other that is yet to be taken had ended before it began. One
        that fits and changes nothing is taken at once, and alone: whatever order there is, it
        may as well stand first in it.
        """
        operations = self.operations
        steps: list[tuple[int, State]] = []
        first_end = inf
        first_untaken = (~taken & (taken + 1)).bit_length() - 1
        for place in range(first_untaken, len(operations)):
            if taken >> place & 1:
                continue
            operation = operations[place]
            if operation.invoked > first_end:
                break
            first_end = min(first_end, latest(operation))
            after = step(state, operation)
            if after is IMPOSSIBLE:
                continue
            if operation.outcome == OK and operation.kind != WRITE and not operation.changes:
                return [(place, after)]
            steps.append((place, after))
        steps.sort(key=lambda one: latest(operations[one[0]]), reverse=True)
        return steps

    def longest(self) -> list[int]:
        """Return the order, as places, that took the most calls."""
        here = max(self.known, key=lambda one: one[0].bit_count())
        order: list[int] = []
        while (came := self.known[here]) is not None:
            here, place = came
            order.append(place)
        return order[::-1]


def latest(operation: Operation) -> float:
    """When it has taken effect at the latest, if it does."""
    return inf if operation.outcome == UNKNOWN else operation.completed


def step(state: State, operation: Operation) -> State:
    """Run one call on the model, a register. IMPOSSIBLE if it can't have answered so."""
    if operation.kind == WRITE:
        return operation.value
    if operation.kind == CAS:
        if operation.outcome == OK and operation.seen != state:
            return IMPOSSIBLE
        return operation.value if state == operation.expected else state
    assert operation.kind == READ
    return state if operation.outcome != OK or operation.seen == state else IMPOSSIBLE
