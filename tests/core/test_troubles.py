"""What a person is told of a peer that waits for others: that it does, for whom, and again."""

import pytest

from raft_actors.core.messages import Configure, Propose, Query, Transfer, VoteReply
from tests.core.world import Disk, World, address


def world_led_by_a() -> World:
    world = World("abc")
    world.configure("a")
    world.settle()
    return world


def told(world: World, name: str) -> list[str]:
    """What a person has been told of a peer since the last look."""
    found = [f"{trouble.what} {trouble.detail}" for who, trouble in world.troubles if who == name]
    world.troubles.clear()
    return found


def test_a_peer_without_a_leader_for_long_tells_again_and_again_who_is_missing() -> None:
    """Two of three died on Saturday, and on Monday the log of the third has to say so.

    Planted: told once.
    """
    world = world_led_by_a()
    for name in "bc":
        world.crash(name)
    world.ring(2)
    assert told(world, "a") == [], "an election is no trouble"
    world.ring(600)
    details = told(world, "a")
    assert all(detail.endswith("no answer from b on sim@host, c on sim@host") for detail in details)
    assert 10 < len(details) < 20, "often at first, and then once a minute"
    assert "for 3 s" in details[0] or "for 4 s" in details[0]
    assert world.servers["a"].troubles.keys() == {"no_leader"}


def test_a_leader_ends_that_trouble_and_the_time_begins_anew() -> None:
    world = world_led_by_a()
    for name in "bc":
        world.crash(name)
    world.ring(60)
    world.start("b")
    world.ring(3)
    assert world.servers["a"].troubles == {}
    told(world, "a")
    world.crash("b")
    world.ring(2)
    assert told(world, "a") == []
    world.ring(60)
    assert told(world, "a")


def test_a_learner_without_a_leader_tells_so_too() -> None:
    """It asks for no votes, so it knows of nobody who is silent. Planted: it says nothing."""
    world = World("abcd")
    world.configure("a", "abc")
    world.settle()
    world.step("a", Configure(tuple(map(address, "abc")), None, (address("d"),)))
    world.settle()
    world.ring(10)
    assert world.servers["d"].role.leader == address("a")
    assert told(world, "d") == []
    for name in "abc":
        world.crash(name)
    world.ring(600)
    assert world.servers["d"].role.leader is None
    details = told(world, "d")
    assert 10 < len(details) < 20, "often at first, and then once a minute"
    assert all(detail.startswith("no_leader for") for detail in details)
    assert "no answer" not in "".join(details)
    for name in "abc":
        world.start(name)
    world.ring(10)
    assert world.servers["d"].role.leader is not None
    assert world.servers["d"].troubles == {}


def test_candidates_that_nobody_elects_count_the_time_since_the_last_leader() -> None:
    """They change their role and their term again and again, for votes get lost.

    Planted: the time restarts at each role.
    """
    world = world_led_by_a()
    world.crash("a")
    deliver = world.deliver
    world.deliver = lambda messages: type(messages[0]) is VoteReply or deliver(messages)
    term = world.servers["b"].term
    world.ring(200)
    assert world.servers["b"].term > term + 20
    lengths = [float(detail.split()[2]) for detail in told(world, "b")]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] > 100


def test_who_answers_and_elects_nobody_is_not_called_missing() -> None:
    """Two of five answer each other, and that is no majority."""
    world = World("abcde")
    world.configure("a")
    world.settle()
    for name in "cde":
        world.crash(name)
    world.ring(30)
    details = told(world, "a") + told(world, "b")
    assert details
    assert all(
        detail.endswith("no answer from c on sim@host, d on sim@host, e on sim@host")
        for detail in details
    )


def test_who_answers_with_a_wiped_disk_is_named_where_there_is_no_leader() -> None:
    """Both run and reach each other, and still nobody is elected.

    Planted: who answers is not looked at further.
    """
    world = World("abc")
    world.configure("a")
    world.settle()
    world.ring(1)
    for name in "bc":
        world.crash(name)
    world.disks["b"] = Disk()
    world.start("b")
    world.ring(30)
    detail = world.servers["a"].troubles["no_leader"].detail
    assert detail.endswith(
        ": no answer from c on sim@host; b on sim@host answers, and has no vote: the group does "
        "not know the data directory it has"
    )


def test_a_declared_group_that_does_not_form_tells_who_is_missing() -> None:
    """A name that is written wrong is waited for until somebody looks."""
    world = World("ab")
    members = (address("a"), address("misspelt"))
    world.step("a", Configure(members, None, declared=True))
    world.ring(30)
    trouble = world.servers["a"].troubles["not_formed"]
    assert trouble.detail.endswith("no answer from misspelt on sim@host")


@pytest.mark.parametrize(
    "event",
    [Propose(b"x", None), Query(b"x", None), Query(b"x", None, "follower")],
    ids=["write", "read", "follower's read"],
)
def test_a_peer_of_no_group_that_is_asked_for_something_tells_what_is_missing(event) -> None:
    world = World("ab")
    server = world.servers["a"]
    server.step(Transfer(None, None))  # as it does when it is asked to end
    assert server.flush().troubles == []
    for _ in range(2):
        server.step(event)
    assert [trouble.what for trouble in server.flush().troubles] == ["no_group"]
    world.configure("a")
    world.settle()
    assert server.troubles == {}
