"""Each example is one file under 80 lines, and runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.shell.terminal import environment

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "kv_store": "",
    "kv_tree": "",
    "counter": "the new leader's count: ('ok', 42)",
    "sqlite_log_store": "the answer: ('error', 'key_not_found')\nthe answer: ('ok', 42)",
    "on_disk": "the: 2000\n20 times word99",
    "supervised_actors": "another took its name; 9 / 2 = 4.5",
    "web_app": "",
}
"""What each says; those that only define something are run by tests/shell, and the web program by
tests/client/test_web_workers.py."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_what_it_should(path: Path, tmp_path: Path) -> None:
    if path.stem == "web_app":
        pytest.importorskip("fastapi")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"examples.{path.stem}"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=os.environ | environment(tmp_path),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert SAYS[path.stem] in ran.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 80
