"""AsyncPipeline: one task has many writes under way at once, with their replies in order."""

from collections.abc import Generator
from typing import Any

from raft_actors.client.async_retrying_client import AsyncRetryingClient
from raft_actors.client.pipeline import Operation, OperationsUnderWay
from raft_actors.errors import RaftError

__all__ = ["AsyncPending", "AsyncPipeline"]


class AsyncPending(Operation[AsyncRetryingClient]):
    """A write that is under way or has ended. Await it for the result of `AsyncCluster.write`."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self) -> Any:
        """Return the reply, waiting until the write's deadline; raises as `Cluster.write`."""
        await self._end()
        if self._error is not None:
            self._raise()
        return self._reply

    async def _end(self) -> None:
        if self._call is not None:
            try:
                self._reply = await self._client.finish(self._call)
            except RaftError as error:
                self._error = error
            self._call = None


class AsyncPipeline(OperationsUnderWay[AsyncRetryingClient, AsyncPending]):
    """A pipeline for one task, made by `AsyncCluster.pipeline`. As `Pipeline`, but for asyncio."""

    async def write(self, command: Any) -> AsyncPending:
        """Send a command. While `outstanding_max` operations are under way, wait for the oldest.

        Raises the errors of `Cluster.write` that are found before the command is sent.
        """
        while len(self._under_way) >= self._outstanding_max:
            await self._under_way.popleft()._end()
        pending = AsyncPending(self._client, await self._client.begin(command, self._timeout))
        self._under_way.append(pending)
        return pending

    async def drain(self) -> None:
        """Wait until no write is under way. Each `AsyncPending` has its reply or its error then."""
        while self._under_way:
            await self._under_way.popleft()._end()

    async def __aenter__(self) -> "AsyncPipeline":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
