"""Lookout: asks a peer regularly to check its directory, and logs where a peer's thread hangs.

A state machine that hangs in a command blocks its peer's thread, so the peer itself can't log
anything. If the peer was the leader, the others elect another leader, which hangs in the same
command. So the thread of the timer logs it.
"""

import logging
import sys
import threading
from pathlib import Path
from traceback import FrameSummary, extract_stack
from typing import Any

from raft_actors.peer.disk_watchdog import DiskWatchdog
from supervision import ProcessRef, tell_if_alive, timer

__all__ = ["LOOK", "Lookout"]

logger = logging.getLogger("raft_actors.peer")

LOOK = object()
"""A message to a peer: check that its directory exists, and that it is a member of its group."""
LOOK_S = 5.0
"""Seconds between two ticks. A peer checks its directory at each save too."""
OWN = str(Path(__file__).parent.parent)
SAY_AGAIN = 12
"""While the thread of a peer hangs, this is logged again after so many ticks."""


class Lookout:
    """The lookout of one peer, made on the peer's thread. It sends LOOK to the peer, which then
    calls `looked`.

    disk    logs slow saves itself; so while a save runs, the lookout logs nothing
    told    how many ticks there were since the peer called `looked`
    """

    def __init__(self, name: str, peer: ProcessRef[Any], disk: DiskWatchdog) -> None:
        self.name = name
        self.peer = peer
        self.disk = disk
        self.thread = threading.get_ident()
        self.told = 0
        self.ended = False
        self.timer: Any = None

    def begin(self) -> None:
        self.timer = timer.send_after(LOOK_S, self, LOOK)

    def looked(self) -> None:
        self.told = 0

    def end(self) -> None:
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()

    def tell(self, _message: Any) -> None:
        """Handle a tick of the timer, on the timer's thread."""
        if self.ended:
            return
        self.told += 1
        if self.told == 1:
            tell_if_alive(self.peer, LOOK)
        elif self.told % SAY_AGAIN == 2 and not self.disk.began:
            self.say_where_it_is()
        self.begin()

    def say_where_it_is(self) -> None:
        frame = sys._current_frames().get(self.thread)
        if frame is not None:
            logger.warning(
                "%s: its thread is in %s, and does nothing else for more than %g s: until this "
                "call returns, this peer receives and sends nothing, and if it was the leader, "
                "the others elect another",
                self.name, place_in(list(extract_stack(frame))), LOOK_S * (self.told - 1),
            )  # fmt: skip


def place_in(stack: list[FrameSummary]) -> str:
    """Return the line of foreign code that this package has called. Return the innermost line if
    this package is not on the stack or has called no foreign code.
    """
    own = [at for at, each in enumerate(stack) if each.filename.startswith(OWN)]
    line = stack[min(own[-1] + 1, len(stack) - 1)] if own else stack[-1]
    return f"{line.name} ({line.filename}:{line.lineno})"
