"""A run of tests that leaves something behind fails, and says what and where."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.helpers import eventually, is_running

ROOT = Path(__file__).parents[1]
CONFTEST = """
from tests import leftovers
def pytest_configure(config):
    leftovers.ENDING_S = 0.1
    config.pluginmanager.register(leftovers.Leftovers(config), "leftovers")
"""
NAMES = "a-directory-|a-process"
LEAVES = """
import subprocess, sys, tempfile
def test_tidy(tmp_path):
    (tmp_path / "file").touch()
    with tempfile.TemporaryDirectory():
        subprocess.run([sys.executable, "-c", "pass"], check=True)
def test_untidy():
    tempfile.mkdtemp(prefix="a-directory-")
    command = [sys.executable, "-c", "import time; time.sleep(60)", "a-process"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.returncode = 0  # else the end of this object warns that the process still runs
"""


def run(directory: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_leaves.py").write_text(LEAVES)
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
            *arguments, f"test_leaves.py::{test}",
        ],
        cwd=directory, text=True, capture_output=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(directory)},
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "workers"])
def test_what_a_test_leaves_is_named_and_removed_and_fails_the_run(tmp_path, arguments):
    answer = run(tmp_path, "test_untidy", *arguments)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "1 passed" in answer.stdout
    directory, process = [line for line in answer.stdout.splitlines() if re.search(NAMES, line)]
    assert directory.startswith("a-directory-")
    assert directory.endswith("first seen after test_leaves.py::test_untidy")
    assert process.startswith("process ")
    assert process.endswith("a-process")
    assert not list(tmp_path.rglob("a-directory-*"))
    pid = int(process.removeprefix("process ").partition(":")[0])
    eventually(lambda: not psutil.pid_exists(pid) or not is_running(psutil.Process(pid)))


def test_a_run_that_leaves_nothing_passes(tmp_path):
    answer = run(tmp_path, "test_tidy")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "left behind" not in answer.stdout
    assert not list(tmp_path.glob("raft_actors-tests-*"))
