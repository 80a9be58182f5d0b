"""Witnesses: members that vote, keep the log, and have no state to answer from."""

from raft_actors.core.messages import Configure, InstallSnapshot, Propose, Query, Transfer
from raft_actors.core.snapshot import Snapshot
from tests.core.world import Ticket, World, address


def configure(world: World, name: str, members: str, witnesses: str = "") -> Ticket:
    ticket = Ticket("configure")
    event = Configure(
        tuple(map(address, members)), ticket, witnesses=tuple(map(address, witnesses))
    )
    world.step(name, event)
    return ticket


def group_of(members: str, witnesses: str) -> World:
    world = World(members)
    configure(world, members[0], members, witnesses)
    world.ring(0.3)
    assert world.role(members[0]) == "leader"
    return world


def members_of(world: World, name: str) -> str:
    return "".join(member[0] for member in world.servers[name].configuration.members)


def ask(world: World, name: str, event: type) -> Ticket:
    ticket = Ticket("ask")
    world.step(name, event(b"x", ticket))
    return ticket


def test_with_two_states_and_a_witness_one_state_may_be_lost() -> None:
    world = group_of("abw", "w")
    world.isolate("b")
    done = world.propose("a", b"x")[0]
    world.settle()
    assert done.answer == ("ok", b"x"), "a and w are a majority"
    world.heal()
    world.ring(0.3)
    world.crash("a")
    world.ring(3)
    assert world.role("b") == "leader", "the witness leaves it to b"


def test_a_witness_that_alone_has_the_newest_entries_leads_until_another_has_them() -> None:
    world = group_of("abw", "w")
    world.isolate("b")
    world.propose("a", b"x")
    world.settle()
    world.crash("a")
    world.heal()
    told = len(world.news)
    world.ring(3)
    assert [name for name, news in world.news[told:] if news.role == "leader"] == ["w", "b"]
    assert world.machines["b"].commands == [b"x"]


def test_a_witness_hands_over_before_its_own_first_entry_is_committed() -> None:
    """c was away for long: only b could send it a snapshot, and only c could make a majority for
    the entry. Planted: a_witness_waits_for_its_own_first_entry."""
    world = group_of("abcw", "w")
    world.isolate("c")
    world.ring(0.2)
    world.propose("a", b"x")
    world.deliver([next(m for m in world.wire if m.target == address("w"))])
    world.wire.clear()
    world.crash("a")
    w = world.promote("w")
    for _ in range(20):
        world.tick("w")
        while world.wire:
            world.deliver([world.wire.pop(0)])
        if world.role("w") != "leader":
            break
    assert w.commit_index < w.log.last_index
    assert world.role("b") in ("candidate", "leader")
    assert b"x" in b"".join(world.entries("b"))


def test_a_witness_hands_over_while_members_change() -> None:
    """It may be the only one who has the joint configuration, and d the newcomer need a snapshot.
    Planted: a_witness_stays_while_members_change."""
    world = World("abdw")
    configure(world, "a", "abw", "w")
    world.ring(0.3)
    configure(world, "a", "adw", "w")
    while not world.servers["w"].configuration.old:
        message = world.wire.pop(0)
        if message.target != address("b") or not getattr(message, "entries", ()):
            world.deliver([message])
    world.wire.clear()
    world.crash("a")
    world.isolate("d")
    world.promote("w")
    for _ in range(20):
        world.tick("w")
        while world.wire:
            world.deliver([world.wire.pop(0)])
        if world.role("w") != "leader":
            break
    assert world.role("b") in ("candidate", "leader")
    assert world.servers["b"].configuration.old
    world.heal()
    world.ring(3)
    assert members_of(world, "d") == "adw"


def test_a_witness_that_leads_takes_no_command_and_answers_no_read() -> None:
    world = group_of("abw", "w")
    world.promote("w")
    for event in (Propose, Query):
        assert ask(world, "w", event).answer == ("error", "election_in_progress")


def test_nobody_hands_over_to_a_witness() -> None:
    world = group_of("abw", "w")
    ticket = Ticket("transfer")
    world.step("a", Transfer(address("w"), ticket))
    assert ticket.answer == ("error", "keeps_no_state")
    world.crash("b")
    world.ring(0.5)
    ticket = Ticket("transfer")
    world.step("a", Transfer(None, ticket))
    world.ring(1)
    assert [name for name, news in world.news if news.role == "leader"] == ["a"]
    assert world.servers["a"].role.last_messages() == []


def test_a_witness_sends_nobody_its_snapshot() -> None:
    """It holds no state. Who needs one waits for a leader that has it."""
    world = group_of("abw", "w")
    world.propose("a", b"x", b"y", b"z")
    world.ring(0.2)
    w = world.promote("w")
    w.log.compact(3)
    w.snapshot = Snapshot(3, 1, w.configuration, size=10, checksum=1)
    w.role.progress[address("b")].probe(0)
    world.step("w")
    sent = [message for message in world.wire if message.target == address("b")]
    assert sent
    assert not any(isinstance(message, InstallSnapshot) for message in sent)


def test_a_group_of_witnesses_alone_is_none() -> None:
    world = World("vw")
    assert configure(world, "w", "vw", "vw").answer == ("error", "no_members")
    world = group_of("abw", "w")
    assert configure(world, "a", "w", "w").answer == ("error", "no_members")


def test_a_member_changes_between_state_and_none_only_by_leaving_first() -> None:
    world = group_of("abw", "w")
    answer = ("error", ("remove_first", [address("b")]))
    assert configure(world, "a", "abw", "bw").answer == answer
    answer = ("error", ("remove_first", [address("w")]))
    assert configure(world, "a", "abw").answer == answer
    assert configure(world, "a", "ab").answer is None
    world.ring(0.5)
    assert world.servers["a"].configuration.witnesses == ()


def test_the_others_stand_first() -> None:
    """A witness that won would only have to hand over."""
    for seed in range(10):
        world = World("abw", seed)
        configure(world, "a", "abw", "w")
        world.ring(0.3)
        world.crash("a")
        world.ring(1.5)
        assert world.role("b") == "leader"


def test_a_witness_is_its_data_directory_and_not_its_name() -> None:
    """The log tells of witnesses that were removed, too. Planted: a_witness_by_its_name_alone."""
    world = group_of("abw", "w")
    configuration = world.servers["a"].configuration
    incarnation = world.disks["w"].incarnation
    assert configuration.makes_stateless(address("w"), incarnation)
    assert not configuration.makes_stateless(address("w"), incarnation + 1)
    assert not configuration.makes_stateless(address("a"), world.disks["a"].incarnation)
