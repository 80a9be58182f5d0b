"""AsyncCluster: the client's handle for asyncio. It never blocks the loop."""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from raft_actors.client.async_leader_watch import AsyncLeaderWatch
from raft_actors.client.async_pipeline import AsyncPipeline
from raft_actors.client.async_wait import there
from raft_actors.client.call import Call
from raft_actors.client.rpc import PeerRef
from raft_actors.client.session import PAUSE_S, ClientSession
from raft_actors.client.views import Status
from raft_actors.cluster import AGAIN, LOOK_S, Cluster, answered_by, late, opening
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.errors import Unavailable
from raft_actors.machine.sessions import REPLY
from raft_actors.names import Address
from raft_actors.replica.requests import READ
from raft_actors.timeouts import optional_seconds

__all__ = ["AsyncCluster"]

THREADS = 16
"""For those who ask all members for their status."""
SEARCH_S = 1.0
"""How long one search for a leader lasts at most; who still has time makes another."""


@dataclass(slots=True)
class OfLoop:
    """What the tasks of one loop share.

    opening  held by the one who opens a session
    room     held by the first of those who wait for room in one
    search   for the leader, on a thread; also of those who are cancelled, so it ends by itself
    """

    loop: asyncio.AbstractEventLoop
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    room: asyncio.Lock = field(default_factory=asyncio.Lock)
    search: asyncio.Future[Any] | None = None


class AsyncCluster:
    """A `Cluster` whose calls are awaited; for the tasks of one loop. Raises as it does.

    However many wait, they wait on the loop, each until its own deadline. A call that is cancelled
    may happen all the same, and is not settled.
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self._cluster = Cluster(members, timeout=timeout)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="async-cluster")
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="async-cluster-search")
        self._of_loop: OfLoop | None = None

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
        self._searcher.shutdown(wait=False)

    async def write(self, command: Any, timeout: float | None = None) -> Any:
        """As `Cluster.write`."""
        return await self._done(self._cluster._writing(command, timeout))

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
        return await self._done(
            self._cluster._reading(query, timeout, consistency, max_staleness_s, after, at)
        )

    def pipeline(
        self, *, outstanding_max: int = 1_000, timeout: float | None = None
    ) -> AsyncPipeline:
        """As `Cluster.pipeline`, for one task."""
        self._cluster._check_outstanding(outstanding_max)
        return AsyncPipeline(self, outstanding_max, optional_seconds(timeout))

    async def cast(self, command: Any, timeout: float | None = None) -> None:
        """As `Cluster.cast`."""
        self._cluster._let_go(await self._begin(command, timeout))

    async def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """As `Cluster.outcome`."""
        return await self._done(self._cluster._settling(request_id, timeout))

    async def barrier(self, timeout: float | None = None) -> int:
        """As `Cluster.barrier`."""
        return int(await self._done(self._cluster._passing(timeout)))

    async def await_leader(self, timeout: float | None = None) -> Address:
        """As `Cluster.await_leader`."""
        call = self._cluster._passing(timeout)
        await self._done(call)
        return answered_by(call)

    async def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """As `Cluster.await_applied`."""
        deadline, wanted = self._cluster._applying(index, at, timeout)
        while behind := await self._aside(self._cluster._behind, index, wanted):
            if time.monotonic() >= deadline:
                raise late(index, behind)
            await asyncio.sleep(LOOK_S)

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
        """Send a command for the first time."""
        call = self._cluster._writing(command, timeout)
        try:
            await self._send(call)
        except BaseException:
            call.give_up()
            raise
        return call

    async def _done(self, call: Call) -> Any:
        """Send it and wait for the reply; nobody can wait for it once more."""
        try:
            await self._send(call)
            return await self._finish(call)
        except BaseException:
            call.give_up()
            raise

    async def _send(self, call: Call) -> None:
        """Make an attempt, when it has a session with room, and somebody leads."""
        if call.needs_session():
            await self._into_session(call)
        cluster = self._cluster
        leader = cluster.leader
        if leader is None and call.places is None:
            leader = await self._leader(call)
        cluster._sent(call, leader=leader)

    async def _finish(self, call: Call) -> Any:
        """Wait for the reply; try again whatever is safe to try again, until the deadline.

        Who was cancelled in it may come again, and goes on.
        """
        cluster = self._cluster
        try:
            while True:
                if call.needs_session():
                    await self._send(call)
                future = call.future
                if future is not None:
                    await there(future, call.patience())
                    future.abandon()
                reply = cluster._heard(call)
                if reply is not AGAIN:
                    break
                await asyncio.sleep(cluster._pause(call))
                call.tries += 1
                await self._send(call)
        except asyncio.CancelledError:
            raise
        except BaseException:
            cluster._ended(call)
            raise
        cluster._ended(call)
        return reply

    # What there may be to wait for. Nothing of it waits on the loop's thread.

    async def _into_session(self, call: Call) -> None:
        session = self._cluster._session or await self._opened(call)
        if not session.has_room():
            await self._room(session, call)
        session.next(call)

    async def _opened(self, call: Call) -> ClientSession:
        cluster, turn = self._cluster, self._here().opening
        if not await got(turn, call):
            raise Unavailable("no session could be opened in time; nothing happened: try again")
        try:
            if cluster._session is None:
                number = await self._done(opening(call.deadline))
                cluster._session = ClientSession(number)
            return cluster._session
        finally:
            turn.release()

    async def _room(self, session: ClientSession, call: Call) -> None:
        """Wait for room in a session, but not after the deadline: `next` raises then."""
        turn = self._here().room
        if await got(turn, call):
            try:
                while not session.has_room() and call.remaining() > 0:
                    if not session.forget_ended():
                        await asyncio.sleep(PAUSE_S)
            finally:
                turn.release()

    async def _leader(self, call: Call) -> Address | None:
        """Wait until somebody leads. None at the deadline."""
        cluster, here = self._cluster, self._here()
        while cluster.leader is None and call.remaining() > 0:
            if here.search is None or here.search.done():
                until = min(call.deadline, time.monotonic() + SEARCH_S)
                searching = Call(READ, REPLY, until, target=call.target)
                here.search = self._on_thread(self._searcher, cluster._finder.find, searching)
            await asyncio.wait({here.search}, timeout=call.remaining())
            if here.search.done():
                here.search.result()
        return cluster.leader

    def _here(self) -> OfLoop:
        loop = asyncio.get_running_loop()
        if self._of_loop is None or self._of_loop.loop is not loop:
            self._of_loop = OfLoop(loop)
        return self._of_loop

    async def _aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._cluster._peers.node.check_process()
        return await self._on_thread(self._threads, function, *arguments)

    def _on_thread(
        self, threads: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """On the handle's threads; on the loop's own after it was closed."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(
            None if self._cluster._closed else threads, function, *arguments
        )


async def got(turn: asyncio.Lock, call: Call) -> bool:
    """Tell whether it was `call`'s turn before its deadline. Then the lock is to be released."""
    try:
        async with asyncio.timeout(call.remaining()):
            return await turn.acquire()
    except TimeoutError:
        return False
