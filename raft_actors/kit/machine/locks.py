"""Locks on the replicas: a holder, and a queue of those that wait, each with a lease.

A grant is an entry of the log, and its index is the fencing token. Who waits is told of the grant
by the topic of its own name, so a release wakes one waiter, and not all of them.
"""

from typing import Any

from raft_actors.effects import Notify
from raft_actors.kit.machine import leases
from raft_actors.kit.machine.grants import topic_of
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["HOLDER", "kind"]

HOLDER = "holder"
"""The item of a lock's table: (holder, token, lease)."""


def acquire(step: Step, name: str, lease: int, holder: str, waits: bool) -> tuple[int, int] | None:
    """Give the lock to `holder`, or put it into the queue. Return (token, index): the token is 0
    while it waits, and the index is that of this command. None: it is taken, and `holder` does not
    want to wait.

    A holder that has the lock or waits for it already gets the same answer again.
    """
    now = step.tables.look("lock", name).get(HOLDER)
    if now is not None and now[0] == holder:
        return now[1], step.index
    queue = step.tables.look("lock", name, "queue")
    if holder in queue:
        return 0, step.index
    if now is not None and not waits:
        return None
    leases.hang(step, lease, "lock", name, holder)
    if now is None:
        step.tables.change("lock", name)[HOLDER] = (holder, step.index, lease)
        return step.index, step.index
    step.tables.change("lock", name, "queue")[holder] = (step.index, lease)
    return 0, step.index


def release(step: Step, name: str, holder: str) -> bool:
    """Give the lock back, or leave the queue. Return whether `holder` had the lock."""
    now = step.tables.look("lock", name).get(HOLDER)
    if now is not None and now[0] == holder:
        leases.unhang(step, now[2], "lock", name, holder)
        pass_on(step, name)
        return True
    place = step.tables.look("lock", name, "queue").get(holder)
    if place is not None:
        leases.unhang(step, place[1], "lock", name, holder)
        del step.tables.change("lock", name, "queue")[holder]
        # Its lease may have ended: then it must not wait on.
        step.effects.append(Notify(topic_of("lock", name, holder)))
    return False


def force_release(step: Step, name: str, token: int) -> str:
    """Take the lock from the holder that has got `token`. Return the holder."""
    now = step.tables.look("lock", name).get(HOLDER)
    if now is None or now[1] != token:
        raise Refused("not_held", 0 if now is None else now[1])
    release(step, name, now[0])
    step.effects.append(Notify(topic_of("lock", name, now[0])))
    return str(now[0])


def pass_on(step: Step, name: str) -> None:
    """Give the lock to the one that has waited longest, if anybody waits."""
    queue = step.tables.look("lock", name, "queue")
    if not queue:
        del step.tables.change("lock", name)[HOLDER]
        return
    following = next(iter(queue))  # the oldest: items of a dict stay in their order
    _since, lease = step.tables.change("lock", name, "queue").pop(following)
    step.tables.change("lock", name)[HOLDER] = (following, step.index, lease)
    step.effects.append(Notify(topic_of("lock", name, following)))


def token_of(tables: Tables, name: str, holder: str) -> tuple[int, bool]:
    """Return (token, waits): the token of `holder`, 0 if it has not got the lock, and whether it
    waits for it.
    """
    now = tables.look("lock", name).get(HOLDER)
    token = now[1] if now is not None and now[0] == holder else 0
    return token, holder in tables.look("lock", name, "queue")


def info(tables: Tables, name: str) -> tuple[Any, ...]:
    """Return (holder, token, those that wait, the one that has waited longest first); the holder is
    None if nobody has the lock.
    """
    now = tables.look("lock", name).get(HOLDER)
    queue = tables.look("lock", name, "queue")
    waiting = tuple(queue)
    return (None, 0, waiting) if now is None else (now[0], now[1], waiting)


kind: Kind = Kind(
    verbs={"acquire": acquire, "release": release, "force_release": force_release},
    queries={"token_of": token_of, "info": info},
    release=release,
)
