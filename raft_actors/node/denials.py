"""Denials: what other nodes send and may not, or what makes no sense. One log line a minute a node.

Another node can send a million of them in a second. It must not fill the disk with log lines.
"""

import logging
import time
from collections.abc import Callable

from raft_actors.audit import audit

__all__ = ["Denials"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

LOG_AGAIN_S = 60.0
NODES_MAX = 1_000


class Denials:
    """Logs denials, and counts those that are not logged. Bridge thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        """By node and kind: when one was logged last, and how many there were since."""

    def note(self, node: str, role: str, what: str) -> None:
        """Note that the cookie of a node does not allow `what`."""
        since = self._since_last(node, "denied")
        if since is not None:
            audit("not_allowed", node=node, role=role, what=what, times_before=since)
            text = "%s may not %s, with the cookie of a %s%s"
            logger.warning(text, node, what, role, more(since))

    def note_nonsense(self, node: str, text: str) -> None:
        """Note that a node has sent what no node of this version sends, which `text` says."""
        since = self._since_last(node, "nonsense")
        if since is not None:
            logger.warning("%s %s%s", node, text, more(since))

    def _since_last(self, node: str, kind: str) -> int | None:
        """Return how many were not logged since the last line; None if it is not time for one."""
        now = self._clock()
        logged_at, since = self._logged.get((node, kind), (-LOG_AGAIN_S, 0))
        if now < logged_at + LOG_AGAIN_S:
            self._logged[node, kind] = logged_at, since + 1
            return None
        if len(self._logged) >= NODES_MAX:
            self._logged.clear()
        self._logged[node, kind] = now, 0
        return since


def more(since: int) -> str:
    return f" (and {since} times more before)" if since else ""
