"""The leader of a group, as a stream for asyncio; see `raft_actors.client.leader_watch`."""

from raft_actors.client.async_watch import AsyncWatch
from raft_actors.client.leader_watch import Leadership

__all__ = ["AsyncLeaderWatch"]


class AsyncLeaderWatch(AsyncWatch[Leadership]):
    """A stream of leaderships, made by `AsyncCluster.watch_leader`. One task reads it; any task may
    close it.

    async with cluster.watch_leader() as watch:
        async for leadership in watch:
            ...
    """
