"""Snapshots, as the core sees them: the log begins after one, and a leader's replaces it (§7)."""

from zlib import crc32

import pytest

from raft_actors.config import Config
from raft_actors.core.entry import COMMAND, encode
from raft_actors.core.entry import CONFIG as CONFIG_KIND
from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    AppendReply,
    InstallSnapshot,
    NodeLost,
    SnapshotChecked,
    SnapshotInstalled,
    SnapshotRefused,
    SnapshotReply,
    SnapshotTaken,
    Tick,
)
from raft_actors.core.progress import REST_S_MAX
from raft_actors.core.snapshot import Shipment, Snapshot
from raft_actors.errors import LogCompacted, StoreError
from tests.core.world import World, address

CONFIG = Config(log_store="memory", snapshot_trailing=1)


def follower(terms=(1, 1, 1, 1, 1)):
    """A world whose b follows a in the last of these terms, with entries of them after the first;
    only the first is known to be committed."""
    world = World("abc", config=CONFIG)
    world.configure("a")
    world.elect("a")
    world.settle()
    server = world.servers["b"]
    server.step(append(server, terms))
    world.run("b", server, server.flush())
    world.wire.clear()
    return world, server


def append(server, terms):
    return AppendEntries(
        source=address("a"), target=address("b"), group=server.group, term=terms[-1],
        prev_index=1, prev_term=1, commit=1, round=0,
        entries=[encode(term, COMMAND, b"x", index=n) for n, term in enumerate(terms, 2)],
    )  # fmt: skip


def part(server, *, offset=0, size=10, data=b"0123456789", index=4, last_term=1):
    return InstallSnapshot(
        source=address("a"), target=address("b"), group=server.group, term=server.term,
        index=index, last_term=last_term, size=size, checksum=7, offset=offset, data=data, round=0,
    )  # fmt: skip


def installed(server, index, term):
    server.step(SnapshotInstalled(Snapshot(index, term, server.configuration, 10, 7)))
    return server.flush()


def test_entries_after_the_snapshots_last_stay_if_that_is_in_the_log() -> None:
    """Figure 13, InstallSnapshot 6. They may have been counted. A repeated snapshot can meet a
    follower that was restarted, and knows of no commit yet."""
    _, server = follower()
    server.step(part(server))
    assert [chunk.index for chunk in server.flush().chunks] == [4]
    due = installed(server, 4, 1)
    assert due.restart is None
    assert due.compact == (4, 1)
    assert (server.log.base, server.log.last_index, server.commit_index) == (4, 6, 4)
    assert [m.match for m in due.after_save if isinstance(m, AppendReply)] == [4]


def test_a_log_that_does_not_have_the_snapshots_last_entry_begins_anew() -> None:
    """Figure 13, InstallSnapshot 7: what lies beyond is of another history."""
    _, server = follower()
    server.step(part(server, last_term=2, index=4))
    server.flush()
    due = installed(server, 4, 2)
    assert due.restart == (4, 2)
    assert due.ballot is not None
    assert (server.log.base, server.log.last_index, server.log.last_term) == (4, 4, 2)
    assert server.log.term_at(4) == 2
    assert server.log.term_at(5) == -1


def test_a_part_that_does_not_fit_is_answered_with_what_is_there() -> None:
    _, server = follower()
    server.step(part(server, data=b"0123"))
    server.step(part(server, data=b"89", offset=8))
    due = server.flush()
    assert [chunk.offset for chunk in due.chunks] == [0]
    replies = [(m.offset, m.accepted) for m in due.after_save if isinstance(m, SnapshotReply)]
    assert replies == [(4, True), (4, False)]


def test_the_last_part_is_not_acknowledged_before_all_is_durable() -> None:
    _, server = follower()
    server.step(part(server))
    due = server.flush()
    assert not [m for m in due.after_save if isinstance(m, AppendReply | SnapshotReply)]
    assert server.commit_index == 1


def test_a_snapshot_of_what_is_committed_is_acknowledged_and_not_taken() -> None:
    _, server = follower()
    server.step(part(server, index=1))
    due = server.flush()
    assert due.chunks == []
    assert [m.match for m in due.after_save if isinstance(m, AppendReply)] == [1]


def test_a_refused_snapshot_is_wanted_from_the_beginning() -> None:
    _, server = follower()
    server.step(part(server))
    server.flush()
    server.step(SnapshotRefused(4))
    (reply,) = server.flush().after_save
    assert (reply.index, reply.offset, reply.accepted) == (4, 0, False)
    server.step(part(server))
    assert len(server.flush().chunks) == 1


def test_a_part_from_another_leaders_snapshot_ends_the_one_that_was_coming() -> None:
    _, server = follower()
    server.step(part(server, data=b"0123"))
    other = part(server, data=b"ab")
    other.checksum = 8
    server.step(other)
    assert (server.incoming.checksum, server.incoming.offset) == (8, 2)


