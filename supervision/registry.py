"""Unique names for processes.

A process has its name until it ends. The name becomes free before any monitor or supervisor is
notified of the end, so a supervisor can always give the name to the successor. A program that
looks up a name may get the ref of a process that ends a moment later: a ref does not promise that
its process runs.
"""

import os
import threading
from collections.abc import Hashable
from typing import Any
from weakref import WeakSet

from pykka import ActorProxy, ActorRegistry

from supervision.foreign import Key, text_of
from supervision.lifeline import Cancel
from supervision.named_ref import NamedProxy, NamedRef

__all__ = ["Registry", "names", "resolve"]


class Holding:
    """The entry of one name: the ref that has it. `cancel` ends the watch on the ref's process; it
    is None until this process is watched.
    """

    __slots__ = ("cancel", "ref")

    def __init__(self, ref: Any) -> None:
        self.ref: Any = ref
        self.cancel: Cancel | None = None


class Registry:
    """Names of processes. A name is any hashable value, and a ref may have several.

    All methods may be called from any thread. `supervision.names` is the registry that is used
    where no other is given.

    >>> from supervision import Process, names
    >>> ok, ref = Process.start_link(name="printer")
    >>> names.whereis("printer") is ref
    True
    """

    def __init__(self) -> None:
        self._start_over()
        _made.add(self)

    def _start_over(self) -> None:
        self._lock = threading.RLock()  # a signal handler may interrupt a method, and call another
        self._holdings: dict[Key | str, Holding] = {}

    def register(self, name: Hashable, ref: Any) -> tuple[str, Any]:
        """Give `name` to `ref`. Returns `("ok", ref)`, or `("error", ("already_registered",
        other_ref))`.

        The name is free again when the process has ended. Raises TypeError for a ref that can't
        be watched, because its name would never be free again.

        >>> answer, found = names.register("printer_of_floor_2", ref)
        >>> answer
        'ok'
        """
        check_watched(ref)
        key, mine = Key.of(name), Holding(ref)
        watch = getattr(ref, "watch_first", ref.watch)
        try:
            with self._lock:
                holder = self._holdings.setdefault(key, mine)
            if holder is mine:
                mine.cancel = watch(lambda _reason: self._forget(key, mine))
        except BaseException:  # Ctrl-C: the name of a process that is not watched is never freed
            self._forget(key, mine)
            raise
        if holder is not mine:
            return ("error", ("already_registered", holder.ref))
        return ("ok", ref)

    def unregister(self, name: Hashable) -> None:
        """Free `name`, whichever process has it. A name that no process has is no error.

        >>> names.unregister("printer_of_floor_2")
        """
        with self._lock:
            holding = self._holdings.pop(Key.of(name), None)
        if holding is not None and holding.cancel is not None:
            holding.cancel()

    def whereis(self, name: Hashable) -> Any | None:
        """Return the ref that has this name, or None.

        >>> names.whereis("printer_of_floor_2") is None
        True
        """
        holding = self._holdings.get(Key.of(name))
        return None if holding is None else holding.ref

    def ref(self, name: Hashable) -> NamedRef:
        """Return a ref of whichever process has this name when the ref is used. It survives the
        restarts of the process, and may be made before a process has the name.

        >>> names.ref("printer").whereis() is ref
        True
        """
        return NamedRef(self, name)

    def names(self) -> list[Hashable]:
        """Return all names that processes have now, the oldest first.

        >>> "printer" in names.names()
        True
        """
        with self._lock:
            return [key.thing if isinstance(key, Key) else key for key in self._holdings]

    def __repr__(self) -> str:
        return f"Registry({', '.join(text_of(name) for name in self.names())})"

    def _forget(self, key: Key | str, holding: Holding) -> None:
        with self._lock:
            if self._holdings.get(key) is holding:
                del self._holdings[key]


_made: WeakSet[Registry] = WeakSet()

names: Registry = Registry()
"""The registry of this operating-system process, used when no other is given."""


def forget_processes() -> None:
    """Empty all registries, in a forked child: it has no threads of its parent's processes."""
    for registry in tuple(_made):
        registry._start_over()
    # A thread of the parent may have held the old lock, and no thread here would release it.
    ActorRegistry._actor_refs_lock = threading.RLock()
    ActorRegistry._actor_refs.clear()


os.register_at_fork(after_in_child=forget_processes)


def check_watched(ref: Any) -> None:
    """Raise TypeError unless `ref` can be watched."""
    if not hasattr(ref, "watch"):
        raise TypeError(
            f"{text_of(ref, str)} can't be watched: start its class as "
            "supervision.as_process(cls).start_link()"
        )


def resolve(target: Any) -> Any | None:
    """Return the ref of a ref, a proxy, a NamedRef, a name in `names`, or a pair
    `(registry, name)`. None for a name that no process has.
    """
    if isinstance(target, (ActorProxy, NamedProxy)):
        target = target.actor_ref
    if isinstance(target, NamedRef):
        return target.whereis()
    if hasattr(target, "tell"):
        return target
    if type(target) is tuple and len(target) == 2 and hasattr(target[0], "whereis"):
        return target[0].whereis(target[1])
    return names.whereis(target)
