"""Dict and AsyncDict: the handles of a dict in a group."""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)  # fmt: skip
from typing import Any, Generic, TypeVar

from raft_actors.kit.dict_watch import AsyncDictWatch, DictWatch
from raft_actors.kit.dicts import ABSENT, DictScripts, Entry
from raft_actors.kit.lease import Lease
from raft_actors.kit.script import Script

__all__ = ["AsyncDict", "Dict"]

V = TypeVar("V")
TRIES = 20


class Dict(MutableMapping[str, V]):
    """A dict in the group: each call is one request, and sees every write that came before.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> config = kit.dict("config")
    >>> config["colour"] = "blue"
    >>> config["colour"], "size" in config, len(config)
    ('blue', False, 1)
    >>> config.increment("visits"), config.increment("visits", 2)
    (1, 3)

    `d[key] += 1` reads, computes, and writes: if two programs do so at once, one of the changes is
    lost. Use `increment`, `change`, or `Kit.transaction`.

    Keys are texts of up to 4,096 bytes. Values are what commands may have (see `StateMachine`), and
    objects of registered classes; the value that is returned is a copy.
    """

    def __init__(self, run: Callable[[Script[Any]], Any], name: str) -> None:
        """Made by `Kit.dict`."""
        self._run = run
        self._scripts: DictScripts[V] = DictScripts(name)

    @property
    def name(self) -> str:
        """The name of the dict in the group."""
        return self._scripts.name

    def __repr__(self) -> str:
        return f"<Dict {self.name!r}>"

    def __getitem__(self, key: str) -> V:
        value: V = self._run(self._scripts.get(key))
        return value

    def __setitem__(self, key: str, value: V) -> None:
        self._run(self._scripts.put(key, value, None, False, None, None))

    def __delitem__(self, key: str) -> None:
        self._run(self._scripts.delete(key))

    def __contains__(self, key: object) -> bool:
        return bool(self._run(self._scripts.contains(key)))

    def __len__(self) -> int:
        return int(self._run(self._scripts.count()))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys in their order, as they are at one entry of the log."""
        for key, _entry in self.entries():
            yield key

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default`."""
        return self._run(self._scripts.get(key, default))

    def entry(self, key: str) -> Entry[V]:
        """Return the value of a key with its version. Raises KeyError."""
        entry: Entry[V] = self._run(self._scripts.entry(key))
        return entry

    def entries(self, prefix: str = "") -> Iterator[tuple[str, Entry[V]]]:
        """Iterate over the keys that begin with `prefix`, in their order, with their entries. They
        are read in pages of 1,000, all as they are at the first page.

        Raises Forgotten if more than 10,000 changes come before the last page is read.
        """
        after, more, at = None, True, 0
        while more:
            found, more, at = self._run(self._scripts.page(prefix, after, at))
            yield from found
            after = found[-1][0] if found else after

    def read_at(self, prefix: str = "") -> tuple[dict[str, V], int]:
        """Return all values, and the entry of the log at which they were so: `watch(after=index)`
        then misses nothing.
        """
        whole: tuple[dict[str, V], int] = self._run(self._scripts.read_at(prefix))
        return whole

    def put(
        self, key: str, value: V, *, if_version: int | None = None, if_absent: bool = False,
        lease: Lease | None = None, ttl: float | None = None,
    ) -> int:  # fmt: skip
        """Set a key, and return its new version.

        if_version  only if the key has this version; 0: only if it is not there
        if_absent   only if the key is not there
        lease       remove the key when this lease ends
        ttl         remove the key in so many seconds. A change of leaders may make it later

        Raises Conflict if the key has another version, LeaseLost if the lease has ended.
        """
        return int(self._run(self._scripts.put(key, value, if_version, if_absent, lease, ttl)))

    def remove(self, key: str, *, if_version: int | None = None) -> bool:
        """Remove a key. Return whether it was there. Raises Conflict as `put`."""
        return self._run(self._scripts.remove(key, if_version)) is not ABSENT

    def remove_prefix(self, prefix: str) -> int:
        """Remove all keys that begin with `prefix`, in one entry of the log. Return how many."""
        return int(self._run(self._scripts.remove_prefix(prefix)))

    def clear(self) -> None:
        """Remove all keys, in one entry of the log."""
        self.remove_prefix("")

    def pop(self, key: str, default: Any = ABSENT) -> Any:
        """Remove a key and return its value, or `default`. Raises KeyError without a default."""
        return self._run(self._scripts.pop(key, default))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Set a key if it is not there. Return its value."""
        return self._run(self._scripts.setdefault(key, default))

    def update(self, other: Any = (), /, **items: Any) -> None:
        """Set several keys, in one entry of the log."""
        self._run(self._scripts.put_many(pairs_of(other, items)))

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a number, on the members, and return the sum. A key that is not there has 0."""
        return int(self._run(self._scripts.increment(key, by)))

    def change(self, key: str, function: Callable[[V | None], V], *, tries: int = TRIES) -> V:
        """Set a key to `function(value)`, and return the new value. None is passed for a key that
        is not there. If somebody else changes the key meanwhile, the function runs again.

        Raises Conflict after so many tries.
        """
        value: V = self._run(self._scripts.change(key, function, tries))
        return value

    def watch(
        self, key: str | None = None, *, prefix: str = "", after: int | None = None
    ) -> DictWatch[V]:
        """Return a stream of the changes of one key, or of all that begin with `prefix`, from now
        on, or after the entry `after` of the log.
        """
        return DictWatch(self._run, self._scripts, key, prefix, after)

    def _ipython_key_completions_(self) -> list[str]:
        found, _more, _at = self._run(self._scripts.page("", None, 0))
        return [key for key, _entry in found]


