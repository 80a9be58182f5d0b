"""Identity: whose data directory a name stands for. What is forgotten with a disk (Figure 2's
persistent state) must not be promised again under the same name."""

from dataclasses import replace

from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import CONFIG, encode, kind_of
from raft_actors.core.messages import AppendRejected, AppendReply, Configure, RequestVote, VoteReply
from tests.core.world import Disk, Ticket, World, address


def group_of(names: str) -> World:
    world = World(names)
    world.configure(names[0])
    world.ring(0.2)
    assert world.role(names[0]) == "leader"
    return world


def wipe(world: World, name: str) -> None:
    """Give a peer another, empty disk and start it."""
    if name in world.servers:
        world.crash(name)
    world.disks[name] = Disk()
    world.start(name)


def declare(world: World, *names: str) -> list[Ticket]:
    """Have each of these declare the members of the world."""
    tickets = []
    for name in names:
        tickets.append(Ticket("configure"))
        world.step(name, Configure(world.members, tickets[-1], declared=True))
    return tickets


def incarnations(world: World, name: str) -> dict[str, int]:
    configuration = world.servers[name].configuration
    return {peer[0]: number for peer, number in configuration.incarnations}


def disks(world: World, names: str) -> dict[str, int]:
    return {name: world.disks[name].incarnation for name in names}


def troubles(world: World, name: str) -> set[str]:
    return set(world.servers[name].troubles)


def test_the_first_entry_names_the_disks_of_all_that_answered_its_founder() -> None:
    world = group_of("abc")
    assert world.servers["b"].configuration.index == 1
    assert incarnations(world, "b") == disks(world, "abc")


def test_who_was_away_is_learned_when_it_is_heard() -> None:
    world = World("abc")
    world.crash("c")
    ticket = world.configure("a")
    world.ring(2)
    assert ticket.answer[0] == "ok"
    assert incarnations(world, "a") == disks(world, "ab")
    world.start("c")
    world.ring(1)
    assert incarnations(world, "c") == disks(world, "abc")


def test_a_member_counts_only_once_its_disk_is_known() -> None:
    """Else it could be wiped in between, and vote against what it has forgotten."""
    world = World("abc")
    world.crash("c")
    world.configure("a")
    world.ring(2)
    world.crash("b")
    done = world.propose("a", b"x")[0]
    a = world.servers["a"]
    reply = AppendReply(
        source=address("c"), target=address("a"), group=a.group, term=a.term, match=2, round=0,
        source_incarnation=world.disks["c"].incarnation,
    )  # fmt: skip
    world.step("a", reply)
    assert done.answer is None
    world.start("b")
    world.ring(1)
    assert done.answer == ("ok", b"x")


def test_a_wiped_disk_gives_no_vote() -> None:
    """x is on a and c; then c is wiped, and b, who lacks x, asks for votes."""
    world = group_of("abc")
    world.isolate("b")
    done = world.propose("a", b"x")[0]
    world.settle()
    assert done.answer == ("ok", b"x")
    world.crash("a")
    world.heal()
    wipe(world, "c")
    world.ring(5)
    assert not list(world.leaders())
    world.start("a")
    world.ring(2)
    assert world.machines["b"].commands == [b"x"]


def test_a_wiped_disk_acknowledges_nothing() -> None:
    world = group_of("abc")
    wipe(world, "c")
    world.isolate("b")
    done = world.propose("a", b"x")[0]
    world.ring(0.2)
    assert done.answer is None
    assert world.servers["c"].log.last_index == 0, "nothing is sent to it under its old membership"
    assert troubles(world, "c") == {"other_incarnation"}


