"""A power cut at any moment loses nothing that was acknowledged, and leaves what can be opened.

It is played against the stores that ship, from the system calls of a real run: see power_cut.py.
"""

import pytest

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.stores import open_store
from raft_actors.stores.files import MemoryFiles
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import PIECE, Header, Snapshots
from raft_actors.stores.store_record import kind_of
from raft_actors.tools.offline.backup import verify_backup
from tests.stores.power_cut import cuts_of, traced

KINDS = ("rocksdb", "lmdb", "files")
OWNER = ("peer", "a@host")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


def frames(first, last, what=b"entry"):
    return [b"%b %d" % (what, number) * 200 for number in range(first, last + 1)]


STEPS = (
    lambda store, ballot: store.save(ballot, 1, frames(1, 10)),
    lambda store, ballot: store.save(ballot, 0, []),
    lambda store, ballot: store.save(ballot, 11, frames(11, 90)),
    lambda store, ballot: store.save(ballot, 50, frames(50, 55, b"other")),
    lambda store, ballot: (store.compact(20, 1), store.save(ballot, 56, frames(56, 57))),
    lambda store, ballot: store.restart(ballot, 200, 3),
    lambda store, ballot: store.save(ballot, 201, frames(201, 230)),
    lambda store, ballot: store.restart(ballot, 300, 4, frames(301, 310)),
    lambda store, ballot: store.save(ballot, 311, frames(311, 320)),
)
"""Each is one save, whose ballot has the number of the step."""

SAVER = """
import sys
from pathlib import Path
from tests.stores.power_cut import acknowledge
from tests.stores.test_power_cut import OWNER, STEPS
from raft_actors.stores import open_store, rocksdb, segment
path, kind = sys.argv[1:]
segment.BYTES_MAX = segment.AHEAD = 1 << 12
rocksdb.MEMTABLE_BYTES = 1 << 16  # so that a save begins another write-ahead log now and then
Path(path).parent.mkdir()  # by a life that was killed before it had synced anything
store = open_store(kind, path, OWNER)
for number, step in enumerate(STEPS, 1):
    step(store, (number, None))
    acknowledge(number)
    if number in (3, 6):
        store.close()
        store = open_store(kind, path, OWNER)
store.close()
"""


def contents(store):
    saved = store.load()
    return saved, store.entries(saved.first, saved.last)


def test_no_power_cut_loses_a_save_or_a_part_of_one(kind, disk, tmp_path):
    """Planted: no `flush_wal`; and LMDB with sync=False; then saves are gone that were told."""
    memory = MemoryStore()
    expected = [contents(memory)]
    for number, step in enumerate(STEPS, 1):
        step(memory, (number, None))
        expected.append(contents(memory))
    lines = traced(tmp_path, SAVER, disk / "node" / "peer", kind)
    count = 0
    for cut in cuts_of(lines, disk):
        count += 1
        store = open_store(kind, cut.left_in(tmp_path / "left") / "node" / "peer", OWNER)
        saved, entries = contents(store)
        store.close()
        number = saved.ballot[0]
        assert cut.acknowledged <= number <= cut.acknowledged + 1, cut.changed
        wanted, log = expected[number]
        assert (saved.ballot, saved.last) == (wanted.ballot, wanted.last), cut.changed
        first = max(saved.first, wanted.first)  # what is compacted may come back
        assert saved.first <= expected[min(number + 1, len(STEPS))][0].first
        assert entries[first - saved.first :] == log[first - wanted.first :], cut.changed
    assert cut.acknowledged == len(STEPS)
    assert count > 2 * len(STEPS)


SNAPSHOTTER = """
import sys
from tests.stores.power_cut import acknowledge
from tests.stores.test_power_cut import OWNER, taken, received
from raft_actors.stores import open_store
store = open_store("lmdb", sys.argv[1], OWNER)
acknowledge(1)
first = taken(store.snapshots, 10)
acknowledge(2)
second = taken(store.snapshots, 20)
acknowledge(3)
store.snapshots.prune({second})
received(store.snapshots, 30)
acknowledge(4)
store.close()
"""


