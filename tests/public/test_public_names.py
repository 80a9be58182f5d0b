"""What completion offers on a handle, and what it has made, is meant for its user."""

import asyncio

from raft_actors import AsyncCluster, Cluster, Raft

CALLS = {
    "await_applied", "await_leader", "barrier", "cast", "close", "connect", "explain", "from_env",
    "leader", "limit_sessions", "members", "outcome", "pipeline", "read", "status", "token",
    "watch_leader", "watch_topics", "write",
}  # fmt: skip


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_a_handle_and_what_it_makes_show_their_users_names_only(counters):
    names, _leader = counters
    cluster = Cluster(names)
    assert public(cluster) == {*CALLS, "timeout"}
    assert public(Cluster) <= {*CALLS, "timeout"}
    with cluster.pipeline() as pipeline:
        assert public(pipeline) == {"drain", "read", "write"}
        assert public(pipeline.write(1)) == {"result"}
    assert public(cluster.watch_leader()) == {"close", "get"}
    assert public(cluster.watch_topics("x")) == {"close", "get"}


def test_an_async_handle_and_what_it_makes_show_their_users_names_only(counters):
    names, _leader = counters

    async def main():
        async with AsyncCluster(names) as cluster:
            assert public(cluster) == public(AsyncCluster) == CALLS
            async with cluster.pipeline() as pipeline:
                assert public(pipeline) == {"drain", "write"}
                assert public(await pipeline.write(1)) == {"result"}
            assert public(cluster.watch_leader()) == {"close"}

    asyncio.run(main())


def test_both_handles_say_whose_they_are(counters):
    name, node = Raft.leader(counters[0][0])
    assert repr(Cluster((name, node))) == f"<Cluster of {name} on {node}>"
    assert repr(AsyncCluster((name, node))) == f"<AsyncCluster of {name} on {node}>"
