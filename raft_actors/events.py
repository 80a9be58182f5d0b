"""Events: what happens to the peers of this process, delivered to functions that subscribe."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from raft_actors.names import Address

__all__ = ["DiskRefused", "DiskSlow", "Event", "LeaderChanged", "StateDiverged", "subscribe"]

logger: logging.Logger = logging.getLogger("raft_actors.events")


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """For `peer`, the leader of `term` is now `leader`. None: it knows no leader."""

    peer: Address
    leader: Address | None
    term: int


@dataclass(frozen=True, slots=True)
class DiskSlow:
    """A save of `peer`'s log took `took_s` seconds, half an election timeout or more.

    `is_over` is False while the save has not returned yet: the disk hangs.
    """

    peer: Address
    took_s: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class DiskRefused:
    """A save of `peer`'s log failed: its disk is full or broken. The peer ends, and its supervisor
    starts it again.
    """

    peer: Address
    why: str


@dataclass(frozen=True, slots=True)
class StateDiverged:
    """The state of `peer` differs from that of other replicas after the entry `index`. After the
    entry `after` it did not; 0: not known.

    `is_decided` is True if more than half of the replicas agree: then `peer` is wrong, and answers
    no reads. See docs/divergence.md.
    """

    peer: Address
    after: int
    index: int
    is_decided: bool


Event = LeaderChanged | DiskSlow | DiskRefused | StateDiverged
Watcher = Callable[[Event], None]
watchers: tuple[Watcher, ...] = ()


def subscribe(watcher: Watcher) -> Callable[[], None]:
    """Call `watcher` with each event. It must return quickly.

    It runs on the peer's thread; with a `DiskSlow` on the timer's thread.

    Returns a function that ends the subscription. Raises TypeError if `watcher` can't be called.
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
