"""What `LogStore` promises, held against every store: ours, and one that a package would bring."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raft_actors.stores import open_store
from raft_actors.testing.log_store_contract import AgainstAList, LogStoreContract

FOREIGN = "examples.sqlite_log_store:SqliteLog"
KINDS = ("memory", "rocksdb", "lmdb", "files", FOREIGN)


class TestContract(LogStoreContract):
    @pytest.fixture(params=KINDS, ids=["memory", "rocksdb", "lmdb", "files", "foreign"])
    def kind(self, request):
        self.is_durable = request.param != "memory"
        return request.param


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="is rocksdb, lmdb, files or module:Class, not 'etcd'"):
        open_store("etcd", "data")


class AnyOrder(RuleBasedStateMachine):
    """Any order of verbs does to a store what it does to a list."""

    @initialize(kind=st.sampled_from(KINDS))
    def start(self, kind):
        self.directory = Path(tempfile.mkdtemp())
        self.both = AgainstAList(kind, self.directory / "peer")

    @rule(
        ballot=st.none() | st.tuples(st.integers(0), st.none() | st.just(("a", "b@c"))),
        back=st.integers(0, 6),
        entries=st.lists(st.binary(max_size=5), max_size=6),
    )
    def save(self, ballot, back, entries):
        self.both.save(ballot, back, entries)

    @rule(ahead=st.integers(-2, 8), term=st.integers(0, 9))
    def compact(self, ahead, term):
        self.both.compact(ahead, term)

    @rule(
        ahead=st.integers(0, 8),
        term=st.integers(0, 9),
        entries=st.lists(st.binary(max_size=5), max_size=3),
    )
    def restart_behind_a_snapshot(self, ahead, term, entries):
        self.both.restart(ahead, term, entries)

    @rule()
    def restart(self):
        self.both.reopen()

    @precondition(lambda self: self.both.log)
    @rule(draw=st.data())
    def read_a_part(self, draw):
        start = draw.draw(st.integers(0, len(self.both.log) - 1))
        self.both.read(start, draw.draw(st.integers(start, len(self.both.log))))

    @invariant()
    def holds_the_same(self):
        self.both.check()

    def teardown(self):
        self.both.store.close()
        shutil.rmtree(self.directory)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=20)
