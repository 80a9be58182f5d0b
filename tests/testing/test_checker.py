"""Each check is checked: the bug that it is for is planted here, and it must say so."""

from collections.abc import Callable

import pytest

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core import log
from raft_actors.core.entry import COMMAND, NOOP, encode
from raft_actors.core.leader import Leader
from raft_actors.core.messages import AppendReply, Query, VoteReply
from raft_actors.replica import applier, damage
from raft_actors.state_machine import StateMachine
from raft_actors.testing.simulation import fates
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checker import Checker
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.rot import damaged
from raft_actors.testing.simulation.runner import Failure, play
from raft_actors.testing.simulation.ticket import Ticket
from raft_actors.testing.simulation.world import World


def world_with_leader(names: str = "abc", **options) -> World:
    world = World(names, **options)
    world.configure("a")
    world.settle()
    assert world.leader().name == "a"
    return world


def message(world: World, kind: type, source: str, target: str, **fields):
    return kind(source=world.address(source), target=world.address(target), group="", **fields)


def frames(*entry_terms: int) -> list[bytes]:
    return [
        encode(term, COMMAND, encoding.dumps(n), (9, n), index=n - 99)
        for n, term in enumerate(entry_terms, 100)
    ]


def test_a_sound_world_breaks_nothing() -> None:
    world = world_with_leader()
    world.write("a", 1, 2, 3)
    world.read("a")
    world.settle()
    world.ring(1)
    assert world.agrees()
    assert (world.checker.answers.acknowledged, world.checker.answers.reads) == (3, 1)


def test_two_leaders_in_one_term_are_seen() -> None:
    world = world_with_leader()
    core = world.peers["b"].core
    core.role = Leader(core)
    with pytest.raises(Broken, match="both lead term 1"):
        world.step("b")


def test_two_leaders_are_seen_even_if_one_dies_as_it_speaks() -> None:
    world = world_with_leader()
    core = world.peers["b"].core
    core.role = Leader(core)
    core.role.begin()
    world.fuse = 2
    with pytest.raises(Broken, match="both lead term 1"):
        world.step("b")


def test_a_leader_without_a_committed_entry_is_seen() -> None:
    world = world_with_leader()
    world.isolate("c")
    world.write("a")
    world.settle()
    core = world.peers["c"].core
    core.become_candidate()
    core.become_leader()
    with pytest.raises(Broken, match="leader completeness"):
        world.step("c")


def test_another_entry_taken_for_committed_is_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.settle()
    core = world.peers["b"].core
    core.log.truncate(1)
    core.log.append([encode(1, NOOP, index=core.log.last_index + 1)])
    core.commit_index = 2
    with pytest.raises(Broken, match="another entry for committed at index 2"):
        world.checker.look(world.peers["b"])


def test_a_commit_index_that_falls_is_seen() -> None:
    world = world_with_leader()
    world.peers["a"].core.commit_index = 0
    with pytest.raises(Broken, match="fell from 1 to 0"):
        world.step("a")


def test_what_no_quorum_has_on_disk_is_not_committed() -> None:
    world = world_with_leader()
    world.isolate("a")
    world.write("a")
    world.peers["a"].core.commit_to(2)
    with pytest.raises(Broken, match="only a has it on disk"):
        world.step("a")


def test_logs_that_do_not_match_are_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.settle()
    with pytest.raises(Broken, match="log matching"):
        world.disks["b"].save(None, 2, frames(1))


def test_one_entry_after_two_different_ones_is_seen() -> None:
    world = World("ab")
    later = frames(3)
    world.disks["a"].save((3, None, 0), 1, [*frames(1), *later])
    with pytest.raises(Broken, match="follows on one of another term"):
        world.disks["b"].save((3, None, 0), 1, [*frames(2), *later])


def test_a_disk_that_replaces_what_is_committed_is_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.settle()
    world.ring(0.1)
    with pytest.raises(Broken, match="replaces committed entries"):
        world.disks["b"].save(None, 2, frames(7))


def test_a_term_that_falls_is_seen() -> None:
    world = world_with_leader()
    with pytest.raises(Broken, match="term falls from 1 to 0"):
        world.disks["b"].save((0, None, 0), 0, [])


