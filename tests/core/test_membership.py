"""Changes of members on a running group: joint consensus (§6; thesis 4.2 and 4.3)."""

import pytest

from raft_actors.core.messages import Configure, Message, Tick, Transfer
from tests.core.world import Ticket, World, address


def world_of(members: str, newcomers: str = "") -> World:
    """A group of `members`, led by its first, and peers of no group beside it."""
    world = World(members + newcomers)
    world.configure(members[0], members)
    world.settle()
    assert world.role(members[0]) == "leader"
    return world


def change(world: World, name: str, members: str, learners: str = "", **options) -> Ticket:
    ticket = Ticket("configure")
    event = Configure(
        tuple(map(address, members)), ticket, tuple(map(address, learners)), **options
    )
    world.step(name, event)
    return ticket


def members_of(world: World, name: str) -> str:
    return "".join(member[0] for member in world.servers[name].configuration.members)


def test_a_group_grows_to_five_and_shrinks_to_other_three() -> None:
    world = world_of("abc", "de")
    world.propose("a", *[b"%d" % n for n in range(50)])
    world.settle()
    ticket = change(world, "a", "abcde")
    world.ring(1)
    assert ticket.answer[0] == "ok"
    assert members_of(world, "e") == "abcde"
    shrunk = change(world, "a", "cde")
    world.ring(3)
    assert shrunk.answer[0] == "ok"
    leader = next(name for name in "cde" if world.role(name) == "leader")
    done = world.propose(leader, b"after")[0]
    world.settle()
    assert done.answer == ("ok", b"after")
    assert world.machines["e"].commands[:50] == [b"%d" % n for n in range(50)]


def test_newcomers_catch_up_before_they_count() -> None:
    """Thesis 4.2.1: else a new empty server would hold up every commit."""
    world = world_of("abc", "d")
    world.propose("a", *[b"%d" % n for n in range(200)])
    world.settle()
    world.isolate("d")
    ticket = change(world, "a", "abcd")
    world.settle()
    assert not world.servers["a"].configuration.old
    assert members_of(world, "a") == "abc"
    done = world.propose("a", b"x")[0]
    world.settle()
    assert done.answer == ("ok", b"x")
    world.heal()
    world.ring(1)
    assert ticket.answer[0] == "ok"
    assert members_of(world, "d") == "abcd"


def test_a_newcomer_that_was_slow_and_has_all_there_is_counts_without_new_writes() -> None:
    """Its first round took longer than an election timeout, and in the second nothing is left to
    copy. Planted: look at newcomers only when one of their answers brings news."""
    world = world_of("abc", "d")
    world.propose("a", b"x")
    world.settle()
    world.isolate("d")
    ticket = change(world, "a", "abcd")
    world.ring(1)
    world.heal()
    world.ring(1)
    assert ticket.answer is not None
    assert ticket.answer[0] == "ok"


def test_a_newcomer_that_never_answers_ends_the_change_in_words() -> None:
    world = world_of("abc", "d")
    world.crash("d")
    ticket = change(world, "a", "abcd")
    world.ring(20)
    assert ticket.answer == ("error", ("peers_not_responding", [address("d")]))
    assert members_of(world, "a") == "abc"
    world.start("d")
    again = change(world, "a", "abcd")
    world.ring(1)
    assert again.answer[0] == "ok"


def test_while_joint_the_old_majority_is_needed_too() -> None:
    world = world_of("abc", "de")
    for name in "bc":
        world.isolate(name)
    ticket = change(world, "a", "ade")
    world.settle()
    assert world.servers["a"].configuration.old
    before = world.servers["a"].commit_index
    done = world.propose("a", b"x")[0]
    world.settle()
    assert world.servers["a"].commit_index == before
    assert done.answer is None, "a, d and e alone don't commit"
    world.heal()
    world.ring(1)
    assert done.answer == ("ok", b"x")
    assert ticket.answer[0] == "ok"


def test_a_joint_configuration_ends_when_it_and_not_only_what_is_before_it_commits() -> None:
    """§6: until then two majorities may decide. Planted: joint_configuration_ends_uncommitted."""
    world = world_of("abcde")
    server = world.servers["a"]
    world.propose("a", b"x")
    earlier = world.wire.copy()
    change(world, "a", "abc")
    world.wire = earlier
    world.settle()
    assert server.commit_index == server.configuration.index - 1
    assert server.configuration.old
    world.ring(1)
    assert not server.configuration.old


def test_a_new_leader_ends_the_change_that_it_finds() -> None:
    world = world_of("abc", "de")
    world.wire.clear()
    change(world, "a", "ade")
    for _ in range(200):
        if world.servers["a"].configuration.old and world.servers["b"].configuration.old:
            break
        world.deliver([world.wire.pop(0)])
    world.crash("a")
    world.ring(5)
    leader = next(world.leaders())[0]
    assert members_of(world, leader) == "ade"
    assert not world.servers[leader].configuration.old


