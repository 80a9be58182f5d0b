"""The benchmarks run. What they measure is not judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import steps
from benchmarks.micro import stores
from benchmarks.plot import svg_of
from benchmarks.systems.etcd import is_whole
from raft_actors.bench.loads import Measured
from raft_actors.bench.table import UNITS, figures_table

ROOT = Path(__file__).parent.parent.parent


def ran(*arguments):
    """Run Python with these arguments, to its good end; returns what it printed."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
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


def test_the_steps_of_a_lone_write_are_told():
    told = ran("-m", "benchmarks.steps", "--seconds", "0.3")
    assert all(step in told for step in steps.ORDER)


def test_the_stores_are_measured_in_turns(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stores, "MANY", 1_000)
    monkeypatch.setattr(stores, "LOGS", 1)
    monkeypatch.setattr(sys, "argv", ["stores", str(tmp_path)])
    stores.main()
    shown = capsys.readouterr().out
    assert all(work in shown for work in ("save of 1,000", "compact 900 entries", "kill -9"))
    assert list(tmp_path.iterdir()) == []


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