def test_a_vote_that_changes_is_seen() -> None:
    world = world_with_leader()
    with pytest.raises(Broken, match="changes its vote of term 1"):
        world.disks["b"].save((1, world.address("c"), 0), 0, [])


def test_two_votes_in_one_term_are_seen() -> None:
    world = world_with_leader()
    vote = message(world, VoteReply, "b", "c", term=1, granted=True)
    with pytest.raises(Broken, match="b votes for a and c in term 1"):
        world.send("b", [vote])


def test_a_vote_that_is_on_no_disk_is_seen() -> None:
    world = world_with_leader()
    core = world.peers["c"].core
    world.disks["c"].store.ballot = (1, world.address("b"), 1)
    vote = message(world, VoteReply, "c", "a", term=1, granted=True)
    assert core.voted_for == world.address("a")
    with pytest.raises(Broken, match="not on its disk"):
        world.send("c", [vote])


def test_speaking_in_a_term_that_is_on_no_disk_is_seen() -> None:
    world = world_with_leader()
    vote = message(world, VoteReply, "b", "c", term=2, granted=False)
    with pytest.raises(Broken, match="speaks in term 2, and has term 1 on disk"):
        world.send("b", [vote])


def test_acknowledging_what_is_on_no_disk_is_seen() -> None:
    world = world_with_leader()
    reply = message(world, AppendReply, "b", "a", term=1, match=2, round=0)
    with pytest.raises(Broken, match="acknowledges entry 2, and has 1 on disk"):
        world.send("b", [reply])


def test_a_command_applied_twice_is_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.settle()
    world.peers["a"].applied.index -= 1
    with pytest.raises(Broken, match="out of order, or again"):
        world.step("a")


def test_a_command_left_out_is_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.write("a")
    world.peers["b"].applied.index = 2
    with pytest.raises(Broken, match="out of order, or again"):
        world.ring(0.1)


def test_applying_more_in_one_go_than_is_allowed_is_seen() -> None:
    world = world_with_leader(config=Config(log_store="memory", apply_max=2))
    world.write("a", 1, 2, 3, 4, 5)
    world.settle()
    assert world.peers["a"].applied.index == 6
    world.peers["b"].replica.applier.config = Config(log_store="memory", apply_max=5)
    with pytest.raises(Broken, match="more than apply_max"):
        world.ring(0.1)


class Forgetful(StateMachine):
    """Replies from what the process remembers, which is not in the state."""

    def init(self, name: str) -> int:
        self.count = 0 if name == "a" else 1
        return 0

    def handle_write(self, command, state):
        self.count += 1
        return self.count, state


def test_replicas_that_answer_differently_are_seen() -> None:
    world = world_with_leader(machine=Forgetful)
    world.write("a")
    with pytest.raises(Broken, match="replicas differ after command 1"):
        world.ring(0.1)


def test_a_stale_read_is_seen() -> None:
    world = world_with_leader()
    world.write("a")
    world.settle()
    core = world.peers["b"].core
    ticket = Ticket(world.clients, "read")
    core.become_leader()
    core.role.on_query(Query(encoding.dumps(None), ticket))
    core.effects.reads += core.role.reads.abandoned()
    core.effects.reads[0].index = 0
    world.checker.leader_of.clear()
    world.led.clear()
    with pytest.raises(Broken, match="stale read"):
        world.step("b")


def test_a_refused_command_that_happens_is_seen() -> None:
    world = world_with_leader()
    ticket = world.write("a")[0]
    world.busy = world.peers["a"]
    ticket.set(encoding.dumps(("error", "overloaded")))
    with pytest.raises(Broken, match=r"was refused, and then committed"):
        world.settle()


def test_a_command_that_is_committed_and_refused_is_seen() -> None:
    world = world_with_leader()
    ticket = Ticket(world.clients, "write", request=world.write("a")[0].request)
    world.settle()
    world.busy = world.peers["a"]
    with pytest.raises(Broken, match="refused after it"):
        ticket.set(encoding.dumps(("error", "overloaded")))


def test_a_reply_to_another_command_is_seen() -> None:
    world = world_with_leader()
    world.write("a", 1, 2)
    tickets = world.peers["a"].core.role.tickets
    tickets.reverse()
    with pytest.raises(Broken, match="with the reply to entry"):
        world.settle()


