"""LogLimit: other nodes cause log lines, and must not fill the disk with them."""

import logging

__all__ = ["LogLimit", "more"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class LogLimit:
    """Lets `burst` lines through at once and then one a second, and counts those it leaves out."""

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._at = 0.0
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """Return how many lines were left out before this one; None if this one is left out."""
        self._left = min(self._burst, self._left + now - self._at)
        self._at = now
        if self._left < 1:
            self._left_out += 1
            return None
        self._left -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out

    def warn(self, now: float, text: str) -> bool:
        """Log the line if the limit allows it. Returns whether it was logged."""
        left_out = self.take(now)
        if left_out is None:
            return False
        logger.warning("%s%s", text, more(left_out))
        return True


def more(left_out: int) -> str:
    return f" (and {left_out} others before it)" if left_out else ""
