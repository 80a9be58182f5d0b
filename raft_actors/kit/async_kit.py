"""AsyncKit: handles of the objects that `Batteries` has, for asyncio."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Self, TypeVar

from raft_actors.async_cluster import AsyncCluster
from raft_actors.client.rpc import PeerRef
from raft_actors.errors import RaftError
from raft_actors.kit.coordination import AsyncCoordination
from raft_actors.kit.dict_handles import TRIES, AsyncDict
from raft_actors.kit.keeper import TaskKeeper
from raft_actors.kit.kit import TTL_S
from raft_actors.kit.lease import Lease
from raft_actors.kit.lock import AsyncLock, LockInfo, force_release, lock_info
from raft_actors.kit.queue import AsyncQueue
from raft_actors.kit.script import Script, run_async
from raft_actors.kit.transaction import Transaction, transacting
from raft_actors.node.tls import TlsOption
from raft_actors.wire.cookie import Cookie

__all__ = ["AsyncKit"]

T = TypeVar("T")
V = TypeVar("V")


class AsyncKit(AsyncCoordination):
    """A `Kit` whose calls are awaited, for the tasks of one loop. It uses no thread.

    >>> import asyncio
    >>> from raft_actors import Raft
    >>> from raft_actors.kit import AsyncKit, Batteries
    >>> peers = Raft.test_cluster(Batteries)
    >>> async def main() -> bool:
    ...     async with AsyncKit(peers) as kit, kit.lock("printer") as token:
    ...         return token > 0
    >>> asyncio.run(main())
    True
    """

    def __init__(
        self, members: PeerRef | Iterable[PeerRef] | AsyncCluster, *, timeout: float = 10.0
    ) -> None:
        """As `Kit`; `members` may be an `AsyncCluster`."""
        self._owns_cluster = not isinstance(members, AsyncCluster)
        self.cluster: AsyncCluster = (
            members if isinstance(members, AsyncCluster) else AsyncCluster(members, timeout=timeout)
        )
        self._keeper = TaskKeeper(self.cluster)
        self._core = self._keeper.core

    @classmethod
    def connect(
        cls, addresses: str | Iterable[str], peer: str | None = None, *,
        cookie: str | bytes | Cookie | None = None, tls: TlsOption | None = None,
        timeout: float = 10.0,
    ) -> Self:  # fmt: skip
        """As `Kit.connect`."""
        kit = cls(AsyncCluster.connect(addresses, peer, cookie=cookie, tls=tls, timeout=timeout))
        kit._owns_cluster = True
        return kit

    @classmethod
    def from_env(cls, *, timeout: float = 10.0) -> Self:
        """As `Kit.from_env`."""
        kit = cls(AsyncCluster.from_env(timeout=timeout))
        kit._owns_cluster = True
        return kit

    def __repr__(self) -> str:
        return f"<AsyncKit of {self.cluster!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Kit.close`."""
        with suppress(RaftError):
            await self._run(self._core.close())
        self._keeper.close()
        if self._owns_cluster:
            self.cluster.close()

    async def _run(self, script: Script[T]) -> T:
        return await run_async(self.cluster, script)

    @asynccontextmanager
    async def lease(self, ttl: float = TTL_S) -> AsyncIterator[Lease]:
        """As `Kit.lease`."""
        lease = await self._run(self._core.grant(ttl))
        try:
            yield lease
        finally:
            await self._run(self._core.end(lease))

    def dict(self, name: str, *, value: type[V] | None = None) -> AsyncDict[V]:  # noqa: ARG002
        """As `Kit.dict`."""
        return AsyncDict(self._run, name)

    def queue(
        self, name: str, *, maxsize: int = 0, visibility: float = 30.0, max_attempts: int = 5,
        ttl: float = TTL_S, value: type[V] | None = None,  # noqa: ARG002
    ) -> AsyncQueue[V]:  # fmt: skip
        """As `Kit.queue`."""
        return AsyncQueue(self._core, self._run, name, maxsize, visibility, max_attempts, ttl)

    async def transaction(self, function: Callable[[Transaction], T], *, tries: int = TRIES) -> T:
        """As `Kit.transaction`. The function is not awaited."""
        return await self._run(transacting(function, tries))

    def lock(self, name: str, *, ttl: float = TTL_S) -> AsyncLock:
        """As `Kit.lock`."""
        return AsyncLock(self._core, self._run, name, ttl)

    async def lock_info(self, name: str) -> LockInfo:
        """As `Kit.lock_info`."""
        return await self._run(lock_info(name))

    async def force_release(self, name: str, token: int) -> str:
        """As `Kit.force_release`."""
        return await self._run(force_release(name, token))
