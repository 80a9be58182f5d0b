"""Guard: a process between a node and a program that may run only while a peer of the node leads.

    python -I guard.py CONTROL REPORT SHUTDOWN_S COMMAND...

CONTROL and REPORT are file descriptors of pipes. The node writes records of 17 bytes to CONTROL:

    L stop_at kill_at   end the program at `stop_at`, and kill it at `kill_at`, unless a later
                        record gives later times
    E 0 0               end the program now
    S number 0          send this signal to the program, and not to its process group

The times are seconds of CLOCK_BOOTTIME. To end the program means: SIGTERM, and SIGKILL after
SHUTDOWN_S seconds or at `kill_at`, whichever is first. The program also ends when the pipe is
closed: then the node has ended, whatever ended it. The guard writes records of 5 bytes to REPORT:
`P` and the process id when the program runs; `E` and its status at its end, which is an exit status
or minus the number of a signal; `X` and an errno if it could not be started.

The program is in a session of its own, and everything in its process group ends with it. On Linux
the kernel kills the program if the guard is killed, and the guard finds the processes that have
left the group. This file uses the standard library alone, and starts quickly.
"""

import contextlib
import os
import select
import signal
import struct
import sys
import time
from math import inf

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
RECORD = struct.Struct("<cdd")
REPORT = struct.Struct("<ci")
LOOK_S = 0.2
"""The clock is looked at so often at least: a wait does not count the time in which the machine was
suspended."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILLS_MAX = 100
FAILED = 127


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; where there is no prctl, do nothing."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Guard:
    """The program, and until when it may run."""

    def __init__(self, control: int, report: int, shutdown_s: float, command: list[str]) -> None:
        self.control = control
        self.report_fd = report
        self.shutdown_s = shutdown_s
        self.command = command
        self.stop_at: float = inf
        self.kill_at: float = inf
        self.killed_at: float = inf
        self.ending: bool = False
        self.closed: bool = False
        self.pid: int = 0

    def report(self, what: bytes, number: int) -> None:
        with contextlib.suppress(OSError):  # the node has ended
            os.write(self.report_fd, REPORT.pack(what, number))

    # The program.

    def start(self) -> None:
        """Start the program. The pipe tells whether its exec failed: it is closed by a success."""
        me = os.getpid()
        ours, theirs = os.pipe()  # both are closed by an exec
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != me:
                    os._exit(FAILED)  # the guard was killed before the line above
                nothing = os.open(os.devnull, os.O_RDONLY)
                os.dup2(nothing, 0)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                signal.set_wakeup_fd(-1)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                os.execvp(self.command[0], self.command)  # noqa: S606 - no shell, on purpose
            except OSError as error:
                os.write(theirs, REPORT.pack(b"X", error.errno or 0))
            finally:
                os._exit(FAILED)
        os.close(theirs)
        failure = os.read(ours, REPORT.size)
        os.close(ours)
        if failure:
            os.write(self.report_fd, failure)
            os._exit(FAILED)
        self.report(b"P", self.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the program's process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def end(self, now: float) -> None:
        """Tell the program to end."""
        if not self.ending:
            self.ending = True
            self.killed_at = now + self.shutdown_s
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # a stopped program does not see SIGTERM

    def reap(self) -> None:
        """If the program has ended, end what it has left, report its status, and end."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.end_the_rest()
                self.report(b"E", os.waitstatus_to_exitcode(status))
                os._exit(0)

    def end_the_rest(self) -> None:
        """Kill what is left of the program's group, and what has left the group."""
        self.signal(signal.SIGKILL)
        for _ in range(KILLS_MAX):
            children = self.children()
            if not children:
                return
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def children(self) -> list[int]:
        """Return the processes whose parent is this one: it inherits those whose parent has ended,
        on Linux.
        """
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
                return [int(word) for word in file.read().split()]
        except OSError:
            return []

    # The node.

    def listen(self) -> None:
        """Read all records that the node has written."""
        while not self.closed:
            try:
                data = os.read(self.control, RECORD.size)  # a write of a pipe is whole, or none
            except BlockingIOError:
                return
            if len(data) < RECORD.size:
                self.closed = True
                return
            kind, first, second = RECORD.unpack(data)
            if kind == b"L":
                self.stop_at, self.kill_at = first, second
            elif kind == b"S":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, int(first))
            else:
                self.stop_at = -inf

    def run(self) -> None:
        """Guard the program until it ends. After each wait, which may have been longer than wanted,
        the clock is looked at before anything else is done.
        """
        woken, wakes = os.pipe()
        for end in (woken, wakes, self.control):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.told_to_end)
        self.start()
        while True:
            self.listen()
            now = time.clock_gettime(CLOCK)
            if self.closed or now >= self.stop_at:
                self.end(now)
            if now >= min(self.killed_at, self.kill_at):
                self.signal(signal.SIGKILL)
            self.reap()
            next_at = min(inf if self.ending else self.stop_at, self.killed_at, self.kill_at)
            waits_for = [woken] if self.closed else [woken, self.control]
            select.select(waits_for, [], [], min(max(next_at - now, 0.01), LOOK_S))
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)

    def told_to_end(self, _number: int, _frame: object) -> None:
        self.stop_at = -inf


def main() -> None:
    control, report = map(int, sys.argv[1:3])
    for end in (control, report):
        os.set_inheritable(end, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    Guard(control, report, float(sys.argv[3]), sys.argv[4:]).run()


if __name__ == "__main__":
    main()
