"""AsyncPipeline: many writes under way at once from one task, their replies in order."""

from collections.abc import Generator
from typing import Any

from raft_actors.client.async_retrying_client import AsyncRetryingClient
from raft_actors.client.pipeline import Operation, OperationsUnderWay
from raft_actors.errors import RaftError

__all__ = ["AsyncPending", "AsyncPipeline"]


class AsyncPending(Operation[AsyncRetryingClient]):
    """A write that is under way, or was. Await it for what `AsyncCluster.write` would give."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self) -> Any:
        """Return the reply, waiting until the write's deadline; raises as `Cluster.write`."""
        await self._end()
        return self._outcome()

    async def _end(self) -> None:
        if self._call is not None:
            try:
                self._reply = await self._client.finish(self._call)
            except RaftError as error:
                self._error = error
            self._call = None


class AsyncPipeline(OperationsUnderWay[AsyncRetryingClient, AsyncPending]):
    """Made by `AsyncCluster.pipeline`; for one task. As `Pipeline`, its calls awaited."""

    async def write(self, command: Any) -> AsyncPending:
        """Send a command; while `outstanding_max` are under way, waits for the oldest.

        Raises as `Cluster.write` does what is wrong before it is sent.
        """
        while len(self._under_way) >= self._outstanding_max:
            await self._under_way.popleft()._end()
        pending = AsyncPending(self._client, await self._client.begin(command, self._timeout))
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
