"""Denials: what other nodes asked for and may not have, one log line a minute for each of them."""

import logging
import time
from collections.abc import Callable

from raft_actors.audit import audit

__all__ = ["Denials"]

logger = logging.getLogger("raft_actors.node")

TOLD_AGAIN_S = 60.0
NODES_MAX = 1_000


class Denials:
    """Counts what is refused. Bridge thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}  # by node: when, and how many since

    def note(self, node: str, role: str, what: str) -> None:
        now = self._clock()
        told_at, since = self._told.get(node, (-TOLD_AGAIN_S, 0))
        if now < told_at + TOLD_AGAIN_S:
            self._told[node] = told_at, since + 1
            return
        if len(self._told) >= NODES_MAX:
            self._told.clear()
        self._told[node] = now, 0
        more = f" (and {since} times more before)" if since else ""
        audit("not_allowed", node=node, role=role, what=what, times_before=since)
        logger.warning("%s may not %s, with the cookie of a %s%s", node, what, role, more)
