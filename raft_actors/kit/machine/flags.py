"""Flags on the replicas: set or not, with the topic of those that wait for one."""

from raft_actors.effects import Notify
from raft_actors.kit.machine.step import Kind, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["kind", "topic_of"]


def topic_of(name: str) -> str:
    return f"flag {name}"


def set_flag(step: Step, name: str) -> bool:
    """Set the flag. Return whether it was not set before."""
    if step.tables.look("flag", name):
        return False
    step.tables.change("flag", name)["set"] = step.index
    step.effects.append(Notify(topic_of(name)))
    return True


def clear(step: Step, name: str) -> bool:
    """Return whether the flag was set before."""
    if not step.tables.look("flag", name):
        return False
    del step.tables.change("flag", name)["set"]
    return True


def is_set(tables: Tables, name: str) -> tuple[int, bool]:
    """Return (index, is set): the index is that of the last entry that the state has."""
    return tables.index, bool(tables.look("flag", name))


kind: Kind = Kind(verbs={"set": set_flag, "clear": clear}, queries={"is_set": is_set})
