"""Semaphore: at most so many holders at a time."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from raft_actors.kit.claim import Claim, Claims, deadline_of, not_instead_of
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LockLost
from raft_actors.kit.script import Read, Script, Write

__all__ = ["AsyncSemaphore", "Semaphore", "SemaphoreInfo", "resizing", "semaphore_info"]


@dataclass(frozen=True, slots=True)
class SemaphoreInfo:
    """Who has permits of a semaphore, and who waits for some.

    permits    how many there are; 0 if the semaphore was never used
    available  how many are free
    holders    (holder, permits, token) of each
    waiting    (holder, permits) of each, the one that has waited longest first
    """

    permits: int
    available: int
    holders: tuple[tuple[str, int, int], ...]
    waiting: tuple[tuple[str, int], ...]


class SemaphoreScripts:
    """What `Semaphore` and `AsyncSemaphore` do: a claim for each acquire."""

    def __init__(self, core: KitCore, name: str, permits: int, ttl: float) -> None:
        self._core = core
        self._claims: deque[Claims] = deque()
        self.name: str = name
        self.permits: int = permits
        self.ttl: float = ttl

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.permits} permits>"

    def acquiring(self, n: int, until: float, *, waits: bool) -> Script[bool]:
        words = f"the semaphore {self.name!r}"
        claim = Claim("semaphore", words, (n, self.permits, b""))
        claims = Claims(self._core, self.name, self.ttl, claim)
        is_granted = yield from claims.acquiring(until, waits=waits)
        if is_granted:
            self._claims.append(claims)
        return is_granted

    def releasing(self) -> Script[None]:
        try:
            claims = self._claims.popleft()
        except IndexError:
            raise ValueError(
                f"the semaphore {self.name!r} was released more often than acquired by this object"
            ) from None
        yield from claims.releasing()

    def check(self) -> int:
        """Return the newest fencing token if all permits of this object are held at this moment.

        Raises LockLost. Nothing is sent.
        """
        tokens = [claims.check() for claims in tuple(self._claims)]
        if not tokens:
            raise LockLost(f"the semaphore {self.name!r} is not held here: acquire it")
        return tokens[-1]


def semaphore_info(name: str) -> Script[SemaphoreInfo]:
    permits, used, holders, waiting = yield Read(("semaphore", "info", name))
    return SemaphoreInfo(permits, max(0, permits - used), holders, waiting)


def resizing(name: str, permits: int) -> Script[int]:
    return int((yield Write(("semaphore", "resize", name, permits))))


class Semaphore(SemaphoreScripts):
    """At most `permits` holders at a time in the whole group, like a `threading.BoundedSemaphore`.

    The permits belong to the name: an object with another number gets a ConfigurationConflict.
    First come, first served: who wants many permits is not passed by those that want few.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> gpus = kit.semaphore("gpus", permits=2)
    >>> with gpus, gpus:
    ...     gpus.acquire(blocking=False), gpus.available()
    (False, 0)
    >>> gpus.available()
    2
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, permits: int, ttl: float
    ) -> None:
        """Made by `Kit.semaphore`."""
        super().__init__(core, name, permits, ttl)
        self._run = run

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, n: int = 1) -> bool:
        """Wait for `n` permits, at most `timeout` seconds. Return whether they were granted. An
        object may acquire several times.

        Raises ConfigurationConflict if the semaphore has another number of permits, and
        Unavailable or NoLeader if the group can't be reached.
        """
        until = deadline_of(blocking, timeout)
        return bool(self._run(self.acquiring(n, until, waits=blocking)))

    def release(self) -> None:
        """Give back what the oldest `acquire` of this object has got. Raises LockLost if it was
        lost meanwhile, and ValueError if there is none.
        """
        self._run(self.releasing())

    def available(self) -> int:
        """Return how many permits are free."""
        return int(self._run(semaphore_info(self.name)).available or 0)

    def __enter__(self) -> int:
        """Acquire one permit, and return the fencing token."""
        self.acquire()
        return self.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with not_instead_of(error):
            self.release()


class AsyncSemaphore(SemaphoreScripts):
    """A `Semaphore` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, permits: int,
        ttl: float,
    ) -> None:  # fmt: skip
        """Made by `AsyncKit.semaphore`."""
        super().__init__(core, name, permits, ttl)
        self._run = run

    async def acquire(
        self, blocking: bool = True, timeout: float | None = None, *, n: int = 1
    ) -> bool:
        """As `Semaphore.acquire`."""
        until = deadline_of(blocking, timeout)
        return bool(await self._run(self.acquiring(n, until, waits=blocking)))

    async def release(self) -> None:
        """As `Semaphore.release`."""
        await self._run(self.releasing())

    async def available(self) -> int:
        """As `Semaphore.available`."""
        return int((await self._run(semaphore_info(self.name))).available)

    async def __aenter__(self) -> int:
        await self.acquire()
        return self.check()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with not_instead_of(error):
            await self.release()
