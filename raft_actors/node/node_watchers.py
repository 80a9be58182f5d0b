"""NodeWatchers: the actors and functions that receive NodeUp and NodeDown."""

import logging
from collections.abc import Callable
from typing import Any

import pykka

import supervision
from raft_actors.node.node_events import NodeEvent

__all__ = ["NodeWatchers"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class NodeWatchers:
    """Any thread may add and remove watchers; `publish` runs on the bridge thread."""

    def __init__(self) -> None:
        self._watchers: dict[object, Any] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, watcher: Any) -> Callable[[], None]:
        """Send `watcher` each event from now on. Returns a function that ends this.

        watcher     an ActorRef, which receives the events as messages, or a function, which is
                    called with them on the bridge thread and must be quick
        """
        if not callable(watcher) and not hasattr(watcher, "tell"):
            raise TypeError(f"a watcher is an ActorRef or a function, not {watcher!r}")
        key = object()
        self._watchers[key] = watcher
        cancels: list[Callable[[], None]] = []

        def end(_reason: Any = None) -> None:
            self._watchers.pop(key, None)
            for cancel in cancels:
                cancel()

        if isinstance(watcher, supervision.ProcessRef):  # the end of other actors is not reported
            cancels.append(watcher.watch(end))
        return end

    def publish(self, event: NodeEvent) -> None:
        for key, watcher in tuple(self._watchers.items()):
            try:
                (watcher.tell if hasattr(watcher, "tell") else watcher)(event)
            except pykka.ActorDeadError:
                self._watchers.pop(key, None)
            except BaseException:  # even SystemExit: the other watchers must get the event
                logger.exception("a watcher of nodes raised on %r", event)
