"""RWLock: many readers, or one writer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from raft_actors.kit.claim import Claim
from raft_actors.kit.core import KitCore
from raft_actors.kit.lock import AsyncLock, Lock
from raft_actors.kit.machine.grants import ALL
from raft_actors.kit.script import Script

__all__ = ["AsyncRWLock", "RWLock"]


def reading(name: str) -> Claim:
    return Claim("rwlock", f"the lock {name!r} for reading", (1, ALL, b""))


def writing(name: str) -> Claim:
    return Claim("rwlock", f"the lock {name!r} for writing", (ALL, ALL, b""))


class RWLock:
    """A lock for any number of readers at a time, or for one writer.

    First come, first served: readers that come after a writer that waits get the lock after it. So
    a writer is not kept waiting by readers that come and go.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> prices = kit.rwlock("prices")
    >>> with prices.read(), prices.read():
    ...     prices.write().acquire(blocking=False)
    False
    >>> with prices.write() as token:
    ...     token > 0
    True
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, ttl: float
    ) -> None:
        """Made by `Kit.rwlock`."""
        self.name: str = name
        self._make: Callable[[Claim], Lock] = partial(Lock, core, run, name, ttl)

    def read(self) -> Lock:
        """Return a new reader: a `Lock` that other readers may hold too."""
        return self._make(reading(self.name))

    def write(self) -> Lock:
        """Return a new writer: a `Lock` that nobody else holds, neither for reading."""
        return self._make(writing(self.name))


class AsyncRWLock:
    """An `RWLock` whose locks are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, ttl: float
    ) -> None:
        """Made by `AsyncKit.rwlock`."""
        self.name: str = name
        self._make: Callable[[Claim], AsyncLock] = partial(AsyncLock, core, run, name, ttl)

    def read(self) -> AsyncLock:
        """As `RWLock.read`."""
        return self._make(reading(self.name))

    def write(self) -> AsyncLock:
        """As `RWLock.write`."""
        return self._make(writing(self.name))
