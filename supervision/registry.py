"""Unique names for processes.

A name is held until its process has ended and is freed before anyone hears of that end, so a
supervisor can always give it to the successor. Someone else may look a name up and get a
process that ends a moment later: a ref is never a promise of life.
"""

import os
import threading
from collections.abc import Hashable
from typing import Any

from pykka import ActorProxy, ActorRegistry

from supervision.lifeline import Cancel

__all__ = ["Registry", "names", "resolve"]


class Registry:
    """Names to refs, from any thread. Names are any hashable terms; a ref may have several."""

    def __init__(self) -> None:
        self._start_over()

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._refs: dict[Hashable, Any] = {}
        self._watches: dict[Hashable, Cancel] = {}

    def register(self, name: Hashable, ref: Any) -> tuple[str, Any]:
        """Give `name` to `ref`: `("ok", ref)` or `("error", ("already_registered", other_ref))`.

        Raises TypeError for a ref that can't be watched: its name would outlive it.
        """
        check_watched(ref)
        with self._lock:
            if name in self._refs:
                return ("error", ("already_registered", self._refs[name]))
            self._refs[name] = ref
        cancel = ref.watch(lambda _reason: self._forget(name, ref))
        with self._lock:
            if self._refs.get(name) is ref:
                self._watches[name] = cancel
        return ("ok", ref)

    def unregister(self, name: Hashable) -> None:
        """Free `name`, whoever has it. Nothing happens if nobody does."""
        with self._lock:
            self._refs.pop(name, None)
            cancel = self._watches.pop(name, None)
        if cancel:
            cancel()

    def whereis(self, name: Hashable) -> Any | None:
        """The ref that has this name, or None."""
        return self._refs.get(name)

    def names(self) -> list[Hashable]:
        """All names now held, oldest first."""
        with self._lock:
            return list(self._refs)

    def __repr__(self) -> str:
        return f"Registry({', '.join(repr(name) for name in self.names())})"

    def _forget(self, name: Hashable, ref: Any) -> None:
        with self._lock:
            if self._refs.get(name) is ref:
                del self._refs[name]
                self._watches.pop(name, None)


names = Registry()
"""The registry of this operating-system process, used when no other is given."""


def forget_processes() -> None:
    """In a forked child: none of its parent's lives there, for it has none of their threads."""
    names._start_over()
    ActorRegistry._actor_refs_lock = threading.RLock()  # whoever held it is not there either
    ActorRegistry._actor_refs.clear()


os.register_at_fork(after_in_child=forget_processes)


def check_watched(ref: Any) -> None:
    """Raise TypeError unless the end of this one can be heard of."""
    if not hasattr(ref, "watch"):
        raise TypeError(
            f"{ref} can't be watched: start its class as supervision.as_process(cls).start_link()"
        )


def resolve(target: Any) -> Any | None:
    """The ref meant by a ref, a proxy, or a name in `names`; None for a name nobody has."""
    if isinstance(target, ActorProxy):
        return target.actor_ref
    if hasattr(target, "tell"):
        return target
    return names.whereis(target)