def test_a_removed_peer_that_was_away_for_long_is_told_when_it_asks() -> None:
    world = world_of("abc")
    world.ring(0.2)
    world.crash("c")
    assert change(world, "a", "ab").answer is None
    world.ring(30)
    assert address("c") not in world.servers["a"].role.progress
    world.start("c")
    world.ring(5)
    assert members_of(world, "c") == "ab"
    assert not world.servers["c"].is_electable()
    assert world.role("a") == "leader"
    world.ring(20)
    assert address("c") not in world.servers["a"].role.progress


def test_a_leader_that_is_removed_leads_until_that_commits_and_hands_over() -> None:
    world = world_of("abc")
    ticket = change(world, "a", "bc")
    world.ring(0.3)
    assert ticket.answer[0] == "ok"
    assert world.role("a") == "follower"
    assert "leader" in (world.role("b"), world.role("c")), "no election timeout was waited for"


def test_a_removed_peer_disturbs_nobody_and_knows_that_it_was_removed() -> None:
    world = world_of("abcd")
    change(world, "a", "abc")
    world.ring(1)
    terms = {world.servers[name].term for name in "abc"}
    assert not world.servers["d"].is_electable()
    world.ring(20)
    assert {world.servers[name].term for name in "abc"} == terms
    assert world.role("a") == "leader"


def test_a_removed_peer_that_was_away_disturbs_nobody_either() -> None:
    world = world_of("abcd")
    world.isolate("d")
    change(world, "a", "abc")
    world.ring(20)
    world.heal()
    term = world.servers["a"].term
    world.ring(20)
    assert world.role("a") == "leader"
    assert world.servers["a"].term == term


def test_a_learner_gets_the_log_and_never_votes() -> None:
    world = world_of("abc", "d")
    assert change(world, "a", "abc", "d").answer is None
    world.ring(1)
    world.propose("a", b"x")
    world.ring(0.2)
    assert world.machines["d"].commands == [b"x"]
    for name in "bc":
        world.crash(name)
    world.ring(3)
    assert world.role("a") != "leader", "the learner does not make a majority"
    assert world.role("d") == "follower"


def test_a_learner_is_promoted_and_a_member_demoted() -> None:
    world = world_of("abc", "d")
    change(world, "a", "abc", "d")
    world.ring(1)
    ticket = change(world, "a", "abd", "c")
    world.ring(1)
    assert ticket.answer[0] == "ok"
    assert members_of(world, "c") == "abd"
    assert world.servers["c"].configuration.learners == (address("c"),)


def test_a_lone_voter_with_a_silent_learner_still_reads_and_writes() -> None:
    world = world_of("a", "b")
    change(world, "a", "a", "b")
    world.ring(1)
    world.crash("b")
    assert world.propose("a", b"x")[0].answer == ("ok", b"x")
    assert world.query("a").answer == ("ok", 1)
    world.ring(5)
    assert world.role("a") == "leader"


def test_a_change_that_leans_on_a_member_that_was_never_heard_is_refused() -> None:
    """Its vote would not count: nobody knows its data directory. Found by seed 184."""
    world = World("abc")
    world.isolate("c")
    world.configure("b")
    while world.role("b") != "leader":
        world.tick("b")
        world.settle()
    ticket = change(world, "b", "ac")
    assert ticket.answer is None, "the leader is new: c may answer yet"
    world.ring(1)
    assert ticket.answer == ("error", ("would_lose_quorum", [address("c")]))


def test_a_new_leader_takes_nobody_for_alive_that_has_not_answered_it() -> None:
    """c has been down for long, which b, elected just now, can't know: it waits, and refuses.

    Planted: new_leader_takes_everybody_for_alive. Then the joint configuration needs c.
    """
    world = world_of("abc")
    world.crash("c")
    world.ring(5)
    world.step("a", Transfer(address("b"), Ticket("transfer")))
    while world.role("b") != "leader":
        world.deliver([world.wire.pop(0)])
    ticket = change(world, "b", "bc")
    world.ring(2)
    assert ticket.answer == ("error", ("would_lose_quorum", [address("c")]))
    world.propose("b", b"x")
    world.settle()
    assert world.machines["b"].commands == [b"x"]


def test_a_change_right_after_an_election_waits_until_the_living_have_answered() -> None:
    """Nobody who lives has had the time to answer, and the term's first entry is uncommitted."""
    world = world_of("abc")
    world.ring(1)
    world.promote("b")
    ticket = change(world, "b", "ab")
    assert ticket.answer is None
    world.ring(0.3)
    assert ticket.answer[0] == "ok"
    assert members_of(world, "b") == "ab"


