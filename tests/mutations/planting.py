"""Plant a bug in a copy of the code, and find the test or the seed that goes red."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.mutation import NETS, Mutation

ROOT = Path(__file__).resolve().parents[2]
SEEDS, STEPS = 400, 1_500
SECONDS_MAX = 240

PLAY = f"""
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play
for seed in range({SEEDS}):
    end = play(draw(seed, {STEPS}))
    if isinstance(end, Failure):
        print(seed)
        break
"""


NOT_PLAYED = "not played"
"""Instead of a seed: the simulation was left out, for a test had caught the bug."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What caught a mutation; empty strings for nothing."""

    test: str
    simulation: str


def misplaced(mutation: Mutation) -> str:
    """Say why a mutation can't be planted, or nothing.

    What is no Python any more breaks every test, and would seem to be caught.
    """
    text = (ROOT / "raft_actors" / f"{mutation.module}.py").read_text()
    times = text.count(mutation.old)
    if times != 1:
        return f"{mutation.name}: its text stands {times} times"
    try:
        compile(text.replace(mutation.old, mutation.new), mutation.module, "exec")
    except SyntaxError as error:
        return f"{mutation.name}: what it plants is no Python: {error}"
    return ""


def copy(source: Path, directory: Path) -> None:
    """Copy the packages, the tests and what they read: nothing is planted where people work."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in ("raft_actors", "supervision", "tests", "docs", "examples"):
        shutil.copytree(source / part, directory / part, ignore=unwanted)
    for part in ("pyproject.toml", "setup.cfg"):
        shutil.copy(source / part, directory)


def plant(mutation: Mutation, directory: Path) -> None:
    module = directory / "raft_actors" / f"{mutation.module}.py"
    module.write_text(module.read_text().replace(mutation.old, mutation.new))


def run(directory: Path, *arguments: str) -> tuple[int | None, str]:
    """Run Python there; return its exit status, None if it had to be ended, and its output."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=directory, capture_output=True, text=True,
            timeout=SECONDS_MAX, check=False, env={**os.environ, "PYTHONPATH": str(directory)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout


def red_test(directory: Path, nets: Sequence[str]) -> str:
    """Return the first test that goes red, or nothing."""
    there = [net for net in nets if (directory / net).exists()]
    if not there:
        return ""
    status, output = run(
        directory, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p",
        "no:randomly", "--timeout=60", "-m", "not seeds", *there,
    )  # fmt: skip
    if status == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+(?:\[.*?\](?= - |$))?)", output, re.MULTILINE)
    return found[1].removeprefix("tests/") if found else "hangs" if status is None else "breaks"


def failing_seed(directory: Path) -> str:
    """Return the first seed that fails, or nothing."""
    status, output = run(directory, "-c", PLAY)
    if status is None:
        return "hangs"
    return f"seed {output.strip()}" if output.strip() else "" if status == 0 else "breaks"


def catch(
    mutation: Mutation | None,
    *,
    source: Path = ROOT,
    nets: Sequence[str] = NETS,
    simulate: bool = True,
    both: bool = True,
) -> Catch:
    """Return what catches a bug; with None, what goes red without any.

    simulate   False: no seed is played at all
    both       False: seeds are played only where no test catches the bug
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        copy(source, directory)
        if mutation is not None:
            plant(mutation, directory)
        if mutation is not None:  # the tests of the bug's own room are the most likely to see it
            own = f"tests/{mutation.module.partition('/')[0]}/"
            nets = sorted(nets, key=lambda net: not f"{net}/".startswith(own))
        test = red_test(directory, nets)
        if test and not both:
            return Catch(test, NOT_PLAYED)
        return Catch(test, failing_seed(directory) if simulate else "")
