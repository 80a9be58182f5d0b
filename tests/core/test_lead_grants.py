"""Grants of the lead: what runs only where a leader is, and never at two hosts at once.

Each rule has a planted bug in tests/mutations.
"""

from typing import Any

from raft_actors.config import Config
from raft_actors.core.effects import Effects, LeadNews
from raft_actors.core.entry import CONFIG, NOOP, kind_of
from raft_actors.core.lead_grants import CLOCK_MARGIN
from raft_actors.core.messages import (
    Configure,
    GrantLead,
    NodeLost,
    ReturnLead,
    TimeoutNow,
    Transfer,
)
from raft_actors.core.server import Server
from tests.core.world import NODE, Ticket, World, address

GRANT_S = 2.0
HAND_OVER_S = 5.0
WAIT_S = GRANT_S * (1 + CLOCK_MARGIN)


class GrantWorld(World):
    """A world that keeps the news for the holders of grants, by the names of their peers."""

    def __init__(self, names: str = "abc", config: Config | None = None) -> None:
        self.told: dict[str, LeadNews] = {}
        super().__init__(names, config=config)
        self.configure("a")
        self.ring(0.2)

    def run(self, name: str, server: Server, due: Effects) -> None:
        super().run(name, server, due)
        if due.lead is not None:
            self.told[name] = due.lead


def wish(world: World, name: str = "a", grant_s: float = GRANT_S) -> GrantLead:
    event = GrantLead(int(grant_s * 1000), HAND_OVER_S, Ticket("grant"))
    world.step(name, event)
    world.settle()
    return event


def give_back(world: World, event: GrantLead, name: str = "a", *, ended: bool = True) -> None:
    world.step(name, ReturnLead(index=event.index, ended=ended))
    world.settle()


def transfer(world: World, to: str | None = None, name: str = "a") -> Ticket:
    ticket = Ticket("transfer")
    world.step(name, Transfer(address(to) if to else None, ticket))
    world.settle()
    return ticket


def is_given(event: GrantLead) -> bool:
    answer: Any = event.ticket.answer
    return answer is not None and answer[0] == "ok"


def leads(world: World) -> Any:
    [(_name, server)] = world.leaders()
    return server.role


def test_a_grant_is_an_entry_and_its_token_the_index() -> None:
    world = GrantWorld()
    first, second = wish(world), wish(world)
    assert is_given(first)
    assert is_given(second)
    entries = world.entries("a")
    assert kind_of(entries[first.index - 1]) == kind_of(entries[second.index - 1]) == NOOP
    assert 0 < first.index < second.index


def test_the_group_knows_the_grant_time_before_a_grant_is_given() -> None:
    world = GrantWorld()
    event = wish(world)
    configuration = world.servers["c"].configuration
    assert configuration.grant_ms == GRANT_S * 1000
    assert configuration.index < event.index


def test_the_first_grant_waits_until_the_first_entry_of_the_term_is_applied() -> None:
    world = GrantWorld()
    world.promote("b")
    event = GrantLead(1000, HAND_OVER_S, Ticket("grant"))
    world.step("b", event)
    assert not is_given(event)
    world.ring(0.2)
    assert is_given(event)
    assert event.index > world.servers["b"].role.first


def test_who_does_not_lead_gives_no_grant() -> None:
    world = GrantWorld()
    assert wish(world, "b").ticket.answer == ("error", ("redirect", address("a")))
    world.isolate("b")
    world.tick("b")
    assert wish(world, "b").ticket.answer == ("error", "election_in_progress")


def test_the_holder_counts_from_the_begin_of_a_round_and_not_from_its_answers() -> None:
    """Planted: counted_from_the_answer."""
    world = GrantWorld()
    wish(world)
    world.settle()
    world.now = world.servers["a"].alarm
    began = world.now
    world.tick("a")
    world.now += 0.02
    world.settle()
    assert world.told["a"] == LeadNews(began, recalled=False)


def test_a_leader_without_answers_of_a_majority_confirms_nothing() -> None:
    world = GrantWorld()
    wish(world)
    world.ring(0.2)
    world.isolate("a")
    world.wire.clear()
    before = world.told["a"]
    world.ring(0.3)
    assert world.role("a") == "leader"
    assert world.told["a"] == before


def test_a_single_voter_confirms_itself_at_each_heartbeat() -> None:
    world = GrantWorld("a")
    event = wish(world)
    assert is_given(event)
    world.ring(1)
    assert world.told["a"].confirmed_at > world.now - 2 * world.config.heartbeat_timeout


