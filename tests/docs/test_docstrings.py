"""What `help` shows of the public calls has an example, and the examples run.

Those of one class run in one process, in the order of its source: its own first, which says what
`leader` and `cluster` are in those of its methods. So do those of the functions of `supervision`.
Planted: a reply that is another one.
"""

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import supervision
from raft_actors import (
    AsyncCluster,
    Cluster,
    Frozen,
    LeaderSupervisor,
    Node,
    OnDiskStateMachine,
    Program,
    Raft,
    StateMachine,
    UndoDict,
)
from supervision import (
    Agent,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    NamedRef,
    PartitionSupervisor,
    Process,
    Registry,
    Supervisor,
    Task,
    TaskSupervisor,
    Timer,
)
from tests.tools.shell.terminal import environment

CLASSES = [Raft, Cluster, AsyncCluster, Node, LeaderSupervisor, Supervisor, DynamicSupervisor,
           Process, ChildSpec, Registry, NamedRef, Timer,
           Agent, Task, TaskSupervisor,
           PartitionSupervisor]  # fmt: skip
EXAMPLE_OF_THE_CLASS_ALONE = [Backoff, Frozen, OnDiskStateMachine, StateMachine, UndoDict,
                              Program]  # fmt: skip
"""What a user derives, or only makes: its own example shows how."""
FUNCTIONS = [
    "monitor",
    "demonitor",
    "current",
    "stop",
    "kill",
    "exit_reason",
    "tell_if_alive",
    "callers",
    "call",
    "cast",
    "abcast",
    "multi_call",
    "caller",
    "reply",
    "exit",
    "link",
    "unlink",
    "trap_exit",
]
"""Of `supervision`, in an order in which one's example may use what another has made."""

NEED_NO_EXAMPLE = {
    "Raft": {"test_cluster"}, "Cluster": {"close"},  # the class's example, `with`
    "Node": {"current", "local"},  # for this library
    "Process": {"undelivered", "asked_to_end", "child_ended"},  # for overriding
    "Agent": {"init", "on_receive"},
    "Supervisor": {"child_ended"}, "DynamicSupervisor": {"child_ended"},
}  # fmt: skip

IN_MEMORY = {"TMPDIR": "/dev/shm"} if Path("/dev/shm").is_dir() else {}
"""The examples name one leader throughout, and a slow disk would make it hand over."""

RUNNER = """
import doctest, sys
from tests.docs.test_docstrings import docstrings_of
runner, names = doctest.DocTestRunner(), {}
for name, text in docstrings_of(sys.argv[1]).items():
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


def docstrings_of(name: str) -> dict[str, str]:
    """Those of the class of this name, or of the functions of `supervision`."""
    if name == "functions":
        return {each: inspect.getdoc(getattr(supervision, each)) or "" for each in FUNCTIONS}
    return docstrings(next(kind for kind in ALL_CLASSES if kind.__name__ == name))


ALL_CLASSES = [*CLASSES, *EXAMPLE_OF_THE_CLASS_ALONE]


@pytest.mark.parametrize("name", [*(kind.__name__ for kind in ALL_CLASSES), "functions"])
def test_the_examples_of_a_docstring_run(name: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUNNER, name],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=os.environ | environment(tmp_path) | IN_MEMORY,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def without_example(texts: dict[str, str]) -> set[str]:
    return {
        name.rpartition(".")[2]
        for name, text in texts.items()
        if not doctest.DocTestParser().get_examples(text)
    }


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if kind is not AsyncCluster], ids=lambda kind: kind.__name__
)
def test_every_public_call_has_an_example(kind: type) -> None:
    assert without_example(docstrings(kind)) == NEED_NO_EXAMPLE.get(kind.__name__, set())


@pytest.mark.parametrize("kind", EXAMPLE_OF_THE_CLASS_ALONE, ids=lambda kind: kind.__name__)
def test_every_public_class_has_an_example(kind: type) -> None:
    assert kind.__name__ not in without_example(docstrings(kind))


def test_every_public_function_of_supervision_has_an_example() -> None:
    assert without_example(docstrings_of("functions")) == set()


def test_every_call_of_the_handle_for_asyncio_says_whose_it_is_like() -> None:
    for name, text in docstrings(AsyncCluster).items():
        call = name.rpartition(".")[2]
        assert name == "AsyncCluster" or call == "close" or text.startswith(f"As `Cluster.{call}`")
