"""AsyncWatch: a stream of news that members send by parked calls, for a task of asyncio."""

import time
from math import inf
from typing import Generic, Self, TypeVar

from raft_actors.client.async_parking import result_soon
from raft_actors.client.watch import WatchWait

__all__ = ["AsyncWatch"]

T = TypeVar("T")


class AsyncWatch(Generic[T]):
    """One task reads it; any task may close it."""

    def __init__(self, wait: WatchWait[T]) -> None:
        self._wait = wait

    def close(self) -> None:
        """End the stream, also for a task that waits for the next value."""
        self._wait.parking.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._wait.parking.finder.check_node()
        self._wait.begin(time.monotonic())
        news = await result_soon(self._wait, inf)
        if news is None:
            raise StopAsyncIteration
        return news

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