def test_a_log_is_compacted_but_for_the_trailing_entries() -> None:
    world = World("a", config=Config(log_store="memory", snapshot_trailing=2))
    world.configure("a")
    world.propose("a", b"1", b"2", b"3", b"4")
    server = world.servers["a"]
    server.step(SnapshotTaken(Snapshot(4, 1, server.configuration)))
    due = server.flush()
    assert due.compact == (2, 1)
    assert (server.log.base, server.log.base_term, server.log.last_index) == (2, 1, 5)
    with pytest.raises(LogCompacted):
        server.log.between(2, 3)


def test_a_living_follower_holds_the_log_back_within_a_bound() -> None:
    config = Config(log_store="memory", snapshot_trailing=1, snapshot_entries=1)
    world = World("abc", config=config)
    world.configure("a")
    world.elect("a")
    world.settle()
    world.isolate("c")
    server = world.servers["a"]
    for number in range(30):
        world.propose("a", b"%d" % number)
        world.settle()
    index = server.commit_index
    server.step(SnapshotTaken(Snapshot(index, 1, server.configuration)))
    server.flush()
    assert server.log.base == index - 10  # HELD_BACK_MAX times snapshot_entries
    server.step(SnapshotTaken(Snapshot(index, 1, server.configuration)))
    world.now += config.max_election_timeout + 0.01
    server.now = world.now
    server.step(SnapshotTaken(Snapshot(index, 1, server.configuration)))
    server.flush()
    assert server.log.base == index - 1


class Reader:
    """Has a snapshot's file; or not, while there is an `error`."""

    def __init__(self, data):
        self.data = data
        self.error = None

    def read(self, _snapshot, offset, size):
        if self.error is not None:
            raise self.error
        return self.data[offset : offset + size]


def shipping(data=b"0123456789"):
    """A leader that sends c its snapshot, of ten bytes, of which `data` is left."""
    world = World("abc", config=CONFIG)
    world.configure("a")
    world.elect("a")
    world.settle()
    world.isolate("c")
    for number in range(30):
        world.propose("a", b"%d" % number)
        world.settle()
    server = world.servers["a"]
    world.now += CONFIG.max_election_timeout + 0.01
    server.now = world.now
    server.snapshots = Reader(data)
    checksum = crc32(b"0123456789")
    snapshot = Snapshot(server.commit_index, 1, server.configuration, 10, checksum)
    server.step(SnapshotTaken(snapshot))
    server.step(
        AppendRejected(
            source=address("c"), target=address("a"), group=server.group, term=server.term,
            source_incarnation=world.servers["c"].incarnation,
            prev_index=server.log.last_index, hint=1, hint_term=1, round=0,
        )
    )  # fmt: skip
    return world, server, snapshot


def sent_to(due, name):
    sent = due.before_save
    return [m for m in sent if isinstance(m, InstallSnapshot) and m.target == address(name)]


def refused(world, server, snapshot):
    """What c says of a snapshot that came whole, and is not what its checksum says."""
    return SnapshotReply(
        source=address("c"), target=address("a"), group=server.group, term=server.term,
        source_incarnation=world.servers["c"].incarnation,
        index=snapshot.index, offset=0, accepted=False, round=0,
    )  # fmt: skip


def doubted():
    world, server, snapshot = shipping()
    assert sent_to(server.flush(), "c")
    server.step(refused(world, server, snapshot))
    due = server.flush()
    assert due.doubted is snapshot
    assert not sent_to(due, "c")
    return world, server, snapshot


def test_a_snapshot_that_was_refused_is_looked_at_before_it_is_sent_again() -> None:
    _, server, snapshot = doubted()
    server.step(SnapshotChecked(snapshot, ""))
    due = server.flush()
    assert sent_to(due, "c")
    assert due.troubles == []


def test_who_refuses_a_good_snapshot_again_and_again_rests_in_between() -> None:
    """Its own disk may be bad. Else its leader would read and send the whole file for ever.

    Planted: who_refuses_each_snapshot_is_sent_it_again_at_once.
    """
    world, server, snapshot = shipping()
    server.flush()
    waits = []
    for _ in range(12):
        server.step(refused(world, server, snapshot))
        server.step(SnapshotChecked(snapshot, ""))
        began = server.now
        while not sent_to(server.flush(), "c"):
            server.now += 0.1
        waits.append(server.now - began)
    assert waits[0] == 0, "it may have been damaged on its way"
    assert CONFIG.max_election_timeout < waits[1] < waits[2] < waits[3]
    assert waits[-1] == pytest.approx(REST_S_MAX, abs=1)


def test_one_who_refused_a_snapshot_is_sent_it_at_once_when_its_process_comes_back() -> None:
    """Somebody has mended its disk, maybe. Planted: let it rest all the same."""
    world, server, snapshot = shipping()
    for _ in range(2):
        assert sent_to(server.flush(), "c")
        server.step(refused(world, server, snapshot))
        server.step(SnapshotChecked(snapshot, ""))
    assert not sent_to(server.flush(), "c")
    server.step(NodeLost(address("c")[1]))
    assert sent_to(server.flush(), "c")


