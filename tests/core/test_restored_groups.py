"""Groups that were forced or restored: their logs begin with another group's configurations."""

from collections.abc import Iterable
from dataclasses import replace

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import COMMAND, CONFIG, encode
from raft_actors.core.messages import FOLLOWER, AppendEntries, Configure
from raft_actors.replica.problem_texts import problem_text
from tests.core.world import Disk, Ticket, World, address

OF_ITS_OWN, RESTORED = "0ld", "rest0red"
SMALL = Config(log_store="memory", append_bytes_max=150, inflight_max=1)
"""An entry or two at once: a newcomer is long in the part of the log that is of another group."""


def restored(names: str, before: str, learned: bool = True, commands: int = 20) -> World:
    """A group of the first of `names` alone, whose log was that of a group of `before`.

    learned  whether that one knew its members' data directories: a forced one at first does not
    """
    world = World(names, config=SMALL)
    disk = world.disks[names[0]]
    members = tuple(map(address, before))
    incarnations = tuple((member, 77) for member in members) if learned else ()
    old = Configuration(members, incarnations=incarnations, group=OF_ITS_OWN, index=1)
    index = commands + 2
    new = replace(
        old, members=(address(names[0]),), incarnations=(), group=RESTORED, index=index, previous=1
    )
    disk.log = [
        encode(1, CONFIG, old.encode(), index=1),
        *[encode(1, COMMAND, b"%d" % number, index=number + 2) for number in range(commands)],
        encode(2, CONFIG, new.encode(), index=index),
    ]
    disk.ballot = Ballot(2, address(names[0]), index, RESTORED)
    world.start(names[0])
    world.elect(names[0])
    return world


def change(world: World, name: str, members: Iterable[str]) -> Ticket:
    ticket = Ticket("configure")
    world.step(name, Configure(tuple(map(address, members)), ticket))
    return ticket


def bring_some(world: World, name: str) -> None:
    """Deliver until `name` has a part of the log, and not its end."""
    for _ in range(1_000):
        if world.servers[name].commit_index > 2:
            break
        if world.wire:
            world.deliver([world.wire.pop(0)])
        else:
            world.tick("a")
    assert world.servers[name].configuration.group == OF_ITS_OWN


def test_a_newcomer_is_of_its_leaders_group_whatever_the_entries_say() -> None:
    """Planted: group_taken_from_the_entries. It would be of a group that nobody is in any more."""
    world = restored("abc", "xyz")
    ticket = change(world, "a", "abc")
    bring_some(world, "b")
    assert world.servers["b"].ballot.group == RESTORED
    world.ring(2)
    assert ticket.answer[0] == "ok"
    world.crash("a")
    world.ring(3)
    assert {"leader", "follower"} == {world.role("b"), world.role("c")}
    leader = next(world.leaders())[0]
    assert world.propose(leader, b"after")[0].answer is None
    world.settle()
    assert world.machines[leader].commands == [*(b"%d" % number for number in range(20)), b"after"]


def test_a_newcomer_speaks_for_its_leaders_group_all_along() -> None:
    """Planted: speaks_for_the_group_of_its_entries. Its questions would be a stranger's."""
    world = restored("ab", "xyz")
    change(world, "a", "ab")
    bring_some(world, "b")
    ticket = world.query("b", FOLLOWER)
    assert {message.group for message in world.wire if message.source[0] == "b"} == {RESTORED}
    world.ring(1)
    assert ticket.answer == ("ok", 20)


def test_a_newcomer_with_the_name_of_a_member_of_before_has_no_part_yet() -> None:
    """The entry that names it is of another group, and stands for whatever disk it had then.

    Planted: member_of_the_group_before_stands. It was alone, so it would lead at once.
    """
    world = restored("ab", "b", learned=False)
    change(world, "a", "ab")
    bring_some(world, "b")
    world.isolate("b")
    world.ring(0.2)
    for _ in range(20):
        world.now += 1
        world.tick("b")
    assert world.role("b") == "follower"
    world.heal()
    world.elect("a")
    world.ring(2)
    again = change(world, "a", "ab")
    world.ring(1)
    assert again.answer[0] == "ok"


def test_a_disk_that_is_of_the_group_before_is_no_newcomer() -> None:
    world = restored("ab", "bxy")
    world.disks["b"] = Disk(Ballot(1, None, 1, OF_ITS_OWN), world.disks["a"].log[:5])
    world.start("b")
    ticket = change(world, "a", "ab")
    world.ring(20)
    assert ticket.answer == ("error", ("peers_not_responding", [address("b")]))
    assert world.servers["b"].ballot.group == OF_ITS_OWN
    assert "other_group" in world.servers["b"].troubles


def test_a_leader_of_the_group_before_is_told_of_as_of_another_group() -> None:
    """Its members of before came back, and know this peer by the disk it had.

    Planted: the data directory is looked at first. Then a sound member is told that it is wiped,
    and to join the others again.
    """
    world = restored("ab", "b", learned=False)
    change(world, "a", "ab")
    world.ring(1)
    heartbeat = AppendEntries(
        source=address("b"), target=address("a"), group=OF_ITS_OWN, term=50, prev_index=0,
        prev_term=0, commit=0, round=1, target_incarnation=77,
    )  # fmt: skip
    world.step("a", heartbeat)
    troubles = world.servers["a"].troubles
    assert troubles.keys() == {"other_group"}
    said = problem_text(troubles["other_group"], address("a"))
    assert "call Raft.join for it, via a member of the right group" in said
