"""Keep-alive: a link that receives nothing is pinged, and closed if it still receives nothing."""

from collections.abc import Callable, Mapping

from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.reactor import Reactor

__all__ = ["KeepAlive"]


class KeepAlive:
    """Checks all links repeatedly, as long as one is connected. Bridge thread only."""

    def __init__(
        self,
        reactor: Reactor,
        limits: BridgeLimits,
        links: Mapping[str, Link],
        ping: Callable[[Link], None],
        give_up: Callable[[Link, str], None],
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._links = links
        self._ping = ping
        self._give_up = give_up
        self._runs = False

    def start(self) -> None:
        """Start the checks, unless they run already."""
        if not self._runs:
            self._check()

    def _check(self) -> None:
        now = self._reactor.now
        up = [link for link in tuple(self._links.values()) if link.connection is not None]
        for link in up:
            connection = link.connection
            assert connection is not None
            if connection.pinged_at > connection.received_at:
                if now - connection.pinged_at >= self._limits.dead_after_s:
                    self._give_up(link, "net_tick_timeout")
            elif now - connection.received_at >= self._limits.ping_after_s:
                connection.pinged_at = now
                self._ping(link)
        self._runs = bool(up)
        if up:
            self._reactor.after(self._limits.ping_after_s / 2, self._check)
