"""Replication and commit: Raft §5.3 and §5.4, Figure 2."""

from dataclasses import replace
from types import SimpleNamespace

from raft_actors.config import Config
from raft_actors.core.entry import COMMAND, NOOP, encode, payload_of
from raft_actors.core.messages import (
    NO_FRAMES,
    AppendEntries,
    AppendRejected,
    AppendReply,
    Propose,
    Written,
)
from tests.core.world import Ticket, World, address


def world_with_leader(names: str = "abc", config: Config | None = None) -> World:
    world = World(names, config=config)
    world.configure("a")
    world.settle()
    assert world.role("a") == "leader"
    return world


def append(world: World, target: str, *, term: int, prev: int, prev_term: int,
           entries: list[bytes], commit: int = 0) -> AppendEntries:  # fmt: skip
    return AppendEntries(
        source=address("a"), target=address(target), group=world.servers["a"].group, term=term,
        prev_index=prev, prev_term=prev_term, commit=commit, round=0, entries=entries,
    )  # fmt: skip


def frames(*terms: int, first: int = 1) -> list[bytes]:
    return [
        encode(term, COMMAND, b"%d of %d" % (n, term), index=n)
        for n, term in enumerate(terms, first)
    ]


def test_a_write_is_answered_once_a_majority_holds_it() -> None:
    world = world_with_leader()
    world.isolate("c")
    ticket = world.propose("a", b"x")[0]
    assert ticket.answer is None
    world.settle()
    assert ticket.answer == ("ok", b"x")


def test_a_write_without_a_majority_is_not_answered() -> None:
    world = world_with_leader()
    world.isolate("a")
    ticket = world.propose("a", b"x")[0]
    world.settle()
    assert ticket.answer is None


def test_commands_of_one_batch_travel_in_one_append() -> None:
    """Defect 15 of the original: one entry for each append, on the next heartbeat."""
    world = world_with_leader()
    world.propose("a", *[b"%d" % n for n in range(200)])
    appends = [message for message in world.wire if message.target == address("b")]
    assert [len(message.entries) for message in appends] == [200]


def test_a_leader_counts_its_own_log_only_once_it_is_durable() -> None:
    """Thesis 10.2.1: two of three hold the entry, but one of them only in memory."""
    world = world_with_leader()
    leader = world.servers["a"]
    leader.step(Propose(b"x", Ticket("write")))
    index = leader.log.last_index
    leader.flush()
    leader.step(
        AppendReply(source=address("b"), target=address("a"),
                    group=world.servers["a"].group, term=leader.term,
                    match=index, round=0, source_incarnation=world.servers["b"].incarnation)
    )  # fmt: skip
    assert leader.commit_index < index
    leader.step(Written(last_index=index, last_term=leader.term))
    assert leader.commit_index == index


def test_a_late_written_of_a_replaced_tail_counts_nothing() -> None:
    world = world_with_leader()
    leader = world.servers["a"]
    leader.step(Written(last_index=leader.log.last_index + 5, last_term=leader.term))
    assert leader.role.written == leader.log.last_index


def test_entries_of_older_terms_commit_only_behind_one_of_this_term() -> None:
    """§5.4.2, Figure 8: an entry of an old term on a majority may still be replaced.

    Log of `a`, leader of term 3: an entry of term 2, then its no-op. `b` holds the first only.
    """
    world = World("abc")
    world.configure("a")
    world.settle()
    for name in "ab":
        world.disks[name].log.append(encode(2, COMMAND, b"old", index=2))
        world.disks[name].ballot = world.disks[name].ballot.__class__(2, None, 1)
        world.crash(name)
        world.start(name)
    world.isolate("c")
    a = world.promote("a")
    world.step("a")
    assert a.term == 3
    assert world.terms("a") == [1, 2, 3]
    reply = AppendReply(
        source=address("b"),
        target=address("a"),
        group=world.servers["a"].group,
        term=3,
        match=2,
        round=0,
        source_incarnation=world.servers["b"].incarnation,
    )
    world.step("a", reply)
    assert a.commit_index < 2, "counting replicas of term 2 proves nothing"
    world.step("a", replace(reply, match=3))
    assert a.commit_index == 3


def test_a_late_short_append_shortens_nothing() -> None:
    """Defect 3 of the original: a duplicate rewound the log under a committed entry."""
    world = World("ab")
    entries = frames(1, 1, 1)
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=entries))
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=entries[:1]))
    assert world.entries("b") == entries
    world.step("b", append(world, "b", term=1, prev=1, prev_term=1, entries=[]))
    assert world.entries("b") == entries


def test_a_conflict_removes_all_that_follows_it() -> None:
    """Defect 7 of the original: what lay after the conflict stayed."""
    world = World("ab")
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=frames(1, 1, 1, 1)))
    new = encode(2, COMMAND, b"new", index=2)
    world.step("b", append(world, "b", term=2, prev=1, prev_term=1, entries=[new]))
    assert world.entries("b") == [*frames(1), new]
    assert world.disks["b"].log == [*frames(1), new]