class AsyncDict(Generic[V]):
    """A `Dict` whose calls are awaited: `await d.get(key)`, `await d.put(key, value)`."""

    def __init__(self, run: Callable[[Script[Any]], Awaitable[Any]], name: str) -> None:
        """Made by `AsyncKit.dict`."""
        self._run = run
        self._scripts: DictScripts[V] = DictScripts(name)

    @property
    def name(self) -> str:
        """As `Dict.name`."""
        return self._scripts.name

    def __repr__(self) -> str:
        return f"<AsyncDict {self.name!r}>"

    async def get(self, key: str, default: Any = None) -> Any:
        """As `Dict.get`."""
        return await self._run(self._scripts.get(key, default))

    async def entry(self, key: str) -> Entry[V]:
        """As `Dict.entry`."""
        entry: Entry[V] = await self._run(self._scripts.entry(key))
        return entry

    async def contains(self, key: str) -> bool:
        """As `key in d`."""
        return bool(await self._run(self._scripts.contains(key)))

    async def count(self) -> int:
        """As `len(d)`."""
        return int(await self._run(self._scripts.count()))

    async def entries(self, prefix: str = "") -> AsyncIterator[tuple[str, Entry[V]]]:
        """As `Dict.entries`."""
        after, more, at = None, True, 0
        while more:
            found, more, at = await self._run(self._scripts.page(prefix, after, at))
            for each in found:
                yield each
            after = found[-1][0] if found else after

    async def read_at(self, prefix: str = "") -> tuple[dict[str, V], int]:
        """As `Dict.read_at`."""
        whole: tuple[dict[str, V], int] = await self._run(self._scripts.read_at(prefix))
        return whole

    async def put(
        self, key: str, value: V, *, if_version: int | None = None, if_absent: bool = False,
        lease: Lease | None = None, ttl: float | None = None,
    ) -> int:  # fmt: skip
        """As `Dict.put`."""
        script = self._scripts.put(key, value, if_version, if_absent, lease, ttl)
        return int(await self._run(script))

    async def remove(self, key: str, *, if_version: int | None = None) -> bool:
        """As `Dict.remove`."""
        return await self._run(self._scripts.remove(key, if_version)) is not ABSENT

    async def remove_prefix(self, prefix: str) -> int:
        """As `Dict.remove_prefix`."""
        return int(await self._run(self._scripts.remove_prefix(prefix)))

    async def clear(self) -> None:
        """As `Dict.clear`."""
        await self.remove_prefix("")

    async def pop(self, key: str, default: Any = ABSENT) -> Any:
        """As `Dict.pop`."""
        return await self._run(self._scripts.pop(key, default))

    async def setdefault(self, key: str, default: Any = None) -> Any:
        """As `Dict.setdefault`."""
        return await self._run(self._scripts.setdefault(key, default))

    async def update(self, other: Any = (), /, **items: Any) -> None:
        """As `Dict.update`."""
        await self._run(self._scripts.put_many(pairs_of(other, items)))

    async def increment(self, key: str, by: int = 1) -> int:
        """As `Dict.increment`."""
        return int(await self._run(self._scripts.increment(key, by)))

    async def change(self, key: str, function: Callable[[V | None], V], *, tries: int = TRIES) -> V:
        """As `Dict.change`. The function is not awaited."""
        value: V = await self._run(self._scripts.change(key, function, tries))
        return value

    def watch(
        self, key: str | None = None, *, prefix: str = "", after: int | None = None
    ) -> AsyncDictWatch[V]:
        """As `Dict.watch`: an asynchronous iterator."""
        return AsyncDictWatch(self._run, self._scripts, key, prefix, after)


def pairs_of(other: Any, items: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return what `dict.update` would set."""
    return dict(other if isinstance(other, Mapping) else dict(other), **items).items()
