"""Leases: ids that end if they are not kept alive, and what hangs on them.

A lease ends by a timer of the leader (see `raft_actors.effects.Timer`). Each keepalive replaces the
timer, so a timer whose entry is written after a newer keepalive does nothing. A new leader counts
the whole time anew: so a lease never ends early, whatever clocks and leaders do.
"""

from typing import Any

from raft_actors.effects import CancelTimer, Timer
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["LEASE_S_MAX", "LEASE_S_MIN", "check", "check_time", "end", "fire", "forget", "grant",
           "hang", "kind", "timer_name", "unhang"]  # fmt: skip

LEASE_S_MIN, LEASE_S_MAX = 0.1, 86_400.0


def timer_name(lease: int) -> str:
    return f"lease {lease}"


def grant(step: Step, _name: str, ttl_s: float) -> int:
    """Make a lease. Its id is the index of this command."""
    check_time(ttl_s)
    step.tables.change("lease", "")[step.index] = ttl_s
    step.effects.append(Timer(timer_name(step.index), ttl_s))
    return step.index


def keep(step: Step, _name: str, *leases: int) -> tuple[int, ...]:
    """Begin the time of each lease anew. Return those that have ended already."""
    known = step.tables.look("lease", "")
    gone = []
    for lease in leases:
        ttl_s = known.get(lease)
        if ttl_s is None:
            gone.append(lease)
        else:
            step.effects.append(Timer(timer_name(lease), ttl_s))
    return tuple(gone)


def hang(step: Step, lease: int, kind: str, name: str, *what: Any) -> None:
    """Have the object give up `what` when the lease ends. Raises Refused for a lease that has
    ended.
    """
    check(step.tables, lease)
    step.tables.change("lease", lease)[(kind, name, *what)] = True


def unhang(step: Step, lease: int, kind: str, name: str, *what: Any) -> None:
    if (kind, name, *what) in step.tables.look("lease", lease):
        del step.tables.change("lease", lease)[(kind, name, *what)]


def check(tables: Tables, lease: int) -> None:
    if lease not in tables.look("lease", ""):
        raise Refused("lease_lost", lease)


def fire(step: Step, lease: int) -> None:
    """The time of a lease is over."""
    end(step, "", lease)


def end(step: Step, _name: str, lease: int) -> bool:
    """End a lease, and give up what hangs on it, in the order in which it was hung. Return whether
    there was one.
    """
    if lease not in step.tables.look("lease", ""):
        return False
    forget(step, lease)
    for item in tuple(step.tables.look("lease", lease)):
        kind_name, name, *what = item
        unhang(step, lease, kind_name, name, *what)
        release = step.kinds[kind_name].release
        assert release is not None, f"nothing of the kind {kind_name} hangs on leases"
        release(step, name, *what)
    return True


def forget(step: Step, lease: int) -> None:
    """End a lease on which nothing hangs, if it has not ended already."""
    if lease in step.tables.look("lease", ""):
        del step.tables.change("lease", "")[lease]
        step.effects.append(CancelTimer(timer_name(lease)))


def check_time(ttl_s: float) -> None:
    if type(ttl_s) is not float or not LEASE_S_MIN <= ttl_s <= LEASE_S_MAX:
        raise Refused("bad_argument", f"a lease lasts {LEASE_S_MIN} to {LEASE_S_MAX} s")


def lasts(tables: Tables, _name: str, lease: int) -> float:
    """Return for how many seconds a lease is kept alive by one keepalive; 0.0 if it has ended."""
    return float(tables.look("lease", "").get(lease, 0.0))


kind: Kind = Kind(verbs={"grant": grant, "keep": keep, "end": end}, queries={"lasts": lasts})
