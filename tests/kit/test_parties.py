"""Barriers, flags and memberships on one replica."""

import pytest

from raft_actors.kit.machine.barriers import BROKEN, topic_of
from raft_actors.kit.machine.leases import timer_name
from raft_actors.kit.machine.members import topic_of as members_topic
from tests.kit.replica import Replica

TTL_S = 5.0


@pytest.fixture
def replica():
    return Replica()


@pytest.fixture
def lease(replica):
    return replica.ok("lease", "grant", "", TTL_S)


def arrive(replica, lease, party, parties=3):
    return replica.ok("barrier", "arrive", "b", lease, party, parties)[1]


def test_parties_go_on_when_all_have_come_and_nothing_is_left_of_them(replica, lease):
    for _round in range(2):
        assert [arrive(replica, lease, party) for party in "xyz"] == [None, None, 2]
        assert {topic_of("b", "x"), topic_of("b", "y")} <= {*replica.news}
        assert [replica.ok("barrier", "leave", "b", party) for party in "xyz"] == [0, 1, None]
    replica.ok("lease", "end", "", lease)
    assert replica.items() == {}


def test_a_party_that_comes_twice_is_one(replica, lease):
    """Planted: it is counted again, and the others go on without the last one."""
    assert [arrive(replica, lease, "x") for _ in range(3)] == [None] * 3
    assert replica.read("barrier", "info", "b") == (1, False)
    arrive(replica, lease, "y")
    assert arrive(replica, lease, "x") is None, "the third one has not come"
    arrive(replica, lease, "z")
    assert arrive(replica, lease, "x") == 0


def test_those_that_come_early_for_the_next_round_do_not_disturb_the_last_one(replica, lease):
    for party in "xyz":
        arrive(replica, lease, party)
    assert arrive(replica, lease, "x again") is None
    assert replica.ok("barrier", "leave", "b", "y") == 1
    assert replica.read("barrier", "info", "b") == (1, False)


@pytest.mark.parametrize("how", ["leaves", "its lease ends", "abort", "reset"])
def test_a_barrier_breaks_for_all_when_one_goes(replica, lease, how):
    other = replica.ok("lease", "grant", "", TTL_S)
    arrive(replica, lease, "x")
    arrive(replica, other, "y")
    match how:
        case "leaves":
            assert replica.ok("barrier", "leave", "b", "x") == BROKEN
        case "its lease ends":
            replica.fire(timer_name(lease))
        case verb:
            replica.ok("barrier", verb, "b")
    assert topic_of("b", "y") in replica.news
    assert replica.read("barrier", "place_of", "b", "y")[1:] == (BROKEN, False)
    if how != "reset":
        new = replica.write("barrier", "arrive", "b", other, "z", 3)
        assert new == ("refused", ("broken",))
        replica.ok("barrier", "reset", "b")
    assert arrive(replica, other, "z") is None
    assert replica.read("barrier", "info", "b") == (1, False)


def test_another_number_of_parties_is_refused_while_somebody_waits(replica, lease):
    arrive(replica, lease, "x")
    answer = replica.write("barrier", "arrive", "b", lease, "y", 4)
    assert answer == ("refused", ("configuration", 3, 4))
    assert replica.write("barrier", "arrive", "c", lease, "y", 0)[1][0] == "bad_argument"
    replica.ok("lease", "end", "", lease)
    assert replica.write("barrier", "arrive", "c", lease, "y", 1)[1][0] == "lease_lost"


def test_a_member_goes_with_its_lease_and_those_that_look_are_told(replica, lease):
    other = replica.ok("lease", "grant", "", TTL_S)
    joined = replica.ok("members", "join", "m", lease, "x", b"1")
    assert replica.ok("members", "join", "m", lease, "x", b"1") == joined
    replica.ok("members", "join", "m", other, "y", b"2")
    assert replica.read("members", "members", "m") == (replica.index, (("x", b"1"), ("y", b"2")))
    replica.fire(timer_name(lease))
    assert replica.read("members", "members", "m")[1] == (("y", b"2"),)
    assert replica.ok("members", "leave", "m", "x") is False
    assert replica.ok("members", "leave", "m", "y") is True
    assert replica.news == [members_topic("m")] * 4
    assert replica.write("members", "join", "m", other, "z", "text")[1][0] == "bad_argument"


def test_a_flag_is_set_until_it_is_cleared(replica):
    assert replica.ok("flag", "set", "f") is True
    assert replica.ok("flag", "set", "f") is False
    assert replica.read("flag", "is_set", "f") == (replica.index, True)
    assert replica.news == ["flag f"]
    assert replica.ok("flag", "clear", "f") is True
    assert replica.ok("flag", "clear", "f") is False
    assert replica.read("flag", "is_set", "f") == (replica.index, False)
    assert replica.items() == {}
