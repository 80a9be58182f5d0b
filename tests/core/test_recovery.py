"""What a peer finds when it died between a leader's snapshot and its log's new beginning."""

from dataclasses import replace

import pytest

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import COMMAND, encode
from raft_actors.errors import StoreCorrupt
from raft_actors.replica.recovery import recover
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import Header

MEMORY = Config(log_store="memory")
MEMBERS = Configuration.founding([("a", "a@b")])


def stored(entries, *, snapshot_at, term=1, ballot=(3, None, 0)):
    """Return a store with so many entries of term 1, and a snapshot that it holds."""
    store = MemoryStore()
    store.save(ballot, 1, [encode(1, COMMAND, b"x", index=n + 1) for n in range(entries)])
    draft = store.snapshots.draft(Header(snapshot_at, term, MEMBERS.encode(), 1, "term"))
    return store, draft.finish()


def test_a_log_of_another_history_than_the_snapshot_begins_anew() -> None:
    """Figure 13, InstallSnapshot 7, done again. Its end, kept, could win an election (§5.4.1)."""
    store, snapshot = stored(6, snapshot_at=4, term=2)
    found = recover(store, MEMORY)
    assert found.snapshot == snapshot
    assert (found.log.base, found.log.last_index, found.log.last_term) == (4, 4, 2)
    assert (found.ballot.term, found.ballot.configuration) == (3, 1)
    assert (store.load().first, store.load().last) == (5, 4)


@pytest.mark.parametrize(("snapshot_at", "term"), [(9, 1), (4, 2)])
def test_a_log_that_had_come_to_its_snapshot_and_ends_before_it_is_refused(
    snapshot_at, term
) -> None:
    """What it has lost was durable, and may have been acknowledged: no crash does that."""
    store, snapshot = stored(6, snapshot_at=snapshot_at, term=term)
    store.snapshots.reached(snapshot)
    with pytest.raises(
        StoreCorrupt, match=r"ends at entry 6 .*durable are missing; stop this peer"
    ):
        recover(store, MEMORY)
    assert store.load().last == 6


def test_a_log_that_began_behind_a_leaders_snapshot_has_come_to_it() -> None:
    store, snapshot = stored(6, snapshot_at=9)
    assert recover(store, MEMORY).log.base == 9
    assert store.snapshots.is_reached(snapshot)
    before = MemoryStore()  # what a log that was cut off would be
    before.snapshots = store.snapshots
    with pytest.raises(StoreCorrupt, match="missing"):
        recover(before, MEMORY)


def test_a_ballot_that_names_what_was_never_saved_goes_back_to_the_snapshot() -> None:
    """Saved apart from the entries that its log began anew with; a crash came between."""
    store, snapshot = stored(6, snapshot_at=9)
    store.restart(Ballot(5, ("a", "a@b"), 11).stored(), snapshot.index, snapshot.term)
    found = recover(store, MEMORY)
    assert found.ballot == Ballot(5, ("a", "a@b"), 1)
    assert found.configuration == replace(MEMBERS, index=1)
    assert Ballot(*store.load().ballot) == found.ballot  # entry 11 may be no configuration


def test_a_ballot_that_names_an_entry_after_the_logs_end_is_refused() -> None:
    store, _ = stored(6, snapshot_at=4, ballot=(3, None, 7))
    with pytest.raises(StoreCorrupt, match=r"ballot names entry 7 .*ends at 6.*stop this peer"):
        recover(store, MEMORY)
