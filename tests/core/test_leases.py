"""Leases: reads that ask nobody, while no other leader can be (thesis 6.4.1).

Each rule that keeps a promise has a planted bug in tests/mutations.
"""

import pytest

from raft_actors.config import Config
from raft_actors.core.messages import (
    FOLLOWER,
    LEASE,
    AppendEntries,
    AppendReply,
    NodeLost,
    RequestPreVote,
    RequestVote,
    Tick,
    TimeoutNow,
    Transfer,
)
from tests.core.world import NODE, Ticket, World, address

DRIFT = 0.25
SHORTEST = 0.3


def world_with_lease(names: str = "abc", drift: float | None = DRIFT) -> World:
    config = Config(log_store="memory", lease_clock_drift_max=drift)
    world = World(names, config=config)
    world.configure("a")
    world.ring(0.2)
    return world


def holds(world: World, name: str = "a") -> bool:
    """Whether a lease read is answered at once, without a message."""
    before = len(world.wire)
    ticket = world.query(name, LEASE)
    return ticket.answer is not None and ticket.answer[0] == "ok" and len(world.wire) == before


def ask_for_vote(world: World, voter: str, candidate: str, **fields: bool) -> bool:
    """Have `candidate` ask with a new term and an equal log; was the vote granted?"""
    log = world.servers[voter].log
    request = RequestVote(
        source=address(candidate), target=address(voter), group=world.servers[voter].ballot.group,
        term=world.servers[voter].term + 1, last_index=log.last_index, last_term=log.last_term,
        **fields,
    )  # fmt: skip
    world.step(voter, request)
    replies = [m for m in world.wire if m.target == address(candidate)]
    world.wire = [m for m in world.wire if m.target != address(candidate)]
    return any(getattr(reply, "granted", False) for reply in replies)


def test_a_leader_with_a_majoritys_promise_answers_at_once() -> None:
    world = world_with_lease()
    assert holds(world)
    world.isolate("b")
    world.ring(0.2)
    assert holds(world), "c promises"


def test_without_the_setting_a_lease_read_asks_a_majority() -> None:
    world = world_with_lease(drift=None)
    assert not holds(world)
    ticket = world.query("a", LEASE)
    world.settle()
    assert ticket.answer == ("ok", 0)


def test_a_lease_ends_in_time_for_the_fastest_clock() -> None:
    """Measured from the beginning of the newest round that was answered, and shortened."""
    world = world_with_lease()
    world.settle()
    world.now = world.servers["a"].alarm
    world.step("a", Tick())
    began = world.now
    world.now += 0.02  # the answers take their time
    world.settle()
    world.isolate("a")
    world.now = began + SHORTEST / (1 + DRIFT) - 0.001
    assert holds(world)
    world.now = began + SHORTEST / (1 + DRIFT)
    assert not holds(world)


def test_an_answer_to_an_old_round_promises_nothing_new() -> None:
    world = world_with_lease()
    world.isolate("c")
    world.settle()
    world.now = world.servers["a"].alarm
    world.step("a", Tick())
    began = world.now
    appends = [m for m in world.wire if m.target[0] == "b"]
    for _ in range(4):  # more rounds, which nobody hears of
        world.now = world.servers["a"].alarm
        world.step("a", Tick())
        world.wire.clear()
    for message in appends:
        world.step("b", message)
    world.settle()
    world.isolate("a")
    world.now = began + SHORTEST
    assert not holds(world)


def test_a_deposed_leader_has_no_lease_when_another_can_be_elected() -> None:
    world = world_with_lease()
    world.isolate("a")
    ended = world.now + SHORTEST
    while world.now < ended + 1:
        world.ring(0.01)
        leaders = [name for name, _server in world.leaders()]
        assert not (holds(world) and leaders != ["a"])


def test_who_promised_refuses_votes_and_pre_votes() -> None:
    world = world_with_lease()
    assert not ask_for_vote(world, "b", "c")
    log = world.servers["b"].log
    world.step("b", RequestPreVote(
        source=address("c"), target=address("b"), group=world.servers["b"].group,
        term=world.servers["b"].term,
        last_index=log.last_index, last_term=log.last_term,
    ))  # fmt: skip
    assert [m.granted for m in world.wire if m.source[0] == "b"] == [False]


def test_a_lost_link_shortens_no_promise() -> None:
    """Without leases a follower stands at once; with them, when its promise has ended."""
    world = world_with_lease()
    promised_until = world.servers["b"].promised_until
    world.step("b", NodeLost(NODE))
    assert not ask_for_vote(world, "b", "c")
    assert promised_until <= world.servers["b"].alarm <= promised_until + 0.05
    world.tick("b")
    assert world.servers["b"].role.name == "pre_candidate"

    plain = world_with_lease(drift=None)
    plain.step("b", NodeLost(NODE))
    assert plain.servers["b"].alarm <= plain.now + 0.05


def test_a_newer_term_shortens_no_promise() -> None:
    """The role that heard the leader is gone, and what it promised is not."""
    world = world_with_lease()
    server = world.servers["b"]
    world.step("b", AppendReply(
        source=address("c"), target=address("b"), group=server.group, term=server.term + 3,
        match=0, round=0,
    ))  # fmt: skip
    assert server.term == 4
    assert not ask_for_vote(world, "b", "c")
    world.step("b", RequestVote(
        source=address("c"), target=address("b"), group=server.group, term=server.term,
        last_index=9, last_term=9,
    ))  # fmt: skip
    assert server.voted_for is None, "nor in the term that it has now"


def test_a_restart_shortens_no_promise() -> None:
    world = world_with_lease()
    world.crash("b")
    world.start("b")
    assert not ask_for_vote(world, "b", "c")
    world.now += SHORTEST
    assert ask_for_vote(world, "b", "c")


