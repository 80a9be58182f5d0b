"""Ending: what the main thread waits for until a signal, or another thread, ends the process."""

from contextlib import suppress
from queue import Empty, SimpleQueue

__all__ = ["Ending"]

LOOK_S = 0.5
"""A signal that comes between the interpreter's last look for one and the system call that waits is
not seen before the wait returns. So it returns so often."""


class Ending:
    """Waits in the main thread; `end` may be called by a signal handler. A threading.Event would
    hang then: its lock may be held by the very wait that the handler has interrupted.
    """

    def __init__(self) -> None:
        self._ends: SimpleQueue[None] = SimpleQueue()

    def end(self) -> None:
        """End the wait, also one that begins later."""
        self._ends.put(None)

    def wait(self) -> None:
        """Wait until `end` is called."""
        while True:
            with suppress(Empty):
                return self._ends.get(timeout=LOOK_S)
