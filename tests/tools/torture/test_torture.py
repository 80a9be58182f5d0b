"""Torture of real processes: the product passes, and nodes with a planted bug do not.

The bugs are those of `plants`; every one of them must go red, or the torture is for nothing.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.helpers import eventually, is_running

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "raft_actors", "torture"]
PLANTED = [sys.executable, "-m", "tests.tools.torture.plants"]
NOT_LINEARIZABLE = "the history of key"
PLANTS = {
    "forgets_when_restarted": ("kill_all", "acknowledged and lost"),
    "reads_locally": ("pause_leader,isolate_leader", NOT_LINEARIZABLE),
    "acknowledges_at_once": ("isolate_leader", "acknowledged and lost"),
    "repeats_commands": ("delay", "the counter of"),
    "trusts_its_lease_for_ever": ("isolate_leader,split", NOT_LINEARIZABLE),
    "stale_without_a_bound": ("isolate_leader", "staler than was asked for"),
    "never_compares": ("slow_disk", NOT_LINEARIZABLE),
    "never_stands_again": ("slow_disk", "a leader is elected: not within"),
}


@pytest.fixture(autouse=True)
def on_a_real_disk(real_disk, monkeypatch):
    """Kills and pauses are to meet a save now and then."""
    monkeypatch.setenv("TMPDIR", str(real_disk))


@pytest.fixture
def keep(real_disk):
    return real_disk / "kept"


def run(command):
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, text=True, timeout=280,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("nodes", "seed"), [(3, 1), (5, 2)])
def test_every_answer_of_a_tortured_cluster_can_be_explained(keep, nodes, seed):
    answer = run([*COMMAND, "--minutes", 0.3, "--seed", seed, "--nodes", nodes, "--keep", keep])
    assert answer.returncode == 0, answer.stdout
    verdict = answer.stdout.splitlines()[-2]
    assert verdict.endswith(": passed"), answer.stdout
    assert " 0 lost" in verdict
    history, faults = lines(keep / "history.jsonl"), lines(keep / "faults.jsonl")
    outcomes = Counter(call["outcome"] for call in history)
    assert verdict.startswith(f"{len(history)} calls: {outcomes['ok']} ok"), verdict
    assert outcomes["ok"] > 50, "hardly anything happened"
    assert len(faults) >= 3
    assert len(list(keep.glob("node-*.log"))) == nodes
    assert not (keep / "failure.html").exists()


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_goes_red(tmp_path, plant):
    """Real processes take their time as they like, so a bug may need a few tries."""
    kinds, finding = PLANTS[plant]
    for seed in range(1, 9):
        keep = tmp_path / f"kept-{seed}"
        answer = run([*PLANTED, plant, seed, 0.12, kinds, keep])
        if answer.returncode:
            break
    assert answer.returncode == 1, answer.stdout
    assert finding in answer.stdout
    assert answer.stdout.splitlines()[-2].endswith("FAILED")
    assert finding in (keep / "failure.html").read_text()


def test_a_directory_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    answer = run([*COMMAND, "--minutes", 0.1, "--keep", tmp_path])
    assert answer.returncode == 2
    assert "not empty" in answer.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_nodes_end_with_their_driver_even_while_they_are_stopped(tmp_path):
    driver = subprocess.Popen(
        [*COMMAND, "--minutes", "2", "--faults", "pause_one", "--seed", "1"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    while "SIGSTOP" not in driver.stdout.readline():
        assert driver.poll() is None
    nodes = psutil.Process(driver.pid).children(recursive=True)
    assert len(nodes) == 3
    driver.send_signal(signal.SIGKILL)
    driver.communicate(timeout=60)
    eventually(lambda: not any(map(is_running, nodes)))
