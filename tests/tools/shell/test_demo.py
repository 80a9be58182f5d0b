"""`raft-actors demo`: the whole claim in one command, and nothing left behind.

Planted once to see it go red: a node that forgets what it acknowledged (a memory store).
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.helpers import eventually, is_running
from tests.tools.shell.terminal import environment

DEMO = [sys.executable, "-m", "raft_actors", "demo", "--seconds", "0.5"]


def start(directory: Path) -> subprocess.Popen[str]:
    home = environment(directory)
    return subprocess.Popen(
        DEMO, text=True, cwd=directory, start_new_session=True,
        env=os.environ | home | {"TMPDIR": str(directory)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def left_behind(directory: Path) -> list[Path]:
    return list(directory.glob("raft_actors-demo-*"))


@pytest.mark.timeout(240)
def test_no_acknowledged_write_is_missing(tmp_path: Path) -> None:
    demo = start(tmp_path)
    said, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, said
    last = re.fullmatch(r"(\d+) acknowledged writes checked, 0 missing", said.splitlines()[-1])
    assert last, said
    assert int(last[1]) > 0
    assert "kill -9" in said
    assert "redirect" in said
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_behind_when_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    demo = start(tmp_path)
    said = ""
    while "acknowledged is remembered" not in said:
        line = demo.stdout.readline()
        assert line, said
        said += line
    nodes = psutil.Process(demo.pid).children(recursive=True)
    assert len(nodes) == 3
    demo.send_signal(number)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + number, said + rest
    assert "Traceback" not in rest
    assert left_behind(tmp_path) == []
    assert psutil.wait_procs(nodes, timeout=10)[1] == []


def test_its_nodes_end_with_it_even_after_kill_9(tmp_path: Path) -> None:
    demo = start(tmp_path)
    while "acknowledged is remembered" not in demo.stdout.readline():
        assert demo.poll() is None
    nodes = psutil.Process(demo.pid).children(recursive=True)
    demo.kill()
    demo.communicate(timeout=60)
    eventually(lambda: not any(map(is_running, nodes)))
