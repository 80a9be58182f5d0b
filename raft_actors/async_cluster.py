"""AsyncCluster: the client's handle for asyncio. It never blocks the loop."""

from collections.abc import Iterable
from typing import Any

from raft_actors.client.async_leader_watch import AsyncLeaderWatch
from raft_actors.client.async_pipeline import AsyncPipeline
from raft_actors.client.async_retrying_client import AsyncRetryingClient
from raft_actors.client.async_topic_watch import AsyncTopicWatch
from raft_actors.client.explaining import explain
from raft_actors.client.explanation import Explanation
from raft_actors.client.leader_finder import router_here
from raft_actors.client.leader_watch import Observer
from raft_actors.client.light_client import LightClient, group_of, url_in_environment
from raft_actors.client.retrying_client import RetryingClient, seeds_of
from raft_actors.client.rpc import PeerRef
from raft_actors.client.session_limits import limit_sessions_of
from raft_actors.client.statuses import statuses
from raft_actors.client.topic_watch import topic_wait
from raft_actors.client.views import SessionLimits, Status
from raft_actors.core.configuration import named
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.names import Address
from raft_actors.node.tls import TlsOption
from raft_actors.timeouts import optional_seconds, seconds
from raft_actors.wire.cookie import Cookie

__all__ = ["AsyncCluster"]


class AsyncCluster:
    """A `Cluster` whose calls are awaited, for the tasks of one loop. It raises what `Cluster`
    raises.

    All calls wait on the loop, each until its own deadline, and use no threads. The command of a
    call that is cancelled may still run, and its outcome is not looked up.

    >>> import asyncio
    >>> from raft_actors import AsyncCluster, Raft
    >>> peers = Raft.test_cluster()
    >>> async def main():
    ...     async with AsyncCluster(peers) as cluster:
    ...         await cluster.write(("set", "key", 1))
    ...         return await cluster.read(("get", "key"))
    >>> asyncio.run(main())
    ('ok', 1)
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self._calls = RetryingClient(router_here, seeds_of(members), seconds(timeout))
        self._client = AsyncRetryingClient(self._calls)

    @classmethod
    def connect(
        cls,
        addresses: str | Iterable[str],
        peer: str | None = None,
        *,
        cookie: str | bytes | Cookie | None = None,
        tls: TlsOption | None = None,
        timeout: float = 10.0,
    ) -> "AsyncCluster":
        """As `Cluster.connect`."""
        made = cls.__new__(cls)
        made._calls = LightClient(group_of(addresses, peer), cookie, tls, seconds(timeout))
        made._client = AsyncRetryingClient(made._calls)
        return made

    @classmethod
    def from_env(cls, *, timeout: float = 10.0) -> "AsyncCluster":
        """As `Cluster.from_env`."""
        return cls.connect(url_in_environment(), timeout=timeout)

    def __repr__(self) -> str:
        return f"<AsyncCluster of {named(self.members)}>"

    async def __aenter__(self) -> "AsyncCluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse new calls. Calls under way end by themselves; if they need a thread, they use the
        loop's own executor.
        """
        self._client.close()

    async def write(self, command: Any, timeout: float | None = None) -> Any:
        """As `Cluster.write`."""
        return await self._client.run(self._calls.write_call(command, timeout))

    async def read(
        self,
        query: Any,
        timeout: float | None = None,
        *,
        consistency: str = LINEARIZABLE,
        max_staleness_s: float | None = None,
        after: int = 0,
        at: PeerRef | None = None,
    ) -> Any:
        """As `Cluster.read`."""
        return await self._client.run(
            self._calls.read_call(query, timeout, consistency, max_staleness_s, after, at)
        )

    def pipeline(
        self, *, outstanding_max: int = 1_000, timeout: float | None = None
    ) -> AsyncPipeline:
        """As `Cluster.pipeline`, for one task."""
        return AsyncPipeline(self._client, outstanding_max, optional_seconds(timeout))

    async def cast(self, command: Any, timeout: float | None = None) -> None:
        """As `Cluster.cast`."""
        self._calls.detach(await self._client.begin(command, timeout))

    async def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """As `Cluster.outcome`."""
        return await self._client.run(self._calls.settle_call(request_id, timeout))

    async def barrier(self, timeout: float | None = None) -> int:
        """As `Cluster.barrier`."""
        return int(await self._client.run(self._calls.barrier_call(timeout)))

    async def await_leader(self, timeout: float | None = None) -> Address:
        """As `Cluster.await_leader`."""
        call = self._calls.barrier_call(timeout)
        await self._client.run(call)
        return call.answered_by()

    async def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """As `Cluster.await_applied`."""
        await self._client.await_applied(index, at, timeout)

    async def status(self) -> dict[Address, Status | None]:
        """As `Cluster.status`."""
        found: dict[Address, Status | None] = await self._client.aside(statuses, self._calls.finder)
        return found

    async def explain(self) -> Explanation:
        """As `Cluster.explain`."""
        found: Explanation = await self._client.aside(explain, self._calls.finder)
        return found

    async def limit_sessions(
        self, *, sessions_max: int | None = None, session_s: float | None = None
    ) -> SessionLimits:
        """As `Cluster.limit_sessions`."""
        limits: SessionLimits = await self._client.aside(
            limit_sessions_of, self._calls, sessions_max, session_s
        )
        return limits

    def watch_leader(self) -> AsyncLeaderWatch:
        """As `Cluster.watch_leader`: an asynchronous iterator."""
        return AsyncLeaderWatch(Observer(self._calls.finder, self._calls.parking()))

    def watch_topics(
        self, *topics: str, prefixes: Iterable[str] = (), after: int | None = None
    ) -> AsyncTopicWatch:
        """As `Cluster.watch_topics`: an asynchronous iterator."""
        calls = self._calls
        return AsyncTopicWatch(topic_wait(calls.finder, calls.parking(), topics, prefixes, after))

    @property
    def token(self) -> int:
        """As `Cluster.token`."""
        return self._calls.token

    @property
    def members(self) -> list[Address]:
        """As `Cluster.members`."""
        return list(self._calls.finder.members)

    @property
    def leader(self) -> Address | None:
        """As `Cluster.leader`."""
        return self._calls.finder.leader
