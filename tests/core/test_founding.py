"""Founding a group: the configuration becomes the first entry of the first leader."""

from raft_actors.core.configuration import Configuration
from tests.core.world import Disk, World, address


def test_a_founder_must_be_a_member() -> None:
    world = World("abc")
    assert world.configure("a", "bc").answer == ("error", "must_be_in_consensus_group")


def test_a_founder_without_a_majority_gives_up_and_may_try_again() -> None:
    """Defect 14 of the original: the call never returned."""
    world = World("abc")
    world.crash("b")
    world.crash("c")
    ticket = world.configure("a")
    world.ring(10)
    assert ticket.answer == ("error", "peers_not_responding")
    assert world.servers["a"].term == 0
    silent = world.servers["a"].troubles["silent"].detail
    assert "b on " in silent
    assert "c on " in silent
    world.start("b")
    again = world.configure("a")
    world.ring(1)
    assert again.answer[0] == "ok"
    assert world.servers["a"].troubles == {}


def test_a_founder_names_those_that_never_answered_in_its_newest_attempt() -> None:
    world = World("abcde")
    for name in "cde":
        world.crash(name)
    world.configure("a")
    world.ring(10)
    world.start("c")
    world.crash("b")
    world.configure("a")
    world.ring(10)
    detail = world.servers["a"].troubles["silent"].detail
    assert [name for name in "bcde" if f"{name} on " in detail] == ["b", "d", "e"]


def test_asking_for_what_is_already_so_is_ok() -> None:
    world = World("abc")
    first = world.configure("a")
    world.settle()
    again = world.configure("a")
    assert again.answer == first.answer or again.answer[0] == "ok"


def test_a_follower_sends_who_would_configure_to_the_leader() -> None:
    world = World("abc")
    world.configure("a")
    world.settle()
    assert world.configure("b").answer == ("error", ("redirect", address("a")))


def test_two_founders_at_once_found_one_group() -> None:
    world = World("abc")
    tickets = [world.configure("a"), world.configure("b")]
    world.ring(5)
    assert len(list(world.leaders())) == 1
    assert len({server.group for server in world.servers.values()}) == 1
    assert all(ticket.answer is not None for ticket in tickets)
    assert any(ticket.answer[0] == "ok" for ticket in tickets)


def test_the_configuration_is_found_again_after_a_restart() -> None:
    world = World("abc")
    world.configure("a")
    world.settle()
    for name in "abc":
        world.crash(name)
        world.start(name)
        assert world.servers[name].configuration.members == tuple(map(address, "abc"))


def test_a_replaced_configuration_entry_is_forgotten_with_it() -> None:
    world = World("ab")
    a = world.servers["a"]
    from raft_actors.core.entry import CONFIG, NOOP, encode

    founding = Configuration.founding([address("a"), address("b")])
    a.extend(address("b"), 0, [encode(1, CONFIG, founding.encode(), index=1)])
    assert a.configuration.index == 1
    a.extend(address("b"), 0, [encode(2, NOOP, index=1)])
    assert a.configuration.index == 0
    assert a.ballot.configuration == 0


def test_a_peer_that_heard_a_leader_of_a_group_founds_no_second_one() -> None:
    """Although it has no entry yet: with another whose disk is gone it would be a majority.
    Found by seed 124."""
    world = World("abc")
    world.isolate("c")
    world.configure("a")
    while world.role("a") != "leader":
        world.tick("a")
        world.settle()
    world.settle()
    world.heal()
    world.cut |= {("c", "a")}  # it hears, and is not heard
    world.ring(0.2)
    server = world.servers["c"]
    assert server.log.last_index == 0
    assert server.ballot.group == world.servers["a"].group
    world.isolate("c")
    ticket = world.configure("c")
    assert ticket.answer[0] == "error"
    assert server.founding is None


def test_a_founder_names_the_disks_of_the_round_that_it_won() -> None:
    """A disk that answered before, and was exchanged since, is nobody's. Planted:
    founder_names_disks_of_an_earlier_round."""
    world = World("abcde")
    for name in "cde":
        world.isolate(name)
    world.configure("a")
    world.settle()
    founder = world.servers["a"]
    assert set(founder.founding.heard) == {address("b")}
    world.crash("b")
    world.heal()
    while world.role("a") != "leader":
        world.tick("a")
        world.settle()
    known = dict(founder.configuration.incarnations)
    assert set(known) == set(map(address, "acde"))
    world.disks["b"] = Disk()
    world.start("b")
    world.ring(1)
    assert founder.configuration.incarnation_of(address("b")) == world.disks["b"].incarnation
