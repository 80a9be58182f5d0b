"""Coordination: the handles of a kit by which programs wait for each other, beside its locks."""

from collections.abc import Awaitable, Callable
from typing import Any

from raft_actors.kit.barrier import AsyncBarrier, Barrier
from raft_actors.kit.core import KitCore
from raft_actors.kit.election import AsyncElection, Election
from raft_actors.kit.flag import AsyncFlag, Flag
from raft_actors.kit.membership import AsyncMembership, Membership
from raft_actors.kit.rwlock import AsyncRWLock, RWLock
from raft_actors.kit.script import Script
from raft_actors.kit.semaphore import (
    AsyncSemaphore,
    Semaphore,
    SemaphoreInfo,
    resizing,
    semaphore_info,
)

__all__ = ["AsyncCoordination", "Coordination"]

TTL_S = 10.0


class Coordination:
    """These handles for threads: a part of `Kit`."""

    _core: KitCore
    _run: Callable[[Script[Any]], Any]

    def rwlock(self, name: str, *, ttl: float = TTL_S) -> RWLock:
        """Return an `RWLock`: many readers, or one writer."""
        return RWLock(self._core, self._run, name, ttl)

    def semaphore(self, name: str, permits: int, *, ttl: float = TTL_S) -> Semaphore:
        """Return a `Semaphore` with so many permits."""
        return Semaphore(self._core, self._run, name, permits, ttl)

    def semaphore_info(self, name: str) -> SemaphoreInfo:
        """Return who has permits of a semaphore, and who waits for some."""
        info: SemaphoreInfo = self._run(semaphore_info(name))
        return info

    def resize(self, name: str, permits: int) -> int:
        """Change the number of permits of a semaphore. Return what it was. Holders keep theirs."""
        return int(self._run(resizing(name, permits)))

    def flag(self, name: str) -> Flag:
        """Return a `Flag`."""
        return Flag(self._run, name)

    def election(self, name: str, *, ttl: float = TTL_S) -> Election:
        """Return an `Election`: two objects with the same name are two candidates."""
        return Election(self._core, self._run, name, ttl)

    def barrier(self, name: str, parties: int, *, ttl: float = TTL_S) -> Barrier:
        """Return a `Barrier` for so many parties."""
        return Barrier(self._core, self._run, name, parties, ttl)

    def membership(self, name: str, value: Any = None, *, ttl: float = TTL_S) -> Membership:
        """Return a `Membership`. `value` is what others see of it: any term."""
        return Membership(self._core, self._run, name, value, ttl)


class AsyncCoordination:
    """These handles for asyncio: a part of `AsyncKit`."""

    _core: KitCore
    _run: Callable[[Script[Any]], Awaitable[Any]]

    def rwlock(self, name: str, *, ttl: float = TTL_S) -> AsyncRWLock:
        """As `Kit.rwlock`."""
        return AsyncRWLock(self._core, self._run, name, ttl)

    def semaphore(self, name: str, permits: int, *, ttl: float = TTL_S) -> AsyncSemaphore:
        """As `Kit.semaphore`."""
        return AsyncSemaphore(self._core, self._run, name, permits, ttl)

    async def semaphore_info(self, name: str) -> SemaphoreInfo:
        """As `Kit.semaphore_info`."""
        info: SemaphoreInfo = await self._run(semaphore_info(name))
        return info

    async def resize(self, name: str, permits: int) -> int:
        """As `Kit.resize`."""
        return int(await self._run(resizing(name, permits)))

    def flag(self, name: str) -> AsyncFlag:
        """As `Kit.flag`."""
        return AsyncFlag(self._run, name)

    def election(self, name: str, *, ttl: float = TTL_S) -> AsyncElection:
        """As `Kit.election`."""
        return AsyncElection(self._core, self._run, name, ttl)

    def barrier(self, name: str, parties: int, *, ttl: float = TTL_S) -> AsyncBarrier:
        """As `Kit.barrier`."""
        return AsyncBarrier(self._core, self._run, name, parties, ttl)

    def membership(self, name: str, value: Any = None, *, ttl: float = TTL_S) -> AsyncMembership:
        """As `Kit.membership`."""
        return AsyncMembership(self._core, self._run, name, value, ttl)
