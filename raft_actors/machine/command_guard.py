"""Command guard: a command asks no peer.

`handle_write` runs on every replica, and again after a restart. A request that is made there is
made as often, is answered otherwise each time, and while it waits its peer does nothing else: it
may wait for itself. So it is refused, in the same words on each replica.
"""

import threading

__all__ = ["RUNNING", "refuse_in_a_command"]


class Running(threading.local):
    """The class whose commands this thread runs; None outside of commands."""

    machine: type | None = None


RUNNING = Running()


def refuse_in_a_command() -> None:
    """Raise RuntimeError on a thread that runs a command."""
    machine = RUNNING.machine
    if machine is not None:
        raise RuntimeError(
            f"{machine.__name__}.handle_write (or upgrade) asks a peer. It runs on every replica, "
            "and its peer waits for it: ask in the client, and put the answer into the command"
        )
