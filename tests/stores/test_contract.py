"""What `LogStore` promises, held against every store."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raft_actors.errors import DataDirInUse, LogCompacted, StoreError
from raft_actors.stores import FRESH_BALLOT, Saved, open_store

KINDS = ("memory", "rocksdb", "lmdb")
BALLOT = (7, ("b", "two@host"))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path):
    store = open_store(kind, tmp_path / "peer")
    yield store
    store.close()


@pytest.fixture
def reopened(kind, tmp_path, store):
    """Close the store and open it again, as a restarted peer does."""
    opened = []

    def reopen():
        (opened or [store])[-1].close()
        opened.append(open_store(kind, tmp_path / "peer"))
        return opened[-1]

    yield reopen
    for other in opened:
        other.close()


def now_and_after(store, *restarts):
    yield store
    for restart in restarts:
        yield restart()


def frames(*numbers):
    return [b"entry %d" % number for number in numbers]


def all_of(store):
    saved = store.load()
    return store.entries(saved.first, saved.last)


def test_a_fresh_store_is_empty(store):
    assert store.load() == Saved(FRESH_BALLOT, first=1, last=0)
    assert all_of(store) == []


def test_a_store_keeps_its_incarnation_and_a_new_one_has_another(kind, tmp_path, store, reopened):
    incarnation = store.load().incarnation
    assert incarnation > 0
    again = reopened()
    assert again.load().incarnation == incarnation
    again.destroy()
    fresh = open_store(kind, tmp_path / "peer")
    assert fresh.load().incarnation not in (0, incarnation)
    fresh.close()


def test_what_is_saved_is_there_after_a_restart(store, reopened):
    store.save(BALLOT, 1, frames(1, 2, 3))
    for again in now_and_after(store, reopened, reopened):
        assert again.load() == Saved(BALLOT, first=1, last=3)
        assert all_of(again) == frames(1, 2, 3)


def test_ballot_and_log_can_be_saved_each_alone(store, reopened):
    store.save(None, 1, frames(1))
    assert store.load() == Saved(FRESH_BALLOT, 1, 1)
    store.save((1, None), 0, [])
    store.save(None, 2, frames(2))
    assert reopened().load() == Saved((1, None), 1, 2)


def test_a_ballot_comes_back_as_the_tuple_it_was(store, reopened):
    ballot = (2**70, ("a", "one@host"), 12)
    store.save(ballot, 0, [])
    assert reopened().load().ballot == ballot


def test_an_empty_save_saves_nothing(store):
    store.save(None, 0, [])
    store.save(None, 1, [])
    assert store.load() == Saved()


@pytest.mark.parametrize("first", [1, 2, 4, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_entries_replace_the_log_from_first_on(store, reopened, first, count):
    """Planted: no delete_range; then entries that were replaced stand after the last one."""
    old, new = frames(1, 2, 3, 4), frames(*range(100, 100 + count))
    store.save(None, 1, old)
    store.save(BALLOT, first, new)
    for again in now_and_after(store, reopened):
        assert again.load() == Saved(BALLOT, 1, first - 1 + count)
        assert all_of(again) == old[: first - 1] + new


def test_entries_can_be_read_in_parts(store):
    store.save(None, 1, frames(*range(1, 2001)))
    assert store.entries(3, 3) == frames(3)
    assert store.entries(700, 1900) == frames(*range(700, 1901))
    assert store.entries(5, 4) == []


def test_entries_are_bytes_of_any_content(store, reopened):
    entries = [b"", b"\0", bytes(range(256)), b"x" * 2_000_000]
    store.save(None, 1, entries)
    again = all_of(reopened())
    assert again == entries
    assert {type(entry) for entry in again} == {bytes}


def test_compacted_entries_are_gone_and_said_to_be(store, reopened):
    store.save(BALLOT, 1, frames(1, 2, 3, 4))
    store.compact(2, 7)
    for again in now_and_after(store, reopened):
        assert again.load() == Saved(BALLOT, 3, 4, 7)
        assert all_of(again) == frames(3, 4)
        with pytest.raises(LogCompacted, match="starts at 3"):
            again.entries(2, 4)


def test_compacting_twice_through_the_same_entry_changes_nothing(store):
    store.save(None, 1, frames(1, 2, 3))
    store.compact(2, 1)
    store.compact(2, 1)
    store.compact(0, 0)
    assert store.load() == Saved(FRESH_BALLOT, 3, 3, 1)


def test_a_log_compacted_through_its_end_goes_on_behind_it(store, reopened):
    store.save(None, 1, frames(1, 2, 3, 4))
    store.compact(4, 2)
    assert store.load() == Saved(FRESH_BALLOT, 5, 4, 2)
    store.save(None, 5, frames(7, 8))
    again = reopened()
    assert again.load() == Saved(FRESH_BALLOT, 5, 6, 2)
    assert all_of(again) == frames(7, 8)


@pytest.mark.parametrize("index", [2, 4, 50])
def test_a_log_that_restarts_behind_a_snapshot_has_nothing_of_before(store, reopened, index):
    """Planted: entries beyond the index kept; then `all_of` has those of another history."""
    store.save(FRESH_BALLOT, 1, frames(1, 2, 3, 4))
    store.restart(BALLOT, index, 9)
    for again in now_and_after(store, reopened):
        assert again.load() == Saved(BALLOT, index + 1, index, 9)
    again.save(None, index + 1, frames(7, 8))
    assert again.load() == Saved(BALLOT, index + 1, index + 2, 9)
    assert all_of(again) == frames(7, 8)


@pytest.mark.parametrize("index", [2, 4, 50])
def test_a_log_begins_anew_together_with_what_follows(store, reopened, index):
    store.save(FRESH_BALLOT, 1, frames(1, 2, 3, 4))
    store.restart(BALLOT, index, 9, frames(7, 8))
    for again in now_and_after(store, reopened):
        assert again.load() == Saved(BALLOT, index + 1, index + 2, 9)
        assert all_of(again) == frames(7, 8)
    again.save(None, index + 3, frames(9))
    assert all_of(again) == frames(7, 8, 9)


def test_a_hole_in_the_log_is_our_own_bug(store):
    store.save(None, 1, frames(1, 2))
    store.compact(1, 1)
    for first in (1, 4):
        with pytest.raises(AssertionError, match="a hole"):
            store.save(None, first, frames(9))
    with pytest.raises(AssertionError, match="a hole"):
        store.save(None, 0, frames(9))
    with pytest.raises(AssertionError, match="beyond"):
        store.entries(2, 3)
    with pytest.raises(AssertionError, match="not there"):
        store.compact(3, 1)
    assert store.load() == Saved(FRESH_BALLOT, 2, 2, 1)


def test_an_open_store_cannot_be_opened_again(kind, tmp_path, store):
    with pytest.raises(DataDirInUse, match=f"{tmp_path}/peer.*this.*data_dir"):
        open_store(kind, tmp_path / "peer")
    store.save(None, 1, frames(1))
    assert all_of(store) == frames(1)


def test_stores_of_different_paths_do_not_meet(kind, tmp_path, store):
    store.save(BALLOT, 1, frames(1))
    other = open_store(kind, tmp_path / "other")
    assert other.load() == Saved()
    other.close()


def test_a_closed_store_says_so(store):
    store.save(None, 1, frames(1))
    store.close()
    store.close()
    for verb in (
        store.load,
        lambda: store.save(BALLOT, 0, []),
        lambda: store.entries(1, 1),
        lambda: store.compact(1, 1),
        lambda: store.restart(BALLOT, 1, 1),
    ):
        with pytest.raises(StoreError, match="closed"):
            verb()


def test_a_destroyed_store_is_gone(store, reopened, tmp_path):
    store.save(BALLOT, 1, frames(1))
    store.destroy()
    assert not (tmp_path / "peer").exists()
    assert reopened().load() == Saved()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match='"rocksdb", "lmdb" or "memory", not \'etcd\''):
        open_store("etcd", "data")


class AgainstAList(RuleBasedStateMachine):
    """Any order of verbs does to a store what it does to a list."""

    @initialize(kind=st.sampled_from(KINDS))
    def start(self, kind):
        self.kind = kind
        self.directory = Path(tempfile.mkdtemp())
        self.store = open_store(kind, self.directory / "peer")
        self.ballot, self.base, self.base_term, self.log = FRESH_BALLOT, 0, 0, []

    @rule(
        ballot=st.none() | st.tuples(st.integers(0), st.none() | st.just(("a", "b@c"))),
        back=st.integers(0, 6),
        entries=st.lists(st.binary(max_size=5), max_size=6),
    )
    def save(self, ballot, back, entries):
        keep = max(len(self.log) - back, 0)
        self.store.save(ballot, self.base + keep + 1, entries)
        self.log[keep:] = entries
        self.ballot = ballot or self.ballot

    @rule(ahead=st.integers(-2, 8), term=st.integers(0, 9))
    def compact(self, ahead, term):
        ahead = min(ahead, len(self.log))
        through = self.base + ahead
        self.store.compact(through, term)
        if ahead > 0:
            del self.log[:ahead]
            self.base, self.base_term = through, term

    @rule(
        ahead=st.integers(0, 8),
        term=st.integers(0, 9),
        entries=st.lists(st.binary(max_size=5), max_size=3),
    )
    def restart_behind_a_snapshot(self, ahead, term, entries):
        self.ballot, self.base, self.base_term = (term, None), self.base + ahead, term
        self.store.restart(self.ballot, self.base, self.base_term, entries)
        self.log = list(entries)

    @rule()
    def restart(self):
        self.store.close()
        self.store = open_store(self.kind, self.directory / "peer")

    @precondition(lambda self: self.log)
    @rule(draw=st.data())
    def read_a_part(self, draw):
        start = draw.draw(st.integers(0, len(self.log) - 1))
        end = draw.draw(st.integers(start, len(self.log)))
        found = self.store.entries(self.base + start + 1, self.base + end)
        assert found == self.log[start:end]

    @invariant()
    def holds_the_same(self):
        last = self.base + len(self.log)
        assert self.store.load() == Saved(self.ballot, self.base + 1, last, self.base_term)
        assert self.store.entries(self.base + 1, last) == self.log

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.directory)


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=40, stateful_step_count=20)
