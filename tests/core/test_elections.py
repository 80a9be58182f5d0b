"""Elections: Raft §5.2 and §5.4.1, PreVote (thesis 9.6), CheckQuorum (thesis 6.2)."""

from dataclasses import replace

import pytest

from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    NodeLost,
    RequestPreVote,
    RequestVote,
    VoteReply,
)
from tests.core.world import NODE, World, address


def world_with_leader(names: str = "abc") -> World:
    world = World(names)
    world.configure("a")
    world.settle()
    assert world.role("a") == "leader"
    return world


def vote_request(world: World, source: str, target: str, **fields: int) -> RequestVote:
    log = world.servers[source].log
    values = {"last_index": log.last_index, "last_term": log.last_term, **fields}
    group = world.servers[target].ballot.group
    return RequestVote(source=address(source), target=address(target), group=group, **values)


def replies(world: World, kind: type) -> list:
    return [message for message in world.wire if type(message) is kind]


def test_a_lone_peer_elects_itself_at_once() -> None:
    world = World("a")
    ticket = world.configure("a")
    assert world.role("a") == "leader"
    assert ticket.answer[0] == "ok"
    world.crash("a")
    world.start("a")
    world.ring(0.01)
    assert world.role("a") == "leader"


def test_who_is_given_the_configuration_leads_and_its_entry_is_the_first() -> None:
    world = World("abc")
    ticket = world.configure("b")
    world.settle()
    assert world.role("b") == "leader"
    assert ticket.answer[0] == "ok"
    assert world.servers["b"].configuration.index == 1
    assert world.servers["b"].log.last_index == 1


def test_an_unconfigured_peer_never_stands() -> None:
    world = World("abc")
    world.ring(60)
    assert world.roles() == {"a": "follower 0", "b": "follower 0", "c": "follower 0"}


def test_a_dead_leader_is_replaced() -> None:
    world = world_with_leader()
    world.crash("a")
    world.ring(5)
    assert "leader" in (world.role("b"), world.role("c"))


def test_a_vote_is_refused_to_a_log_that_ends_in_an_older_term_however_long() -> None:
    """Defect 1 of the original: index and term swapped in this very check."""
    world = world_with_leader()
    world.propose("a", b"x")
    world.settle()
    b = world.servers["b"]
    term = b.term + 100
    b.role.heard = float("-inf")
    world.step("b", vote_request(world, "c", "b", term=term, last_index=1_000, last_term=0))
    assert replies(world, VoteReply)[-1].granted is False


def test_a_vote_is_refused_to_a_shorter_log_of_the_same_term() -> None:
    world = world_with_leader()
    world.propose("a", b"x", b"y")
    world.settle()
    b = world.servers["b"]
    b.role.heard = float("-inf")
    world.step("b", vote_request(world, "c", "b", term=9, last_index=1, last_term=b.log.last_term))
    assert replies(world, VoteReply)[-1].granted is False


def test_one_vote_a_term_also_after_a_restart() -> None:
    """Defect 6 of the original, and Figure 2: votedFor is persistent."""
    world = World("abc")
    world.step("c", vote_request(world, "a", "c", term=5, last_index=0, last_term=0))
    assert replies(world, VoteReply)[-1].granted is True
    world.crash("c")
    world.start("c")
    world.step("c", vote_request(world, "b", "c", term=5, last_index=0, last_term=0))
    assert replies(world, VoteReply)[-1].granted is False
    world.step("c", vote_request(world, "a", "c", term=5, last_index=0, last_term=0))
    assert replies(world, VoteReply)[-1].granted is True, "the same candidate may ask again"


def test_a_candidate_that_steps_down_keeps_its_vote() -> None:
    world = World("abc")
    world.configure("a")
    a = world.servers["a"]
    a.become_candidate()
    term = a.term
    a.become_follower(leader=None)
    world.wire.clear()
    world.step("a", vote_request(world, "b", "a", term=term, last_index=9, last_term=9))
    assert replies(world, VoteReply)[-1].granted is False