def test_an_acknowledgement_of_another_disk_is_not_heard() -> None:
    world = group_of("abc")
    world.isolate("b")
    world.isolate("c")
    done = world.propose("a", b"x")[0]
    a = world.servers["a"]
    reply = AppendReply(
        source=address("c"), target=address("a"), group=a.group, term=a.term, match=2, round=0,
        source_incarnation=10_000,
    )  # fmt: skip
    world.step("a", reply)
    assert done.answer is None
    world.step("a", replace(reply, source_incarnation=world.disks["c"].incarnation))
    assert done.answer == ("ok", b"x")


def test_a_vote_of_another_disk_is_not_counted() -> None:
    world = group_of("abc")
    a = world.servers["a"]
    a.become_follower(leader=None)
    a.become_candidate()
    reply = VoteReply(
        source=address("c"), target=address("a"), group=a.group, term=a.term, granted=True,
        source_incarnation=10_000,
    )  # fmt: skip
    world.step("a", reply)
    assert a.role.name == "candidate"
    world.step("a", replace(reply, source_incarnation=world.disks["c"].incarnation))
    assert a.role.name == "leader"


def test_a_wiped_member_comes_back_when_it_is_removed_and_added_again() -> None:
    world = group_of("abc")
    world.propose("a", b"x")
    world.settle()
    wipe(world, "c")
    world.ring(0.2)
    removed = world.configure("a", "ab")
    world.ring(0.2)
    assert removed.answer[0] == "ok"
    added = world.configure("a", "abc")
    world.ring(1)
    assert added.answer[0] == "ok"
    assert incarnations(world, "c") == disks(world, "abc")
    assert world.machines["c"].commands == [b"x"]
    assert troubles(world, "c") == set()
    world.isolate("b")
    done = world.propose("a", b"y")[0]
    world.settle()
    assert done.answer == ("ok", b"y")


def test_an_old_disk_that_comes_back_is_refused() -> None:
    world = group_of("abc")
    old = world.disks["c"]
    wipe(world, "c")
    world.configure("a", "ab")
    world.ring(0.2)
    world.configure("a", "abc")
    world.ring(1)
    world.crash("c")
    world.disks["c"] = old
    world.start("c")
    world.ring(2)
    assert world.role("a") == "leader"
    assert troubles(world, "c") == {"other_incarnation"}
    assert len(old.log) == 1, "it was sent nothing"


def test_a_newcomer_that_is_wiped_on_its_way_starts_over() -> None:
    world = group_of("ab")
    world.names.append("c")
    wipe(world, "c")
    world.propose("a", b"x")
    world.settle()
    world.cut.add(("c", "a"))
    ticket = world.configure("a", "abc")
    world.settle()
    wipe(world, "c")
    world.heal()
    world.ring(1)
    assert ticket.answer[0] == "ok"
    assert incarnations(world, "a") == disks(world, "abc")
    assert world.machines["c"].commands == [b"x"]


def test_learning_of_a_disk_waits_for_a_change_that_is_under_way() -> None:
    """Two changes at once may take majorities that share nobody (thesis 4.1, fix of 2015)."""
    world = World("abcd")
    world.crash("c")
    world.configure("a", "abc")
    world.ring(2)
    world.isolate("b")
    world.configure("a", "ab")
    world.start("c")
    world.ring(0.2)
    configurations = [entry for entry in world.entries("a") if kind_of(entry) == CONFIG]
    assert len(configurations) == 2
    assert world.servers["a"].configuration.old


def test_a_log_that_names_no_disks_counts_all_and_its_leader_learns_them() -> None:
    """Logs made before there were incarnations, or a configuration forced by hand."""
    world = World("abc")
    by_hand = Configuration(members=world.members, group="ab" * 8)
    for name in "abc":
        world.crash(name)
        world.disks[name].log = [encode(1, CONFIG, by_hand.encode(), index=1)]
        world.disks[name].ballot = Ballot(1, None, 1)
        world.start(name)
    world.ring(5)
    leader = next(world.leaders())[0]
    assert incarnations(world, leader) == disks(world, "abc")
    done = world.propose(leader, b"x")[0]
    world.ring(0.2)
    assert done.answer == ("ok", b"x")
    assert {server.ballot.group for server in world.servers.values()} == {by_hand.group}


