"""Leadership transfer (thesis 3.10)."""

from raft_actors.core.messages import TimeoutNow, Transfer
from tests.core.world import Ticket, World, address


def world_with_leader(names: str = "abc") -> World:
    world = World(names)
    world.configure("a")
    world.settle()
    return world


def transfer(world: World, name: str, to: str | None = None) -> Ticket:
    ticket = Ticket("transfer")
    world.step(name, Transfer(address(to) if to else None, ticket))
    return ticket


def test_the_leader_hands_over_at_once_and_its_successor_is_heard_beside_it() -> None:
    world = world_with_leader()
    world.ring(0.2)
    before = world.now
    ticket = transfer(world, "a", "c")
    world.settle()
    assert world.role("c") == "leader"
    assert world.role("a") == "follower"
    assert ticket.answer == ("ok", address("c"))
    assert world.now == before, "nobody waited for a timeout"


def test_without_a_wish_the_fittest_follower_gets_the_office() -> None:
    world = world_with_leader()
    world.isolate("b")
    world.propose("a", b"x")
    world.settle()
    world.heal()
    transfer(world, "a")
    world.settle()
    assert world.role("c") == "leader"


def test_a_successor_gets_every_command_first_and_none_is_left_unknown() -> None:
    world = world_with_leader()
    tickets = [Ticket("write", b"%d" % n) for n in range(20)]
    from raft_actors.core.messages import Propose

    handing = Ticket("transfer")
    proposals = [Propose(ticket.value, ticket) for ticket in tickets]
    world.step("a", *proposals, Transfer(address("b"), handing))
    assert not any(type(message) is TimeoutNow for message in world.wire)
    late = world.propose("a", b"late")[0]
    assert late.answer == ("error", "election_in_progress"), "not taken, so safe to send again"
    world.ring(0.2)
    assert world.role("b") == "leader"
    assert [ticket.answer for ticket in tickets] == [("ok", b"%d" % n) for n in range(20)]


def test_a_successor_that_does_not_answer_costs_one_election_timeout() -> None:
    world = world_with_leader()
    world.crash("b")
    ticket = transfer(world, "a", "b")
    world.ring(world.config.max_election_timeout + 2 * world.config.heartbeat_timeout)
    assert ticket.answer == ("error", "timeout") or world.role("a") == "leader"
    world.ring(1)
    assert world.role("a") == "leader"
    assert world.propose("a", b"x")[0].answer is None
    world.settle()
    assert world.machines["a"].commands[-1] == b"x"


def test_only_a_leader_hands_over_and_only_to_a_member() -> None:
    world = world_with_leader()
    assert transfer(world, "b", "c").answer == ("error", ("redirect", address("a")))
    assert transfer(world, "a", "z").answer == ("error", "no_such_member")
    assert transfer(world, "a", "a").answer == ("ok", address("a"))
    lone = World("a")
    lone.configure("a")
    assert transfer(lone, "a").answer == ("error", "no_such_member")


def test_a_second_transfer_waits_for_the_first() -> None:
    world = world_with_leader()
    world.crash("b")
    transfer(world, "a", "b")
    assert transfer(world, "a", "c").answer == ("error", "transfer_in_progress")


def test_an_order_of_an_older_term_moves_nobody() -> None:
    world = world_with_leader()
    term = world.servers["b"].term
    order = TimeoutNow(source=address("a"), target=address("b"), group="", term=term - 1)
    world.step("b", order)
    assert world.role("b") == "follower"