def test_votes_count_only_in_their_own_term_and_only_when_granted() -> None:
    """Defect 5 of the original: a leader without a single vote."""
    world = World("abcde")
    world.configure("a")
    a = world.servers["a"]
    a.become_candidate()
    a.flush()
    for source in "bcde":
        refusal = VoteReply(
            source=address(source),
            target=address("a"),
            group=world.servers["a"].group,
            term=a.term,
            granted=False,
        )
        world.step("a", refusal)
        world.step("a", replace(refusal, granted=True, term=a.term - 1))
    assert world.role("a") == "candidate"


def test_votes_of_one_peer_count_once() -> None:
    world = World("abcde")
    world.configure("a")
    a = world.servers["a"]
    a.become_candidate()
    vote = VoteReply(
        source=address("b"),
        target=address("a"),
        group=world.servers["a"].group,
        term=a.term,
        granted=True,
    )
    world.step("a", vote, vote, vote)
    assert world.role("a") == "candidate"


def test_a_peer_that_was_cut_off_comes_back_without_disturbing_the_leader() -> None:
    """PreVote: its term does not rise while nobody would vote for it (thesis 9.6)."""
    world = world_with_leader()
    term = world.servers["a"].term
    world.isolate("c")
    world.ring(30)
    assert world.servers["c"].term == term
    world.heal()
    world.ring(2)
    assert world.role("a") == "leader"
    assert world.servers["a"].term == term
    assert world.role("c") == "follower"


def test_a_pre_vote_request_changes_no_term() -> None:
    world = world_with_leader()
    term = world.servers["b"].term
    request = RequestPreVote(
        source=address("c"), target=address("b"), group=world.servers["a"].group, term=term + 50,
        last_index=99, last_term=99,
    )  # fmt: skip
    world.step("b", request)
    assert world.servers["b"].term == term


def test_a_vote_request_is_not_heard_while_a_leader_is() -> None:
    """Leader stickiness (thesis 4.2.3): not even the term is taken."""
    world = world_with_leader()
    world.ring(0.2)
    term = world.servers["b"].term
    for target in "ab":
        world.step(target, vote_request(world, "c", target, term=term + 9))
        assert world.servers[target].term == term
    assert world.role("a") == "leader"


def test_a_leader_without_a_majority_steps_down() -> None:
    """Defect 9 of the original: it led for ever, and ignored higher terms."""
    world = world_with_leader()
    world.isolate("a")
    world.ring(world.config.max_election_timeout + 3 * world.config.heartbeat_timeout)
    assert world.role("a") != "leader"
    ticket = world.propose("a", b"x")[0]
    assert ticket.answer[0] == "error"


def test_a_paused_leader_comes_back_and_erases_nothing() -> None:
    """Defect 4 of the original: three of ten times it won at once with an old log."""
    world = world_with_leader()
    world.isolate("a")
    world.propose("a", b"lost")
    world.ring(3)
    leader = next(name for name, server in world.leaders() if name != "a")
    done = world.propose(leader, b"kept")[0]
    world.settle()
    assert done.answer == ("ok", b"kept")
    world.heal()
    world.ring(5)
    for name in "abc":
        assert b"kept" in world.machines[name].commands
        assert b"lost" not in world.machines[name].commands


def test_a_leader_follows_whoever_leads_a_newer_term() -> None:
    world = world_with_leader()
    append = AppendEntries(
        source=address("b"), target=address("a"), group=world.servers["a"].group, term=99,
        prev_index=0, prev_term=0, commit=0, round=0,
    )  # fmt: skip
    world.step("a", append)
    assert world.role("a") == "follower"
    assert world.servers["a"].role.leader == address("b")


def test_a_candidate_follows_the_leader_of_its_own_term_and_answers() -> None:
    """Defect 10 of the original: candidate and leader ignored each other for good."""
    world = world_with_leader()
    c = world.servers["c"]
    c.become_candidate()
    c.flush()
    term = c.term
    world.wire.clear()
    append = AppendEntries(
        source=address("b"), target=address("c"), group=world.servers["a"].group, term=term,
        prev_index=1, prev_term=1, commit=1, round=0,
    )  # fmt: skip
    world.step("c", append)
    assert world.role("c") == "follower"
    assert len(world.wire) == 1