@pytest.mark.parametrize("drift", [DRIFT, None], ids=["a shorter one", "no leases"])
def test_a_restart_with_another_setting_shortens_no_promise(drift: float | None) -> None:
    """Another's lease would outlive what was promised for it.

    Planted: a_promise_is_as_long_as_the_setting_of_now, a_promise_of_before_is_forgotten_at_once.
    """
    world = world_with_lease()
    for _ in range(2):  # also the second time: the first told its leader of the shorter one
        world.crash("b")
        world.config = Config(
            log_store="memory", lease_clock_drift_max=drift,
            heartbeat_timeout=0.01, min_election_timeout=0.02,
        )  # fmt: skip
        world.start("b")
        world.tick("a")
        world.settle()
    world.isolate("b")
    began = world.now
    world.now = began + 0.1
    assert not ask_for_vote(world, "b", "c")
    world.now = began + SHORTEST
    assert ask_for_vote(world, "b", "c")


def test_once_it_is_over_a_longer_promise_of_before_is_forgotten() -> None:
    world = world_with_lease()
    assert world.disks["b"].ballot.promise_ms == 1000 * SHORTEST
    world.crash("b")
    world.config = Config(log_store="memory", min_election_timeout=0.2)
    world.start("b")
    world.ring(2 * SHORTEST)
    assert world.disks["b"].ballot.promise_ms == 0


def test_a_newcomer_has_promised_nothing() -> None:
    world = World("ab", config=Config(log_store="memory", lease_clock_drift_max=0.0))
    world.configure("a")
    world.settle()
    assert world.role("a") == "leader", "a group is founded without a wait"


def test_the_only_voter_waits_for_its_promise_too() -> None:
    """Found by the simulation: a leader that is removed leads until its group knows."""
    world = world_with_lease("ab")
    server = world.servers["b"]
    world.isolate("b")
    server.configuration = server.configuration.__class__(
        members=(address("b"),), index=server.configuration.index, group=server.group
    )
    server.role.deadline = server.election_deadline()
    assert server.role.deadline <= world.now
    assert server.alarm == server.promised_until
    world.step("b", Tick())
    assert world.role("b") == "follower"


@pytest.mark.parametrize("delivered", [True, False])
def test_an_order_to_stand_ends_the_lease_for_good(delivered: bool) -> None:
    world = world_with_lease()
    assert holds(world)
    world.step("a", Transfer(address("b"), Ticket("transfer")))
    orders = [m for m in world.wire if isinstance(m, TimeoutNow)]
    assert len(orders) == 1
    assert not holds(world)
    world.wire.clear()
    if not delivered:
        until = world.now + 2
        while world.now < until:  # the transfer is given up; the order may arrive for ever
            world.now = world.servers["a"].alarm
            world.step("a", Tick())
            while world.wire:
                message = world.wire.pop(0)
                if not isinstance(message, TimeoutNow):
                    world.deliver([message])
        assert world.role("a") == "leader"
        assert world.servers["a"].role.transfer is None
        assert not holds(world)
    world.step("b", orders[0])
    assert world.role("b") == "candidate"
    forced = [m for m in world.wire if isinstance(m, RequestVote) and m.target[0] == "c"]
    world.step("c", forced[0])
    assert world.servers["c"].voted_for == address("b"), "the leader itself has let it go"


def test_promises_of_members_without_the_setting_are_none() -> None:
    world = world_with_lease()
    for name in "bc":
        world.servers[name].promise_ms = 0
    world.ring(0.6)
    assert not holds(world)


def test_a_lease_read_of_a_new_leader_waits_for_the_terms_first_entry() -> None:
    world = world_with_lease()
    world.propose("a", b"x")
    world.ring(0.2)
    world.isolate("a")
    world.ring(0.4)
    for name in "bc":
        world.elect(name) if not any(n in "bc" for n, _ in world.leaders()) else None
    leader = next(name for name, _server in world.leaders() if name != "a")
    ticket = world.query(leader, LEASE)
    world.settle()
    assert ticket.answer == ("ok", 1)
    world.ring(0.2)
    assert holds(world, leader)


def test_the_lone_voter_always_has_its_lease() -> None:
    world = world_with_lease("a")
    world.now += 100
    assert holds(world)
    assert world.query("a", FOLLOWER).answer == ("ok", 0)


def test_heartbeats_are_rounds_only_where_leases_are_wanted() -> None:
    for drift, rounds in ((None, 1), (DRIFT, 3)):
        world = world_with_lease(drift=drift)
        seen = set()
        for _ in range(3):
            world.now = world.servers["a"].alarm
            world.step("a", Tick())
            seen |= {m.round for m in world.wire if isinstance(m, AppendEntries)}
            world.settle()
        assert len(seen) == rounds


def test_while_members_change_a_lease_needs_the_promises_of_both_majorities() -> None:
    """§6: the old majority may elect another leader, whatever the new one has promised.

    Planted: lease_by_the_new_majority_alone.
    """
    world = World("abcde", config=Config(log_store="memory", lease_clock_drift_max=DRIFT))
    world.configure("a", "abc")
    world.ring(0.2)
    world.configure("a", "ade")
    for _ in range(1_000):
        if world.servers["a"].configuration.old:
            break
        if world.wire:
            world.deliver([world.wire.pop(0)])
        else:
            world.tick("a")
    for name in "bc":
        world.isolate(name)
    world.ring(SHORTEST + 0.1)
    assert world.role("a") == "leader"
    assert world.servers["a"].configuration.old
    for name in "de":
        assert world.servers["a"].role.progress[address(name)].promised_until > world.now
    assert not holds(world)
    assert world.query("a", LEASE).answer is None
