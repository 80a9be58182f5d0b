"""Histories for tests: short to write, and judged by trying everything."""

from itertools import combinations, permutations

from raft_actors.tools.torture.operation import CAS, OK, READ, UNKNOWN, WRITE, Operation


def read(seen, invoked, completed, **fields):
    return call(READ, invoked, completed, seen=seen, **fields)


def write(value, invoked, completed, **fields):
    return call(WRITE, invoked, completed, value=value, **fields)


def cas(expected, value, invoked, completed, *, seen=None, **fields):
    """It did what it should unless `seen` is something else than `expected`."""
    return call(CAS, invoked, completed, expected=expected, value=value, seen=seen, **fields)


def call(kind, invoked, completed, **fields):
    fields = {"client": 0, "key": "k", **fields}
    return Operation(kind=kind, invoked=invoked, completed=completed, **fields)


def is_linearizable(operations):
    """Try every order of every choice of the unknown ones. For a handful of calls."""
    certain = [operation for operation in operations if operation.outcome == OK]
    unknown = [operation for operation in operations if operation.outcome == UNKNOWN]
    return any(
        in_time(order) and explains(order)
        for count in range(len(unknown) + 1)
        for chosen in combinations(unknown, count)
        for order in permutations([*certain, *chosen])
    )


def in_time(order):
    return not any(
        later.outcome == OK and later.completed < earlier.invoked
        for place, earlier in enumerate(order)
        for later in order[place + 1 :]
    )


def explains(order):
    state = None
    for operation in order:
        answered = operation.outcome == OK
        if operation.kind != WRITE and answered and operation.seen != state:
            return False
        if operation.kind == WRITE or (operation.kind == CAS and operation.expected == state):
            state = operation.value
    return True
