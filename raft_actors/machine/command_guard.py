"""Command guard: refuses requests to a peer that are made while a command runs.

`handle_write` runs on every replica, and again after a restart. A request in it would be sent as
often, and may get another answer each time. While it waits, its peer handles nothing else, so the
peer may wait for itself. So every such request is refused, with the same message on each replica.
"""

import threading
from typing import NoReturn

__all__ = ["RUNNING", "refuse_in_a_command"]


class Running(threading.local):
    """For each thread: the class of the state machine whose command runs; None if none does."""

    machine: type | None = None


RUNNING = Running()


def refuse_in_a_command(machine: type) -> NoReturn:
    """Raise RuntimeError, because this thread runs a command of `machine`."""
    raise RuntimeError(
        f"{machine.__name__}.handle_write (or upgrade) asks a peer. It runs on every replica, "
        "and its peer waits for it: ask in the client, and put the answer into the command"
    )