def test_a_new_leader_waits_for_the_grant_time() -> None:
    """Its followers did not wait before they elected it: the connections to `a` broke.

    Planted: new_leader_gives_grants_at_once.
    """
    world = GrantWorld()
    wish(world)
    world.ring(0.2)
    world.isolate("a")
    for name in "bc":
        world.step(name, NodeLost(NODE))
    elected = world.now
    while world.role("b") != "leader" and world.role("c") != "leader":
        world.ring(0.01)
    assert world.now < elected + world.config.min_election_timeout, "nobody waited for a timeout"
    new = "b" if world.role("b") == "leader" else "c"
    world.heal()
    event = wish(world, new)
    given_from = world.servers[new].role.began + WAIT_S
    written = world.propose(new, b"x")[0]
    world.settle()
    assert written.answer == ("ok", b"x"), "writes do not wait"
    world.ring(given_from - world.now - 0.03)
    assert not is_given(event), "its clock may be the faster one"
    world.ring(0.1)
    assert is_given(event)


def test_a_group_without_grants_lets_no_leader_wait() -> None:
    world = GrantWorld()
    world.elect("b")
    assert is_given(wish(world, "b"))


def test_who_restarts_waits_for_what_its_own_process_has_left() -> None:
    world = GrantWorld("a")
    wish(world)
    world.crash("a")
    world.start("a")
    world.elect("a")
    event = wish(world)
    assert not is_given(event)
    world.ring(WAIT_S + 0.1)
    assert is_given(event)


def test_a_transfer_waits_until_the_grant_is_returned_and_writes_go_on() -> None:
    """Planted: hand_over_without_waiting."""
    world = GrantWorld()
    event = wish(world)
    ticket = transfer(world, "b")
    world.ring(0.5)
    assert ticket.answer is None
    assert world.told["a"].recalled
    assert world.role("a") == "leader"
    written = world.propose("a", b"x")[0]
    world.settle()
    assert written.answer == ("ok", b"x"), "what is about to end may have to write something"
    before = world.now
    give_back(world, event)
    assert ticket.answer == ("ok", address("b"))
    assert world.role("b") == "leader"
    assert world.now == before


def test_the_successor_of_a_transfer_need_not_wait() -> None:
    world = GrantWorld()
    event = wish(world)
    transfer(world, "b")
    give_back(world, event)
    assert is_given(wish(world, "b"))


def test_a_holder_that_does_not_answer_stops_no_transfer_and_the_successor_waits() -> None:
    """Planted: released_is_said_always."""
    world = GrantWorld()
    wish(world)
    ticket = transfer(world, "b")
    world.ring(HAND_OVER_S - 0.1)
    assert ticket.answer is None
    world.ring(0.3)
    assert ticket.answer == ("ok", address("b"))
    event = wish(world, "b")
    world.ring(WAIT_S - 0.5)
    assert not is_given(event)
    world.ring(0.6)
    assert is_given(event)


def test_what_may_run_on_after_the_return_makes_the_successor_wait() -> None:
    world = GrantWorld()
    event = wish(world)
    ticket = transfer(world, "b")
    give_back(world, event, ended=False)
    assert ticket.answer is None, "it may run on until the grant time is over"
    world.ring(GRANT_S + 0.1)
    assert ticket.answer == ("ok", address("b"))
    assert is_given(wish(world, "b")), "it is over now"


def test_a_leader_that_waits_itself_promises_its_successor_nothing() -> None:
    """Planted: released_by_a_leader_that_waits."""
    world = GrantWorld()
    wish(world)
    world.promote("b")
    world.ring(0.2)
    assert transfer(world, "c", "b").answer == ("ok", address("c")), "there is no grant to return"
    event = wish(world, "c")
    assert not is_given(event)
    world.ring(WAIT_S + 0.1)
    assert is_given(event)


def test_a_late_order_does_not_speak_of_a_grant_that_came_after_it() -> None:
    """The transfer fails, and its TimeoutNow arrives after the next grant.

    Planted: released_holds_for_any_log.
    """
    world = GrantWorld()
    event = wish(world)
    ticket = transfer(world, "b")
    world.cut = {("a", "b")}
    give_back(world, event)
    server = world.servers["a"]
    [order] = [
        TimeoutNow(
            source=address("a"), target=address("b"), group=server.group, term=server.term,
            released=server.role.released(),
        )
    ]  # fmt: skip
    assert order.released == server.log.last_index
    world.ring(2)
    assert ticket.answer[0] == "error"
    world.heal()
    event = wish(world)
    assert is_given(event), "the transfer was given up"
    world.ring(0.2)
    world.step("b", order)
    world.settle()
    assert world.role("b") == "leader"
    assert not is_given(wish(world, "b"))


