"""An entry that rots on a disk is never applied, sent or forgotten: the peer owes it until it has
it again (FAST '18, "Protocol-Aware Recovery for Consensus-Based Storage")."""

from dataclasses import replace

import pytest

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import NOTHING_OWED, Ballot
from raft_actors.core.entry import COMMAND, CONFIG, encode, first_damaged, kind_of
from raft_actors.core.messages import RequestPreVote, RequestVote
from raft_actors.errors import StoreCorrupt
from raft_actors.replica.damage import find_damage
from raft_actors.replica.recovery import recover
from raft_actors.stores import open_store
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import Header
from raft_actors.testing.simulation.world import World

MEMORY = Config(log_store="memory")
MEMBERS = Configuration.founding([("a", "a@b")])


def flipped(frame: bytes, bit: int = 100) -> bytes:
    bit %= 8 * len(frame)
    return frame[: bit // 8] + bytes([frame[bit // 8] ^ 1 << bit % 8]) + frame[bit // 8 + 1 :]


def group(names="abc", **options) -> World:
    world = World(names, **options)
    world.configure("a")
    world.settle()
    for _ in range(6):
        world.write("a")
    world.ring(0.5)
    return world


def rot(world: World, name: str, index: int) -> None:
    store = world.disks[name].store
    entry = store.log[index - store.first]
    world.rotted.setdefault(name, {})[index] = entry
    store.log[index - store.first] = flipped(entry)


def restart(world: World, name: str) -> None:
    world.crash(name, 1.0)
    world.start(name)


def troubles(world: World, name: str) -> dict[str, str]:
    return {what: each.detail for what, each in world.peers[name].core.troubles.items()}


def commands(count: int) -> list[bytes]:
    """A configuration and commands, all of term 1."""
    rest = [encode(1, COMMAND, b"%d" % n, index=n) for n in range(2, count + 1)]
    return [encode(1, CONFIG, MEMBERS.encode(), index=1), *rest]


def saved(entries: list[bytes], ballot: Ballot = Ballot(3, None, 1)) -> MemoryStore:
    store = MemoryStore()
    store.save(ballot.stored(), 1, entries)
    return store


def snapshot_in(store: MemoryStore, index: int, *, term: int = 1, reached: bool = True) -> None:
    draft = store.snapshots.draft(Header(index, term, MEMBERS.encode(), 1, "term"))
    draft.finish(reached=reached)


# What a start makes of it.


@pytest.mark.parametrize("kind", ["memory", "rocksdb", "lmdb", "files"])
def test_what_is_damaged_in_any_store_ends_what_the_peer_claims(kind, tmp_path):
    store = open_store(kind, tmp_path / "peer")
    entries = commands(300)
    entries[199] = flipped(entries[199])
    entries[249] = entries[248]  # sound, but of another index
    store.save(Ballot(3, None, 1).stored(), 1, entries)
    found = recover(store, MEMORY)
    assert (found.log.last_index, found.log.last_term) == (199, 1)
    assert found.ballot.owed == (1, 300)
    assert Ballot(*store.load().ballot) == found.ballot, "durable before an entry is replaced"
    assert store.entries(1, 300) == entries, "until it has them again nothing is thrown away"
    store.close()
    store = open_store(kind, tmp_path / "peer")
    assert recover(store, MEMORY).ballot == found.ballot
    store.close()


def test_of_a_damaged_last_entry_the_highest_possible_term_is_owed():
    entries = commands(5)
    store = saved([*entries[:-1], flipped(entries[-1])])
    assert recover(store, MEMORY).ballot.owed == (3, 5)


def test_what_is_owed_outlives_the_next_start():
    """Planted: the first entry that came again cut the others off, and with them all memory."""
    entries = commands(5)
    store = saved([*entries[:2], flipped(entries[2]), *entries[3:]])
    ballot = recover(store, MEMORY).ballot
    store.save(ballot.stored(), 3, [entries[2]])
    found = recover(store, MEMORY)
    assert (found.log.last_index, found.ballot.owed) == (3, (1, 5))
    store.save(None, 4, entries[3:])
    assert recover(store, MEMORY).ballot.owed == NOTHING_OWED


def test_the_configuration_before_the_damage_is_in_force():
    later = replace(MEMBERS, members=(("a", "a@b"), ("c", "c@d")), previous=1)
    entries = [*commands(3), encode(1, CONFIG, later.encode(), index=4)]
    entries += [encode(1, COMMAND, b"5", index=5)]
    for damaged in (3, 4):
        log = [flipped(entry) if n == damaged else entry for n, entry in enumerate(entries, 1)]
        found = recover(saved(log, Ballot(3, None, 4)), MEMORY)
        assert found.configuration.index == found.ballot.configuration == 1
        assert found.log.last_index == damaged - 1


def test_a_last_entry_that_has_rotted_too_pays_nothing():
    """Seed 1004878: entry 2 was owed and cut off; then entry 1 rotted, for which there was a
    snapshot. Its unknown term was taken for the newest one, and so for the end of the debt."""
    first, second = commands(2)
    store = saved([first, flipped(second)], Ballot(1, None, 1))
    snapshot_in(store, 1)
    ballot = recover(store, MEMORY).ballot
    assert ballot.owed == (1, 2)
    store.save(replace(ballot, term=2).stored(), 2, [])
    store.log[0] = flipped(first)
    found = recover(store, MEMORY)
    assert (found.log.base, found.log.last_index, found.ballot.owed) == (1, 1, (1, 2))


def test_a_damaged_entry_that_a_snapshot_stands_for_is_owed_to_nobody():
    for damaged in (2, 4):
        log = [flipped(entry) if n == damaged else entry for n, entry in enumerate(commands(6), 1)]
        store = saved(log)
        snapshot_in(store, 4)
        found = recover(store, MEMORY)
        assert (found.log.base, found.log.last_index) == (4, 6)
        assert found.ballot.owed == NOTHING_OWED


def test_a_log_that_may_be_of_another_history_than_the_snapshot_is_owed():
    """The entry that would tell is damaged (Figure 13, InstallSnapshot 6)."""
    log = [flipped(entry) if n == 4 else entry for n, entry in enumerate(commands(6), 1)]
    store = saved(log)
    snapshot_in(store, 4, reached=False)
    found = recover(store, MEMORY)
    assert (found.log.base, found.log.last_index) == (4, 4)
    assert found.ballot.owed == (1, 6)


def test_a_log_of_another_history_and_damaged_before_the_snapshot_begins_anew():
    log = [flipped(entry) if n == 2 else entry for n, entry in enumerate(commands(6), 1)]
    store = saved(log)
    snapshot_in(store, 4, term=2, reached=False)
    found = recover(store, MEMORY)
    assert (found.log.base, found.log.last_index, found.log.last_term) == (4, 4, 2)


def test_damage_is_found_in_every_slice_of_a_log():
    entries = commands(200)
    for damaged in (1, 64, 65, 128, 200):
        log = [flipped(entry) if n == damaged else entry for n, entry in enumerate(entries, 1)]
        store = saved(log)
        assert find_damage(store, store.load(), 0).first == damaged


# What the peer does.


def test_a_follower_gets_a_damaged_entry_again_from_its_leader():
    world = group()
    before = list(world.disks["b"].store.log)
    rot(world, "b", 4)
    world.crash("b", 1.0)
    world.start("b")
    core = world.peers["b"].core
    assert core.log.last_index == 3
    assert troubles(world, "b") == {"damaged_entries": f"from 4 to {len(before)}"}
    world.ring(1)
    assert world.disks["b"].store.log[: len(before)] == before
    assert core.ballot.owed == NOTHING_OWED
    assert troubles(world, "b") == {}
    assert world.peers["b"].applied.index == world.peers["a"].applied.index


def test_a_follower_that_owes_entries_counts_although_its_leader_had_counted_them():
    """One of three is down. If the leader took the follower for one whose disk lost entries, the
    leader would count alone, and could save nothing (seed 727 of 600 steps)."""
    world = group()
    world.crash("c", 1.0)
    before = world.leader().core.log.last_index
    rot(world, "b", 4)
    restart(world, "b")
    ticket = world.write("a")[0]
    world.ring(3)
    assert world.peers["b"].core.ballot.owed == NOTHING_OWED
    assert ticket.request in world.checker.answers.positions
    assert world.leader().core.term == 1
    assert troubles(world, "a") == {}
    assert world.leader().core.log.last_index == before + 1, "no other configuration was needed"


@pytest.mark.parametrize("kind", [RequestVote, RequestPreVote])
def test_it_votes_for_nobody_who_lacks_what_it_owes(kind):
    world = group()
    last = world.peers["b"].core.log.last_index
    rot(world, "b", 4)
    world.isolate("b")
    restart(world, "b")
    core = world.peers["b"].core
    world.elapse(5)
    for end, granted in ((last - 1, False), (last, True)):
        core.effects.after_save.clear()
        core.now += 100
        core.step(
            kind(source=world.address("c"), target=core.peer, group=core.group,
                 term=core.term + (kind is RequestVote), last_index=end, last_term=1)
        )  # fmt: skip
        (reply,) = core.effects.after_save
        assert reply.granted is granted


def test_it_does_not_stand_however_long_it_hears_nobody():
    world = group()
    rot(world, "b", 4)
    world.isolate("b")
    restart(world, "b")
    world.ring(20)
    assert world.peers["b"].core.role.name == "follower"
    assert "no_leader" in troubles(world, "b")


def test_a_lone_voter_does_not_lead_without_what_it_owes():
    world = group("a")
    rot(world, "a", 4)
    restart(world, "a")
    world.ring(5)
    assert world.leader() is None
    assert {"damaged_entries", "no_leader"} <= {*troubles(world, "a")}


def test_a_leader_with_a_damaged_log_is_followed_by_one_that_has_it_whole():
    world = group()
    before = list(world.disks["a"].store.log)
    rot(world, "a", 4)
    restart(world, "a")
    world.ring(3)
    assert world.leader().name in "bc"
    assert world.disks["a"].store.log[: len(before)] == before
    assert world.peers["a"].core.ballot.owed == NOTHING_OWED


def test_a_leader_that_reads_a_damaged_entry_to_send_it_ends_before_it_does():
    config = Config(log_store="memory", log_cache_bytes=1)
    world = group(config=config)
    world.isolate("c")
    for _ in range(3):
        world.write("a")
    world.ring(0.1)
    rot(world, "a", world.peers["c"].core.log.last_index + 1)
    with pytest.raises(StoreCorrupt, match="is not what its leader wrote"):
        world.peers["a"].core.log.between(world.peers["c"].core.log.last_index + 1,
                                          world.peers["c"].core.log.last_index + 1)  # fmt: skip


def test_an_entry_that_comes_damaged_is_not_taken_and_comes_again():
    world = group()
    index = world.peers["b"].core.log.last_index + 1
    world.write("a")
    spoilt = [each for each in world.wire if each.target[0] == "b" and each.entries]
    for message in spoilt:
        message.entries = [flipped(entry) for entry in message.entries]
    assert spoilt
    world.settle()
    assert world.peers["b"].core.log.last_index == index - 1
    assert "damaged_on_the_way" in troubles(world, "b")
    world.ring(1)
    assert world.disks["b"].store.log == world.disks["a"].store.log
    assert troubles(world, "b") == {}


def test_an_entry_under_another_index_is_not_taken():
    """A byte of an index changed on the way would part two logs for good."""
    world = group()
    world.write("a")
    (message,) = [each for each in world.wire if each.target[0] == "b" and each.entries]
    core = world.peers["b"].core
    message.prev_index -= 1
    world.settle()
    assert not first_damaged(core.log.between(1, core.log.last_index), 1)
    world.ring(1)
    assert world.disks["b"].store.log == world.disks["a"].store.log


def test_an_entry_that_is_damaged_in_memory_is_not_applied():
    world = group()
    world.write("a")
    world.settle()
    core = world.peers["b"].core
    first = world.peers["b"].applied.index + 1
    core.log.tail[-1] = flipped(core.log.tail[-1])
    core.commit_to(core.log.last_index)
    assert first <= core.log.last_index
    with pytest.raises(StoreCorrupt, match=r"not what its leader wrote, and is not applied"):
        world.peers["b"].replica.applier.apply()


def test_extensions_travel_untouched():
    world = group()
    a = world.peers["a"].core
    extensions = b"\x80\x01\x00\x05trace"
    frame = encode(a.term, COMMAND, b"\x07", extensions=extensions, index=a.log.last_index + 1)
    a.log.append_one(frame)
    a.role.tickets.append(None)
    world.ring(1)
    for name in "abc":
        assert world.disks[name].store.log[-1] == frame
        assert kind_of(frame) == COMMAND
        assert world.peers[name].applied.index == a.log.last_index
