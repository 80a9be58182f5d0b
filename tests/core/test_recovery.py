"""What a peer finds when it died between a leader's snapshot and its log's new beginning."""

from raft_actors.config import Config
from raft_actors.core.entry import COMMAND, encode
from raft_actors.core.membership import Configuration
from raft_actors.recovery import recover
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import Header


def test_a_log_of_another_history_than_the_snapshot_begins_anew() -> None:
    """Figure 13, InstallSnapshot 7, done again. Its end, kept, could win an election (§5.4.1)."""
    store = MemoryStore()
    store.save((3, None, 0), 1, [encode(1, COMMAND, b"x") for _ in range(6)])
    members = Configuration.founding([("a", "a@b")])
    draft = store.snapshots.draft(Header(4, 2, members.encode(), 1, "term"))
    snapshot = draft.finish()
    found = recover(store, Config(log_store="memory"))
    assert found.snapshot == snapshot
    assert (found.log.base, found.log.last_index, found.log.last_term) == (4, 4, 2)
    assert (found.ballot.term, found.ballot.configuration) == (3, 1)
    assert (store.load().first, store.load().last) == (5, 4)
