"""Linearizable reads without a log write (thesis 6.4)."""

from raft_actors.config import Config
from raft_actors.core.messages import AppendReply, Query
from tests.core.world import Ticket, World, address


def world_with_leader(names: str = "abc") -> World:
    world = World(names)
    world.configure("a")
    world.settle()
    return world


def test_a_read_waits_for_a_majority_to_answer_a_round_begun_after_it() -> None:
    world = world_with_leader("abcde")
    ticket = world.query("a")
    assert ticket.answer is None
    newest = world.servers["a"].role.reads.round
    for source, answered in (("b", newest), ("c", newest - 1), ("d", newest - 1)):
        reply = AppendReply(
            source=address(source),
            target=address("a"),
            group=world.servers["a"].group,
            term=1,
            match=1,
            round=answered,
        )
        world.step("a", reply)
        assert ticket.answer is None, "only b has answered this round"
    world.settle()
    assert ticket.answer is not None


def test_one_followers_answer_does_not_release_a_read_of_five() -> None:
    """Defect 12 of the original."""
    world = world_with_leader("abcde")
    for name in "cde":
        world.isolate(name)
    ticket = world.query("a")
    world.settle()
    assert ticket.answer is None


def test_a_deposed_leader_answers_no_read() -> None:
    world = world_with_leader()
    world.isolate("a")
    world.ring(0.35)
    ticket = world.query("a")
    world.ring(5)
    assert ticket.answer[0] == "error"
    assert not world.stale_reads


def test_a_new_leader_answers_only_once_its_first_entry_commits() -> None:
    """Defect 11 of the original: after a restart reads came from an empty state machine."""
    world = world_with_leader()
    world.propose("a", b"x")
    world.settle()
    for name in "abc":
        world.crash(name)
        world.start(name)
    world.promote("b")
    ticket = Ticket("read", acknowledged_before=1)
    world.step("b", Query(b"", ticket))
    assert ticket.answer is None
    world.settle()
    assert ticket.answer == ("ok", 1)
    assert not world.stale_reads


def test_reads_that_wait_at_one_flush_share_a_round() -> None:
    world = world_with_leader()
    before = world.servers["a"].role.reads.round
    tickets = [Ticket("read") for _ in range(50)]
    world.step("a", *[Query(b"", ticket) for ticket in tickets])
    assert world.servers["a"].role.reads.round == before + 1
    assert len(world.wire) == 2
    world.settle()
    assert all(ticket.answer == ("ok", 0) for ticket in tickets)


def test_a_read_writes_nothing() -> None:
    world = world_with_leader()
    before = world.entries("a")
    world.query("a")
    world.settle()
    assert world.entries("a") == before


def test_a_lone_peer_reads_at_once() -> None:
    world = world_with_leader("a")
    assert world.query("a").answer == ("ok", 0)


def test_reads_that_wait_for_their_round_count_against_the_bound() -> None:
    """Planted: count those alone that came since the last flush."""
    world = World("abc", config=Config(log_store="memory", proposals_max=3))
    world.configure("a")
    world.settle()
    for name in "bc":
        world.isolate(name)
    waiting = [world.query("a") for _ in range(3)]
    assert world.query("a").answer == ("error", "overloaded")
    assert world.propose("a", b"x")[0].answer == ("error", "overloaded")
    world.heal()
    world.ring(0.1)
    assert all(ticket.answer is not None for ticket in waiting)
    assert world.query("a").answer is None
