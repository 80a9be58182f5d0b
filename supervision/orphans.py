"""Orphans: processes whose parent has ended. They are asked to end too, and have their names until
they have ended.

A supervisor that is killed leaves orphans, and so does every other process that crashes and has
started processes by `start_link`. Its own supervisor restarts it at once, and the new process
starts children with the same names. So a start waits for an orphan that has the name: if it failed
instead, the restarts would be used up within milliseconds.
"""

import queue
import time
from collections.abc import Hashable
from typing import Any

from supervision.errors import CallingSelf
from supervision.ref import Exit, ProcessRef, tell_if_alive
from supervision.registry import Registry
from supervision.waits import Wait

__all__ = ["ORPHAN_S", "end_orphan", "register"]

ORPHAN_S = 5.0
"""How long a start waits for an orphan, in seconds: the default shutdown time of a child."""


def end_orphan(child: ProcessRef[Any]) -> None:
    """Ask a process to end, because its parent has ended."""
    child.orphaned = True
    tell_if_alive(child, Exit("shutdown"))


def register(
    registry: Registry, name: Hashable, ref: ProcessRef[Any], timeout_s: float | None
) -> tuple[str, Any]:
    """Give `name` to `ref`, and answer as `Registry.register`. If an orphan has the name, wait for
    its end first, for `timeout_s` or `ORPHAN_S`, whichever is shorter.
    """
    if not registry.is_unique:
        raise TypeError(
            "a process is started with a name of a registry whose keys are unique; subscribe to "
            "others by register, in init"
        )
    deadline = time.monotonic() + (ORPHAN_S if timeout_s is None else min(timeout_s, ORPHAN_S))
    while True:
        answer, found = registry.register(name, ref)
        if answer == "ok" or not getattr(found[1], "orphaned", False):
            return answer, found
        if not has_ended(found[1], deadline):
            return answer, found


def has_ended(orphan: ProcessRef[Any], deadline: float) -> bool:
    """Wait for the end of the orphan. Returns False if it has not ended at the deadline, or if it
    is this process itself.
    """
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    cancel = orphan.watch(ended.put)
    try:
        with Wait((orphan,), "ended"):
            ended.get(timeout=max(0.0, deadline - time.monotonic()))
    except (queue.Empty, CallingSelf):
        return False
    finally:
        cancel()
    return True
