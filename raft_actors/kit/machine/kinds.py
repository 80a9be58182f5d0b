"""Kinds: all kinds of objects that `Batteries` has, by name. A new kind is one line here."""

from collections.abc import Callable

from raft_actors.kit.machine import (
    barriers,
    dicts,
    flags,
    grants,
    leases,
    locks,
    members,
    queues,
)
from raft_actors.kit.machine.step import Kind, Step

__all__ = ["KINDS", "TIMERS"]

KINDS: dict[str, Kind] = {
    "barrier": barriers.kind,
    "dict": dicts.kind,
    "election": grants.elections,
    "flag": flags.kind,
    "lease": leases.kind,
    "lock": locks.kind,
    "members": members.kind,
    "queue": queues.kind,
    "rwlock": grants.rwlocks,
    "semaphore": grants.semaphores,
}
TIMERS: dict[str, Callable[[Step, int], None]] = {"job": queues.fire, "lease": leases.fire}
"""What runs when a timer fires, by the first word of its name. The second is a number."""
