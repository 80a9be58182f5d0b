"""Lock: one holder at a time, first come first served."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import Any

from raft_actors.errors import NotApplied, OutcomeUnknown, Unavailable
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LeaseLost, LockLost
from raft_actors.kit.lease import Lease
from raft_actors.kit.machine.locks import topic_of
from raft_actors.kit.script import News, Read, Script, Settle, Write
from raft_actors.timeouts import seconds

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


@dataclass(frozen=True, slots=True)
class Held:
    """What a lock object has while it holds the lock."""

    holder: str
    token: int
    lease: Lease


class LockScripts:
    """What `Lock` and `AsyncLock` do."""

    def __init__(self, core: KitCore, name: str, ttl: float) -> None:
        self._core = core
        self.name: str = name
        self.ttl: float = float(seconds(ttl, "ttl"))
        self._held: Held | None = None

    def __repr__(self) -> str:
        held = self._held
        state = "not held here" if held is None else f"held here with token {held.token}"
        return f"<{type(self).__name__} {self.name!r}: {state}>"

    @property
    def owned(self) -> bool:
        """Whether this object holds the lock, and is sure to hold it at this moment."""
        return self._held is not None and self._held.lease.alive

    @property
    def token(self) -> int:
        """The fencing token of the present or last hold of this object; 0 before the first."""
        return 0 if self._held is None else self._held.token

    def check(self) -> int:
        """Return the fencing token if the lock is held at this moment. Call it before each change
        of what the lock protects.

        Raises LockLost. Nothing is sent.
        """
        held = self._held
        if held is None:
            raise LockLost(f"the lock {self.name!r} is not held here: acquire it")
        if not held.lease.alive:
            raise LockLost(
                f"the lock {self.name!r} was lost: its lease was not kept alive for {self.ttl} s, "
                "because this process was paused or could not reach the group; acquire it again"
            )
        return held.token

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the lock that is held now is lost or released. See `Lease.on_lost`.

        Raises LockLost if it is not held.
        """
        self.check()
        assert self._held is not None
        self._held.lease.on_lost(callback)

    def acquiring(self, until: float, *, waits: bool) -> Script[bool]:
        if self._held is not None and self._held.lease.alive:
            raise RuntimeError(
                f"this object holds the lock {self.name!r} already; for another holder make "
                "another object with `kit.lock`"
            )
        self._held = None
        try:
            while True:
                lease = yield from self._core.shared(self.ttl, request_s(until))
                try:
                    self._held = yield from self.attempt(lease, until, waits=waits)
                except LeaseLost:
                    self._core.leases.end(lease)
                    if time.monotonic() < until:
                        continue
                return self._held is not None
        except OutcomeUnknown as error:
            raise Unavailable(
                f"the lock {self.name!r} can't be acquired: the group does not answer; if it has "
                "granted the lock, this kit gives it back"
            ) from error

    def attempt(self, lease: Lease, until: float, *, waits: bool) -> Script[Held | None]:
        """Try with one lease. Return None if the time is over or the lock is taken."""
        holder = self._core.new_holder()
        try:
            token = yield from self.token_for(holder, lease, until, waits=waits)
        except LeaseLost:
            raise
        except OutcomeUnknown as error:
            self.give_back(holder, error)
            raise
        except BaseException:
            self.give_back(holder)
            raise
        return Held(holder, token, lease) if token else None

    def token_for(self, holder: str, lease: Lease, until: float, *, waits: bool) -> Script[int]:
        """Return the token of a new holder, or 0."""
        acquire = ("lock", "acquire", self.name, lease.id, holder, waits)
        granted = yield Write(acquire, request_s(until))
        if granted is None:
            return 0
        token, after = granted
        while not token:
            if time.monotonic() >= until:
                yield Write(("lock", "release", self.name, holder))
                return 0
            # A lease that is lost meanwhile needs another look.
            wake_at = min(until, time.monotonic() + max(lease.remaining(), 0.01))
            after = (yield News(topic_of(self.name, holder), after, wake_at)) or after
            token, is_waiting = yield Read(("lock", "token_of", self.name, holder))
            if not token and not is_waiting:
                raise LeaseLost(f"the place in the queue of the lock {self.name!r} was lost")
        return int(token)

    def give_back(self, holder: str, error: OutcomeUnknown | None = None) -> None:
        """Have the kit leave the lock or its queue, as soon as the group can be reached."""

        def script() -> Script[None]:
            if error is not None:
                yield Settle(error.request_id)
            yield Write(("lock", "release", self.name, holder))

        self._core.owe(script)

    def releasing(self) -> Script[None]:
        held, self._held = self._held, None
        if held is None:
            raise RuntimeError(f"the lock {self.name!r} is not held here")
        try:
            had = yield Write(("lock", "release", self.name, held.holder))
        except (NotApplied, OutcomeUnknown):
            self.give_back(held.holder)
            raise
        if not had:
            raise LockLost(
                f"the lock {self.name!r} was lost before its release: it was taken away, or its "
                "lease had ended; what was done under it may overlap with another holder's work"
            )


def lock_info(name: str) -> Script[LockInfo]:
    return LockInfo(*(yield Read(("lock", "info", name))))


def force_release(name: str, token: int) -> Script[str]:
    return str((yield Write(("lock", "force_release", name, token))))


def request_s(until: float) -> float | None:
    """Return the timeout of a request, for a call with this deadline; None: that of the kit."""
    left = until - time.monotonic()
    return left if 0.0 < left < inf else None


def deadline_of(blocking: bool, timeout: float | None) -> float:
    if timeout is None or timeout == -1:
        return inf if blocking else time.monotonic()
    if not blocking:
        raise ValueError("a timeout of a call that does not block has no meaning")
    return time.monotonic() + seconds(timeout)


class Lock(LockScripts):
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
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, ttl: float
    ) -> None:
        """Made by `Kit.lock`. `run` does what a script asks for."""
        super().__init__(core, name, ttl)
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
        return bool(self._run(lock_info(self.name)).token)

    def __enter__(self) -> int:
        """Acquire the lock, and return the fencing token."""
        self.acquire()
        return self.token

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            self.release()
        except (LockLost, NotApplied, OutcomeUnknown):
            if error is None:
                raise


class AsyncLock(LockScripts):
    """A `Lock` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, ttl: float
    ) -> None:
        """Made by `AsyncKit.lock`."""
        super().__init__(core, name, ttl)
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
        return bool((await self._run(lock_info(self.name))).token)

    async def __aenter__(self) -> int:
        await self.acquire()
        return self.token

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            await self.release()
        except (LockLost, NotApplied, OutcomeUnknown):
            if error is None:
                raise
