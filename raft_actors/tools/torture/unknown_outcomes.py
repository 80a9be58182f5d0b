"""Unknown outcomes: what is certain about them, before any search.

A call with an unknown outcome may happen at any time, so a search would have to try it at every
place. But each value is written by one call only, and the answers of `read` and `cas` show which
value they found. Hence:

- If a call found a value, this value was written before the answer of the first call that found it.
  The call that wrote it counts as acknowledged at that time.
- If no call found a value, it may as well not have been written: without it, all answers stay the
  same. The call that wrote it is dropped.

Then every call has an end, so a history can be cut into small parts at moments without calls.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from raft_actors.tools.torture.operation import CAS, OK, READ, UNKNOWN, Operation

__all__ = ["narrow"]


def narrow(operations: Iterable[Operation]) -> list[Operation]:
    """Return the calls on one key that an order must have, each with a certain outcome.

    Refused calls are left out: a value of theirs that somebody met is then one that nobody wrote,
    and no order explains it. Raises ValueError if a value is written by two calls.
    """
    certain: list[Operation] = []
    unknown: dict[Any, Operation] = {}
    written: set[Any] = {None}
    met: dict[Any, int] = {}
    for operation in operations:
        if operation.kind != READ:
            if operation.value in written:
                raise ValueError(f"{operation.value!r} is written by two calls, or is None")
            written.add(operation.value)
        if operation.outcome == OK:
            certain.append(operation)
            if operation.kind != "write":
                meet(met, operation.seen, operation.completed)
        elif operation.outcome == UNKNOWN and operation.kind != READ:
            unknown[operation.value] = operation
    queue = [value for value in met if value in unknown]
    while queue:  # a cas that happened has met what it expected; later rounds bring times down
        value = queue.pop()
        operation = unknown[value]
        expected = operation.expected
        if operation.kind == CAS and meet(met, expected, met[value]) and expected in unknown:
            queue.append(expected)
    for value, operation in unknown.items():
        if value in met:
            end = max(operation.invoked, met[value])
            seen = operation.expected if operation.kind == CAS else None
            certain.append(replace(operation, outcome=OK, seen=seen, completed=end))
    return certain


def meet(met: dict[Any, int], value: Any, time: int) -> bool:
    """Note that somebody knew of `value` at `time`; return whether that is earlier than known."""
    if value in met and met[value] <= time:
        return False
    met[value] = time
    return True
