"""Denials: requests of other nodes that their role does not allow. One log line a minute a node."""

import logging
import time
from collections.abc import Callable

from raft_actors.audit import audit

__all__ = ["Denials"]

logger = logging.getLogger("raft_actors.node")

LOG_AGAIN_S = 60.0
NODES_MAX = 1_000


class Denials:
    """Logs denials, and counts those that are not logged. Bridge thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}
        """By node: when a denial was logged last, and how many there were since."""

    def note(self, node: str, role: str, what: str) -> None:
        now = self._clock()
        logged_at, since = self._logged.get(node, (-LOG_AGAIN_S, 0))
        if now < logged_at + LOG_AGAIN_S:
            self._logged[node] = logged_at, since + 1
            return
        if len(self._logged) >= NODES_MAX:
            self._logged.clear()
        self._logged[node] = now, 0
        more = f" (and {since} times more before)" if since else ""
        audit("not_allowed", node=node, role=role, what=what, times_before=since)
        logger.warning("%s may not %s, with the cookie of a %s%s", node, what, role, more)
