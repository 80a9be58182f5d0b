"""LogStoreContract: tests that a log store fulfils the contract in `stores/log_store.py`.

A package with a store of its own derives a class whose name begins with `Test`, and sets
`log_store` to the name of the store in `Config`.

    class TestStore(LogStoreContract):
        log_store = "my_package.store:Store"
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raft_actors.errors import DataDirInUse, LogCompacted, StoreError
from raft_actors.stores import FRESH_BALLOT, LogStore, Saved, StoredBallot, open_store

__all__ = ["AgainstAList", "LogStoreContract"]

BALLOT = (7, ("b", "two@host"))
KILLED = """
import os, signal, sys
from raft_actors.stores import open_store
store = open_store(sys.argv[1], sys.argv[2])
for index in range(1, 21):
    store.save((index, None), index, [b"entry %d" % index])
store.compact(5, 1)
store.save(None, 18, [b"entry 18"])
os.kill(os.getpid(), signal.SIGKILL)
"""

Reopen = Callable[[], LogStore]


def frames(*numbers: int) -> list[bytes]:
    return [b"entry %d" % number for number in numbers]


def all_of(store: LogStore) -> list[bytes]:
    saved = store.load()
    return store.entries(saved.first, saved.last)


def now_and_after(store: LogStore, *restarts: Reopen) -> Iterator[LogStore]:
    yield store
    for restart in restarts:
        yield restart()


class AgainstAList:
    """Does the same operations on a store and on a list, and checks that both have the same
    content.
    """

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path
        self.store: LogStore = open_store(kind, path)
        self.ballot: StoredBallot = FRESH_BALLOT
        self.base: int = 0
        self.base_term: int = 0
        self.log: list[bytes] = []

    def save(self, ballot: StoredBallot | None, back: int, entries: list[bytes]) -> None:
        keep = max(len(self.log) - back, 0)
        self.store.save(ballot, self.base + keep + 1, entries)
        self.log[keep:] = entries
        self.ballot = ballot or self.ballot

    def compact(self, ahead: int, term: int) -> None:
        ahead = min(ahead, len(self.log))
        through = self.base + ahead
        self.store.compact(through, term)
        if ahead > 0:
            del self.log[:ahead]
            self.base, self.base_term = through, term

    def restart(self, ahead: int, term: int, entries: list[bytes]) -> None:
        self.ballot, self.base, self.base_term = (term, None), self.base + ahead, term
        self.store.restart(self.ballot, self.base, self.base_term, entries)
        self.log = list(entries)

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.kind, self.path)

    def read(self, start: int, end: int) -> None:
        assert self.store.entries(self.base + start + 1, self.base + end) == self.log[start:end]

    def check(self) -> None:
        last = self.base + len(self.log)
        assert self.store.load() == Saved(self.ballot, self.base + 1, last, self.base_term)
        assert self.store.entries(self.base + 1, last) == self.log


class LogStoreContract:
    """The tests. `log_store` is the name of the store, as in Config."""

    log_store = ""
    is_durable = True
    """Whether saved entries are still there after the end of the process."""

    @pytest.fixture
    def kind(self) -> str:
        return self.log_store

    @pytest.fixture
    def store(self, kind: str, tmp_path: Path) -> Iterator[LogStore]:
        store = open_store(kind, tmp_path / "peer")
        yield store
        store.close()

    @pytest.fixture
    def reopened(self, kind: str, tmp_path: Path, store: LogStore) -> Iterator[Reopen]:
        """Close the store and open it again, as a restarted peer does."""
        opened = [store]

        def reopen() -> LogStore:
            opened[-1].close()
            opened.append(open_store(kind, tmp_path / "peer"))
            return opened[-1]

        yield reopen
        for other in opened:
            other.close()

    def test_a_fresh_store_is_empty(self, store: LogStore) -> None:
        assert store.load() == Saved(FRESH_BALLOT, first=1, last=0)
        assert all_of(store) == []

    def test_a_store_keeps_its_incarnation_and_a_new_one_has_another(
        self, kind: str, tmp_path: Path, store: LogStore, reopened: Reopen
    ) -> None:
        incarnation = store.load().incarnation
        assert incarnation > 0
        again = reopened()
        assert again.load().incarnation == incarnation
        again.destroy()
        fresh = open_store(kind, tmp_path / "peer")
        assert fresh.load().incarnation not in (0, incarnation)
        fresh.close()

    def test_what_is_saved_is_there_after_a_restart(
        self, store: LogStore, reopened: Reopen
    ) -> None:
        store.save(BALLOT, 1, frames(1, 2, 3))
        for again in now_and_after(store, reopened, reopened):
            assert again.load() == Saved(BALLOT, first=1, last=3)
            assert all_of(again) == frames(1, 2, 3)

    def test_what_is_saved_is_there_after_a_kill(self, kind: str, tmp_path: Path) -> None:
        if not self.is_durable:
            pytest.skip("it lives as long as the process")
        path = tmp_path / "killed"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", KILLED, kind, str(path)]
        child = subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own code
        assert child.returncode == -signal.SIGKILL
        store = open_store(kind, path)
        assert store.load() == Saved((20, None), 6, 18, 1)
        assert all_of(store) == frames(*range(6, 19))
        store.close()

    def test_ballot_and_log_can_be_saved_each_alone(
        self, store: LogStore, reopened: Reopen
    ) -> None:
        store.save(None, 1, frames(1))
        assert store.load() == Saved(FRESH_BALLOT, 1, 1)
        store.save((1, None), 0, [])
        store.save(None, 2, frames(2))
        assert reopened().load() == Saved((1, None), 1, 2)

    def test_a_ballot_comes_back_as_the_tuple_it_was(
        self, store: LogStore, reopened: Reopen
    ) -> None:
        ballot = (2**70, ("a", "one@host"), 12)
        store.save(ballot, 0, [])
        assert reopened().load().ballot == ballot

    def test_an_empty_save_saves_nothing(self, store: LogStore) -> None:
        store.save(None, 0, [])
        store.save(None, 1, [])
        assert store.load() == Saved()

    @pytest.mark.parametrize("first", [1, 2, 4, 5])
    @pytest.mark.parametrize("count", [0, 1, 2, 9])
    def test_entries_replace_the_log_from_first_on(
        self, store: LogStore, reopened: Reopen, first: int, count: int
    ) -> None:
        """Planted: no delete_range; then entries that were replaced stand after the last one."""
        old, new = frames(1, 2, 3, 4), frames(*range(100, 100 + count))
        store.save(None, 1, old)
        store.save(BALLOT, first, new)
        for again in now_and_after(store, reopened):
            assert again.load() == Saved(BALLOT, 1, first - 1 + count)
            assert all_of(again) == old[: first - 1] + new

    def test_entries_can_be_read_in_parts(self, store: LogStore) -> None:
        store.save(None, 1, frames(*range(1, 2001)))
        assert store.entries(3, 3) == frames(3)
        assert store.entries(700, 1900) == frames(*range(700, 1901))
        assert store.entries(5, 4) == []

    def test_entries_are_bytes_of_any_content(self, store: LogStore, reopened: Reopen) -> None:
        entries = [b"", b"\0", bytes(range(256)), b"x" * 2_000_000]
        store.save(None, 1, entries)
        again = all_of(reopened())
        assert again == entries
        assert {type(entry) for entry in again} == {bytes}

    def test_compacted_entries_are_gone_and_said_to_be(
        self, store: LogStore, reopened: Reopen
    ) -> None:
        store.save(BALLOT, 1, frames(1, 2, 3, 4))
        store.compact(2, 7)
        for again in now_and_after(store, reopened):
            assert again.load() == Saved(BALLOT, 3, 4, 7)
            assert all_of(again) == frames(3, 4)
            with pytest.raises(LogCompacted, match="starts at 3"):
                again.entries(2, 4)

    def test_compacting_twice_through_the_same_entry_changes_nothing(self, store: LogStore) -> None:
        store.save(None, 1, frames(1, 2, 3))
        store.compact(2, 1)
        store.compact(2, 1)
        store.compact(0, 0)
        assert store.load() == Saved(FRESH_BALLOT, 3, 3, 1)

    def test_a_log_compacted_through_its_end_goes_on_behind_it(
        self, store: LogStore, reopened: Reopen
    ) -> None:
        store.save(None, 1, frames(1, 2, 3, 4))
        store.compact(4, 2)
        assert store.load() == Saved(FRESH_BALLOT, 5, 4, 2)
        store.save(None, 5, frames(7, 8))
        again = reopened()
        assert again.load() == Saved(FRESH_BALLOT, 5, 6, 2)
        assert all_of(again) == frames(7, 8)

    @pytest.mark.parametrize("index", [2, 4, 50])
    def test_a_log_that_restarts_behind_a_snapshot_has_nothing_of_before(
        self, store: LogStore, reopened: Reopen, index: int
    ) -> None:
        """Planted: entries beyond the index kept; then `all_of` has those of another history."""
        store.save(FRESH_BALLOT, 1, frames(1, 2, 3, 4))
        store.restart(BALLOT, index, 9)
        again = store
        for again in now_and_after(store, reopened):
            assert again.load() == Saved(BALLOT, index + 1, index, 9)
        again.save(None, index + 1, frames(7, 8))
        assert again.load() == Saved(BALLOT, index + 1, index + 2, 9)
        assert all_of(again) == frames(7, 8)

    @pytest.mark.parametrize("index", [2, 4, 50])
    def test_a_log_begins_anew_together_with_what_follows(
        self, store: LogStore, reopened: Reopen, index: int
    ) -> None:
        store.save(FRESH_BALLOT, 1, frames(1, 2, 3, 4))
        store.restart(BALLOT, index, 9, frames(7, 8))
        again = store
        for again in now_and_after(store, reopened):
            assert again.load() == Saved(BALLOT, index + 1, index + 2, 9)
            assert all_of(again) == frames(7, 8)
        again.save(None, index + 3, frames(9))
        assert all_of(again) == frames(7, 8, 9)

    def test_a_hole_in_the_log_is_our_own_bug(self, store: LogStore) -> None:
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

    def test_an_open_store_cannot_be_opened_again(
        self, kind: str, tmp_path: Path, store: LogStore
    ) -> None:
        with pytest.raises(DataDirInUse, match=f"{tmp_path}/peer.*this"):
            open_store(kind, tmp_path / "peer")
        store.save(None, 1, frames(1))
        assert all_of(store) == frames(1)

    def test_stores_of_different_paths_do_not_meet(
        self, kind: str, tmp_path: Path, store: LogStore
    ) -> None:
        store.save(BALLOT, 1, frames(1))
        other = open_store(kind, tmp_path / "other")
        assert other.load() == Saved()
        other.close()

    def test_a_closed_store_says_so(self, store: LogStore) -> None:
        store.save(None, 1, frames(1))
        store.close()
        store.close()
        verbs: list[Callable[[], Any]] = [
            store.load,
            lambda: store.save(BALLOT, 0, []),
            lambda: store.entries(1, 1),
            lambda: store.compact(1, 1),
            lambda: store.restart(BALLOT, 1, 1),
        ]
        for verb in verbs:
            with pytest.raises(StoreError, match="closed"):
                verb()

    def test_a_destroyed_store_is_gone(
        self, store: LogStore, reopened: Reopen, tmp_path: Path
    ) -> None:
        store.save(BALLOT, 1, frames(1))
        store.destroy()
        assert not (tmp_path / "peer").exists()
        assert reopened().load() == Saved()

    @pytest.mark.parametrize("seed", range(10))
    def test_any_order_of_verbs_does_to_it_what_it_does_to_a_list(
        self, kind: str, tmp_path: Path, seed: int
    ) -> None:
        luck = Random(seed)  # noqa: S311 - a test's
        both = AgainstAList(kind, tmp_path / "peer")
        for _ in range(40):
            entries = [luck.randbytes(luck.randrange(6)) for _ in range(luck.randrange(7))]
            match luck.choice(("save", "save", "save", "compact", "restart", "reopen")):
                case "save":
                    ballot = luck.choice((None, (luck.randrange(9), ("a", "b@c"))))
                    both.save(ballot, luck.randrange(7), entries)
                case "compact":
                    both.compact(luck.randrange(-2, 9), luck.randrange(10))
                case "restart":
                    both.restart(luck.randrange(9), luck.randrange(10), entries[:3])
                case "reopen":
                    both.reopen()
            both.check()
        both.store.close()
