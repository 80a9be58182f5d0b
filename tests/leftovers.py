"""A test run leaves nothing behind: no file in the temporary directory, and no process.

Each process that runs tests, so each worker of pytest-xdist, has a temporary directory of its own.
What is in it at the end is reported, with the test after which it was first seen, and removed. The
processes of a run are found by a variable of their environment, which they inherit; those that
still run are reported and killed. A run that has left something fails.
"""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

from tests.helpers import is_running

RUN = "RAFT_ACTORS_TESTS_RUN"
TRACKER = "multiprocessing.resource_tracker"
"""The standard library starts this process once, and it ends with the process that started it."""
ENDING_S = 10.0
"""How long a process may take to end after the last test."""


class Leftovers:
    """Plugin of pytest: gives the run its temporary directory, and looks what is left at the end.

    pytest's own temporary directories stay where they were: those of failed tests are kept.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.is_worker = hasattr(config, "workerinput")
        if not self.is_worker:
            os.environ[RUN] = uuid.uuid4().hex
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        self.directory = Path(tempfile.mkdtemp(prefix="raft_actors-tests-"))
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.directory)
        self.first_seen: dict[str, str] = {}
        self.found: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        ran = yield
        for name in os.listdir(self.directory):  # noqa: PTH208 - runs after each test, so quick
            self.first_seen.setdefault(name, item.nodeid)
        return ran

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        self.found += getattr(node, "workeroutput", {}).get("leftovers", [])

    @pytest.hookimpl(wrapper=True, trylast=True)  # after all fixtures and all workers have ended
    def pytest_sessionfinish(self, session: pytest.Session):
        ended = yield
        for path in sorted(self.directory.iterdir()):
            after = self.first_seen.get(path.name, "the last test")
            self.found.append(f"{path.name}, first seen after {after}")
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.is_worker:
            session.config.workeroutput["leftovers"] = self.found
            return ended
        self.found += ended_by_force(os.environ[RUN])
        if self.found:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        return ended

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if self.found:
            terminalreporter.section("left behind by this run, which therefore fails", red=True)
            for line in self.found:
                terminalreporter.write_line(line, red=True)


def ended_by_force(run: str) -> list[str]:
    """Kill the processes of a run that still run after `ENDING_S`. Returns a line for each."""
    deadline = time.monotonic() + ENDING_S
    while (left := processes_of(run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = []
    for process in left:
        with contextlib.suppress(psutil.Error):
            lines.append(f"process {process.pid}: {' '.join(process.cmdline())}")
            process.kill()
    return lines


def processes_of(run: str) -> list[psutil.Process]:
    """Return the other processes with this value in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_other = process.pid != os.getpid() and process.environ().get(RUN) == run
            if is_other and TRACKER not in " ".join(process.cmdline()):
                found.append(process)
    return [process for process in found if is_running(process)]
