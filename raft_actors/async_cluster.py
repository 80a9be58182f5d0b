"""AsyncCluster: the client's handle for asyncio. It never blocks the loop."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from raft_actors import terms
from raft_actors.client.call import Call
from raft_actors.cluster import Cluster
from raft_actors.core.entry import RequestId
from raft_actors.core.membership import Address
from raft_actors.future import Future
from raft_actors.raft import PeerRef
from raft_actors.requests import READ
from raft_actors.sessions import REPLY
from raft_actors.views import Status

__all__ = ["AsyncCluster"]

THREADS = 16
"""For what may wait: finding a leader, and attempts after the first."""


class AsyncCluster:
    """A `Cluster` whose calls are awaited; for the tasks of one loop. Raises as it does.

    A first attempt is made on the loop, for it waits for nothing; what more it takes happens on
    threads of the handle. A call that is cancelled may happen all the same, and is not settled.
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self.cluster = Cluster(members, timeout=timeout)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="async-cluster")

    async def __aenter__(self) -> "AsyncCluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls. Those under way end by themselves."""
        self.cluster.close()
        self.threads.shutdown(wait=False)

    async def write(self, command: Any, timeout: float | None = None) -> Any:
        """As `Cluster.write`."""
        cluster = self.cluster
        session = cluster.session
        if cluster.leader is None or session is None or not session.has_room():
            return await self.aside(cluster.write, command, timeout)
        return await self.finish(cluster.begin(command, timeout))

    async def read(self, query: Any, timeout: float | None = None) -> Any:
        """As `Cluster.read`."""
        cluster = self.cluster
        if cluster.leader is None:
            return await self.aside(cluster.read, query, timeout)
        payload = REPLY + terms.dumps(query, "query")
        return await self.finish(cluster.sent(Call(READ, payload, cluster.deadline(timeout))))

    async def cast(self, command: Any, timeout: float | None = None) -> None:
        """As `Cluster.cast`."""
        await self.aside(self.cluster.cast, command, timeout)

    async def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """As `Cluster.outcome`."""
        return await self.aside(self.cluster.outcome, request_id, timeout)

    async def barrier(self, timeout: float | None = None) -> int:
        """As `Cluster.barrier`."""
        return int(await self.aside(self.cluster.barrier, timeout))

    async def await_leader(self, timeout: float | None = None) -> Address:
        """As `Cluster.await_leader`."""
        leader: Address = await self.aside(self.cluster.await_leader, timeout)
        return leader

    async def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """As `Cluster.await_applied`."""
        await self.aside(partial(self.cluster.await_applied, index, at=at, timeout=timeout))

    async def status(self) -> dict[Address, Status | None]:
        """As `Cluster.status`."""
        status: dict[Address, Status | None] = await self.aside(self.cluster.status)
        return status

    @property
    def members(self) -> list[Address]:
        """As `Cluster.members`."""
        return self.cluster.members

    @property
    def leader(self) -> Address | None:
        """As `Cluster.leader`."""
        return self.cluster.leader

    async def finish(self, call: Call) -> Any:
        """Wait on the loop for the first attempt; have a thread go on if it was not enough."""
        try:
            if call.future is not None:
                await there(call.future, call.patience())
            if call.is_replied():
                return self.cluster.finish(call)
        except BaseException:
            if call.session is not None:
                call.session.done(call.request[1])
            raise
        return await self.aside(self.cluster.finish, call)

    async def aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, function, *arguments)


async def there(future: Future[Any], timeout_s: float) -> None:
    """Wait until `future` has its answer, or `timeout_s` have passed."""
    loop = asyncio.get_running_loop()
    come = asyncio.Event()

    def on_answer(_answer: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(come.set)

    future.add_done_callback(on_answer)
    with suppress(TimeoutError):
        await asyncio.wait_for(come.wait(), timeout_s)
