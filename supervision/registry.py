"""Unique names for processes.

A process has its name until it ends. The name becomes free before any monitor or supervisor is
notified of the end, so a supervisor can always give the name to the successor. A program that
looks up a name may get the ref of a process that ends a moment later: a ref does not promise that
its process runs.
"""

import os
import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakSet

from pykka import ActorDeadError, ActorProxy, ActorRegistry

from supervision.errors import OptionError
from supervision.foreign import Key, is_string, text_of
from supervision.key_locks import KeyLocks
from supervision.lifeline import Cancel
from supervision.named_ref import NamedProxy, NamedRef

__all__ = ["Registered", "Registry", "Unregistered", "names", "resolve"]


class Holding:
    """One entry: the ref that has a name, and a value. `cancel` ends the watch on the ref's
    process; it is None until this process is watched.
    """

    __slots__ = ("cancel", "ref", "value")

    def __init__(self, ref: Any, value: Any = None) -> None:
        self.ref: Any = ref
        self.value: Any = value
        self.cancel: Cancel | None = None


@dataclass(slots=True)
class Registered:
    """What a listener of a registry is sent when a ref is registered."""

    key: Any
    ref: Any
    value: Any


@dataclass(slots=True)
class Unregistered:
    """What a listener of a registry is sent when an entry is removed: by a call, or because the
    process has ended.
    """

    key: Any
    ref: Any


Predicate = Callable[[Any, Any], object]


