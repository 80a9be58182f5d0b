"""Events: what happens in this process' peers, for those who watch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from raft_actors.names import Address

__all__ = ["DiskRefused", "DiskSlow", "Event", "LeaderChanged", "subscribe"]

logger = logging.getLogger("raft_actors.events")


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """`peer` takes `leader` for the leader of `term`; None while there is none."""

    peer: Address
    leader: Address | None
    term: int


@dataclass(frozen=True, slots=True)
class DiskSlow:
    """A save of `peer`'s log took `took_s` seconds, half an election timeout or more.

    `is_over` is False while the save still goes on: its disk has stalled.
    """

    peer: Address
    took_s: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class DiskRefused:
    """`peer`'s disk took a save no more: full, or broken. The peer ends, and is tried again."""

    peer: Address
    why: str


Event = LeaderChanged | DiskSlow | DiskRefused
Watcher = Callable[[Event], None]
watchers: tuple[Watcher, ...] = ()


def subscribe(watcher: Watcher) -> Callable[[], None]:
    """Call `watcher` at each event, on the peer's thread, so be quick. Returns the way out.

    Raises TypeError for what can't be called.
    """
    if not callable(watcher):
        raise TypeError(f"a watcher of events is a function of one event, not {watcher!r}")
    global watchers  # noqa: PLW0603 - replaced whole, so that publishing needs no lock
    watchers = (*watchers, watcher)

    def unsubscribe() -> None:
        global watchers  # noqa: PLW0603
        watchers = tuple(other for other in watchers if other is not watcher)

    return unsubscribe


def publish(event: Event) -> None:
    for watcher in watchers:
        try:
            watcher(event)
        except Exception:
            logger.exception("a watcher of events failed")
