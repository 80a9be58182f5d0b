"""Events: what happens in this process' peers, for those who watch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from raft_actors.core.membership import Address

__all__ = ["LeaderChanged", "subscribe"]

logger = logging.getLogger("raft_actors.events")


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """`peer` takes `leader` for the leader of `term`; None while there is none."""

    peer: Address
    leader: Address | None
    term: int


Watcher = Callable[[LeaderChanged], None]
watchers: tuple[Watcher, ...] = ()


def subscribe(watcher: Watcher) -> Callable[[], None]:
    """Call `watcher` at each change, on the peer's thread, so be quick. Returns the way out."""
    global watchers  # noqa: PLW0603 - replaced whole, so that publishing needs no lock
    watchers = (*watchers, watcher)

    def unsubscribe() -> None:
        global watchers  # noqa: PLW0603
        watchers = tuple(other for other in watchers if other is not watcher)

    return unsubscribe


def publish(event: LeaderChanged) -> None:
    for watcher in watchers:
        try:
            watcher(event)
        except Exception:
            logger.exception("a watcher of leader changes failed")
