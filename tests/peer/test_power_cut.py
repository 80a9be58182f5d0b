"""A peer whose machine lost its power, at any moment, has all that it had acknowledged."""

import shutil

import pytest

from raft_actors import Raft
from raft_actors.kv_store import KVStore
from tests.helpers import eventually
from tests.machine.test_on_disk import Ledger
from tests.stores.power_cut import cuts_of, traced

PROGRAM = """
import sys, time
from pathlib import Path
from raft_actors import Raft
from raft_actors.kv_store import KVStore
from tests.machine.test_on_disk import Ledger
from tests.stores.power_cut import acknowledge
path, store, machine = sys.argv[1:]
Raft.start_peer({"KVStore": KVStore, "Ledger": Ledger}[machine], name="peer", data_dir=Path(path),
                log_store=store, snapshot_trailing=1)
assert Raft.set_configuration("peer", ["peer"])[0] == "ok"
while Raft.leader("peer") is None:
    time.sleep(0.01)
for number in range(1, 41):
    assert Raft.write("peer", ("set", str(number), number))[0] == "ok"
    acknowledge(number)
    if number in (15, 30):
        assert Raft.snapshot("peer")[0] == "ok"
assert Raft.stop_peer("peer") == "ok"
"""
EVERY = 9
"""Of the cuts between saves, which are much alike, one of so many is tried."""


def is_rare(changed):
    return not changed.startswith("log.")


@pytest.mark.parametrize(("store", "machine"), [("rocksdb", Ledger), ("lmdb", KVStore)])
def test_a_peer_has_all_that_it_acknowledged_before_a_power_cut(tmp_path, store, machine):
    """Planted: a snapshot that is not synced before it gets its name; then there is neither the log
    nor what stands for it. A state on disk may go back to what it was: the rest is made anew.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    lines = traced(tmp_path, PROGRAM, disk / "peer", store, machine.__name__)
    tried = with_snapshot = 0
    for count, cut in enumerate(cuts_of(lines, disk)):
        if cut.acknowledged < 1 or (count % EVERY and not is_rare(cut.changed[len("peer/") :])):
            continue
        left = cut.left_in(tmp_path / f"left{count}") / "peer"
        answer = Raft.start_peer(machine, name="peer", data_dir=left, log_store=store)
        assert answer[0] == "ok", (cut.changed, answer)
        try:
            eventually(lambda: Raft.leader("peer") is not None)
            found = [Raft.read("peer", query(machine, number))
                     for number in range(1, cut.acknowledged + 1)]  # fmt: skip
            assert found == [value(machine, number) for number in range(1, cut.acknowledged + 1)], (
                cut.changed
            )
            with_snapshot += Raft.status("peer")[1]["snapshot_index"] > 0
        finally:
            Raft.stop_peer("peer")
        shutil.rmtree(left.parent)
        tried += 1
    assert tried > 20
    assert with_snapshot


def query(machine, number):
    return str(number) if machine is Ledger else ("get", str(number))


def value(machine, number):
    return number if machine is Ledger else ("ok", number)
