"""`raft-actors migrate`: nothing is lost, and nobody votes twice, wherever it is interrupted."""

import os
import subprocess
import sys
from itertools import cycle

import pytest
from typer.testing import CliRunner

from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import Saved, open_store
from raft_actors.stores.data_directory import DataDirectory
from raft_actors.tools.commands import app
from raft_actors.tools.offline import migrate as module
from raft_actors.tools.offline.migrate import migrate
from raft_actors.tools.offline.stopped_peer import stopped
from tests.tools.offline.directories import record_of

OWNER = ("counter", "a@host")
BALLOT = (9, OWNER, 7)
ENTRIES = [b"%d" % number * 300 for number in range(1, 5001)]
OTHER = {"rocksdb": "files", "lmdb": "rocksdb", "files": "rocksdb"}


@pytest.fixture(params=["rocksdb", "lmdb", "files"])
def kind(request):
    return request.param


@pytest.fixture
def path(kind, tmp_path):
    """The directory of a stopped peer whose log begins at entry 1,001."""
    store = open_store(kind, tmp_path / "peer", OWNER)
    store.save(BALLOT, 1, ENTRIES)
    store.compact(1_000, 3)
    store.close()
    return tmp_path / "peer"


def holds_everything(path):
    with stopped(path) as store:
        saved = store.load()
        return (
            saved == Saved(BALLOT, 1_001, 5_000, 3)
            and store.entries(1_001, 5_000) == ENTRIES[1_000:]
        )


def test_the_log_moves_and_the_identity_stays(kind, path):
    record = record_of(path)
    done = migrate(path, OTHER[kind])
    assert (done.first, done.last) == (1_001, 5_000)
    assert holds_everything(path)
    assert record_of(path) == record | {"kind": OTHER[kind]}
    assert done.old.name.startswith(f"log.{kind}.old-")
    assert done.old.exists()
    with pytest.raises(DataDirInUse, match="belongs to peer counter"):
        open_store(OTHER[kind], path, ("queue", "a@host"))


def test_the_old_kind_is_refused_afterwards(kind, path):
    migrate(path, OTHER[kind])
    with pytest.raises(StoreError, match=f'log_store="{OTHER[kind]}".*migrate {path} --to {kind}'):
        open_store(kind, path, OWNER)


def test_there_and_back_again(kind, path):
    migrate(path, OTHER[kind])
    migrate(path, kind)
    assert holds_everything(path)


def test_asked_for_what_is_it_does_nothing(kind, path):
    done = migrate(path, kind)
    assert done.was_already
    assert done.old is None
    assert holds_everything(path)


def test_a_fresh_store_can_be_moved(kind, tmp_path):
    open_store(kind, tmp_path / "fresh").close()
    migrate(tmp_path / "fresh", OTHER[kind])
    with stopped(tmp_path / "fresh") as store:
        assert store.load() == Saved()


def test_a_directory_in_use_is_refused(kind, path):
    store = open_store(kind, path, OWNER)
    with pytest.raises(DataDirInUse, match=f"process {os.getpid()}"):
        migrate(path, OTHER[kind])
    store.close()
    assert holds_everything(path)


def test_what_is_no_data_directory_is_refused_with_a_hint(path):
    with pytest.raises(StoreCorrupt, match=f"no data directory of a peer: do you mean {path}"):
        migrate(path.parent, "lmdb")
    with pytest.raises(StoreCorrupt, match=r"no data directory of a peer$"):
        migrate(path / "nowhere", "lmdb")
    assert not (path / "nowhere").exists()


STEPS = {
    "before the copy": "DurableStore.beside = lambda *_: os.kill(os.getpid(), 9)",
    "in the copy": "DurableStore.save = lambda *_: os.kill(os.getpid(), 9)",
    "after the copy": "DurableStore.reopen = lambda *_: os.kill(os.getpid(), 9)",
    "before the switch": "DataDirectory.switch = lambda *_: os.kill(os.getpid(), 9)",
    "in the switch": "os.replace = Path.replace = lambda *_: os.kill(os.getpid(), 9)",
    "after the switch": "migrate.put_away = lambda *_: os.kill(os.getpid(), 9)",
    "before the name": "Path.rename = lambda *_: os.kill(os.getpid(), 9)",
}
CHILD = """
import os, sys
from pathlib import Path
from raft_actors.tools.offline import migrate
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.data_directory import DataDirectory
{step}
migrate.migrate(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize(("kind", "step"), list(zip(cycle(OTHER), STEPS)), indirect=["kind"])
def test_killed_at_any_step_it_has_lost_nothing_and_can_be_run_again(kind, path, step):
    code = CHILD.format(step=STEPS[step])
    killed = subprocess.run([sys.executable, "-c", code, str(path), OTHER[kind]])
    assert killed.returncode == -9
    assert holds_everything(path)
    done = migrate(path, OTHER[kind])
    assert holds_everything(path)
    assert not (path / f"log.{kind}").exists()
    assert done.old.name.startswith(f"log.{kind}.old-")


def test_the_command_says_what_it_did_and_what_to_do(path):
    with stopped(path) as store:
        kind, to = store.kind, OTHER[store.kind]
    command = ["migrate", str(path), "--to"]
    done = CliRunner().invoke(app, [*command, to])
    assert done.exit_code == 0
    said = done.stdout.splitlines()
    assert said[0] == f"{path} is {to} now: entries 1001 to 5000, read back"
    assert str(path / f"log.{kind}.old-") in said[1]
    assert said[2] == f'start the peer with Config(log_store="{to}")'
    refused = CliRunner().invoke(app, [*command, "etcd"])
    assert refused.exit_code == 2
    assert "rocksdb, lmdb, files or module:Class, not 'etcd'" in refused.output


def test_what_the_operating_system_refuses_is_told_in_words(kind, path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system", str(path / "store.json"))

    monkeypatch.setattr(DataDirectory, "switch", refuse)
    with pytest.raises(StoreError, match=rf"^{path}/store.json: Read-only file system; see that"):
        migrate(path, OTHER[kind])
    assert holds_everything(path)


def test_a_copy_that_differs_is_refused_and_the_old_store_stays(kind, path, monkeypatch):
    """Planted: the copy is not read back; then the store would be the wrong one."""
    real = module.batches
    calls = iter([lambda first, entries: (first, [b"wrong", *entries[1:]])])

    def wrong_once(*arguments):
        change = next(calls, lambda *same: same)
        return (change(*each) for each in real(*arguments))

    monkeypatch.setattr(module, "batches", wrong_once)
    with pytest.raises(StoreCorrupt, match=r"is not what was written.*is as it was"):
        migrate(path, OTHER[kind])
    monkeypatch.undo()
    assert not (path / f"log.{OTHER[kind]}").exists()
    assert holds_everything(path)
