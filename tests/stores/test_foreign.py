"""Log stores that other packages bring: found, refused, and carrying a peer through a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.sqlite_log_store import SqliteLog
from raft_actors import Config
from raft_actors.errors import DataDirInUse, StoreCorrupt, StoreError
from raft_actors.stores import Saved, open_store
from raft_actors.stores.store_record import kind_of
from raft_actors.tools.offline.migrate import migrate
from raft_actors.tools.offline.stopped_peer import stopped

SOURCE = Path(__file__).parents[2] / "examples" / "sqlite_log_store.py"
FOREIGN = "examples.sqlite_log_store:SqliteLog"
OWNER = ("kv", "a@host")
FAULT = "if that does not come of the disk, it is a fault of the package that brings"

PEER = """
import os, signal, sys
from raft_actors import Node, Raft
from raft_actors.kv_store import KVStore

kind, directory, verb = sys.argv[1:]
answer = Raft.start_peer(KVStore, name="kv", log_store=kind, data_dir=directory)
assert answer[0] == "ok", answer
if verb == "write":
    assert Raft.set_configuration("kv", ["kv"])[0] == "ok"
    for number in range(20):
        assert Raft.write("kv", ("set", number, number))[0] == "ok"
    assert Raft.snapshot("kv")[0] == "ok"
    assert Raft.write("kv", ("set", "last", "one"))[0] == "ok"
    os.kill(os.getpid(), signal.SIGKILL)
while Raft.leader("kv") is None:
    pass
print(Raft.read("kv", ("get", "last"))[1], Raft.read("kv", ("get", 7))[1])
Raft.stop_peer("kv")
"""

THEIR_TESTS = """
from raft_actors.testing.log_store_contract import LogStoreContract

class TestStore(LogStoreContract):
    log_store = "example"
