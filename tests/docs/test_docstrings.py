"""What `help` shows of the public calls has an example, and the examples run.

Those of one class run in one process, in the order of its source: its own first, which says what
`leader` and `cluster` are in those of its methods. Planted: a reply that is another one.
"""

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from tests.tools.shell.terminal import environment

CLASSES = [Raft, Cluster, AsyncCluster]
IN_ITS_CLASS = {"test_cluster", "close"}
"""Calls that the example of their class makes, or that a `with` does."""

RUNNER = """
import doctest, sys
from tests.docs.test_docstrings import docstrings
import raft_actors
runner, names = doctest.DocTestRunner(), {}
for name, text in docstrings(getattr(raft_actors, sys.argv[1])).items():
    test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    runner.run(test, clear_globs=False)
    names = test.globs
sys.exit(runner.failures > 0)
"""


def docstrings(kind: type) -> dict[str, str]:
    """That of the class, and of each public call in it."""
    calls = {
        name: getattr(kind, name)
        for name in vars(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
    }
    return {each.__qualname__: inspect.getdoc(each) or "" for each in (kind, *calls.values())}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_examples_of_a_class_run(kind: type, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUNNER, kind.__name__],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=os.environ | environment(tmp_path),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("kind", [Raft, Cluster], ids=lambda kind: kind.__name__)
def test_every_public_call_has_an_example(kind: type) -> None:
    without = {
        name.rpartition(".")[2]
        for name, text in docstrings(kind).items()
        if not doctest.DocTestParser().get_examples(text)
    }
    assert without == IN_ITS_CLASS & set(dir(kind))


def test_every_call_of_the_handle_for_asyncio_says_whose_it_is_like() -> None:
    for name, text in docstrings(AsyncCluster).items():
        call = name.rpartition(".")[2]
        assert name == "AsyncCluster" or call == "close" or text.startswith(f"As `Cluster.{call}`")