def test_after_a_transfer_that_failed_there_is_a_new_grant_soon() -> None:
    world = GrantWorld()
    event = wish(world)
    ticket = transfer(world, "b")
    world.crash("b")
    give_back(world, event)
    again = wish(world)
    assert not is_given(again)
    world.ring(2)
    assert ticket.answer[0] == "error"
    assert is_given(again)


def test_a_leader_with_a_slow_disk_recalls_its_grants_first() -> None:
    world = GrantWorld()
    event = wish(world)
    world.slow["a"] = world.config.min_election_timeout * 0.6
    for value in (b"1", b"2", b"3"):
        world.propose("a", value)
        world.settle()
    assert world.role("a") == "leader"
    assert world.told["a"].recalled
    give_back(world, event)
    assert world.role("a") == "follower"


def test_a_leader_that_is_to_be_removed_recalls_its_grants_first() -> None:
    """Planted: leader_is_removed_with_its_grants."""
    world = GrantWorld()
    event = wish(world)
    ticket = Ticket("configure")
    world.step("a", Configure((address("b"), address("c")), ticket))
    world.ring(0.3)
    assert ticket.answer is None
    assert world.told["a"].recalled
    give_back(world, event)
    world.ring(0.3)
    assert ticket.answer[0] == "ok"
    new = leads(world).leader[0]
    assert new in "bc"
    assert is_given(wish(world, new)), "the leader that left has said that nothing runs any more"


def test_a_leader_that_ends_in_the_middle_promises_nothing() -> None:
    world = GrantWorld()
    wish(world)
    [order] = world.servers["a"].role.last_messages()
    assert order.released == 0
    without = GrantWorld()
    [order] = without.servers["a"].role.last_messages()
    assert order.released == without.servers["a"].log.last_index


def test_the_longest_grant_of_a_leader_is_the_grant_time_of_its_group() -> None:
    """Planted: shorter_grant_shortens_the_wait."""
    world = GrantWorld()
    long = wish(world, grant_s=4.0)
    wish(world, grant_s=1.0)
    assert world.servers["b"].configuration.grant_ms == 4000
    give_back(world, long)
    wish(world, grant_s=2.0)
    assert world.servers["b"].configuration.grant_ms == 2000


def test_a_grant_waits_for_a_change_of_members_if_its_time_is_new() -> None:
    world = GrantWorld("abcd")
    world.isolate("d")
    world.ring(0.2)
    ticket = Ticket("configure")
    world.step("a", Configure(tuple(map(address, "abc")), ticket))
    event = GrantLead(1000, HAND_OVER_S, Ticket("grant"))
    world.step("a", event)
    assert event.index == 0
    world.ring(0.5)
    assert ticket.answer[0] == "ok"
    assert is_given(event)
    assert world.servers["b"].configuration.grant_ms == 1000


def test_the_grant_time_outlives_changes_of_members() -> None:
    world = GrantWorld("abcd")
    wish(world)
    ticket = Ticket("configure")
    world.step("a", Configure(tuple(map(address, "abc")), ticket))
    world.ring(0.5)
    assert ticket.answer[0] == "ok"
    last = world.servers["b"].configuration
    assert (last.members, last.grant_ms) == (tuple(map(address, "abc")), GRANT_S * 1000)
    assert kind_of(world.entries("a")[last.index - 1]) == CONFIG


def test_a_deposed_leader_forgets_its_grants_and_refuses_its_wishes() -> None:
    world = GrantWorld()
    wish(world)
    world.isolate("a")
    event = GrantLead(1000, HAND_OVER_S, Ticket("grant"))
    world.step("a", event)
    world.ring(3)
    assert world.role("a") != "leader"
    assert event.ticket.answer[0] == "error"


def test_a_returned_grant_brings_no_more_news() -> None:
    world = GrantWorld()
    event = wish(world)
    give_back(world, event)
    world.told.clear()
    world.ring(1)
    assert world.told == {}
    assert world.servers["a"].role.grants == {}


def test_the_next_grant_waits_until_what_may_run_on_is_over() -> None:
    """Planted: grant_is_handed_out_while_one_runs_on."""
    world = GrantWorld()
    event = wish(world)
    world.ring(0.2)
    give_back(world, event, ended=False)
    again = wish(world)
    world.ring(GRANT_S - 0.2)
    assert not is_given(again)
    world.ring(0.4)
    assert is_given(again)
