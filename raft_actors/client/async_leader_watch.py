"""The leader of a group, as a stream for asyncio; see `raft_actors.client.leader_watch`."""

from math import inf

from raft_actors.client.async_parking import result_soon
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.leader_watch import Leadership, Observer
from raft_actors.client.parking import Parking

__all__ = ["AsyncLeaderWatch"]


class AsyncLeaderWatch:
    """A stream of leaderships, made by `AsyncCluster.watch_leader`. One task reads it; any task may
    close it.

    async with cluster.watch_leader() as watch:
        async for leadership in watch:
            ...
    """

    def __init__(self, finder: LeaderFinder, parking: Parking) -> None:
        self._parking = parking
        self._observer = Observer(finder, parking)

    def close(self) -> None:
        """End the stream, also for a task that waits for the next value."""
        self._parking.close()

    def __aiter__(self) -> "AsyncLeaderWatch":
        return self

    async def __anext__(self) -> Leadership:
        self._parking.check_process()
        self._observer.begin()
        news = await result_soon(self._observer, inf)
        if news is None:
            raise StopAsyncIteration
        return news

    async def __aenter__(self) -> "AsyncLeaderWatch":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
