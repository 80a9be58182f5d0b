"""AsyncTopicWatch: the topics that commands have published, as a stream for asyncio."""

from raft_actors.client.async_watch import AsyncWatch
from raft_actors.client.topic_watch import Changes

__all__ = ["AsyncTopicWatch"]


class AsyncTopicWatch(AsyncWatch[Changes]):
    """A stream of changes for asyncio. One task reads it; any task may close it."""
