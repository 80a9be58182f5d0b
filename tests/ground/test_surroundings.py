"""What is missing around the package, or in its way, is told in words by the import itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raft_actors import OnDiskStateMachine
from raft_actors.config import Config, default_log_store
from raft_actors.errors import StoreError
from raft_actors.stores import open_store

ROOT = Path(__file__).parents[2]

WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None
import raft_actors
"""


def last_line(code: str, *first_on_path: Path) -> str:
    """Run `code` in a process of its own, and return the last line on its stderr."""
    path = os.pathsep.join([*map(str, first_on_path), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/",
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert run.returncode == 1
    return run.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("supervision/__init__.py", "class Detections: pass"),
        ("supervision/__init__.py", "import no_such_package_as_cv2"),
        ("supervision.py", "raise RuntimeError('a script of yours')"),
    ],
)
def test_another_package_of_the_name_supervision_is_told_in_words(tmp_path, file, text):
    """There is one on PyPI, which installs into the same folder as ours."""
    place = tmp_path / file
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    line = last_line("import raft_actors", tmp_path)
    assert line.startswith("ImportError: another package is called supervision")
    assert str(place) in line
    assert "pip uninstall supervision" in line


def test_what_its_removal_leaves_of_ours_is_told_in_words(tmp_path):
    """pip removes the files that it brought, and one of them had replaced ours."""
    (tmp_path / "supervision").mkdir()
    (tmp_path / "raft_actors").symlink_to(ROOT / "raft_actors")
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.append('.'); import raft_actors"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert "--force-reinstall raft_actors" in run.stderr.strip().splitlines()[-1]


def test_a_system_without_locks_for_files_is_told_in_words():
    line = last_line(WITHOUT_FCNTL)
    assert line.startswith("ImportError: raft_actors runs on Linux, macOS and other POSIX systems")
    assert "WSL" in line


@pytest.mark.parametrize(
    ("kind", "package", "advice"),
    [("rocksdb", "rocksdict", 'log_store="files"'), ("lmdb", "lmdb", "raft_actors[lmdb]")],
)
def test_a_store_whose_package_is_missing_says_what_to_install(
    kind, package, advice, tmp_path, monkeypatch
):
    for name in list(sys.modules):
        if name.startswith((f"raft_actors.stores.{kind[:4]}", package)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StoreError) as raised:
        open_store(kind, tmp_path / "p")
    assert f'log_store="{kind}" needs {package}' in str(raised.value)
    assert "pip install" in str(raised.value)
    assert advice in str(raised.value)


def test_without_rocksdb_a_log_is_in_files_and_that_is_logged(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "rocksdict", None)
    default_log_store.cache_clear()
    try:
        with caplog.at_level("INFO", "raft_actors"):
            config = Config()
    finally:
        default_log_store.cache_clear()
    assert config.log_store == "files"
    assert 'so logs are kept with log_store="files"' in caplog.text
    open_store(config.log_store, tmp_path / "peer").close()


def test_a_state_on_disk_without_rocksdb_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "raft_actors.machine.disk_dict", raising=False)
    monkeypatch.setitem(sys.modules, "rocksdict", None)
    with pytest.raises(StoreError, match="pip install rocksdict"):
        OnDiskStateMachine().init("peer1")


def test_the_pytest_plugin_alone_loads_next_to_nothing():
    """pytest loads it in every project of the environment."""
    code = """
import sys
import pytest
before = set(sys.modules)
import raft_actors.testing.pytest_plugin
new = {name for name in set(sys.modules) - before if name.startswith(("raft", "superv"))}
assert len(new) < 5, new
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr


def test_the_names_of_the_package_are_loaded_when_they_are_asked_for():
    code = """
import raft_actors
assert set(raft_actors.__all__) <= set(dir(raft_actors))
assert all(getattr(raft_actors, name).__name__ == name for name in raft_actors.__all__)
from raft_actors import *
assert Raft.start_peer and AsyncCluster and UndoDict
try:
    raft_actors.Clusters
except AttributeError as error:
    assert "'Clusters'" in str(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
