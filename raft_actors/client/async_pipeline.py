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

    __slots__ = ("_call", "_cluster", "_error", "_reply")

    def __init__(self, cluster: "AsyncCluster", call: Call) -> None:
        self._cluster = cluster
        self._call: Call | None = call
        self._reply: Any = None
        self._error: RaftError | None = None

    def __del__(self) -> None:
        """Nobody can ask for the reply any more. Ctrl-C may have left it without a call."""
        call = getattr(self, "_call", None)
        if call is not None:
            call.give_up()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self) -> Any:
        """Return the reply, waiting until the write's deadline; raises as `Cluster.write`."""
        await self._end()
        if self._error is not None:
            raise self._error.with_traceback(None)  # else it grows each time it is raised
        return self._reply

    async def _end(self) -> None:
        if self._call is not None:
            try:
                self._reply = await self._cluster._finish(self._call)
            except RaftError as error:
                self._error = error
            self._call = None


class AsyncPipeline:
    """Made by `AsyncCluster.pipeline`; for one task. As `Pipeline`, its calls awaited."""

    def __init__(
        self, cluster: "AsyncCluster", outstanding_max: int, timeout: float | None
    ) -> None:
        self._cluster = cluster
        self._outstanding_max = outstanding_max
        self._timeout = timeout
        self._under_way: deque[AsyncPending] = deque()

    async def write(self, command: Any) -> AsyncPending:
        """Send a command; while `outstanding_max` are under way, waits for the oldest.

        Raises as `Cluster.write` does what is wrong before it is sent.
        """
        while len(self._under_way) >= self._outstanding_max:
            await self._under_way.popleft()._end()
        pending = AsyncPending(self._cluster, await self._cluster._begin(command, self._timeout))
        self._under_way.append(pending)
        return pending

    async def drain(self) -> None:
        """Wait until none is under way. What became of each, its `AsyncPending` says."""
        while self._under_way:
            await self._under_way.popleft()._end()

    async def __aenter__(self) -> "AsyncPipeline":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
