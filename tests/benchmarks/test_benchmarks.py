"""The benchmarks run. What they measure is not judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.systems import Measured
from benchmarks.systems.etcd import is_whole

ROOT = Path(__file__).parent.parent.parent


def test_a_short_run_measures_every_work(tmp_path):
    figures = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--alone", "--rounds", "1", "--seconds", "0.3",
         "--trials", "1", "--output", str(figures)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    measured = json.loads(figures.read_text())["raft_actors"]
    assert set(measured) == {"W1", "W1 p50", "W64", "WP", "R64", "LAG", "FO"}
    assert all(value > 0 for values in measured.values() for value in values)


def test_rates_and_medians_are_of_what_was_counted():
    measured = Measured(count=10, seconds=2.0, latencies=[0.3, 0.1, 0.2])
    assert measured.rate == 5.0
    assert measured.p50() == 0.2
    assert Measured().rate == 0.0


def test_an_http_answer_is_whole_when_its_length_is_there():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    assert not is_whole(head + b"abc")
    assert is_whole(head + b"abcd")
    assert not is_whole(b"HTTP/1.1 200 OK\r\n")
