"""DiskWatchdog: measures how long one peer's saves take, and logs when the disk is too slow.

A save blocks the peer's thread, so a leader whose save hangs sends no heartbeats, and the others
elect another leader. The peer's thread can't log this while the save hangs, so the timer's thread
does it.
"""

import logging
import time
from typing import Any

from raft_actors.config import Config
from raft_actors.errors import StoreError
from raft_actors.events import DiskRefused, DiskSlow, publish
from raft_actors.names import Address
from supervision import timer

__all__ = ["DiskWatchdog"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

LOG_AGAIN_S = 10.0
"""While a disk stays slow, this is logged once in this time."""


class DiskWatchdog:
    """The peer calls `begin` before each save, and `end` or `refused` after it.

    slow_s    a save that takes longer is slow: half the shortest election timeout
    stall_s   a save that takes longer is logged while it still runs: the longest election timeout
    took_s    how long the last save took
    began     when the present save began; 0 between saves
    logged    `began` of the save that was logged last while it ran
    log_next  when a slow save is logged again
    """

    def __init__(self, peer: Address, config: Config) -> None:
        self.peer = peer
        self.slow_s: float = config.min_election_timeout / 2
        self.stall_s: float = config.max_election_timeout
        self.took_s: float = 0.0
        self.began: float = 0.0
        self.logged: float = 0.0
        self.log_next: float = 0.0
        self.armed: bool = False

    def begin(self) -> None:
        self.began = time.monotonic()
        if not self.armed:
            self.arm(self.stall_s)

    def end(self) -> float:
        """Return how many seconds the save took."""
        now = time.monotonic()
        self.took_s = took_s = now - self.began
        stalled, self.began = self.logged == self.began, 0.0
        if took_s > self.slow_s:
            publish(DiskSlow(self.peer, took_s, is_over=True))
            if stalled or now >= self.log_next:
                self.log_next = now + LOG_AGAIN_S
                logger.warning(
                    "%s: its disk took %.2f s for one save; if this goes on, a leader transfers "
                    "its leadership",
                    self.peer[0], took_s,
                )  # fmt: skip
        return took_s

    def refused(self, error: StoreError) -> None:
        self.began = 0.0
        publish(DiskRefused(self.peer, str(error)))

    def arm(self, delay_s: float) -> None:
        """Set the timer. One timer serves many saves: it checks the save that runs when it
        fires.
        """
        self.armed = True
        try:
            timer.send_after(delay_s, self, None)
        except BaseException:  # the system has no thread left: the timer will not fire
            self.armed = False
            raise

    def tell(self, _message: Any) -> None:
        """Check the save that runs now. The timer calls this on its own thread."""
        self.armed = False
        began = self.began
        if not began or self.logged == began:
            return
        took_s = time.monotonic() - began
        if took_s < self.stall_s:
            self.arm(self.stall_s - took_s)
            return
        self.logged = began
        publish(DiskSlow(self.peer, took_s, is_over=False))
        logger.warning(
            "%s: its disk has taken %.2f s for one save, which is not over yet; until it is over, "
            "this peer receives and sends nothing, and if it was the leader, the others elect "
            "another",
            self.peer[0], took_s,
        )  # fmt: skip