class Registry:
    """Names of processes. A name is any hashable value, and a ref may have several.

    keys        "unique": a name has one ref; "duplicate": it may have several, and then it is a
                topic, say, that processes subscribe to. `register` adds an entry each time
    listeners   refs or names of actors that are sent a Registered or an Unregistered for each entry

    All methods may be called from any thread. `supervision.names` is the registry that is used
    where no other is given. Names that are equal in Python, as 1 and 1.0, are one name.

    Raises OptionError.

    >>> from supervision import Process, Registry, names
    >>> ok, ref = Process.start_link(name="printer")
    >>> names.whereis("printer") is ref
    True
    >>> topics = Registry(keys="duplicate")
    >>> ok, ref = topics.register("news", ref, "a value")
    """

    def __init__(
        self,
        *,
        keys: Literal["unique", "duplicate"] = "unique",
        listeners: Iterable[Any] = (),
    ) -> None:
        if not is_string(keys, "unique") and not is_string(keys, "duplicate"):
            raise OptionError(
                ("invalid_keys", keys), f"keys must be unique or duplicate, not {text_of(keys)}"
            )
        self.is_unique: bool = is_string(keys, "unique")
        self._listeners = tuple(listeners)
        self._start_over()
        _made.add(self)

    def _start_over(self) -> None:
        self._lock = threading.RLock()  # a signal handler may interrupt a method, and call another
        self._holdings: dict[Key | str, tuple[Holding, ...]] = {}
        self._locks = KeyLocks()

    def register(self, name: Hashable, ref: Any, value: Any = None) -> tuple[str, Any]:
        """Give `name` to `ref`, with a value. Returns `("ok", ref)`, or, with unique keys,
        `("error", ("already_registered", other_ref))`.

        The name is free again when the process has ended. Raises TypeError for a ref that can't
        be watched, because its name would never be free again.

        >>> answer, found = names.register("printer_of_floor_2", ref)
        >>> answer
        'ok'
        """
        check_watched(ref)
        key, mine = Key.of(name), Holding(ref, value)
        watch = getattr(ref, "watch_first", ref.watch)
        try:
            with self._lock:
                if self.is_unique:
                    holder = self._holdings.setdefault(key, (mine,))[0]
                else:
                    holder, self._holdings[key] = mine, (*self._holdings.get(key, ()), mine)
            if holder is mine:
                if self._listeners:
                    self._notify(Registered(name, ref, value))
                mine.cancel = watch(lambda _reason: self._forget(key, mine))
        except BaseException:  # Ctrl-C: the name of a process that is not watched is never freed
            self._forget(key, mine)
            raise
        if holder is not mine:
            return ("error", ("already_registered", holder.ref))
        return ("ok", ref)

    def unregister(self, name: Hashable, ref: Any = None) -> None:
        """Free `name`: the entries of `ref`, or all if it is None. A name that no process has is no
        error.

        >>> names.unregister("printer_of_floor_2")
        """
        self._remove(name, lambda holding: ref is None or holding.ref is ref)

    def unregister_match(self, name: Hashable, predicate: Predicate) -> None:
        """Remove the entries of `name` for which `predicate(ref, value)` is true.

        >>> topics.unregister_match("news", lambda ref, value: value is None)
        """
        self._remove(name, lambda holding: predicate(holding.ref, holding.value))

    def whereis(self, name: Hashable) -> Any | None:
        """Return the ref that has this name, or None. Raises TypeError if keys are not unique.

        >>> names.whereis("printer_of_floor_2") is None
        True
        """
        if not self.is_unique:
            raise TypeError(
                f"{text_of(name)} may be the name of several refs: use lookup or dispatch of this "
                "registry, whose keys are not unique"
            )
        holding = self._holdings.get(Key.of(name))
        return None if holding is None else holding[0].ref

    def ref(self, name: Hashable) -> NamedRef:
        """Return a ref of whichever process has this name when the ref is used. It survives the
        restarts of the process, and may be made before a process has the name.

        >>> names.ref("printer").whereis() is ref
        True
        """
        return NamedRef(self, name)

    def lookup(self, name: Hashable) -> list[tuple[Any, Any]]:
        """Return `(ref, value)` of each entry of this name, the oldest first.

        >>> topics.lookup("news") == [(ref, "a value")]
        True
        """
        return [(each.ref, each.value) for each in self._holdings.get(Key.of(name), ())]

    def match(self, name: Hashable, predicate: Predicate) -> list[tuple[Any, Any]]:
        """Return `(ref, value)` of the entries of this name for which `predicate(ref, value)` is
        true; `count_match` returns their number.

        >>> topics.match("news", lambda ref, value: value == "another")
        []
        """
        return [entry for entry in self.lookup(name) if predicate(*entry)]

    def count_match(self, name: Hashable, predicate: Predicate) -> int:
        """Return how many entries `match` would return.

        >>> topics.count_match("news", lambda ref, value: value.startswith("a"))
        1
        """
        return len(self.match(name, predicate))

    def dispatch(
        self, name: Hashable, function: Callable[[list[tuple[Any, Any]]], object]
    ) -> Literal["ok"]:
        """Call `function(entries)` on this thread with what `lookup` returns, if there is any.

        >>> topics.dispatch("news", lambda entries: [ref.tell("news") for ref, _ in entries])
        'ok'
        """
        entries = self.lookup(name)
        if entries:
            function(entries)
        return "ok"

    def select(
        self, predicate: Callable[[Any, Any, Any], object] | None = None
    ) -> list[tuple[Any, Any, Any]]:
        """Return `(name, ref, value)` of all entries, or of those for which
        `predicate(name, ref, value)` is true; `count_select` returns their number.

        >>> topics.select() == [("news", ref, "a value")]
        True
        """
        with self._lock:
            held = list(self._holdings.items())
        entries = [
            (key.thing if isinstance(key, Key) else key, each.ref, each.value)
            for key, holdings in held
            for each in holdings
        ]
        return [entry for entry in entries if predicate is None or predicate(*entry)]

    def count_select(self, predicate: Callable[[Any, Any, Any], object]) -> int:
        """Return how many entries `select` would return.

        >>> topics.count_select(lambda name, ref, value: name == "weather")
        0
        """
        return len(self.select(predicate))

    def count(self) -> int:
        """Return how many entries there are.

        >>> topics.count()
        1
        """
        return len(self.select())

    def keys(self, ref: Any) -> list[Hashable]:
        """Return the names that this ref has, one for each entry.

        >>> topics.keys(ref)
        ['news']
        """
        return [name for name, _, _ in self.select(lambda _name, each, _value: each is ref)]

    def values(self, name: Hashable, ref: Any) -> list[Any]:
        """Return the values of the entries that this ref has under this name.

        >>> topics.values("news", ref)
        ['a value']
        """
        return [value for each, value in self.lookup(name) if each is ref]

    def update_value(
        self, name: Hashable, ref: Any, function: Callable[[Any], Any]
    ) -> tuple[Any, Any] | Literal["error"]:
        """Replace the value of a unique name that this ref has. Returns `(new, old)`; "error" if
        the ref does not have the name. Raises TypeError if keys are not unique.

        >>> names.update_value("printer", ref, lambda value: "busy")
        ('busy', None)
        """
        if not self.is_unique:
            raise TypeError("update_value needs a registry whose keys are unique")
        with self._lock:
            for holding in self._holdings.get(Key.of(name), ()):
                if holding.ref is ref:
                    old, holding.value = holding.value, function(holding.value)
                    return (holding.value, old)
        return "error"

    def lock(self, key: Hashable) -> AbstractContextManager[None]:
        """Return a lock, for `with`: one block at a time runs for each key. It is free again when
        the block has ended, and when the process that runs it has ended or was killed.

        >>> with names.lock("a key"):
        ...     pass
        """
        return self._locks.hold(key)

    def names(self) -> list[Hashable]:
        """Return all names that processes have now, the oldest first.

        >>> "printer" in names.names()
        True
        """
        with self._lock:
            return [key.thing if isinstance(key, Key) else key for key in self._holdings]

    def __repr__(self) -> str:
        return f"Registry({', '.join(text_of(name) for name in self.names())})"

    def _remove(self, name: Hashable, is_meant: Callable[[Holding], object]) -> None:
        key = Key.of(name)
        for holding in self._holdings.get(key, ()):
            if is_meant(holding):
                self._forget(key, holding)
                if holding.cancel is not None:
                    holding.cancel()

    def _forget(self, key: Key | str, holding: Holding) -> None:
        with self._lock:
            if holding not in self._holdings.get(key, ()):
                return
            before = self._holdings.pop(key, ())  # at once: a signal handler may come between
            after = tuple(each for each in before if each is not holding)
            if after:
                self._holdings[key] = (*after, *self._holdings.get(key, ()))
        if self._listeners:
            name = key.thing if isinstance(key, Key) else key
            self._notify(Unregistered(name, holding.ref))

    def _notify(self, event: Registered | Unregistered) -> None:
        for listener in self._listeners:
            ref = resolve(listener)
            if ref is not None:
                with suppress(ActorDeadError):
                    ref.tell(event)


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