def test_wishes_that_wait_at_a_new_leader_are_bounded_and_answered_when_it_steps_down() -> None:
    world = world_of("abc")
    world.ring(1)
    world.promote("b")
    world.isolate("b")
    tickets = [change(world, "b", "ab") for _ in range(20)]
    at_once = [ticket.answer for ticket in tickets if ticket.answer is not None]
    assert at_once == [("error", "change_in_progress")] * 4
    world.step("b", *[Transfer(None, ticket := Ticket("transfer"))])
    assert ticket.answer[0] == "error"
    world.ring(2)
    assert world.role("b") != "leader"
    assert {str(each.answer[0]) for each in tickets} == {"error"}


def test_who_waits_with_a_wish_hears_it_when_another_is_elected() -> None:
    world = world_of("abc")
    world.ring(1)
    world.promote("b")
    ticket = change(world, "b", "ab")
    world.servers["b"].become_follower(leader=None)
    world.step("b")
    assert ticket.answer == ("error", "election_in_progress")


def test_members_that_died_while_a_newcomer_caught_up_end_the_change() -> None:
    """What was so when the change began need not be so when it counts. Planted:
    guard_is_not_asked_again."""
    world = world_of("abcde", "f")
    world.isolate("f")
    ticket = change(world, "a", "abef")
    world.ring(0.5)
    for name in "be":
        world.crash(name)
    world.ring(2)
    world.heal()
    world.ring(1)
    assert ticket.answer == ("error", ("would_lose_quorum", [address("b"), address("e")]))
    assert not world.servers["a"].configuration.old
    done = world.propose("a", b"x")[0]
    world.settle()
    assert done.answer == ("ok", b"x")


def test_a_learner_that_has_just_caught_up_is_promoted_by_a_leader_of_one() -> None:
    """Its data directory is in no configuration yet; with this change it will be.

    Planted: who is not in the configuration by its disk counts as silent, see
    guard_forgets_the_disks_that_are_learned."""
    world = world_of("a", "b")
    assert change(world, "a", "a", "b").answer[0] == "ok"
    for _ in range(100):
        if world.servers["a"].role.progress[address("b")].match:
            break
        world.deliver([world.wire.pop(0)])
    assert not world.servers["a"].configuration.incarnation_of(address("b"))
    ticket = change(world, "a", "ab")
    world.ring(1)
    assert ticket.answer[0] == "ok"


def test_a_new_leader_of_one_promotes_the_learner_that_answers_it() -> None:
    world = world_of("a", "b")
    change(world, "a", "a", "b")
    world.ring(1)
    world.crash("a")
    world.start("a")
    while world.role("a") != "leader":
        world.tick("a")
    ticket = change(world, "a", "ab")
    assert ticket.answer is None
    world.ring(1)
    assert ticket.answer[0] == "ok"


def at_a_distance(world: World, name: str, delay_s: float, until: float) -> None:
    """Let time pass while what is sent to `name` is late, and everybody else writes."""
    late: list[tuple[float, Message]] = []
    while world.now < until:
        world.propose("a", b"more")
        for _ in range(3):
            wire, world.wire = world.wire, []
            for message in wire:
                if message.target == address(name):
                    late.append((world.now + delay_s, message))
                else:
                    world.deliver([message])
        while late and late[0][0] <= world.now:
            world.deliver([late.pop(0)[1]])
        world.now += 0.05
        for each in world.names:
            if world.servers[each].alarm <= world.now:
                world.step(each, Tick())


def test_a_newcomer_that_never_catches_up_is_given_up_after_some_rounds() -> None:
    """Thesis 4.2.1. It gets the log and answers, each time too late. Planted:
    newcomer_races_for_ever."""
    world = world_of("abc", "d")
    ticket = change(world, "a", "abcd")
    at_a_distance(world, "d", 0.5, until=60)
    assert ticket.answer == ("error", ("newcomers_too_slow", [address("d")]))
    again = change(world, "a", "ab")
    world.ring(1)
    assert again.answer[0] == "ok"


def test_asking_for_the_members_as_they_are_calls_a_change_off() -> None:
    world = world_of("abc", "d")
    world.isolate("d")
    ticket = change(world, "a", "abcd")
    world.ring(0.5)
    same = change(world, "a", "abc")
    assert ticket.answer == ("error", "called_off")
    assert same.answer == ("ok", world.servers["a"].configuration)
    other = change(world, "a", "ab")
    world.ring(1)
    assert other.answer[0] == "ok"


def test_a_dry_run_of_what_is_so_calls_nothing_off() -> None:
    world = world_of("abc", "d")
    world.isolate("d")
    ticket = change(world, "a", "abcd")
    assert change(world, "a", "abc", dry_run=True).answer[0] == "ok"
    assert ticket.answer is None


