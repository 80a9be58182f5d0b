"""Watching a dict: its changes in the order of the log, each at least once."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, Self, TypeVar

from raft_actors.kit.dicts import DictScripts, value_of
from raft_actors.kit.errors import Forgotten
from raft_actors.kit.machine.dicts import topic_of
from raft_actors.kit.script import News, Read, Script
from raft_actors.timeouts import seconds

__all__ = ["AsyncDictWatch", "Change", "DictWatch"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """What has happened to a dict.

    kind   "put", "delete", or "resync": changes were missed, and `state` has all that is there now
    key    the key that was changed; "" in a resync
    value  its new value; None if it was deleted
    old    its value before; None if it was not there
    index  the entry of the log that has changed it. One command may change several keys
    state  in a resync: all values that are watched, by key
    """

    kind: str
    key: str
    value: V | None
    old: V | None
    index: int
    state: Mapping[str, V] | None = None


class WatchScripts(Generic[V]):
    """The state of a watch.

    index  everything up to this entry was returned, or is known to be no change. Another watch with
           `after=index` goes on behind it
    """

    def __init__(
        self, dicts: DictScripts[V], key: str | None, prefix: str, after: int | None
    ) -> None:
        if key is not None and prefix:
            raise ValueError("a watch is for a key or for a prefix: leave out one of them")
        self._dict = dicts
        self._key = key
        self._prefix = prefix if key is None else key
        self._coming: deque[Change[V]] = deque()
        self.index: int = -1 if after is None else after

    def next(self, until: float) -> Script[Change[V]]:
        """Return the next change. Raises TimeoutError at `until`."""
        while not self._coming:
            yield from self.look()
            if self._coming:
                break
            if time.monotonic() >= until:
                raise TimeoutError("no change of the dict within the timeout")
            topic = topic_of(self._dict.name, self._prefix)
            news = News(topic, self.index, until, is_prefix=self._key is None)
            yield news  # what exactly is new, the next look says
        change = self._coming.popleft()
        if not self._coming or self._coming[0].index != change.index:
            self.index = change.index
        return change

    def begin(self) -> Script[None]:
        """Find out from where on to watch, if the caller has not said it."""
        if self.index < 0:
            _found, self.index = yield Read(("dict", "events", self._dict.name, "", 2**62))

    def look(self) -> Script[None]:
        """Read what has changed since."""
        yield from self.begin()
        query = ("dict", "events", self._dict.name, self._prefix, self.index)
        try:
            found, index = yield Read(query)
        except Forgotten:
            state, index = yield from self._dict.read_at(self._prefix)
            if self._key is not None:
                state = {key: value for key, value in state.items() if key == self._key}
            self._coming.append(Change("resync", "", None, None, index, state))
            return
        for at, key, new, old in found:
            if self._key in (None, key):
                kind = "delete" if new is None else "put"
                value, before = (None if each is None else value_of(each) for each in (new, old))
                self._coming.append(Change(kind, key, value, before, at))
        if not self._coming:
            self.index = max(self.index, index)


class DictWatch(WatchScripts[V]):
    """The changes of a dict as an iterator, for one thread. Nothing runs while nobody reads it.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> prices = kit.dict("prices")
    >>> watch = prices.watch(prefix="fruit/")
    >>> prices["fruit/apple"] = 3
    >>> watch.get(timeout=10.0).key
    'fruit/apple'
    """

    def __init__(
        self, run: Callable[[Script[Any]], Any], dicts: DictScripts[V], key: str | None,
        prefix: str, after: int | None,
    ) -> None:  # fmt: skip
        super().__init__(dicts, key, prefix, after)
        self._run = run
        run(self.begin())

    def get(self, timeout: float | None = None) -> Change[V]:
        """Wait for the next change. Raises TimeoutError if there is none in time."""
        until = inf if timeout is None else time.monotonic() + seconds(timeout)
        change: Change[V] = self._run(self.next(until))
        return change

    def __iter__(self) -> Iterator[Change[V]]:
        return self

    def __next__(self) -> Change[V]:
        return self.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two calls: this is for `with`, as other watches have it."""


class AsyncDictWatch(WatchScripts[V]):
    """A `DictWatch` for a task. It begins with the first look, or at `after`."""

    def __init__(
        self, run: Callable[[Script[Any]], Awaitable[Any]], dicts: DictScripts[V],
        key: str | None, prefix: str, after: int | None,
    ) -> None:  # fmt: skip
        super().__init__(dicts, key, prefix, after)
        self._run = run

    async def get(self, timeout: float | None = None) -> Change[V]:
        """As `DictWatch.get`."""
        until = inf if timeout is None else time.monotonic() + seconds(timeout)
        change: Change[V] = await self._run(self.next(until))
        return change

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change[V]:
        return await self.get()

    async def __aenter__(self) -> Self:
        await self._run(self.begin())
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `DictWatch.__exit__`."""