# A disk that went back to an older copy has the same incarnation.


def set_back(world: World, name: str, last: int) -> None:
    world.crash(name)
    del world.disks[name].log[last:]
    world.start(name)


def test_a_disk_that_goes_back_is_noticed_after_an_old_denial_too() -> None:
    """The denial asked about less than was acknowledged when the disk went back: each one after it
    was taken for late, and the follower got nothing any more. Found by seed 11, with rot.

    Planted: a_late_denial_is_remembered_for_ever.
    """
    world = group_of("abc")
    world.propose("a", b"x")
    world.settle()
    a = world.servers["a"]
    denial = AppendRejected(
        source=address("b"), target=address("a"), group=a.group, term=a.term,
        source_incarnation=world.disks["b"].incarnation, prev_index=1, hint=0, hint_term=0, round=0,
    )  # fmt: skip
    world.step("a", denial)
    world.settle()
    world.propose("a", b"y", b"z")
    world.settle()
    whole = list(world.disks["b"].log)
    set_back(world, "b", 1)
    world.ring(3)
    assert world.disks["b"].log[: len(whole)] == whole


def test_a_disk_that_lost_what_it_had_acknowledged_is_found_out_and_made_good() -> None:
    world = group_of("abc")
    world.propose("a", b"x", b"y")
    world.settle()
    set_back(world, "b", 1)
    world.ring(1)
    assert world.machines["b"].commands == [b"x", b"y"]
    assert incarnations(world, "a") == disks(world, "abc")
    told = [decoded for decoded in configurations_of(world, "a")
            if address("b") not in dict(decoded.incarnations)]  # fmt: skip
    assert len(told) == 1, "in between it was taken for unknown"


def configurations_of(world: World, name: str) -> list[Configuration]:
    from raft_actors.core.entry import payload_of

    return [Configuration.decode(payload_of(entry), 0)
            for entry in world.entries(name) if kind_of(entry) == CONFIG]  # fmt: skip


def test_a_disk_that_lost_what_it_had_acknowledged_counts_no_longer() -> None:
    """x is on a and b; b loses it while c is away. Then b must not make a majority of two."""
    world = group_of("abc")
    world.isolate("c")
    world.propose("a", b"x")
    world.settle()
    set_back(world, "b", 1)
    world.ring(0.2)
    done = world.propose("a", b"y")[0]
    world.ring(0.2)
    assert world.servers["b"].log.last_index >= 3
    assert done.answer is None
    world.heal()
    world.ring(2)
    assert world.machines["c"].commands == [b"x", b"y"]
    assert incarnations(world, "a") == disks(world, "abc")


def test_an_old_denial_says_nothing_of_the_disk() -> None:
    world = group_of("abc")
    world.propose("a", b"x", b"y")
    world.settle()
    a = world.servers["a"]
    denial = AppendRejected(
        source=address("b"), target=address("a"), group=a.group, term=a.term, prev_index=2,
        hint=1, hint_term=1, round=0, source_incarnation=world.disks["b"].incarnation,
    )  # fmt: skip
    for _ in range(3):
        world.step("a", denial)
        world.settle()
    world.ring(0.5)
    assert a.role.progress[address("b")].match == 3
    assert len(configurations_of(world, "a")) == 1


# Founding: exactly one group.


def test_two_groups_of_the_same_members_have_two_ids() -> None:
    first, second = group_of("abc"), group_of("abc")
    for name in "abc":
        second.disks[name].incarnation += 100
    second = World("abc")
    second.configure("a")
    second.ring(0.2)
    assert first.servers["a"].group != second.servers["a"].group


