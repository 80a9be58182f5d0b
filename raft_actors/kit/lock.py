"""Lock: one holder at a time, first come first served."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from raft_actors.kit.claim import Claim, Claims, deadline_of, not_instead_of
from raft_actors.kit.core import KitCore
from raft_actors.kit.script import Read, Script, Write

__all__ = ["AsyncLock", "Lock", "LockInfo"]


@dataclass(frozen=True, slots=True)
class LockInfo:
    """Who holds a lock, and who waits for it.

    holder   host, process id and a random part; None if nobody holds it
    token    the fencing token of the holder; 0 if nobody holds it
    waiting  those that wait, the one that has waited longest first
    """

    holder: str | None
    token: int
    waiting: tuple[str, ...]


def lock_claim(name: str) -> Claim:
    return Claim("lock", f"the lock {name!r}")


def lock_info(name: str) -> Script[LockInfo]:
    return LockInfo(*(yield Read(("lock", "info", name))))


def force_release(name: str, token: int) -> Script[str]:
    return str((yield Write(("lock", "force_release", name, token))))


class Lock(Claims):
    """A lock for one holder at a time in the whole group, like a `threading.Lock`.

    It is fair: the one that has waited longest gets it next. Waiting costs no request: the member
    that is asked answers when the lock is granted. If the holder ends or is paused for `ttl`
    seconds, the next one gets the lock.

    A holder that was paused may not know that it has lost the lock. So what the lock protects
    should look at the fencing token: tokens rise with each holder. See docs/locks.md.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> lock = kit.lock("printer", ttl=10.0)
    >>> with lock as token:
    ...     token == lock.check()
    True
    >>> lock.acquire(timeout=1.0), lock.owned, kit.lock("printer").acquire(blocking=False)
    (True, True, False)
    >>> lock.release()

    ttl  after so many seconds without an answer to a keepalive the lock is lost
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, ttl: float,
        claim: Claim | None = None,
    ) -> None:  # fmt: skip
        """Made by `Kit.lock`. `run` does what a script asks for."""
        super().__init__(core, name, ttl, claim or lock_claim(name))
        self._run = run

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Wait for the lock, at most `timeout` seconds. Return whether this object holds it now.

        A call that ends without the lock, also by Ctrl-C, leaves its place in the queue.

        Raises Unavailable or NoLeader if the group can't be reached, and RuntimeError if this
        object holds the lock already.
        """
        until = deadline_of(blocking, timeout)
        return bool(self._run(self.acquiring(until, waits=blocking)))

    def release(self) -> None:
        """Give the lock to the next one. Raises LockLost if it was lost meanwhile, and RuntimeError
        if this object does not hold it.
        """
        self._run(self.releasing())

    def locked(self) -> bool:
        """Return whether anybody holds the lock."""
        return bool(self._run(self.anybody()))

    def __enter__(self) -> int:
        """Acquire the lock, and return the fencing token."""
        self.acquire()
        return self.token

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with not_instead_of(error):
            self.release()


class AsyncLock(Claims):
    """A `Lock` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, ttl: float,
        claim: Claim | None = None,
    ) -> None:  # fmt: skip
        """Made by `AsyncKit.lock`."""
        super().__init__(core, name, ttl, claim or lock_claim(name))
        self._run = run

    async def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """As `Lock.acquire`."""
        until = deadline_of(blocking, timeout)
        return bool(await self._run(self.acquiring(until, waits=blocking)))

    async def release(self) -> None:
        """As `Lock.release`."""
        await self._run(self.releasing())

    async def locked(self) -> bool:
        """As `Lock.locked`."""
        return bool(await self._run(self.anybody()))

    async def __aenter__(self) -> int:
        await self.acquire()
        return self.token

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with not_instead_of(error):
            await self.release()
