"""Watchdog: regularly makes a peer check its directory, and logs where a peer's thread hangs.

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

__all__ = ["CHECK", "Watchdog"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

CHECK = object()
"""A message to a peer: check that its directory exists, and that it is a member of its group."""
CHECK_S = 5.0
"""Seconds between two ticks. A peer checks its directory at each save too."""
OWN = str(Path(__file__).parent.parent)
LOG_AGAIN_TICKS = 12
"""While the thread of a peer hangs, this is logged again after so many ticks."""


class Watchdog:
    """The watchdog of one peer, made on the peer's thread. It sends CHECK to the peer, which then
    calls `checked`.

    disk   logs slow saves itself; so while a save runs, the watchdog logs nothing
    ticks  the number of ticks since the peer called `checked`
    """

    def __init__(self, name: str, peer: ProcessRef[Any], disk: DiskWatchdog) -> None:
        self.name = name
        self.peer = peer
        self.disk = disk
        self.thread: int = threading.get_ident()
        self.ticks: int = 0
        self.ended: bool = False
        self.timer: Any = None

    def begin(self) -> None:
        self.timer = timer.send_after(CHECK_S, self, CHECK)

    def checked(self) -> None:
        self.ticks = 0

    def end(self) -> None:
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()

    def tell(self, _message: Any) -> None:
        """Handle a tick of the timer, on the timer's thread."""
        if self.ended:
            return
        self.ticks += 1
        if self.ticks == 1:
            tell_if_alive(self.peer, CHECK)
        elif self.ticks % LOG_AGAIN_TICKS == 2 and not self.disk.began:
            self.log_where_it_hangs()
        self.begin()

    def log_where_it_hangs(self) -> None:
        frame = sys._current_frames().get(self.thread)
        if frame is not None:
            logger.warning(
                "%s: its thread has been in %s for more than %g s: until this call returns, this "
                "peer receives and sends nothing, and if it was the leader, the others elect "
                "another",
                self.name, line_in(list(extract_stack(frame))), CHECK_S * (self.ticks - 1),
            )  # fmt: skip


def line_in(stack: list[FrameSummary]) -> str:
    """Return the line of foreign code that this package has called. Return the innermost line if
    this package is not on the stack or has called no foreign code.
    """
    own = [at for at, each in enumerate(stack) if each.filename.startswith(OWN)]
    line = stack[min(own[-1] + 1, len(stack) - 1)] if own else stack[-1]
    return f"{line.name} ({line.filename}:{line.lineno})"
