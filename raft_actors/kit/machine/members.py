"""Memberships on the replicas: who is there, each with a value and a lease."""

from typing import Any

from raft_actors.effects import Notify
from raft_actors.kit.machine import leases
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["kind", "topic_of"]


def topic_of(name: str) -> str:
    return f"members {name}"


def join(step: Step, name: str, lease: int, member: str, value: bytes) -> int:
    """Add a member. Return the index of the entry that has added it. A member that is there already
    gets the same answer again.
    """
    there = step.tables.look("members", name).get(member)
    if there is not None:
        return int(there[0])
    if type(value) is not bytes:
        raise Refused("bad_argument", "a value is the bytes that its client made of it")
    leases.hang(step, lease, "members", name, member)
    step.tables.change("members", name)[member] = (step.index, lease, value)
    step.effects.append(Notify(topic_of(name)))
    return step.index


def leave(step: Step, name: str, member: str) -> bool:
    """Remove a member. Return whether it was there."""
    there = step.tables.look("members", name).get(member)
    if there is None:
        return False
    leases.unhang(step, there[1], "members", name, member)
    del step.tables.change("members", name)[member]
    step.effects.append(Notify(topic_of(name)))
    return True


def members(tables: Tables, name: str) -> tuple[int, tuple[tuple[str, bytes], ...]]:
    """Return (index, members): (member, value) of each, the one that came first at the front. The
    index is that of the last entry that the state has.
    """
    there: Any = tables.look("members", name).items()
    return tables.index, tuple((member, value) for member, (_, _, value) in there)


kind: Kind = Kind(
    verbs={"join": join, "leave": leave},
    queries={"members": members},
    release=leave,
)
