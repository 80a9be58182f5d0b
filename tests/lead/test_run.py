"""`raft-actors run --only-leader` as processes: where the program runs, how the command ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.helpers import PATIENCE_S, eventually, is_running
from tests.lead.left import end_what_is_left, left_in

ALONE = ("--sname", "a", "--members", "a")
QUICK = ("--stop-within", "1", "--shutdown", "0.3", "--hand-over", "1")
BEAT_S = 0.05
FAILOVER_S = 15.0
"""An election, the second of --stop-within, and the start of Python, on a busy machine."""
BEATS = f"""
import os, time
file = os.open("beats", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
who = f"{{os.environ['RAFT_ACTORS_TERM']}} {{os.getpid()}}"
while True:
    os.write(file, f"{{who}} {{time.monotonic()}}\\n".encode())
    time.sleep({BEAT_S})
"""
SLEEPS = "echo $$ >> pids; while true; do sleep 0.05; done"
IGNORES_TERM = "trap '' TERM; " + SLEEPS


class Runs:
    """Processes of `raft-actors run`, and the programs of which they write the process ids."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: dict[str, subprocess.Popen[str]] = {}
        (directory / "run").mkdir(mode=0o700)
        self.environment = os.environ | {
            "RAFT_ACTORS_RUNTIME_DIR": str(directory / "run"),
            "RAFT_ACTORS_COOKIE": "a cookie of these tests alone",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        name = arguments[arguments.index("--sname") + 1]
        self.started[name] = process = subprocess.Popen(
            [sys.executable, "-m", "raft_actors", "run", "--only-leader", "--data-dir",
             str(self.directory / name), *QUICK, *arguments],
            cwd=self.directory, env=self.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        return process

    def script(self, text: str, *options: str) -> subprocess.Popen[str]:
        """Run a shell script as the program of a group of one."""
        return self.start(*ALONE, *options, "--", "sh", "-c", text)

    def pids(self) -> list[int]:
        """The process ids of the programs, in the order in which they started."""
        file = self.directory / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def program(self) -> psutil.Process:
        """Wait for the first program."""
        return psutil.Process(eventually(self.pids)[0])

    def close(self) -> None:
        for process in self.started.values():
            if process.returncode is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Nothing is left by any command, also if it is killed."""
    runs = Runs(tmp_path)
    try:
        yield runs
        runs.close()
        eventually(lambda: not left_in(tmp_path))
    finally:
        runs.close()
        end_what_is_left(tmp_path)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of the command; return its status, and what it wrote to stderr."""
    _out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


# Three machines' worth of processes.


def beats(runs: Runs) -> list[tuple[int, int, float]]:
    """The whole lines that the script has written: token, process id, time."""
    file = runs.directory / "beats"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [(int(token), int(pid), float(at)) for token, pid, at in map(str.split, lines)]


def await_beat(runs: Runs, *, after: int = 0) -> tuple[int, int, float]:
    """Wait for a new beat, by a later token."""
    known = len(beats(runs))
    eventually(lambda: len(found := beats(runs)) > known and found[-1][0] > after)
    return beats(runs)[-1]


def test_of_three_commands_one_beats_whatever_happens_to_it(runs: Runs) -> None:
    """No beat is missed for longer than a failover takes, and none is doubled."""
    arguments = ("--members", "a,b,c", "--", sys.executable, "-c", BEATS)
    for name in "abc":
        runs.start("--sname", name, *arguments)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        token, pid, _at = await_beat(runs)
        name = whose(runs, pid)
        runs.started[name].send_signal(number)
        end(runs.started[name])
        runs.start("--sname", name, *arguments)
        await_beat(runs, after=token)
    seen = beats(runs)
    tokens = [token for token, _pid, _at in seen]
    times = [at for _token, _pid, at in seen]
    assert tokens == sorted(tokens), "a program beats beside a newer one"
    assert times == sorted(times), "two beat at once"
    assert len(set(tokens)) >= 4
    assert max(after - before for before, after in pairwise(times)) < FAILOVER_S


def whose(runs: Runs, pid: int) -> str:
    """Return the name of the command whose guard runs this program."""
    parents = {each.pid for each in psutil.Process(pid).parents()}
    return next(name for name, process in runs.started.items() if process.pid in parents)


# The status of the command.


@pytest.mark.parametrize("restart", ["on-failure", "never"])
def test_a_program_that_has_done_its_work_ends_the_command(runs: Runs, restart: str) -> None:
    assert end(runs.script("exit 0", "--restart", restart))[0] == 0


def test_the_status_of_a_program_that_is_not_started_again_is_that_of_the_command(
    runs: Runs,
) -> None:
    assert end(runs.script("exit 3", "--restart", "never"))[0] == 3


def test_a_program_that_a_signal_has_ended_gives_the_status_that_a_shell_gives(
    runs: Runs,
) -> None:
    process = runs.script(SLEEPS, "--restart", "never")
    runs.program().kill()
    assert end(process)[0] == 128 + signal.SIGKILL


def test_a_program_that_does_not_exist_is_named_at_once(runs: Runs) -> None:
    status, err = end(runs.start(*ALONE, "--", "no-such-program"))
    assert (status, err.splitlines()[-1]) == (
        127, "raft-actors: no program 'no-such-program' in PATH",
    )  # fmt: skip


def test_a_node_that_is_no_member_is_refused(runs: Runs) -> None:
    status, err = end(runs.start("--sname", "a", "--members", "b,c", "--", "true"))
    assert status == 2
    assert "must be one of --members" in err


# The program is started again.


def test_a_program_that_fails_is_started_again(runs: Runs) -> None:
    """And not any more when it has done its work."""
    process = runs.script("echo $$ >> pids; [ $(wc -l < pids) -ge 2 ]", "--restart", "on-failure")
    assert end(process)[0] == 0
    assert len(set(runs.pids())) == 2


def test_a_program_is_always_started_again_unless_told_otherwise(runs: Runs) -> None:
    process = runs.script("echo $$ >> pids; exit 0")
    eventually(lambda: len(runs.pids()) >= 2)
    process.terminate()
    assert end(process)[0] == 0


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_is_told_to_end_ends_its_program_first(
    runs: Runs, number: signal.Signals
) -> None:
    process = runs.script("trap 'echo done > file; exit 5' TERM; " + SLEEPS)
    program = runs.program()
    process.send_signal(number)
    status, err = end(process)
    assert status == 0, err
    assert not is_running(program)
    assert (runs.directory / "file").read_text() == "done\n"


def test_a_program_that_ignores_sigterm_is_killed(runs: Runs) -> None:
    process = runs.script(IGNORES_TERM)
    program = runs.program()
    process.terminate()
    assert end(process)[0] == 0
    assert not is_running(program)


@pytest.mark.parametrize("script", [SLEEPS, IGNORES_TERM])
def test_a_command_that_is_killed_leaves_no_program(runs: Runs, script: str) -> None:
    """Its guard ends it."""
    process = runs.script(script)
    program = runs.program()
    process.kill()
    eventually(lambda: not is_running(program))


def test_a_signal_for_the_program_is_passed_on(runs: Runs) -> None:
    process = runs.script("trap 'echo usr > file; exit 4' USR1; " + SLEEPS, "--restart", "never")
    runs.program()
    process.send_signal(signal.SIGUSR1)
    assert end(process)[0] == 4
    assert (runs.directory / "file").read_text() == "usr\n"
