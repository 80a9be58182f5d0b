"""Reads that a follower answers: linearizable after asking the leader, or as stale as was said."""

from raft_actors.config import Config
from raft_actors.core.messages import (
    FOLLOWER,
    STALE,
    NodeLost,
    Query,
    ReadIndex,
    ReadIndexReply,
    Tick,
)
from tests.core.world import Ticket, World

LOST = ("error", ("redirect", None))
TOO_STALE = ("error", "too_stale")


def world_with_leader(names: str = "abc", **fields: int) -> World:
    world = World(names, config=Config(log_store="memory", **fields))
    world.configure("a")
    world.settle()
    world.propose("a", b"x")
    world.settle()
    world.ring(0.1)
    return world


def of_kind(world: World, kind: type) -> list:
    return [message for message in world.wire if type(message) is kind]


def test_a_follower_answers_once_its_leader_has_told_the_index() -> None:
    world = world_with_leader()
    ticket = world.query("b", FOLLOWER)
    assert ticket.answer is None
    assert [message.target[0] for message in of_kind(world, ReadIndex)] == ["a"]
    world.settle()
    assert ticket.answer == ("ok", 1)


def test_it_answers_from_a_state_that_has_the_index_applied() -> None:
    """It applies in its own time. Planted: follower_answers_before_it_has_the_index."""
    world = world_with_leader()
    world.query("b", FOLLOWER)
    while not of_kind(world, ReadIndexReply):
        world.deliver([world.wire.pop(0)])
    (told,) = of_kind(world, ReadIndexReply)
    server = world.servers["b"]
    server.step(told)
    assert [read.index for read in server.flush().reads] == [told.index] == [server.commit_index]


def test_the_leader_tells_it_only_after_a_round_begun_after_it_was_asked() -> None:
    world = world_with_leader("abcde")
    world.query("b", FOLLOWER)
    question = of_kind(world, ReadIndex)[0]
    world.wire.clear()
    world.step("a", question)
    assert not of_kind(world, ReadIndexReply)
    appends = [message for message in world.wire if message.source[0] == "a"]
    assert {message.round for message in appends} == {world.servers["a"].role.reads.round}
    world.settle()
    assert not world.wire


def test_a_new_leader_tells_no_index_before_its_terms_first_entry() -> None:
    """It does not know yet how far its predecessor had committed (thesis 6.4, step 1)."""
    world = world_with_leader()
    world.query("c", FOLLOWER)
    question = of_kind(world, ReadIndex)[0]
    world.wire.clear()
    server = world.promote("b")
    question.target, question.term = server.peer, server.term
    world.servers["c"].become_follower(leader=server.peer, term=server.term)
    told: list[int] = []
    world.step("b", question)
    for _ in range(20):
        told += [message.index for message in of_kind(world, ReadIndexReply)]
        if world.wire:
            world.deliver([world.wire.pop(0)])
    assert told
    assert min(told) >= server.role.first > 2


def test_a_deposed_leader_tells_nothing() -> None:
    world = world_with_leader("abc")
    for name in "ab":
        world.cut |= {(name, "c"), ("c", name)}
    world.promote("c")
    world.ring(0.01)
    ticket = world.query("b", FOLLOWER)
    world.settle()
    assert ticket.answer == ("ok", 1), "a still has b"
    world.cut = {(x, y) for x in "ab" for y in "ab" + "c" if x != y} - {("b", "a"), ("a", "b")}
    world.cut |= {("a", "c"), ("c", "a")}
    world.isolate("a")
    ticket = world.query("a", FOLLOWER)
    world.settle()
    assert ticket.answer is None
    world.ring(2)
    assert ticket.answer[0] == "error"


def test_reads_that_wait_at_one_flush_share_a_question() -> None:
    world = world_with_leader()
    tickets = [Ticket("read") for _ in range(50)]
    world.step("b", *[Query(b"", ticket, FOLLOWER) for ticket in tickets])
    assert len(of_kind(world, ReadIndex)) == 1
    world.settle()
    assert all(ticket.answer == ("ok", 1) for ticket in tickets)


def test_a_follower_that_lags_answers_when_it_has_caught_up() -> None:
    world = world_with_leader()
    world.propose("a", b"y")
    slow = [message for message in world.wire if message.target[0] == "b"]
    world.wire = [message for message in world.wire if message.target[0] != "b"]
    world.settle()
    assert world.acknowledged == [b"x", b"y"]
    ticket = world.query("b", FOLLOWER)
    while world.wire and ticket.answer is None:
        message = world.wire.pop(0)
        if message.target[0] == "b" and hasattr(message, "entries"):
            slow.append(message)
        else:
            world.deliver([message])
    assert ticket.answer is None, "it does not have y"
    world.wire = slow
    world.ring(0.1)
    assert ticket.answer == ("ok", 2)
    assert not world.stale_reads


