"""The number and the expiry of sessions are set in the log, for all members of the group."""

import math

import pytest

from raft_actors import Cluster, OnDiskStateMachine, Raft
from raft_actors.errors import SessionExpired
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


def sessions_of(peer):
    answer = Raft.status(peer)
    return answer[1].get("sessions") if answer[0] == "ok" else None


def test_every_member_has_the_same_limits_and_a_new_leader_keeps_them(trio):
    names = trio(log_store="memory")
    with Cluster(names) as cluster:
        leader = cluster.await_leader()
        limits = {"sessions_max": 2, "session_s": 90.0}
        assert Raft.limit_sessions(leader, sessions_max=2) == (
            "ok",
            {**limits, "session_s": 3600.0},
        )
        assert Raft.limit_sessions(leader, session_s=90) == ("ok", limits)
        cluster.write(("set", "k", 1))
        eventually(lambda: [sessions_of(name) for name in names] == [{"open": 1, **limits}] * 3)
        assert Raft.transfer_leadership(leader)[0] == "ok"
        others = [Cluster(names) for _ in range(2)]
        for other in others:
            other.write(("set", "k", 2))
        eventually(lambda: [sessions_of(name) for name in names] == [{"open": 2, **limits}] * 3)
        for other in others:
            other.close()


def test_a_follower_refers_to_the_leader(trio):
    names = trio(log_store="memory")
    with Cluster(names) as cluster:
        leader = cluster.await_leader()
    follower = next(name for name in names if name != leader[0])
    assert Raft.limit_sessions(follower, sessions_max=5) == ("error", ("redirect", leader))


class OnDisk(OnDiskStateMachine):
    def handle_write(self, command, state):
        state["count"] = state.get("count", 0) + 1
        return state["count"], state


@pytest.mark.parametrize("ends_with", ["a snapshot", "entries"])
@pytest.mark.parametrize("machine", [None, OnDisk], ids=["in memory", "on disk"])
def test_a_restarted_member_has_them(make_peer, tmp_path, machine, ends_with):
    where = {"data_dir": tmp_path / "data"} | ({"machine": machine} if machine else {})
    name, _ = make_peer(**where)
    Raft.set_configuration(name, [name])
    assert Raft.limit_sessions(name, sessions_max=7, session_s=11)[0] == "ok"
    if ends_with == "a snapshot":
        assert Raft.snapshot(name)[0] == "ok"
    Raft.write(name, ("set", "k", 1))
    before = peer_of(name)
    Raft.stop_peer(name)
    make_peer(name=name, **where)
    eventually(lambda: Raft.leader(name) and peer_of(name) is not before)
    Raft.write(name, ("set", "k", 2))
    assert sessions_of(name) == {"open": 0, "sessions_max": 7, "session_s": 11.0}


def test_a_handle_that_writes_too_rarely_is_told_or_goes_on(make_peer):
    name, _ = make_peer(log_store="memory")
    Raft.set_configuration(name, [name])
    Raft.limit_sessions(name, sessions_max=1)
    with Cluster(name) as rare, Cluster(name) as busy:
        assert rare.write(("set", "k", 1)) == ("ok", "k", 1)
        first = rare._client.session.number
        assert busy.write(("set", "k", 2)) == ("ok", "k", 2)
        assert rare.write(("set", "k", 3)) == ("ok", "k", 3)
        assert rare._client.session.number != first
        with pytest.raises(SessionExpired):
            rare.outcome((first, 1))


def test_what_is_no_limit_is_refused_before_anybody_is_asked():
    with pytest.raises(ValueError, match="give sessions_max"):
        Raft.limit_sessions("nobody")
    for number in (0, True, 1_000_001, 2.5):
        with pytest.raises(ValueError, match="sessions"):
            Raft.limit_sessions("nobody", sessions_max=number)
    for expiry_s in (0, 0.999, -1, math.inf, 1e9):
        with pytest.raises(ValueError, match="session_s"):
            Raft.limit_sessions("nobody", session_s=expiry_s)
    assert Raft.limit_sessions("nobody", session_s=1) == ("error", "no_peer")