def test_a_failed_consistency_check_removes_nothing() -> None:
    """Defect 8 of the original: it deleted committed entries."""
    world = World("ab")
    entries = frames(1, 1, 1)
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=entries, commit=3))
    world.wire.clear()
    noop = encode(2, NOOP, index=3)
    world.step("b", append(world, "b", term=2, prev=2, prev_term=2, entries=[noop]))
    assert world.entries("b") == entries
    assert [type(message) for message in world.wire] == [AppendRejected]


def test_a_follower_acknowledges_only_what_the_request_proves() -> None:
    """Figure 2, AppendEntries 5. The rest of its log may be another leader's."""
    world = World("ab")
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=frames(1, 1, 1)))
    world.wire.clear()
    world.step("b", append(world, "b", term=2, prev=1, prev_term=1, entries=[], commit=3))
    assert world.wire[-1].match == 1
    assert world.servers["b"].commit_index == 1


def test_the_commit_index_never_goes_back() -> None:
    world = World("ab")
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=frames(1, 1), commit=2))
    world.step("b", append(world, "b", term=1, prev=0, prev_term=0, entries=[], commit=0))
    assert world.servers["b"].commit_index == 2


def test_one_rejection_skips_a_whole_term_of_conflicts() -> None:
    """§5.3, last part: not one round trip for each entry."""
    world = World("ab")
    world.configure("a")
    world.settle()
    first = len(world.disks["b"].log) + 1
    world.disks["b"].log += frames(*[2] * 300, first=first)
    world.disks["a"].log += frames(*[3] * 300, first=first)
    for name, term in (("a", 3), ("b", 2)):
        disk = world.disks[name]
        disk.ballot = disk.ballot.__class__(term, None, 1)
        world.crash(name)
        world.start(name)
    delivered, deliver = [], world.deliver

    def deliver_and_note(messages) -> None:
        delivered.extend(map(type, messages))
        deliver(messages)

    world.deliver = deliver_and_note
    world.elect("a")
    assert world.entries("b") == world.entries("a")
    assert delivered.count(AppendRejected) <= 2, "one rejection for each entry?"


def test_a_lagging_follower_catches_up_in_bounded_batches() -> None:
    config = Config(log_store="memory", append_bytes_max=100, inflight_max=4)
    world = world_with_leader(config=config)
    world.isolate("c")
    world.propose("a", *[b"%03d" % n for n in range(100)])
    world.settle()
    world.heal()
    sizes = []
    for _ in range(200):
        world.ring(world.config.heartbeat_timeout / 4)
        sizes += [sum(map(len, message.entries)) for message in world.wire
                  if type(message) is AppendEntries]  # fmt: skip
        if world.servers["c"].log.last_index == world.servers["a"].log.last_index:
            break
    assert world.entries("c") == world.entries("a")
    assert max(sizes, default=0) <= 100


def test_appends_to_a_silent_follower_are_bounded() -> None:
    config = Config(log_store="memory", append_bytes_max=1, inflight_max=3)
    world = world_with_leader(config=config)
    world.isolate("c")
    for n in range(20):
        world.propose("a", b"%d" % n)
        world.wire = [message for message in world.wire if message.target != address("c")]
        world.settle()
    assert len(world.servers["a"].role.progress[address("c")].inflight) == 3


def test_an_interrupted_write_is_told_as_unknown_and_never_with_anothers_reply() -> None:
    """Defect 13 of the original: pending requests were matched by index alone."""
    world = world_with_leader()
    world.isolate("a")
    ticket = world.propose("a", b"mine")[0]
    world.ring(5)
    assert ticket.answer == ("error", "outcome_unknown")
    leader = next(name for name, server in world.leaders())
    world.propose(leader, b"other")
    world.heal()
    world.ring(5)
    assert ticket.answer == ("error", "outcome_unknown")


def test_followers_and_candidates_say_where_to_go() -> None:
    world = world_with_leader()
    assert world.propose("b", b"x")[0].answer == ("error", ("redirect", address("a")))
    assert world.query("b").answer == ("error", ("redirect", address("a")))
    world.servers["c"].become_pre_candidate()
    assert world.propose("c", b"x")[0].answer == ("error", "election_in_progress")


def test_an_unconfigured_peer_redirects_to_nobody() -> None:
    world = World("abc")
    assert world.propose("b", b"x")[0].answer == ("error", ("redirect", None))


def test_an_overloaded_leader_says_so_at_once() -> None:
    world = world_with_leader(config=Config(log_store="memory", proposals_max=5))
    world.isolate("a")
    answers = [ticket.answer for ticket in world.propose("a", *[b"x"] * 7)]
    assert answers[5:] == [("error", "overloaded")] * 2


def test_an_entry_carries_its_request_id() -> None:
    from raft_actors.core.entry import request_of

    world = World("a")
    world.configure("a")
    world.step("a", Propose(b"x", Ticket("write"), (7, 8)))
    assert request_of(world.entries("a")[-1]) == (7, 8)
    assert payload_of(world.entries("a")[-1]) == b"x"