"""


def install(directory, name, entry_points):
    """Put a package where pip would, with the store in it."""
    package = directory / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SOURCE.read_text())
    about = directory / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
    (about / "entry_points.txt").write_text(f"[raft_actors.log_stores]\n{lines}")


def run(site, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True
    )


@pytest.fixture
def site(tmp_path):
    install(tmp_path / "site", "example_store", {"example": "example_store:SqliteLog"})
    return tmp_path / "site"


def test_a_package_proves_its_store_by_the_contract(site, tmp_path):
    tests = tmp_path / "test_store.py"
    tests.write_text(THEIR_TESTS)
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def test_a_peer_of_a_package_s_store_is_killed_and_has_all_that_was_acknowledged(site, tmp_path):
    data = tmp_path / "data"
    assert run(site, "-c", PEER, "example", data, "write").returncode == -signal.SIGKILL
    assert json.loads((data / "store.json").read_text())["kind"] == "example"
    done = run(site, "-c", PEER, "example", data, "read")
    assert done.stdout == "one 7\n", done.stderr


def test_a_package_s_store_is_looked_at_by_the_command_line(site, tmp_path):
    data = tmp_path / "data"
    run(site, "-c", PEER, "example", data, "write")
    shown = run(site, "-m", "raft_actors", "recover", "inspect", data, "--json")
    assert shown.returncode == 0, shown.stderr
    missing = run("", "-m", "raft_actors", "recover", "inspect", data)
    assert missing.returncode != 0
    said = " ".join((missing.stdout + missing.stderr).split())
    assert "of the kind 'example', which neither this version of raft_actors nor a package" in said


def test_a_directory_does_not_choose_what_is_imported(tmp_path):
    """It may come from anywhere. Planted: import the class of which store.json has the path."""
    (tmp_path / "their_store.py").write_text(f"{SOURCE.read_text()}\nprint('imported')\n")
    path, data = tmp_path / "their_store.py", tmp_path / "data"
    kind = "their_store:SqliteLog"
    written = run(path.parent, "-c", PEER, kind, data, "write")
    assert written.returncode == -signal.SIGKILL, written.stderr

    def ask(*arguments):
        done = run(tmp_path, "-m", "raft_actors", *arguments)
        return done.returncode, done.stdout + done.stderr

    backup, member = tmp_path / "kv.backup", "kv:a@host"
    for command in (
        ["recover", "inspect", data], ["recover", "entries", data], ["recover", "verify", data],
        ["recover", "export", data, backup], ["migrate", data, "--to", "rocksdb"],
        ["recover", "force-configuration", data, member, "--yes"],
    ):  # fmt: skip
        status, said = ask(*command)
        assert status == 1
        assert "imported\n" not in said
        assert said.endswith(f"give --store {kind}\n"), said
    status, said = ask("recover", "verify", data, "--store", "rocksdb")
    assert (status, "imported\n" in said) == (1, False)
    assert "--store names 'rocksdb'" in said
    for command in (
        ["recover", "inspect", data], ["recover", "entries", data], ["recover", "verify", data],
        ["recover", "export", data, backup], ["migrate", data, "--to", "rocksdb"],
        ["migrate", data, "--to", "rocksdb"],  # as after an interruption
    ):  # fmt: skip
        assert ask(*command, "--store", kind)[0] == 0, command


# Which directory is whose.


@pytest.mark.parametrize(("kind", "other"), [(FOREIGN, "rocksdb"), ("rocksdb", FOREIGN)])
def test_a_directory_is_refused_to_a_store_of_another_kind(tmp_path, kind, other):
    path = tmp_path / "peer"
    open_store(kind, path, OWNER).close()
    with pytest.raises(StoreError, match=rf"of the kind '{kind}': .*log_store=\"{kind}\""):
        open_store(other, path, OWNER)
    assert kind_of(path) == kind


def test_a_directory_is_refused_to_the_same_class_by_another_name(tmp_path, monkeypatch, site):
    """One name for life: two packages may give one name to classes that write differently."""
    monkeypatch.syspath_prepend(site)
    path = tmp_path / "peer"
    open_store("example", path, OWNER).close()
    with pytest.raises(StoreError, match="of the kind 'example'"):
        open_store("example_store:SqliteLog", path, OWNER)


def test_a_directory_of_another_peer_is_refused(tmp_path):
    path = tmp_path / "peer"
    open_store(FOREIGN, path, OWNER).close()
    with pytest.raises(DataDirInUse, match="belongs to peer kv on a@host"):
        open_store(FOREIGN, path, ("other", "a@host"))


def test_a_database_that_is_missing_is_not_made_anew(tmp_path):
    path = tmp_path / "peer"
    open_store(FOREIGN, path, OWNER).close()
    (path / f"log.{FOREIGN}" / "log.sqlite").unlink()
    with pytest.raises(StoreError, match=r"can't be opened: .*log.sqlite is missing"):
        open_store(FOREIGN, path, OWNER)
    (path / f"log.{FOREIGN}").rmdir()
    with pytest.raises(StoreCorrupt, match="is missing"):
        open_store(FOREIGN, path, OWNER)


class Forgetful(SqliteLog):
    """Begins anew whenever its file is not there, against the contract."""

    @classmethod
    def open(cls, path, *, create):
        return super().open(path, create=True)


def test_an_empty_database_in_the_place_of_the_one_that_was_is_refused(tmp_path):
    """Planted: take a database that knows no incarnation, as one of an older version."""
    kind, path = "tests.stores.test_foreign:Forgetful", tmp_path / "peer"
    open_store(kind, path, OWNER).close()
    (path / f"log.{kind}" / "log.sqlite").unlink()
    with pytest.raises(StoreCorrupt, match="not the database that was made for this directory"):
        open_store(kind, path, OWNER)


def test_a_log_moves_to_a_foreign_store_and_back(tmp_path):
    path = tmp_path / "peer"
    store = open_store("rocksdb", path, OWNER)
    store.save((3, None), 1, [b"one", b"two"])
    store.close()
    for kind in (FOREIGN, "rocksdb", FOREIGN):
        migrate(path, kind, kind_of(path))
        with stopped(path, kind) as moved:
            assert moved.kind == kind
            assert moved.load() == Saved((3, None), 1, 2)
            assert moved.entries(1, 2) == [b"one", b"two"]


# What is wrong, in words.


@pytest.mark.parametrize("name", ["rocksbd", "", None, "a:b:c", "../a:B", 7])
def test_what_can_be_no_log_store_is_refused_by_the_config(name):
    with pytest.raises(ValueError, match=r"brings \(none\) or \"module:Class\", not "):
        Config(log_store=name)


def test_a_misspelt_name_is_answered_with_those_that_are_installed(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    assert Config(log_store="example").log_store == "example"
    with pytest.raises(ValueError, match=r"brings \('example'\) .* not 'exmaple'"):
        Config(log_store="exmaple")


class Half:
    @classmethod
    def open(cls, path, *, create):
        """Not reached."""

    def get(self, name):
        """As it should be."""


class Opens(SqliteLog):
    """Its `open` does what `error` says."""

    error = None

    @classmethod
    def open(cls, path, *, create):
        if cls.error is not None:
            raise cls.error
        return Half()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_package:Store", "can't be imported: ModuleNotFoundError: No module named"),
        ("examples.sqlite_log_store:Sqlite", "can't be imported: AttributeError: module"),
        ("tests.stores.test_foreign:SOURCE", "is no log store, it lacks get, last, entries, write"),
        (
            "tests.stores.test_foreign:Half",
            "is no log store, it lacks last, entries, write, delete_through, delete_all, close;",
        ),
        ("tests.stores.test_foreign:Opens", "which lacks last, entries, write, delete_through"),
    ],
)
def test_a_class_that_is_no_log_store_is_refused_in_words(tmp_path, name, said):
    with pytest.raises(StoreError) as refused:
        open_store(name, tmp_path / "peer", OWNER)
    assert f'log_store="{name}"' in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "can't be opened: "),
        (KeyError("page 3"), "can't be opened by log_store="),
        (StoreCorrupt("page 3 is damaged"), "page 3 is damaged"),
    ],
)
def test_an_open_that_fails_says_why_and_leaves_the_directory_free(
    tmp_path, monkeypatch, error, said
):
    name, path = "tests.stores.test_foreign:Opens", tmp_path / "peer"
    monkeypatch.setattr(Opens, "error", error)
    for _ in range(2):  # and not: the directory is in use
        with pytest.raises((StoreError, StoreCorrupt)) as refused:
            open_store(name, path, OWNER)
        assert said in str(refused.value)


def test_a_write_that_fails_is_the_last_one(tmp_path, monkeypatch):
    store = open_store(FOREIGN, tmp_path / "peer", OWNER)
    store.save((1, None), 1, [b"one"])
    with monkeypatch.context() as patched:
        patched.setattr(SqliteLog, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(StoreError, match="full"):
            store.save(None, 2, [b"two"])
    with pytest.raises(StoreError, match="takes nothing more, since a write failed"):
        store.save(None, 2, [b"two"])
    store.close()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(28, "No space left on device"), "make room"),
        (RuntimeError("No space left on device"), "make room"),
        (KeyError("page 3"), f"KeyError: 'page 3'; {FAULT} log_store=\"{FOREIGN}\""),
        (AssertionError(), f'AssertionError: ; {FAULT} log_store="{FOREIGN}"'),
    ],
)
def test_a_fault_of_the_package_is_not_called_one_of_the_disk(tmp_path, monkeypatch, error, advice):
    """Planted: advice about the disk for everything."""
    store = open_store(FOREIGN, tmp_path / "peer", OWNER)
    with monkeypatch.context() as patched:
        patched.setattr(SqliteLog, "write", lambda *_: (_ for _ in ()).throw(error))
        with pytest.raises(StoreError) as refused:
            store.save(None, 1, [b"one"])
    assert advice in str(refused.value)
    with pytest.raises(StoreError, match="takes nothing more") as refused:
        store.save(None, 1, [b"one"])
    assert advice in str(refused.value)
    store.close()


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("get", "text", "str as the record b'base', not bytes or None"),
        ("last", None, "NoneType as the index of the last entry, not a whole number"),
        ("entries", ["one", "two"], "str as an entry, not bytes"),
        ("entries", None, "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_store_that_gives_what_it_should_not_is_named(tmp_path, monkeypatch, method, given, said):
    path = tmp_path / "peer"
    store = open_store(FOREIGN, path, OWNER)
    store.save((1, None), 1, [b"one", b"two"])
    store.close()
    monkeypatch.setattr(SqliteLog, method, lambda *_: given)
    with pytest.raises(StoreError) as refused, stopped(path, FOREIGN) as store:
        store.entries(1, 2)
    assert said in str(refused.value)
    assert FOREIGN in str(refused.value)


def test_two_packages_of_one_name_are_told_apart(tmp_path, monkeypatch):
    for package in ("first_store", "second_store"):
        install(tmp_path / "site", package, {"example": f"{package}:SqliteLog"})
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(StoreError, match="first_store:SqliteLog, second_store:SqliteLog"):
        open_store("example", tmp_path / "peer", OWNER)


def test_a_store_whose_package_is_gone_says_so(tmp_path, site, monkeypatch):
    with monkeypatch.context() as patched:
        patched.syspath_prepend(site)
        config = Config(log_store="example")
        open_store("example", tmp_path / "peer", OWNER).close()
    with pytest.raises(ValueError, match="'example'"):
        open_store(config.log_store, tmp_path / "peer", OWNER)