def test_a_lost_question_is_asked_again_with_the_next_heartbeat() -> None:
    world = world_with_leader()
    ticket = world.query("b", FOLLOWER)
    world.wire.clear()
    world.ring(0.12)
    assert ticket.answer == ("ok", 1)


def test_a_lost_answer_is_asked_for_again_and_only_once_in_a_heartbeats_time() -> None:
    world = world_with_leader()
    world.query("b", FOLLOWER)
    world.wire.clear()
    server = world.servers["b"]
    asked = 0
    for _ in range(100):  # nobody answers, and heartbeats hail down
        world.now += 0.001
        world.step("a", Tick())
        server.config = world.config
        for message in world.wire:
            if message.target[0] == "b":
                world.step("b", message)
        asked += len(of_kind(world, ReadIndex))
        world.wire.clear()
    assert 1 <= asked <= 3


def test_a_late_answer_to_a_former_life_answers_nothing() -> None:
    """Planted: number the questions from 1 in each life. The read would not see y."""
    world = world_with_leader()
    world.query("b", FOLLOWER)
    world.deliver([of_kind(world, ReadIndex)[0]])
    world.wire = [message for message in world.wire if not isinstance(message, ReadIndex)]
    while not of_kind(world, ReadIndexReply):
        world.deliver([world.wire.pop(0)])
    late = of_kind(world, ReadIndexReply)[0]
    world.wire.remove(late)
    world.settle()
    world.crash("b")
    world.cut |= {("a", "b")}
    world.propose("a", b"y")
    world.settle()
    assert world.acknowledged == [b"x", b"y"]
    world.start("b")
    world.cut.clear()
    heartbeat = world.servers["a"].role
    heartbeat.send_append(late.target, heartbeat.progress[late.target].match, [])
    world.step("a")
    appends = [m for m in world.wire if m.target[0] == "b"]
    world.wire.clear()
    for message in appends:
        message.entries = []
        world.step("b", message)
    world.wire.clear()
    ticket = world.query("b", FOLLOWER)
    world.step("b", late)
    assert ticket.answer is None
    world.ring(0.3)
    assert ticket.answer == ("ok", 2)


def test_reads_of_a_follower_whose_leader_falls_silent_are_refused() -> None:
    world = world_with_leader()
    world.isolate("b")
    ticket, stale = world.query("b", FOLLOWER), world.query("b", STALE, 0.0)
    world.ring(0.7)
    assert (ticket.answer, stale.answer) == (LOST, TOO_STALE)
    assert world.servers["b"].role.name == "pre_candidate"
    assert world.query("b", FOLLOWER).answer == ("error", "election_in_progress")


def test_a_learner_who_never_stands_refuses_them_in_time_too() -> None:
    """Planted: bound the wait by the election alone."""
    world = World("abc")
    from raft_actors.core.messages import Configure
    from tests.core.world import address

    world.step("a", Configure((address("a"), address("b")), Ticket("c"), (address("c"),)))
    world.ring(0.2)
    ticket = world.query("c", FOLLOWER)
    world.settle()
    assert ticket.answer == ("ok", 0)
    world.isolate("c")
    ticket = world.query("c", FOLLOWER)
    world.ring(1.0)
    assert ticket.answer == LOST
    assert world.servers["c"].alarm == world.servers["c"].tell_at, "nothing else to wait for"


def test_a_follower_without_a_leader_sends_readers_away() -> None:
    world = World("abc")
    assert world.query("b", FOLLOWER).answer == LOST
    assert world.query("b", STALE, 1.0).answer == TOO_STALE


def test_what_waits_at_a_follower_is_bounded() -> None:
    world = world_with_leader(proposals_max=3)
    world.isolate("b")
    waiting = [world.query("b", FOLLOWER) for _ in range(3)]
    assert world.query("b", FOLLOWER).answer == ("error", "overloaded")
    assert [ticket.answer for ticket in waiting] == [None] * 3


def test_the_leader_answers_these_reads_as_its_own() -> None:
    world = world_with_leader()
    for how in ((FOLLOWER,), (STALE, 0.5)):
        ticket = world.query("a", *how)
        assert ticket.answer is None
        world.settle()
        assert ticket.answer == ("ok", 1)


# Stale reads.


def test_any_peer_answers_a_stale_read_at_once_whatever_its_role() -> None:
    world = world_with_leader()
    world.isolate("b")
    assert world.query("b", STALE).answer == ("ok", 1)
    world.propose("a", b"y")
    world.ring(3)
    assert world.servers["b"].role.name == "pre_candidate"
    assert world.query("b", STALE).answer == ("ok", 1)
    assert world.query("a", STALE).answer == ("ok", 2)
    assert len(world.wire) == 0


