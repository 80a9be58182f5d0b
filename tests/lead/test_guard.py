"""The guard of a program: whatever happens to the node, the program ends in time.

Each test runs real processes. Each rule has a planted bug in tests/mutations.
"""

import os
import signal
import sys
import time

import psutil
import pytest

from raft_actors.clock import since_boot
from raft_actors.lead.deadlines import Deadlines
from raft_actors.lead.program_child import Running
from tests.helpers import eventually
from tests.lead.left import end_what_is_left

GRANT_S = 1.5


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def guarded(tmp_path):
    """Start a shell script under a guard; return what runs, and the pid of the script."""
    started = []

    def start(script, deadlines=None, shutdown_s=30.0):
        running = Running(["sh", "-c", script], shutdown_s, dict(os.environ), tmp_path, deadlines)
        started.append(running)
        kind, pid = running.next_report(30)
        assert kind == b"P"
        if SLEEPS in script:
            eventually((tmp_path / "ready").exists)  # and its trap is set
        return running, pid

    yield start
    for running in started:
        running.close()
        running.kill()
        running.guard.wait()
        os.close(running.report)
    end_what_is_left(tmp_path)


def certain(grant_s=GRANT_S):
    return Deadlines(grant_s, since_boot())


SLEEPS = "echo > ready; while true; do sleep 0.05; done"
IGNORES_TERM = "trap '' TERM; " + SLEEPS


def test_the_status_of_a_program_is_reported(guarded):
    running, _pid = guarded("exit 3")
    assert running.next_report(30) == (b"E", 3)


def test_the_signal_that_has_ended_a_program_is_reported(guarded):
    running, pid = guarded(SLEEPS)
    os.kill(pid, signal.SIGKILL)
    assert running.next_report(30) == (b"E", -signal.SIGKILL)


def test_a_program_that_is_not_there_is_reported(tmp_path):
    running = Running(["no such program"], 1.0, dict(os.environ), tmp_path, None)
    kind, errno = running.next_report(30)
    assert (kind, os.strerror(errno)) == (b"X", "No such file or directory")
    running.guard.wait()
    running.close()
    os.close(running.report)


def test_a_program_that_is_told_to_end_gets_sigterm_and_time(guarded, tmp_path):
    running, _pid = guarded("trap 'sleep 0.2; echo done > file; exit 7' TERM; " + SLEEPS)
    running.end()
    assert running.next_report(30) == (b"E", 7)
    assert (tmp_path / "file").read_text() == "done\n"


def test_a_program_that_ignores_sigterm_is_killed(guarded):
    running, _pid = guarded(IGNORES_TERM, shutdown_s=0.2)
    running.end()
    assert running.next_report(30) == (b"E", -signal.SIGKILL)


def test_a_stopped_program_ends_too(guarded):
    running, pid = guarded(SLEEPS, shutdown_s=30.0)
    os.kill(pid, signal.SIGSTOP)
    running.end()
    assert running.next_report(30) == (b"E", -signal.SIGTERM)


def test_a_program_whose_deadlines_are_not_renewed_ends_by_itself(guarded):
    """Nobody tells it: the node is paused, say. Planted: guard_does_not_look_at_the_clock."""
    deadlines = certain()
    running, _pid = guarded(IGNORES_TERM, deadlines)
    assert running.next_report(30) == (b"E", -signal.SIGKILL)
    assert since_boot() >= deadlines.kill_at, "it had its time"


def test_a_program_whose_deadlines_are_renewed_goes_on(guarded):
    deadlines = certain(1.0)
    running, pid = guarded(SLEEPS, deadlines)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        deadlines.renew(since_boot())
        running.renew()
        assert running.next_report(0.05) is None
    assert runs(pid)


def test_a_program_ends_when_the_pipe_is_closed(guarded):
    """The node was killed. Planted: guard_ignores_a_closed_pipe."""
    deadlines = certain(3600)
    running, _pid = guarded(SLEEPS, deadlines)
    running.close()
    assert running.next_report(30) == (b"E", -signal.SIGTERM)


def test_a_guard_that_was_paused_looks_at_the_clock_first(guarded, tmp_path):
    """The times of the last renewal are over when it goes on."""
    deadlines = certain()
    running, pid = guarded("trap 'echo $(date +%s.%N) > file; exit 0' TERM; " + SLEEPS, deadlines)
    running.guard.send_signal(signal.SIGSTOP)
    eventually(lambda: since_boot() > deadlines.stop_at + 0.3)
    assert runs(pid)
    resumed = time.time()
    running.guard.send_signal(signal.SIGCONT)
    assert running.next_report(30)[0] == b"E"
    assert not runs(pid)
    assert float((tmp_path / "file").read_text()) >= resumed


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_a_program_does_not_survive_its_guard(guarded):
    """Planted: program_survives_its_guard."""
    running, pid = guarded(IGNORES_TERM)
    running.kill()
    eventually(lambda: not runs(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux finds them")
def test_what_a_program_leaves_running_ends_with_it(guarded, tmp_path):
    """In its process group, and in a session of its own."""
    running, _pid = guarded(
        "sleep 1000 & echo $! > group; setsid sh -c 'echo $$ > session; exec sleep 1000' & "
        "while [ ! -s session ]; do sleep 0.05; done; exit 0"
    )
    assert running.next_report(30) == (b"E", 0)
    for name in ("group", "session"):
        pid = int((tmp_path / name).read_text())
        eventually(lambda pid=pid: not runs(pid))


def test_a_signal_reaches_the_program(guarded, tmp_path):
    running, _pid = guarded("trap 'echo usr > file; exit 0' USR1; " + SLEEPS)
    running.signal(signal.SIGUSR1)
    assert running.next_report(30) == (b"E", 0)
    assert (tmp_path / "file").read_text() == "usr\n"


def test_a_recalled_program_is_killed_before_the_time_to_hand_over_is_over(guarded):
    deadlines = certain(3600)
    running, _pid = guarded(IGNORES_TERM, deadlines)
    deadlines.recall(since_boot(), 1.0)
    running.renew()
    running.end()
    assert running.next_report(30) == (b"E", -signal.SIGKILL)