def refuses_each(times=2):
    """A leader whose follower c has refused so many sound snapshots."""
    world, server, snapshot = shipping()
    for _ in range(times):
        assert sent_to(server.flush(), "c")
        server.step(refused(world, server, snapshot))
        server.step(SnapshotChecked(snapshot, ""))
    return world, server, snapshot


def test_a_follower_that_refuses_each_snapshot_is_a_trouble_of_its_leader() -> None:
    """Planted: a_follower_that_refuses_each_snapshot_is_told_to_nobody."""
    _, server, _ = refuses_each(1)
    assert server.flush().troubles == [], "one may have been damaged on its way"
    world, server, _ = refuses_each()
    (trouble,) = server.flush().troubles
    assert (trouble.what, trouble.peer) == ("refuses_snapshots", address("c"))
    assert server.troubles.keys() == {"refuses_snapshots"}
    server.step(
        AppendReply(
            source=address("c"), target=address("a"), group=server.group, term=server.term,
            source_incarnation=world.servers["c"].incarnation, match=server.log.last_index, round=0,
        )
    )  # fmt: skip
    server.step(Tick())
    assert server.troubles == {}, "it has all there is"


def test_the_trouble_of_a_follower_that_refuses_snapshots_ends_with_the_office() -> None:
    _, server, _ = refuses_each()
    assert server.troubles
    server.become_follower(leader=None)
    assert server.troubles == {}


def test_a_damaged_snapshot_is_no_trouble_any_more_once_there_is_another() -> None:
    """A new configuration of the members mends no file.

    Planted: a_damaged_snapshot_stays_a_trouble.
    """
    _, server, snapshot = doubted()
    server.step(SnapshotChecked(snapshot, "it is damaged"))
    configuration = server.configuration
    entry = encode(1, CONFIG_KIND, configuration.encode(), index=configuration.index)
    server.note_configurations(configuration.index, [entry])
    assert server.troubles.keys() == {"damaged_snapshot"}
    server.step(SnapshotTaken(Snapshot(snapshot.index, 1, configuration, 11, 8)))
    assert server.troubles == {}


def test_a_damaged_snapshot_is_told_of_and_sent_to_nobody_until_there_is_another() -> None:
    _, server, snapshot = doubted()
    server.step(SnapshotChecked(snapshot, "it is damaged"))
    due = server.flush()
    assert not sent_to(due, "c")
    assert [(each.what, each.detail) for each in due.troubles] == [
        ("damaged_snapshot", "it is damaged")
    ]
    another = Snapshot(snapshot.index, 1, server.configuration, 11, 8)
    server.step(SnapshotTaken(another))
    (part,) = sent_to(server.flush(), "c")
    assert part.checksum == 8


@pytest.mark.parametrize("data", [b"", b"0123"])
def test_a_snapshot_whose_file_is_too_short_is_looked_at(data) -> None:
    _, server, snapshot = shipping(data)
    due = server.flush()
    assert due.doubted is snapshot
    assert len(sent_to(due, "c")) == (1 if data else 0)


def test_a_snapshot_that_rotted_on_the_disk_of_its_leader_does_not_leave_whole() -> None:
    _, server, snapshot = shipping(b"0123456788")
    due = server.flush()
    assert due.doubted is snapshot
    assert sum(len(part.data) for part in sent_to(due, "c")) < 10


def test_a_part_of_a_snapshot_that_goes_again_is_checked_as_the_first_time() -> None:
    sound = Shipment(Snapshot(5, 1, size=10, checksum=crc32(b"0123456789")), now=0.0)
    assert sound.is_sound(b"0123")
    sound.sent_more(4, now=0.0)
    sound.answered(4, accepted=True, now=0.0)
    assert sound.is_sound(b"456")
    sound.sent_more(3, now=0.0)
    sound.go_back()
    assert sound.is_sound(b"456789")
    assert not sound.is_sound(b"456788")


def test_a_snapshot_that_can_not_be_read_ends_no_leader() -> None:
    _, server, snapshot = shipping()
    server.snapshots.error = StoreError("gone")
    assert server.flush().doubted is snapshot


def test_an_old_append_with_the_configuration_that_is_in_the_snapshot_is_taken_as_known() -> None:
    """Planted: look for the configuration before it, where only the newest is left: for ever."""
    world = World("abc", config=Config(log_store="memory", snapshot_trailing=1_000))
    world.configure("a")
    world.settle()
    world.propose("a", b"x")
    world.settle()
    world.ring(0.2)
    server = world.servers["b"]
    server.step(SnapshotTaken(Snapshot(server.commit_index, 1, server.configuration)))
    server.flush()
    assert 0 < server.configuration.index <= server.snapshot.index
    assert server.log.base == 0
    server.step(
        AppendEntries(
            source=address("a"), target=address("b"), group=server.group, term=server.term,
            prev_index=0, prev_term=0, commit=1, round=9, entries=server.log.between(1, 2),
        )
    )  # fmt: skip
    assert [m.match for m in server.flush().after_save if isinstance(m, AppendReply)] == [2]
    assert not server.troubles
