"""Lookout: has a peer look around now and then, and says where its thread is when it does not.

A machine that hangs in a command holds its peer's thread, so the peer itself can't say anything.
If it led, the others elect another leader, and hang in the same command. So the timer's thread says
it.
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
"""Told to a peer: look whether its directory is there, and its group has it."""
LOOK_S = 5.0
"""How often. At each save a peer looks, too."""
OWN = str(Path(__file__).parent.parent)
SAY_AGAIN = 12
"""A peer that stays where it is is named again each time that it was told so often."""


class Lookout:
    """Of one peer, made on its thread. Tells it LOOK; it calls `looked` then.

    disk    what it waits for by itself is told of there
    told    how often it was told since it looked last
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
        """The timer rings, on a thread of its own."""
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
                "%s: its thread is in %s, and does nothing else for more than %g s: until that is "
                "over this peer hears and says nothing, and if it led, the others elect another",
                self.name, place_in(list(extract_stack(frame))), LOOK_S * (self.told - 1),
            )  # fmt: skip


def place_in(stack: list[FrameSummary]) -> str:
    """Return the line which this package has called, or, where it has called none, its own."""
    own = [at for at, each in enumerate(stack) if each.filename.startswith(OWN)]
    line = stack[min(own[-1] + 1, len(stack) - 1)] if own else stack[-1]
    return f"{line.name} ({line.filename}:{line.lineno})"
