"""The leader of a group, as a stream for asyncio; see `raft_actors.client.leader_watch`."""

import asyncio

from raft_actors.client.async_wait import wait_for
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.leader_watch import ROUND_S, Leadership, Observer

__all__ = ["AsyncLeaderWatch"]


class AsyncLeaderWatch:
    """A stream of leaderships, made by `AsyncCluster.watch_leader`. One task reads it; any task may
    close it.

    async with cluster.watch_leader() as watch:
        async for leadership in watch:
            ...
    """

    def __init__(self, finder: LeaderFinder) -> None:
        self._observer = Observer(finder)
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End the stream, also for a task that waits for the next value."""
        self._closed.set()

    def __aiter__(self) -> "AsyncLeaderWatch":
        return self

    async def __anext__(self) -> Leadership:
        while not self._closed.is_set():
            answers = self._observer.ask()
            await asyncio.gather(*(wait_for(answer, ROUND_S) for answer in answers))
            news = self._observer.news(answers)
            if news is not None:
                return news
            try:
                await asyncio.wait_for(self._closed.wait(), self._observer.pause_s)
            except TimeoutError:
                continue
        raise StopAsyncIteration

    async def __aenter__(self) -> "AsyncLeaderWatch":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