def test_a_command_committed_twice_is_seen() -> None:
    world = world_with_leader()
    world.clients.requests -= 1
    world.write("a")
    world.clients.requests -= 1
    world.write("a")
    with pytest.raises(Broken, match="is committed twice"):
        world.settle()


def test_a_world_that_never_agrees_is_seen(monkeypatch) -> None:
    monkeypatch.setattr(World, "agrees", lambda _world: False)
    end = play(draw(1, 10))
    assert isinstance(end, Failure)
    assert "no agreement" in end.violation


def first_failure(seeds: int, steps: int, wanted: Callable[[str], bool]) -> bool:
    return any(
        isinstance(end, Failure) and wanted(end.violation)
        for end in (play(draw(seed, steps)) for seed in range(seeds))
    )


def world_where_b_has_the_end_of_a_torn_batch(monkeypatch) -> World:
    """What the stores' contract forbids: of a torn batch nothing may be kept after the tear."""

    def crash(self: PretendDisk, _kept: float) -> None:
        for _verb, ballot, first, entries in self.unsynced:
            self.store.save(ballot, first, entries[1:])
        self.unsynced.clear()

    monkeypatch.setattr(PretendDisk, "crash", crash)
    world = world_with_leader()
    world.write("a", 1, 2, 3)
    to_b = [message for message in world.wire if message.target[0] == "b"]
    world.fuse = 2
    world.deliver(to_b)
    world.wire = [message for message in world.wire if message not in to_b]
    assert "b" not in world.peers
    return world


def test_a_disk_that_keeps_the_end_of_a_torn_batch_is_seen(monkeypatch) -> None:
    """Its entries stand at other indexes than the leader wrote them at, and nothing has rotted."""
    world = world_where_b_has_the_end_of_a_torn_batch(monkeypatch)
    with pytest.raises(Broken, match="entry 2 on the disk of b is not what its leader wrote"):
        world.start("b")


def test_the_end_of_a_torn_batch_is_damage_for_the_peer(monkeypatch) -> None:
    """The peer gets the entries again."""
    monkeypatch.setattr(Checker, "check_disk", lambda _self, _name: None)
    world = world_where_b_has_the_end_of_a_torn_batch(monkeypatch)
    world.start("b")
    assert damaged(world) == {"b"}
    world.ring(1)
    assert damaged(world) == set()
    assert world.agrees()


def test_the_end_of_a_torn_batch_that_a_peer_takes_for_its_log_is_seen(monkeypatch) -> None:
    """All checks of checksums are off."""
    monkeypatch.setattr(Checker, "check_disk", lambda _self, _name: None)
    for module in (damage, applier, log):
        monkeypatch.setattr(module, "first_damaged", lambda _entries, _first: 0)
    world = world_where_b_has_the_end_of_a_torn_batch(monkeypatch)
    world.start("b")
    with pytest.raises(Broken, match="b takes another entry for committed at index 2"):
        world.ring(1)


@pytest.mark.seeds
def test_a_disk_that_forgets_what_it_synced_is_seen(monkeypatch) -> None:
    """A wiped disk whose peer comes back under its name: what Raft does not promise to survive."""
    monkeypatch.setattr(PretendDisk, "crash", lambda self, _kept: self.destroy())
    monkeypatch.setattr(fates, "may_wipe", lambda _world, _name: False)
    assert first_failure(300, 1_000, lambda violation: "§" in violation)


LANES = 7
"""Early send: before, between, after. Save: before, between write and sync, after. Last flush."""


@pytest.mark.parametrize("boundary", range(1, 10))
def test_a_peer_may_die_at_every_boundary_of_a_step(boundary: int) -> None:
    """And comes back with what its disk has: all of the batch, or nothing."""
    world = world_with_leader(config=Config(log_store="memory"))
    world.fuse = boundary
    world.write("a")
    died = "a" not in world.peers
    if died:
        assert world.disks["a"].last_index in (1, 2)
        world.start("a")
    world.settle()
    world.ring(5)
    assert world.agrees()
    assert died == (boundary <= LANES)
