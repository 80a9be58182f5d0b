"""Reads of the handle: who answers them, what they see, and what a token is good for."""

import asyncio

import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from raft_actors.errors import NotApplied, TooStale, Unavailable
from raft_actors.peer.router import Router
from raft_actors.replica.requests import READ, READ_AS
from tests.counter import Counter


@pytest.fixture
def asked(monkeypatch):
    """Whom reads went to, by name."""
    asked = []
    request = Router.request

    def noted(peers, address, body, **how):
        if body[0] in (READ, READ_AS):
            asked.append(address[0])
        return request(peers, address, body, **how)

    monkeypatch.setattr(Router, "request", noted)
    return asked


def test_any_member_answers_reads_that_are_as_good_as_the_leaders(counters, asked):
    names, leader = counters
    with Cluster(names) as cluster:
        for n in range(1, 31):
            cluster.write(1)
            assert cluster.read("any", consistency="follower") == n
        assert set(asked) == set(names), "all of them in turn"
        asked.clear()
        follower = next(name for name in names if name != leader[0])
        assert cluster.read("any", consistency="follower", at=follower) == 30
        assert asked == [follower]
        assert cluster.read("any", consistency="lease") == 30
        assert asked == [follower, leader[0]]


def test_a_member_that_is_down_is_passed_over_unless_it_was_named(counters, asked):
    names, leader = counters
    follower = next(name for name in names if name != leader[0])
    with Cluster(names) as cluster:
        cluster.write(1)
        Raft.stop(follower)
        for consistency in ("follower", "stale"):
            for _ in range(6):
                assert cluster.read("any", consistency=consistency) in (0, 1)
            for silent in (follower, ("nobody", "no@where")):
                with pytest.raises(
                    Unavailable, match=r"was asked .* check that it runs, or leave out"
                ):
                    cluster.read("any", consistency=consistency, at=silent, timeout=0.1)
        assert follower in asked


def test_a_witness_that_was_named_is_said_to_be_one(make_peer, counters):
    names, leader = counters
    witness, _ = make_peer(Counter)
    assert Raft.add_peer(leader, witness, witness=True)[0] == "ok"
    with Cluster(names) as cluster:
        for consistency in ("follower", "stale"):
            with pytest.raises(Unavailable, match="witness and keeps no state: leave out `at`"):
                cluster.read("any", consistency=consistency, at=witness, timeout=1.0)


def test_a_token_lets_stale_reads_see_what_its_handle_has_seen_on_any_member(counters):
    names, leader = counters
    follower = next(name for name in names if name != leader[0])
    with Cluster(names) as writer, Cluster(names) as reader:
        assert writer.token == 0
        for n in range(1, 51):
            before = writer.token
            writer.write(1)
            assert writer.token > before
            for name in names:
                seen = reader.read("any", consistency="stale", after=writer.token, at=name)
                assert seen == n
        assert reader.token >= writer.token, "it has seen as much itself"
        with pytest.raises(NotApplied):
            reader.read("any", 0.8, consistency="stale", after=writer.token + 1_000, at=follower)


def test_stale_reads_say_when_nobody_can_be_so_fresh(counters):
    names, leader = counters
    with Cluster(names) as cluster:
        cluster.write(7)
        for name in names:
            assert cluster.read("any", consistency="stale", max_staleness_s=0, at=name) == 7
        left = next(name for name in names if name != leader[0])
        for name in names:
            if name != left:
                Raft.stop(name)
        assert cluster.read("any", consistency="stale") == 7
        assert cluster.read("any", consistency="stale", max_staleness_s=60) == 7

        with pytest.raises(TooStale, match="allow a larger max_staleness_s"):
            cluster.read("any", 2.0, consistency="stale", max_staleness_s=0, at=left)


def test_what_does_not_go_together_is_said_at_once(counters):
    cluster = Cluster(counters[0])
    for wrong in (
        {"consistency": "eventual"},
        {"consistency": "lease", "max_staleness_s": 1},
        {"at": counters[0][0]},
        {"consistency": "lease", "at": counters[0][0]},
    ):
        with pytest.raises(ValueError, match=r"consistency|stale|leader answers"):
            cluster.read("any", **wrong)


def test_the_handle_for_asyncio_reads_in_all_these_ways(counters):
    names, leader = counters
    follower = next(name for name in names if name != leader[0])

    async def main():
        async with AsyncCluster(names) as cluster:
            for how in ("linearizable", "lease", "follower", "stale"):
                await cluster.read("any", consistency=how)  # also as the first of all
            await cluster.write(3)
            assert await cluster.read("any", consistency="follower", at=follower) == 3
            stale = await cluster.read("any", consistency="stale", after=cluster.token, at=follower)
            assert stale == 3
            assert await cluster.read("any", consistency="stale", max_staleness_s=0) == 3

    asyncio.run(main())