def test_who_declares_its_members_forms_a_group_with_them() -> None:
    for order in ("abc", "cba", "bca"):
        world = World("abc")
        for name in "abc":
            world.crash(name)
        for name in order:
            world.start(name)
            declare(world, name)
            world.ring(1)
        world.ring(2)
        assert len(list(world.leaders())) == 1
        assert len({server.ballot.group for server in world.servers.values()} - {""}) == 1
        assert incarnations(world, "a") == disks(world, "abc")


def test_all_at_once_form_one_group() -> None:
    for seed in range(20):
        world = World("abcde", seed)
        declare(world, *"abcde")
        world.ring(5)
        assert len(list(world.leaders())) == 1
        assert len({server.ballot.group for server in world.servers.values()}) == 1


def test_wiped_members_that_declare_themselves_found_no_second_group() -> None:
    """Two of three disks are gone. One that knows the group is enough to keep them from it."""
    world = group_of("abc")
    world.propose("a", b"x")
    world.settle()
    wipe(world, "b")
    wipe(world, "c")
    declare(world, "b", "c")
    world.ring(20)
    assert world.servers["b"].ballot.group == world.servers["c"].ballot.group == ""
    assert world.servers["a"].log.last_index >= 2
    assert troubles(world, "b") == {"other_incarnation"}


def test_a_stranger_that_declares_members_of_a_group_founds_none() -> None:
    world = World("abcd")
    world.configure("a", "abc")
    world.ring(1)
    ticket = Ticket("configure")
    members = tuple(map(address, "abd"))
    world.step("d", Configure(members, ticket, declared=True))
    world.ring(5)
    assert world.servers["d"].ballot.group == ""
    assert troubles(world, "d") == {"group_exists"}


def test_one_member_of_a_group_keeps_a_fresh_majority_from_founding_another() -> None:
    world = World("abcde")
    world.configure("a", "abc")
    world.ring(1)
    for name in "de":
        members = tuple(map(address, "ade"))
        world.step(name, Configure(members, Ticket("configure"), declared=True))
    world.ring(10)
    assert world.servers["d"].ballot.group == world.servers["e"].ballot.group == ""
    assert troubles(world, "d") == {"group_exists"}
    assert world.servers["a"].term == 1, "and they don't disturb it"


def test_a_founder_gets_no_vote_from_a_member_and_raises_no_term() -> None:
    world = group_of("abc")
    b = world.servers["b"]
    b.role.heard = float("-inf")
    wish = Configuration.founding(world.members).group
    request = RequestVote(
        source=address("z"), target=address("b"), group=wish, term=50, last_index=9, last_term=9
    )
    world.step("b", request)
    assert b.term == 1
    assert not world.wire


def test_a_founder_of_a_group_that_exists_is_told_so() -> None:
    world = World("abcd")
    world.configure("a", "abc")
    world.ring(1)
    ticket = world.configure("d", "abd")
    world.ring(5)
    assert ticket.answer[0] == "error"
    assert ticket.answer[1][0] == "in_another_group"


def test_peers_that_declare_different_members_found_nothing() -> None:
    world = World("ab")
    for name, members in (("a", "ab"), ("b", "abc")):
        world.step(name, Configure(tuple(map(address, members)), Ticket("c"), declared=True))
    world.ring(5)
    assert not list(world.leaders())
    assert "other_members" in troubles(world, "a") | troubles(world, "b")


def test_a_founder_that_dies_before_anybody_has_its_entry_is_of_the_group_of_the_others() -> None:
    world = World("abc")
    ticket = world.configure("a")
    while world.role("a") != "leader":
        world.deliver([world.wire.pop(0)])
    world.crash("a")
    world.wire.clear()
    assert ticket.answer is None
    assert world.disks["a"].log
    declare(world, "b", "c")
    world.ring(5)
    group = next(world.leaders())[1].group
    world.start("a")
    world.ring(5)
    assert world.servers["a"].ballot.group == group
    assert incarnations(world, "a") == disks(world, "abc")
