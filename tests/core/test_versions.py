"""The version that a group's machines run as: moved on by its leader, at one entry, for all."""

import pytest

from raft_actors.core.entry import VERSION, kind_of, version_of
from raft_actors.core.messages import Configure
from tests.core.world import Ticket, World, address


def world_with_leader(names: str = "abc", **versions: int) -> World:
    world = World(names)
    world.configure("a")
    world.settle()
    for name, version in versions.items():
        world.servers[name].machine_version_max = version
    return world


def moves(world: World, name: str) -> list[tuple[int, int]]:
    """Return (index, version) of each move in the log of `name`."""
    return [
        (index, version_of(entry))
        for index, entry in enumerate(world.entries(name), 1)
        if kind_of(entry) == VERSION
    ]


def beat(world: World) -> None:
    world.ring(3 * world.config.heartbeat_timeout)


def test_a_group_moves_on_when_every_member_has_the_version_and_not_before() -> None:
    world = world_with_leader(a=2, b=2)
    beat(world)
    assert moves(world, "a") == [], "a majority is not enough: c would have to stop"
    world.servers["c"].machine_version_max = 2
    beat(world)
    assert moves(world, "a") == moves(world, "b") == moves(world, "c") == [(2, 2)]
    beat(world)
    assert moves(world, "a") == [(2, 2)], "once"


def test_it_moves_to_the_newest_version_that_all_have() -> None:
    world = world_with_leader(a=3, b=5, c=4)
    beat(world)
    assert moves(world, "a") == [(2, 3)]


def test_a_member_that_is_away_holds_the_group_up() -> None:
    world = world_with_leader(a=1, b=2, c=2)
    world.isolate("c")
    world.servers["a"].machine_version_max = 2
    world.ring(1)
    assert moves(world, "a") == [], "nobody has heard from c what it has"
    world.heal()
    beat(world)
    assert [version for _, version in moves(world, "c")] == [2]


def test_a_new_leader_takes_nobody_for_newer_than_it_has_said() -> None:
    """Planted: who_has_said_nothing_has_every_version."""
    world = world_with_leader(b=2, c=2)
    world.isolate("a")
    world.elect("b")
    world.ring(1)
    assert moves(world, "b") == [], "b has not heard from a yet"
    world.servers["a"].machine_version_max = 2
    world.heal()
    world.ring(1)
    assert [version for _, version in moves(world, "b")] == [2]


def test_a_learner_counts_too() -> None:
    world = world_with_leader("abcd", a=2, b=2, c=2)
    ticket = Ticket("configure")
    members = tuple(address(name) for name in "abc")
    world.step("a", Configure(members, ticket, learners=(address("d"),)))
    world.ring(1)
    assert ticket.answer[0] == "ok"
    assert moves(world, "a") == []
    world.servers["d"].machine_version_max = 2
    beat(world)
    assert [version for _, version in moves(world, "d")] == [2]


def test_a_group_is_founded_at_its_founders_version() -> None:
    world = World("abc")
    world.servers["a"].machine_version_max = 3
    world.configure("a")
    world.settle()
    assert moves(world, "a") == [(2, 3)], "before any command"


def test_a_lone_peer_moves_on_by_itself() -> None:
    world = World("a")
    world.configure("a")
    world.servers["a"].machine_version_max = 2
    world.tick("a")
    world.ring(0.2)
    assert moves(world, "a") == [(2, 2)]


@pytest.mark.parametrize("applied", [False, True])
def test_a_new_leader_neither_repeats_nor_forgets_a_move(applied: bool) -> None:
    world = world_with_leader(a=2, b=2, c=2)
    beat(world)
    for name in "abc":
        world.servers[name].machine_version = 2 if applied else 1  # the shell says what is applied
    world.crash("a")
    world.elect("b")
    world.start("a")
    world.servers["a"].machine_version_max = 2
    world.ring(1)
    found = [version for _, version in moves(world, "b")]
    assert found == [2] if applied else set(found) == {2}, "a repeated one does nothing"
