"""Barriers on the replicas: a number of parties that go on together.

Who waits collects its place when it has woken up, and is forgotten then.
"""

from raft_actors.effects import Notify
from raft_actors.kit.machine import leases
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["BROKEN", "kind", "topic_of"]

BROKEN = -1
"""The place of one that has waited at a barrier that broke."""


def topic_of(name: str, party: str) -> str:
    return f"barrier {party} {name}"


def arrive(step: Step, name: str, lease: int, party: str, parties: int) -> tuple[int, int | None]:
    """Wait at the barrier. Return (index, place): the index is that of this command, the place is
    None until all have come. A party that comes twice gets the same answer again.
    """
    out = step.tables.look("barrier", name, "out").get(party)
    if out is not None:
        return step.index, out[0]
    here = step.tables.look("barrier", name, "here")
    if party in here:
        return step.index, None
    if type(parties) is not int or parties < 1:
        raise Refused("bad_argument", "a barrier has at least 1 party")
    known = step.tables.look("barrier", name).get("parties", parties)
    if known != parties:
        raise Refused("configuration", known, parties)
    if "broken" in step.tables.look("barrier", name):
        raise Refused("broken")
    leases.check(step.tables, lease)
    if len(here) + 1 < parties:
        leases.hang(step, lease, "barrier", name, party)
        step.tables.change("barrier", name)["parties"] = parties
        step.tables.change("barrier", name, "here")[party] = lease
        return step.index, None
    for place, each in enumerate(tuple(here)):
        let_go(step, name, each, place)
    step.tables.change("barrier", name).pop("parties", None)
    return step.index, parties - 1


def let_go(step: Step, name: str, party: str, place: int) -> None:
    lease = step.tables.change("barrier", name, "here").pop(party)
    step.tables.change("barrier", name, "out")[party] = (place, lease)
    step.effects.append(Notify(topic_of(name, party)))


def leave(step: Step, name: str, party: str) -> int | None:
    """Return the place of a party, and forget it. The barrier breaks if the party has still waited;
    None: it is not known.
    """
    if party in step.tables.look("barrier", name, "here"):
        abort(step, name)
    if party not in step.tables.look("barrier", name, "out"):
        return None
    place, lease = step.tables.change("barrier", name, "out").pop(party)
    leases.unhang(step, lease, "barrier", name, party)
    return int(place)


def abort(step: Step, name: str) -> None:
    """Break the barrier: those that wait, and those that come, get an error."""
    for each in tuple(step.tables.look("barrier", name, "here")):
        let_go(step, name, each, BROKEN)
    numbers = step.tables.change("barrier", name)
    numbers.pop("parties", None)
    numbers["broken"] = True


def reset(step: Step, name: str) -> None:
    """Mend the barrier. Those that wait get an error."""
    abort(step, name)
    del step.tables.change("barrier", name)["broken"]


def place_of(tables: Tables, name: str, party: str) -> tuple[int, int | None, bool]:
    """Return (index, place, waits): the index is that of the last entry that the state has."""
    out = tables.look("barrier", name, "out").get(party)
    place = None if out is None else out[0]
    return tables.index, place, party in tables.look("barrier", name, "here")


def info(tables: Tables, name: str) -> tuple[int, bool]:
    """Return (how many wait, whether it is broken)."""
    is_broken = "broken" in tables.look("barrier", name)
    return len(tables.look("barrier", name, "here")), is_broken


kind: Kind = Kind(
    verbs={"arrive": arrive, "leave": leave, "abort": abort, "reset": reset},
    queries={"place_of": place_of, "info": info},
    release=leave,
)