def test_a_change_that_is_in_the_log_is_not_called_off() -> None:
    world = world_of("abcde")
    ticket = change(world, "a", "abc")
    assert change(world, "a", "abcde").answer == ("error", "change_in_progress")
    same = change(world, "a", "abc")
    world.ring(1)
    assert ticket.answer[0] == same.answer[0] == "ok"


def test_asking_again_while_a_disk_is_being_learned_is_fine() -> None:
    """Planted: refused with change_in_progress, although nobody has asked for another change."""
    world = world_of("abc", "d")
    world.ring(1)
    assert change(world, "a", "abc", "d").answer is None
    leader = world.servers["a"]
    for _ in range(200):  # until it is in the log which disk d has, and not committed
        if leader.configuration.incarnation_of(address("d")):
            break
        if world.wire:
            world.deliver([world.wire.pop(0)])
        else:
            world.tick("a")
    assert leader.configuration.index > leader.commit_index
    again = change(world, "a", "abc", "d")
    world.ring(0.3)
    assert again.answer[0] == "ok"


def test_a_change_that_would_break_the_quorum_is_refused_with_the_reason() -> None:
    world = world_of("abcde")
    for name in "de":
        world.crash(name)
    world.ring(2)
    answer = change(world, "a", "ade").answer
    assert answer == ("error", ("would_lose_quorum", [address("d"), address("e")]))


@pytest.mark.parametrize(
    ("members", "options", "said"),
    [
        ("", {}, "no_members"),
        ("ab", {"expected": 77}, ("configuration_changed", 1)),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(members, options, said) -> None:
    world = world_of("abc")
    assert change(world, "a", members, **options).answer == ("error", said)


def test_one_change_at_a_time() -> None:
    world = world_of("abc", "de")
    first = change(world, "a", "abcd")
    assert change(world, "a", "abce").answer == ("error", "change_in_progress")
    world.ring(1)
    assert first.answer[0] == "ok"
    last = change(world, "a", "abcde")
    world.ring(1)
    assert last.answer[0] == "ok"


def test_a_new_leader_changes_nothing_before_its_first_entry_commits() -> None:
    """The known bug of membership changes: two configurations without a common majority."""
    world = world_of("abc")
    world.isolate("b")
    world.promote("b")
    ticket = change(world, "b", "ab")
    world.ring(0.5)
    assert ticket.answer in (None, ("error", "election_in_progress"))
    assert world.servers["b"].configuration.index == 1


def test_a_dry_run_says_what_would_be_and_does_nothing() -> None:
    world = world_of("abc", "d")
    ok, configuration = change(world, "a", "abd", "c", dry_run=True).answer
    assert ok == "ok"
    assert configuration.members == tuple(map(address, "abd"))
    world.ring(1)
    assert members_of(world, "a") == "abc"


def test_leadership_is_not_handed_to_a_learner() -> None:
    world = world_of("abc", "d")
    change(world, "a", "abc", "d")
    world.ring(1)
    ticket = Ticket("transfer")
    world.step("a", Transfer(address("d"), ticket))
    assert ticket.answer == ("error", "no_such_member")


def test_a_change_that_loses_its_leader_is_told_as_unknown() -> None:
    world = world_of("abc", "d")
    world.isolate("d")
    ticket = change(world, "a", "abcd")
    world.isolate("a")
    world.ring(3)
    assert ticket.answer == ("error", "outcome_unknown")


def test_a_lone_voter_with_a_learner_says_nothing_in_a_term_that_is_not_durable() -> None:
    """It elects itself in one step; its first append must wait for its ballot."""
    world = world_of("a", "b")
    change(world, "a", "a", "b")
    world.ring(1)
    world.crash("a")
    world.start("a")
    server = world.servers["a"]
    server.now = world.now + 10
    server.step(Tick())
    due = server.flush()
    assert world.role("a") == "leader"
    assert due.ballot is not None
    assert not due.before_save
    assert [message.target for message in due.after_save] == [address("b")]


def test_who_is_left_out_may_still_have_to_win() -> None:
    """Thesis 4.2.2: only the removed leader holds the entry that removes it."""
    world = world_of("ab")
    change(world, "a", "b")
    while world.servers["a"].configuration.old or members_of(world, "a") == "ab":
        world.deliver([world.wire.pop(0)])
    world.wire.clear()
    assert world.servers["b"].configuration.old, "b has the joint one, a the settled one"
    for name in "ab":
        world.crash(name)
        world.start(name)
    world.ring(5)
    assert members_of(world, "b") == "b"
    assert world.role("b") == "leader"
    assert world.propose("b", b"x")[0].answer == ("ok", b"x")
