"""AsyncCluster: the client's handle for asyncio. It never blocks the loop."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future as ConcurrentFuture
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from raft_actors.client.async_leader_watch import AsyncLeaderWatch
from raft_actors.client.async_pipeline import AsyncPipeline
from raft_actors.client.async_wait import there
from raft_actors.client.call import Call
from raft_actors.client.views import Status
from raft_actors.cluster import Cluster
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.names import Address
from raft_actors.raft import PeerRef
from raft_actors.timeouts import optional_seconds

__all__ = ["AsyncCluster"]

THREADS = 16
"""For what may wait: finding a leader, and attempts after the first."""


class AsyncCluster:
    """A `Cluster` whose calls are awaited; for the tasks of one loop. Raises as it does.

    A first attempt is made on the loop, for it waits for nothing; what more it takes happens on
    threads of the handle. A call that is cancelled may happen all the same, and is not settled.
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self._cluster = Cluster(members, timeout=timeout)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="async-cluster")

    def __repr__(self) -> str:
        return f"<Async{repr(self._cluster)[1:]}"

    async def __aenter__(self) -> "AsyncCluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls. Those under way end by themselves, on the loop's own threads."""
        self._cluster.close()
        self._threads.shutdown(wait=False)

    async def write(self, command: Any, timeout: float | None = None) -> Any:
        """As `Cluster.write`."""
        return await self._finish_now(await self._begin(command, timeout))

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
        cluster = self._cluster
        call = cluster._reading(query, timeout, consistency, max_staleness_s, after, at)
        leader = cluster.leader
        if call.places is not None or leader is not None:
            cluster._sent(call, leader=leader)
        else:
            await self._aside(cluster._sent, call)
        return await self._finish_now(call)

    def pipeline(
        self, *, outstanding_max: int = 1_000, timeout: float | None = None
    ) -> AsyncPipeline:
        """As `Cluster.pipeline`, for one task."""
        self._cluster._check_outstanding(outstanding_max)
        return AsyncPipeline(self, outstanding_max, optional_seconds(timeout))

    async def cast(self, command: Any, timeout: float | None = None) -> None:
        """As `Cluster.cast`."""
        await self._aside(self._cluster.cast, command, timeout)

    async def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """As `Cluster.outcome`."""
        return await self._aside(self._cluster.outcome, request_id, timeout)

    async def barrier(self, timeout: float | None = None) -> int:
        """As `Cluster.barrier`."""
        return int(await self._aside(self._cluster.barrier, timeout))

    async def await_leader(self, timeout: float | None = None) -> Address:
        """As `Cluster.await_leader`."""
        leader: Address = await self._aside(self._cluster.await_leader, timeout)
        return leader

    async def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """As `Cluster.await_applied`."""
        await self._aside(partial(self._cluster.await_applied, index, at=at, timeout=timeout))

    async def status(self) -> dict[Address, Status | None]:
        """As `Cluster.status`."""
        status: dict[Address, Status | None] = await self._aside(self._cluster.status)
        return status

    def watch_leader(self) -> AsyncLeaderWatch:
        """As `Cluster.watch_leader`: an asynchronous iterator."""
        return AsyncLeaderWatch(self._cluster._finder)

    @property
    def token(self) -> int:
        """As `Cluster.token`."""
        return self._cluster.token

    @property
    def members(self) -> list[Address]:
        """As `Cluster.members`."""
        return self._cluster.members

    @property
    def leader(self) -> Address | None:
        """As `Cluster.leader`."""
        return self._cluster.leader

    async def _begin(self, command: Any, timeout: float | None) -> Call:
        """Send a command for the first time: on the loop, unless that might have to wait."""
        cluster = self._cluster
        session, leader = cluster._session, cluster.leader  # either may be lost at any moment
        known = leader is not None and session is not None and session.has_room()
        if known or cluster._closed or cluster._peers.node.forked:  # the last two say so
            return cluster._begin(command, timeout, session=session, leader=leader)
        beginning = self._threads.submit(cluster._begin, command, timeout)
        try:
            return await asyncio.wrap_future(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(forget)
            raise

    async def _finish(self, call: Call) -> Any:
        """Wait on the loop for the first attempt; have a thread go on if it was not enough."""
        try:
            if call.future is not None:
                await there(call.future, call.patience())
            if call.is_replied():
                return self._cluster._finish(call)
        except BaseException:
            call.end()
            raise
        return await self._aside(self._cluster._finish, call)

    async def _finish_now(self, call: Call) -> Any:
        """As `finish`, of a call that nobody can wait for once more."""
        try:
            return await self._finish(call)
        except asyncio.CancelledError:
            call.give_up()
            raise

    async def _aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._cluster._peers.node.check_process()
        loop = asyncio.get_running_loop()
        threads = None if self._cluster._closed else self._threads
        return await loop.run_in_executor(threads, function, *arguments)


def forget(beginning: ConcurrentFuture[Call]) -> None:
    """Nobody waits for this call any more, so it holds no room in its session."""
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().give_up()
