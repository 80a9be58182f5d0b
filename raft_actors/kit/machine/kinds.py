"""Kinds: all kinds of objects that `Batteries` has, by name. A new kind is one line here."""

from raft_actors.kit.machine import dicts, leases, locks
from raft_actors.kit.machine.step import Kind

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {
    "dict": dicts.kind,
    "lease": leases.kind,
    "lock": locks.kind,
}
