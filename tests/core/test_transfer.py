"""Leadership transfer (thesis 3.10)."""

from raft_actors.core.messages import NodeLost, TimeoutNow, Transfer
from tests.core.world import NODE, Ticket, World, address


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


def test_who_can_not_take_over_is_told_at_once_and_writes_go_on() -> None:
    world = world_with_leader()
    world.crash("b")
    world.ring(5 * world.config.heartbeat_timeout)
    assert transfer(world, "a", "b").answer == ("error", ("peers_not_responding", [address("b")]))
    ticket = world.propose("a", b"x")[0]
    world.settle()
    assert ticket.answer[0] == "ok"
    world.crash("c")
    world.ring(5 * world.config.heartbeat_timeout)
    silent = [address("b"), address("c")]
    assert transfer(world, "a").answer == ("error", ("peers_not_responding", silent))


def test_a_successor_whose_process_ends_is_given_up_at_once() -> None:
    world = world_with_leader()
    ticket = transfer(world, "a", "b")
    world.step("a", NodeLost(NODE))
    assert ticket.answer == ("error", ("peers_not_responding", [address("b")]))
    assert world.servers["a"].role.transfer is None


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


def test_a_leader_whose_disk_stays_slow_hands_over_to_a_follower_with_a_quicker_one() -> None:
    """Every answer of `b` and `c` waits in the inbox of `a` when its own save is done."""
    world = world_with_leader()
    world.slow["a"] = world.config.min_election_timeout * 0.6
    tickets = []
    for value in (b"1", b"2"):
        tickets += world.propose("a", value)
        world.settle()
        assert world.role("a") == "leader", "a hiccup or two may happen to any disk"
    tickets += world.propose("a", b"3")
    world.settle()
    assert world.role("a") == "follower"
    assert [name for name, _ in world.leaders()] in (["b"], ["c"])
    assert [ticket.answer[0] for ticket in tickets] == ["ok"] * 3, "it costs no write"


def test_a_quick_save_between_slow_ones_starts_the_count_anew() -> None:
    world = world_with_leader()
    for took_s in (0.2, 0.2, 0.1, 0.2, 0.2):
        world.slow["a"] = took_s
        world.propose("a", b"x")
        world.settle()
    assert world.role("a") == "leader"


def test_where_all_disks_are_slow_the_office_stays() -> None:
    """Whoever has not saved what the leader has is no better."""
    world = world_with_leader()
    world.slow["a"] = 0.2
    for _ in range(10):
        world.propose("a", b"x")
        appends, world.wire = world.wire, []
        world.tick("a")  # its save is done, and nobody else's
        world.wire = appends + world.wire
        world.settle()
        assert world.role("a") == "leader"


def test_a_slow_leader_that_hands_over_by_itself_still_does_what_it_is_asked() -> None:
    """A graceful stop comes in the middle of it, and waits for its end."""
    world = world_with_leader()
    world.slow["a"] = 0.2
    for _ in range(2):
        world.propose("a", b"x")
        world.settle()
    world.propose("a", b"x")
    for _ in range(3):  # two appends, and the first answer
        world.deliver([world.wire.pop(0)])
    assert world.servers["a"].role.transfer is not None
    ticket = transfer(world, "a")
    world.settle()
    assert ticket.answer[0] == "ok"
    assert world.role("a") == "follower"


def test_a_leader_that_ends_names_a_successor_whatever_ends_it() -> None:
    world = world_with_leader()
    world.propose("a", b"x")
    world.settle()
    [order] = world.servers["a"].role.last_messages()
    world.crash("a")
    world.deliver([order])
    world.settle()
    assert world.role(order.target[0]) == "leader"
    assert world.servers["bc".replace(order.target[0], "")].role.last_messages() == []


def test_an_order_of_an_older_term_moves_nobody() -> None:
    world = world_with_leader()
    term = world.servers["b"].term
    order = TimeoutNow(
        source=address("a"), target=address("b"), group=world.servers["a"].group, term=term - 1
    )
    world.step("b", order)
    assert world.role("b") == "follower"


def test_a_handover_that_nobody_asked_for_is_given_up_after_its_time_too() -> None:
    """Its successor has died: writers are sent away for a second at most.

    Planted: own_wish_to_hand_over_never_ends.
    """
    world = world_with_leader()
    world.slow["a"] = 0.2
    for _ in range(2):
        world.propose("a", b"x")
        world.settle()
    world.propose("a", b"x")
    for _ in range(3):  # two appends, and the first answer
        world.deliver([world.wire.pop(0)])
    transfer = world.servers["a"].role.transfer
    assert transfer is not None
    assert transfer.ticket is None
    world.crash(transfer.target[0])
    assert world.propose("a", b"sent away")[0].answer == ("error", "election_in_progress")
    world.slow.clear()
    world.ring(1)
    assert world.role("a") == "leader"
    ticket = world.propose("a", b"taken")[0]
    world.ring(0.1)
    assert ticket.answer == ("ok", b"taken")


def test_a_new_leader_hands_over_as_soon_as_somebody_has_answered_it() -> None:
    """Nobody has had the time yet, which is no reason to refuse; nor to order the dead to stand."""
    world = world_with_leader()
    world.ring(1)
    world.crash("c")
    world.promote("b")
    ticket, wanted = transfer(world, "b"), transfer(world, "b", to="c")
    assert (ticket.answer, wanted.answer) == (None, None)
    world.ring(0.2)
    assert ticket.answer == ("ok", address("a"))
    assert world.role("a") == "leader"
    assert wanted.answer[0] == "error"


def test_a_new_leader_that_nobody_answers_refuses_to_hand_over() -> None:
    world = world_with_leader()
    world.ring(1)
    world.promote("b")
    world.isolate("b")
    ticket = transfer(world, "b", to="c")
    world.ring(2)
    assert ticket.answer in (
        ("error", ("peers_not_responding", [address("c")])), ("error", "election_in_progress"),
    )  # fmt: skip