def test_a_leader_of_an_older_term_hears_of_the_newer_one() -> None:
    """Else a peer whose term is ahead and the leader would ignore each other for ever."""
    world = world_with_leader()
    c = world.servers["c"]
    c.become_candidate()
    c.flush()
    append = AppendEntries(
        source=address("a"), target=address("c"), group=world.servers["a"].group, term=1,
        prev_index=1, prev_term=1, commit=1, round=0,
    )  # fmt: skip
    world.step("c", append)
    assert [type(message) for message in world.wire] == [AppendRejected]
    world.settle()
    world.ring(5)
    assert len(list(world.leaders())) == 1


def test_two_leaders_in_one_term_are_a_crash_not_a_merge() -> None:
    world = world_with_leader()
    append = AppendEntries(
        source=address("b"), target=address("a"),
        group=world.servers["a"].group, term=world.servers["a"].term,
        prev_index=0, prev_term=0, commit=0, round=0,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="also leads"):
        world.servers["a"].step(append)


def test_a_broken_connection_to_the_leader_starts_a_pre_vote_at_once() -> None:
    world = world_with_leader()
    world.ring(0.2)
    world.crash("a")
    before = world.now
    world.step("b", NodeLost(NODE))
    world.step("c", NodeLost(NODE))
    world.ring(world.config.heartbeat_timeout + 0.01)
    assert "leader" in (world.role("b"), world.role("c"))
    assert world.now - before < world.config.min_election_timeout


def test_of_two_that_ask_at_once_one_gives_way_and_nobody_waits_for_a_timeout() -> None:
    """Else each votes for itself: one failover in five took an election timeout more."""
    world = world_with_leader()
    world.crash("a")
    for name in "bc":
        world.step(name, NodeLost(NODE))
    for name in "bc":
        world.tick(name)
    assert {world.role(name) for name in "bc"} == {"pre_candidate"}
    before = world.now
    world.settle()
    assert world.role("c") == "leader", "the greater name, for their logs are equal"
    assert world.now == before


def test_nobody_gives_way_to_a_worse_log_or_to_who_may_not_win() -> None:
    world = world_with_leader()
    world.isolate("c")
    world.propose("a", b"x")
    world.settle()
    world.heal()
    world.crash("a")
    for name in "bc":
        world.step(name, NodeLost(NODE))
    for name in "bc":
        world.tick(name)
    before = world.now
    world.settle()
    assert world.role("b") == "leader"
    assert world.now == before
    lone = world_with_leader()
    lone.step("b", NodeLost(NODE))
    lone.tick("b")
    log = lone.servers["b"].log
    lone.step("b", RequestPreVote(
        source=address("z"), target=address("b"), group=lone.servers["a"].group,
        term=lone.servers["b"].term,
        last_index=log.last_index, last_term=log.last_term,
    ))  # fmt: skip
    assert lone.role("b") == "pre_candidate"


def test_who_was_refused_by_another_candidate_does_not_wait_for_an_election_timeout() -> None:
    world = world_with_leader()
    world.crash("a")
    for name in "bc":
        world.servers[name].become_candidate()
        world.step(name)
    before = world.now
    world.settle()
    assert [world.role(name) for name in "bc"] == ["candidate", "candidate"], "the votes are split"
    world.ring(3 * world.config.heartbeat_timeout)
    assert [name for name, _ in world.leaders()]
    assert world.now - before < world.config.min_election_timeout


def test_messages_of_another_group_are_ignored() -> None:
    world = world_with_leader()
    world.ring(0.1)
    before = world.roles()
    stranger = RequestVote(
        source=("a", "elsewhere@host"), target=address("b"), group="ffff", term=50,
        last_index=99, last_term=99,
    )  # fmt: skip
    world.servers["b"].role.heard = float("-inf")
    world.step("b", stranger)
    assert world.roles() == before
    assert not world.wire