def test_a_bounded_stale_read_asks_the_leader_only_when_its_last_answer_is_too_old() -> None:
    world = world_with_leader()
    first = world.query("b", STALE, 0.5)
    assert first.answer is None
    world.settle()
    assert first.answer == ("ok", 1)
    asked = world.now
    world.propose("a", b"y")
    world.wire.clear()
    world.isolate("b")
    for seconds in (0.1, 0.3, 0.5):
        world.now = asked + seconds
        assert world.query("b", STALE, 0.5).answer == ("ok", 1), seconds
    world.now = asked + 0.51
    assert world.query("b", STALE, 0.5).answer is None
    assert world.query("b", STALE, 0.6).answer == ("ok", 1)


def test_freshness_counts_from_the_question_and_not_from_its_answer() -> None:
    world = world_with_leader()
    world.query("b", STALE, 0.5)
    world.now += 0.2  # under way
    world.settle()
    world.isolate("b")
    world.now += 0.1
    assert world.query("b", STALE, 0.31).answer == ("ok", 1)
    assert world.query("b", STALE, 0.29).answer is None


def test_a_heartbeat_is_no_news_for_a_bounded_read() -> None:
    """Planted: take the time of the last heartbeat. A deposed leader's goes on for a while."""
    world = world_with_leader()
    world.query("b", STALE, 0.5)
    world.settle()
    world.isolate("c")
    world.cut |= {("b", "a")}  # b hears a, and a hears nobody
    world.ring(0.55)
    ticket = world.query("b", STALE, 0.5)
    assert ticket.answer is None


def test_what_a_peer_knows_to_be_fresh_it_knows_without_a_leader_too() -> None:
    world = world_with_leader()
    world.query("b", STALE, 0.5)
    world.settle()
    world.isolate("b")
    world.step("b", NodeLost("sim@host"))
    world.now += 0.1
    world.step("b", Tick())
    assert world.servers["b"].role.name == "pre_candidate"
    assert world.query("b", STALE, 0.5).answer == ("ok", 1)
    assert world.query("b", STALE, 0.05).answer == TOO_STALE


def test_a_token_makes_a_stale_read_wait_for_what_the_client_has_seen() -> None:
    world = world_with_leader()
    world.isolate("b")
    world.propose("a", b"y")
    world.settle()
    index = world.servers["a"].commit_index
    ticket = world.query("b", STALE, None, index)
    assert ticket.answer is None
    assert world.query("a", STALE, None, index).answer == ("ok", 2)
    world.heal()
    world.ring(0.2)
    assert ticket.answer == ("ok", 2)


def test_a_token_that_does_not_come_is_given_up() -> None:
    world = world_with_leader()
    ticket = world.query("b", STALE, None, 1_000)
    world.ring(0.65)
    assert ticket.answer == LOST
    assert world.servers["b"].role.name == "follower"


def told(question: ReadIndex, index: int) -> ReadIndexReply:
    """The leader's answer to a question."""
    return ReadIndexReply(
        source=question.target, target=question.source, group=question.group, term=question.term,
        number=question.number, index=index,
    )  # fmt: skip


def test_an_answer_is_good_for_the_questions_up_to_its_own() -> None:
    """What was committed between two questions, only the second one's answer has to show.

    Planted: an_answer_answers_newer_questions.
    """
    world = world_with_leader()
    world.query("b", FOLLOWER)
    first = of_kind(world, ReadIndex)[0]
    answer = told(first, world.servers["a"].commit_index)
    world.wire.clear()
    world.cut |= {("a", "b")}
    world.propose("a", b"between")
    world.settle()
    assert world.acknowledged == [b"x", b"between"]
    second = world.query("b", FOLLOWER)
    world.step("b", answer)
    assert second.answer is None
    assert not world.stale_reads
    world.heal()
    world.ring(0.3)
    assert second.answer == ("ok", 2)


def test_a_bounded_read_waits_for_all_that_was_committed_when_this_peer_asked() -> None:
    """It knows the index and lacks the entries. Planted: bounded_stale_read_ignores_the_index."""
    world = world_with_leader()
    world.query("b", FOLLOWER)
    question = of_kind(world, ReadIndex)[0]
    world.wire.clear()
    world.cut |= {("a", "b")}
    world.propose("a", b"y")
    world.settle()
    server = world.servers["b"]
    index = world.servers["a"].commit_index
    assert server.commit_index < index
    world.step("b", told(question, index))
    assert server.read_floor == (world.now, index)
    ticket = world.query("b", STALE, 100.0)
    assert ticket.answer is None
    world.heal()
    world.ring(0.3)
    assert ticket.answer == ("ok", 2)