def taken(snapshots, index):
    configuration = Configuration.founding([OWNER])
    draft = snapshots.draft(Header(index, 1, configuration.encode(), 1, "term"))
    draft.add(PIECE + encoding.dumps("x" * 100_000))
    return draft.finish(reached=True)


def received(snapshots, index):
    """Receive from a leader what it has taken, in parts."""
    leaders = Snapshots(MemoryFiles())
    sent = taken(leaders, index)
    incoming = SnapshotReceipt(sent.index, sent.term, sent.size, sent.checksum)
    for offset in range(0, sent.size, 30_000):
        snapshots.receive(incoming, offset, leaders.read(sent, offset, 30_000))
    return snapshots.finish(incoming)


def test_no_power_cut_leaves_a_snapshot_in_part_or_none_where_there_was_one(disk, tmp_path):
    """Planted: the file gets its name and is not synced; then the name is there and it is empty."""
    lines = traced(tmp_path, SNAPSHOTTER, disk / "peer")
    last = 0
    for cut in cuts_of(lines, disk):
        left = cut.left_in(tmp_path / "left")
        store = open_store("lmdb", left / "peer", OWNER)
        snapshot = store.snapshots.newest()
        store.snapshots.incoming()
        last = snapshot.index if snapshot else 0
        assert last >= 10 * (cut.acknowledged - 1), cut.changed
        if snapshot:
            assert store.snapshots.look_at(snapshot) == "", cut.changed
        store.close()
    assert last == 30


MIGRATOR = """
import sys
from pathlib import Path
from tests.stores.power_cut import acknowledge
from tests.stores.test_power_cut import OWNER, STEPS
from raft_actors.stores import open_store
from raft_actors.tools.offline.migrate import migrate
path, kind, to = sys.argv[1:]
store = open_store(kind, path, OWNER)
for number, step in enumerate(STEPS[:4], 1):
    step(store, (number, None))
store.close()
acknowledge(1)
migrate(Path(path), to)
acknowledge(2)
store = open_store(to, path, OWNER)
store.save((9, None), 0, [])
acknowledge(3)
store.close()
"""


def test_no_power_cut_leaves_a_store_that_moves_without_its_vote(kind, disk, tmp_path):
    other = KINDS[KINDS.index(kind) - 1]
    memory = MemoryStore()
    for number, step in enumerate(STEPS[:4], 1):
        step(memory, (number, None))
    lines = traced(tmp_path, MIGRATOR, disk / "peer", kind, other)
    moved = 0
    for cut in cuts_of(lines, disk):
        if cut.acknowledged < 1:
            continue
        path = cut.left_in(tmp_path / "left") / "peer"
        store = open_store(kind_of(path), path, OWNER)
        moved += store.kind == other
        saved, entries = contents(store)
        assert saved.ballot[0] == 4 if cut.acknowledged < 2 else saved.ballot[0] in (4, 9)
        assert saved.ballot[0] == 9 or cut.acknowledged < 3
        assert entries == contents(memory)[1]
        store.close()
    assert moved


BACKUP = """
import sys
from pathlib import Path
from tests.stores.power_cut import acknowledge
from tests.stores.test_power_cut import OWNER
from tests.tools.offline.directories import make
from raft_actors.tools.offline.backup import export_backup, import_backup
from raft_actors.tools.offline.stopped_peer import stopped
disk = Path(sys.argv[1])
make("lmdb", disk / "peer")
with stopped(disk / "peer") as store:
    export_backup(store, disk / "backup")
acknowledge(1)
import_backup(disk / "backup", disk / "new" / "restored", peer=OWNER, kind=sys.argv[2])
acknowledge(2)
"""


def test_no_power_cut_takes_a_backup_back_or_a_directory_made_of_one(kind, disk, tmp_path):
    lines = traced(tmp_path, BACKUP, disk, kind)
    found = 0
    for cut in cuts_of(lines, disk):
        left = cut.left_in(tmp_path / "left")
        backup, restored = left / "backup", left / "new" / "restored"
        assert backup.exists() or cut.acknowledged < 1
        if backup.exists():
            verify_backup(backup)
        assert restored.exists() or cut.acknowledged < 2
        if restored.exists():
            store = open_store(kind, restored, OWNER)
            assert store.load().last > 1
            store.close()
            found += 1
    assert found
