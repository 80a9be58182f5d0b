"""The ways to read, by `Raft.read`, on peers of this process."""

import pytest

from raft_actors import Raft
from raft_actors.core.leader import Leader
from tests.helpers import eventually
from tests.public.test_raft import leader_of


@pytest.fixture
def group(trio):
    """Three names, the leader among them and a follower."""

    def make(**options):
        names = trio(**options)
        leader = leader_of(names)
        assert Raft.write(leader, ("set", "a", 1)) == ("ok", "a", 1)
        return names, leader, next(name for name in names if name != leader[0])

    return make


def test_a_follower_answers_linearizable_reads(group):
    names, leader, follower = group()
    for n in range(50):
        Raft.write(leader, ("set", "a", n))
        for name in names:
            assert Raft.read(name, ("get", "a"), consistency="follower") == ("ok", n)
    assert Raft.read(follower, ("get", "a")) == ("error", ("redirect", leader))
    assert Raft.read(follower, ("get", "a"), consistency="lease") == ("error", ("redirect", leader))


def test_a_leader_answers_by_its_lease_without_a_round(group, monkeypatch):
    _names, leader, _follower = group(lease_clock_drift_max=0.01)
    monkeypatch.setattr(Leader, "confirm_reads", lambda _leader: None)  # so no round confirms any
    eventually(lambda: Raft.read(leader, ("get", "a"), 0.2, consistency="lease") == ("ok", 1))
    assert Raft.read(leader, ("get", "a"), 0.2) == ("error", "timeout")


def test_any_peer_answers_stale_reads_and_says_when_they_would_be_too_stale(group):
    names, _leader, follower = group()
    eventually(lambda: Raft.read(follower, ("get", "a"), consistency="stale") == ("ok", 1))
    fresh = Raft.read(follower, ("get", "a"), consistency="stale", max_staleness_s=0)
    assert fresh == ("ok", 1)
    for name in names:
        if name != follower:
            Raft.stop(name)
    assert Raft.read(follower, ("get", "a"), consistency="stale") == ("ok", 1)
    answer = Raft.read(follower, ("get", "a"), consistency="stale", max_staleness_s=30)
    assert answer == ("ok", 1)
    eventually(
        lambda: (
            Raft.read(follower, ("get", "a"), consistency="stale", max_staleness_s=0)
            == ("error", "too_stale")
        )
    )  # before that it may have led, and lost its office
    answer = Raft.read(follower, ("get", "a"), consistency="follower")
    assert answer in (("error", "election_in_progress"), ("error", ("redirect", None)))


def test_what_does_not_go_together_is_said(group):
    names, _leader, _follower = group()
    with pytest.raises(ValueError, match="consistency is one of"):
        Raft.read(names[0], "a", consistency="eventual")
    with pytest.raises(ValueError, match="never stale"):
        Raft.read(names[0], "a", consistency="follower", max_staleness_s=1)
    with pytest.raises(ValueError, match="number of seconds"):
        Raft.read(names[0], "a", consistency="stale", max_staleness_s=-1)
