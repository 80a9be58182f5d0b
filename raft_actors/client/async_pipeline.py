"""AsyncPipeline: many writes under way at once from one task, their replies in order."""

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from raft_actors.client.call import Call
from raft_actors.errors import RaftError

if TYPE_CHECKING:
    from raft_actors.async_cluster import AsyncCluster

__all__ = ["AsyncPending", "AsyncPipeline"]


class AsyncPending:
    """A write that is under way, or was. Await it for what `AsyncCluster.write` would give."""

    __slots__ = ("call", "cluster", "error", "reply")

    def __init__(self, cluster: "AsyncCluster", call: Call) -> None:
        self.cluster = cluster
        self.call: Call | None = call
        self.reply: Any = None
        self.error: RaftError | None = None

    def __del__(self) -> None:
        """Nobody can ask for the reply any more."""
        if self.call is not None:
            self.call.give_up()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self) -> Any:
        """Return the reply, waiting until the write's deadline; raises as `Cluster.write`."""
        await self.end()
        if self.error is not None:
            raise self.error
        return self.reply

    async def end(self) -> None:
        if self.call is not None:
            try:
                self.reply = await self.cluster.finish(self.call)
            except RaftError as error:
                self.error = error
            self.call = None


class AsyncPipeline:
    """Made by `AsyncCluster.pipeline`; for one task. As `Pipeline`, its calls awaited."""

    def __init__(
        self, cluster: "AsyncCluster", outstanding_max: int, timeout: float | None
    ) -> None:
        self.cluster = cluster
        self.outstanding_max = outstanding_max
        self.timeout = timeout
        self.under_way: deque[AsyncPending] = deque()

    async def write(self, command: Any) -> AsyncPending:
        """Send a command; while `outstanding_max` are under way, waits for the oldest.

        Raises as `Cluster.write` does what is wrong before it is sent.
        """
        while len(self.under_way) >= self.outstanding_max:
            await self.under_way.popleft().end()
        pending = AsyncPending(self.cluster, await self.cluster.begin(command, self.timeout))
        self.under_way.append(pending)
        return pending

    async def drain(self) -> None:
        """Wait until none is under way. What became of each, its `AsyncPending` says."""
        while self.under_way:
            await self.under_way.popleft().end()

    async def __aenter__(self) -> "AsyncPipeline":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
