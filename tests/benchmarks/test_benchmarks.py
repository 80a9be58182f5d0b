"""The benchmarks run. What they measure is not judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import steps
from benchmarks.plot import svg_of
from benchmarks.systems.etcd import is_whole
from raft_actors.tools.bench.loads import Measured
from raft_actors.tools.bench.table import UNITS, figures_table

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def own_port_files(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


def ran(*arguments, cwd=ROOT):
    """Run Python with these arguments, to its good end; returns what it printed."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_short_run_measures_every_work(tmp_path):
    figures, plot = tmp_path / "figures.json", tmp_path / "figures.svg"
    ran(
        "-m", "benchmarks", "--alone", "--rounds", "1", "--seconds", "0.2",
        "--warm-up", "0.1", "--trials", "1", "--entries", "2000",
        "--output", str(figures), "--plot", str(plot),
    )  # fmt: skip
    measured = json.loads(figures.read_text())["figures"]["raft_actors"]
    assert set(measured) == set(UNITS)
    assert all(value > 0 for values in measured.values() for value in values)
    assert "raft_actors" in plot.read_text()


SHORTEST = {
    "benchmarks.calls": ("--works", "W1", "--seconds", "0.2", "--functions", "3"),
    "benchmarks.flat": ("--millions", "0.002", "--step", "0.001", "--keys", "10"),
    "benchmarks.footprints": ("--peers", "1", "--seconds", "0.2"),
    "benchmarks.groups": ("--groups", "1,2", "--seconds", "0.2", "--outstanding", "10"),
    "benchmarks.roles": ("--seconds", "0.2"),
    "benchmarks.rooms": ("--writes", "2"),
    "benchmarks.steps": ("--seconds", "0.3"),
    "benchmarks.turns": (str(ROOT), "--rounds", "1", "--seconds", "0.2"),
    "benchmarks.watches": (
        "--watches",
        "20",
        "--seconds",
        "0.2",
        "--changes",
        "2",
        "--flood",
        "2000",
    ),
    "benchmarks.micro.core": ("--rounds", "1"),
    "benchmarks.micro.digests": ("--rounds", "1", "--keys", "1000"),
    "benchmarks.micro.handle": ("--rounds", "1", "--seconds", "0.2"),
    "benchmarks.micro.lone_syncs": (".", "--rounds", "1", "--appends", "5"),
    "benchmarks.micro.snapshots": ("--rounds", "1", "--keys", "1000"),
    "benchmarks.micro.stores": (".", "--rounds", "1", "--many", "1000", "--logs", "1"),
    "benchmarks.micro.syncs": (".", "--rounds", "1", "--seconds", "0.05"),
    "benchmarks.micro.tls": (),
    "benchmarks.micro.terms": ("--rounds", "1", "--seconds", "0"),
}
"""Every other program under benchmarks/, and how to have a look at it that measures nothing."""

TOLD = {
    "benchmarks.calls": ("leader", "all four", "W1, client", "raft_actors/"),
    "benchmarks.steps": steps.ORDER,
    "benchmarks.micro.stores": ("save of 1,000", "compact 900 entries", "kill -9"),
}
"""What some of them must tell of."""


@pytest.mark.parametrize("module", sorted(SHORTEST))
def test_every_benchmark_runs(module, tmp_path):
    """A benchmark that nobody runs breaks unseen: benchmarks.micro.core had."""
    told = ran("-m", module, *SHORTEST[module], cwd=tmp_path)
    assert any(character.isdigit() for character in told)
    assert all(words in told for words in TOLD.get(module, ()))
    assert list(tmp_path.iterdir()) == [], "it leaves files behind"


def test_no_benchmark_is_left_out():
    programs = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "benchmarks").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert programs == {"benchmarks.__main__", *SHORTEST}


def test_rates_and_quantiles_are_of_what_was_counted():
    measured = Measured(count=10, seconds=2.0, latencies=[0.3, 0.1, 0.2])
    assert measured.rate == 5.0
    assert measured.p50() == 0.2
    assert measured.quantile(0.99) == 0.3
    assert Measured().rate == Measured().p50() == 0.0


def test_a_table_has_a_row_for_each_work_and_ratios_of_the_first_system():
    figures = {"ours": {"W64": [3.0, 1.0, 2.0]}, "theirs": {"W64": [1.0], "W1": [5.0]}}
    table = figures_table(figures, "")
    assert [column.header for column in table.columns] == ["", "ours", "theirs"]
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert rows == [
        ("W1 /s", "-", "5"),
        ("W64 /s", "2\n1 to 3", "1\n[bold]2.00 x[/]"),
    ]


def test_a_plot_has_a_bar_for_each_figure():
    drawn = svg_of({"ours": {"W64": [2.0], "LAG": [1.0]}, "theirs & others": {"W64": [1.0]}})
    assert drawn.count("<rect") == 1 + 2 + 3  # the ground, the legend, the bars
    assert "theirs &amp; others" in drawn


def test_an_http_answer_is_whole_when_its_length_is_there():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    assert not is_whole(head + b"abc")
    assert is_whole(head + b"abcd")
    assert not is_whole(b"HTTP/1.1 200 OK\r\n")