def with_small_frames_to_c(holds: int) -> World:
    world = World("abc", config=Config(log_store="memory", command_bytes_max=10 * holds))
    world.configure("a")
    world.ring(0.2)
    bound = {address("c"): holds}
    world.servers["a"].frame_bytes_max = lambda peer: bound.get(peer, NO_FRAMES)
    return world


def test_what_the_smallest_frame_holds_bounds_what_is_admitted_and_sent_at_once() -> None:
    """Else one large command stops the group: it is sent again and again, and nothing after it.

    Planted: a_leader_asks_its_own_bound_alone, appends_as_large_as_its_own_frames.
    """
    holds = 100_000
    world = with_small_frames_to_c(holds)
    world.ring(0.2)
    refused = world.propose("a", b"x" * 40_000)[0]
    assert refused.answer == ("error", "command_too_large")
    world.isolate("c")
    tickets = world.propose("a", *[b"x" * 30_000] * 10)
    world.ring(0.1)
    assert {ticket.answer[0] for ticket in tickets} == {"ok"}
    world.wire.clear()
    world.heal()
    sizes = []
    for _ in range(200):
        if world.servers["c"].commit_index == world.servers["a"].commit_index:
            break
        if not world.wire:
            world.tick("a")
        sizes += [sum(map(len, getattr(each, "entries", ()))) for each in world.wire]
        world.deliver([world.wire.pop(0)])
    assert 0 < max(sizes) <= holds // 2
    assert world.machines["c"].commands == world.machines["a"].commands


def test_a_follower_that_no_frame_brings_an_entry_is_a_trouble_until_it_has_it() -> None:
    """Planted: who_can_not_be_sent_an_entry_is_no_trouble."""
    world = with_small_frames_to_c(100_000)
    world.isolate("c")
    leader = world.servers["a"]
    leader.role.command_bytes_max = 1_000_000  # it was admitted before that was known
    ticket = world.propose("a", b"x" * 200_000)[0]
    world.ring(0.2)
    assert ticket.answer[0] == "ok"
    world.heal()
    world.ring(0.3)
    assert leader.troubles["entry_too_large"].peer == address("c")
    assert world.machines["c"].commands == []
    leader.frame_bytes_max = lambda _peer: NO_FRAMES
    world.ring(0.3)
    assert world.machines["c"].commands == world.machines["a"].commands
    assert leader.troubles == {}


def test_a_newcomer_that_no_frame_brings_an_entry_is_not_called_silent() -> None:
    """It runs, and answers; to start it would help nobody. Planted: who has not moved is silent."""
    world = with_small_frames_to_c(100_000)
    world.isolate("c")
    assert world.configure("a", "ab").answer is None
    world.ring(1)
    world.propose("a", b"x" * 200_000)
    world.ring(0.2)
    world.heal()
    ticket = world.configure("a", "abc")
    world.ring(20)
    assert ticket.answer == ("error", ("newcomers_too_slow", [address("c")]))


def test_who_left_bounds_no_command_and_is_no_trouble() -> None:
    """Planted: who_left_bounds_what_is_admitted."""
    world = with_small_frames_to_c(100_000)
    world.isolate("c")
    assert world.configure("a", "ab").answer is None
    world.settle()
    leader = world.servers["a"]
    assert address("c") in leader.role.removed
    ticket = world.propose("a", b"x" * 200_000)[0]
    world.ring(0.2)
    assert ticket.answer[0] == "ok"
    world.heal()
    world.ring(1)
    assert leader.role.removed == {}, "it was told"
    assert world.troubles == []


def test_an_entry_that_fits_no_frame_is_not_read_again_and_again() -> None:
    """Each write and each read of the others would read it once more from the disk.

    Planted: the_entry_that_is_too_large_is_read_each_time.
    """
    world = with_small_frames_to_c(100_000)
    world.isolate("c")
    leader, disk = world.servers["a"], world.disks["a"]
    leader.role.command_bytes_max = 1_000_000
    large = leader.log.last_index + 1
    world.propose("a", b"x" * 200_000)
    world.ring(0.2)
    world.heal()
    world.ring(0.3)
    assert "entry_too_large" in leader.troubles
    leader.log.cache_bytes = 0  # what is saved is on the disk alone
    read: list[int] = []

    def entries(first: int, last: int) -> list[bytes]:
        read.extend(range(first, last + 1))
        return disk.entries(first, last)

    leader.log.reader = SimpleNamespace(entries=entries)
    tickets = []
    for number in range(5):
        tickets += [*world.propose("a", b"%d" % number), world.query("a")]
        world.ring(0.1)
    assert {ticket.answer[0] for ticket in tickets} == {"ok"}
    assert large not in read
    leader.frame_bytes_max = lambda _peer: NO_FRAMES
    world.ring(0.3)
    assert world.machines["c"].commands == world.machines["a"].commands
    assert leader.troubles == {}
