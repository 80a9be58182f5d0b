"""ProgramChild: a program of the operating system as a child, with a guard process between.

This node tells the guard until when the program may run, at each proof that its peer leads. So the
program ends in time also if this node is paused or killed; see `guard`.
"""

import contextlib
import logging
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_actors.clock import since_boot
from raft_actors.lead.deadlines import Deadlines
from raft_actors.lead.guard import RECORD, REPORT
from raft_actors.lead.term import LeadTerm
from supervision import Process, Stop, tell_if_alive, timer

__all__ = ["TERM_VARIABLE", "ProgramChild", "Running"]

logger: logging.Logger = logging.getLogger("raft_actors.lead")

GUARD = Path(__file__).with_name("guard.py")
TERM_VARIABLE = "RAFT_ACTORS_TERM"
START_S = 10.0
"""The guard is an interpreter of Python, which has to start on a busy host."""
LOOK_S = 0.2
LOOK = object()


@dataclass(frozen=True, slots=True)
class Ended:
    """Message of the thread that reads the guard's reports. `status`: as that of a Popen; None: the
    guard has ended without a report.
    """

    status: int | None


class Running:
    """A guard with its program, from the start to the end of both. Any thread may call it."""

    def __init__(
        self, command: Sequence[str], shutdown_s: float, env: Mapping[str, str], cwd: Any,
        deadlines: Deadlines | None,
    ) -> None:  # fmt: skip
        self.deadlines = deadlines
        self.lock: threading.RLock = threading.RLock()
        self.control: int
        guards_end, self.control = os.pipe()
        self.report: int
        self.report, reports_end = os.pipe()
        os.set_blocking(self.control, False)
        self.renew()
        try:
            self.guard: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the user's own command
                [sys.executable, "-I", "-S", str(GUARD), str(guards_end), str(reports_end),
                 str(shutdown_s), *command],
                pass_fds=(guards_end, reports_end), stdin=subprocess.DEVNULL,
                start_new_session=True, env=env, cwd=cwd,
            )  # fmt: skip
        except BaseException:
            os.close(self.report)
            self.close()
            raise
        finally:
            os.close(guards_end)
            os.close(reports_end)

    def write(self, kind: bytes, first: float = 0.0, second: float = 0.0) -> None:
        """Write a record to the guard. A guard that has ended, or was stopped for so long that its
        pipe is full, gets no more; `kill` is for the latter.
        """
        with self.lock, contextlib.suppress(OSError):
            if self.control >= 0:
                os.write(self.control, RECORD.pack(kind, first, second))

    def renew(self) -> None:
        """Tell the guard the present deadlines."""
        if self.deadlines is not None:
            self.write(b"L", self.deadlines.stop_at, self.deadlines.kill_at)

    def end(self) -> None:
        self.write(b"E")

    def signal(self, number: int) -> None:
        self.write(b"S", float(number))

    def kill(self) -> None:
        """Kill the guard, also a stopped one; the kernel then kills the program, on Linux."""
        self.guard.kill()

    def next_report(self, timeout_s: float | None = None) -> tuple[bytes, int] | None:
        """Wait for a report of the guard; None: it has ended, or the time is over."""
        if timeout_s is not None and not select.select([self.report], [], [], timeout_s)[0]:
            return None
        data = os.read(self.report, REPORT.size)
        with contextlib.suppress(struct.error):
            return REPORT.unpack(data)
        return None

    def close(self) -> None:
        with self.lock:
            if self.control >= 0:
                os.close(self.control)
            self.control = -1


class ProgramChild(Process):
    """Runs a program once, and ends when the program does. Its exit reason is "normal" for the exit
    status 0, else ("exit_status", status) or ("signal", number).
    """

    def init(
        self, command: Sequence[str], shutdown_s: float, env: Mapping[str, str] | None, cwd: Any,
        started: Callable[["Running"], None], ended: Callable[[int | None], None], *,
        term: LeadTerm | None = None,
    ) -> None:  # fmt: skip
        self.ended: Callable[[int | None], None] = ended
        self.term: LeadTerm | None = term
        self.ending: Any = None
        deadlines = None if term is None else term._deadlines
        environment = dict(os.environ if env is None else env)
        if term is not None:
            environment[TERM_VARIABLE] = str(term.token)
        running = Running(command, shutdown_s, environment, cwd, deadlines)
        self.running: Running = running
        self.unwatch: Callable[[], None] = (
            deadlines.watch(running.renew) if deadlines is not None else lambda: None
        )
        running.renew()  # a proof may have come before `watch`
        match running.next_report(START_S):
            case (b"P", pid):
                logger.info("%s runs as process %d", command[0], pid)
            case (b"X", errno):
                self.release()
                raise Stop(("cannot_run", command[0], os.strerror(errno)))
            case _:
                self.release()
                raise Stop(("cannot_run", command[0], "its guard does not answer"))
        started(running)
        thread = threading.Thread(target=self.read, name=f"lead-{command[0]}", daemon=True)
        thread.start()
        if deadlines is not None:
            Alarm(running, deadlines).set()

    def read(self) -> None:
        """Wait for the end of the program, on a thread of its own."""
        report = self.running.next_report()
        self.running.guard.wait()
        os.close(self.running.report)
        tell_if_alive(self.actor_ref, Ended(report[1] if report is not None else None))

    def on_receive(self, message: Any) -> None:
        if type(message) is not Ended:
            super().on_receive(message)
            return
        status = message.status
        if self.ending is None and self.term is not None and not self.term.is_certain():
            self.ending = "shutdown"  # its guard has ended it
        if self.ending is not None:
            self.exit(self.ending)
            return
        self.ended(status)
        if status is None:
            self.exit("guard_ended")
        elif status == 0:
            self.exit("normal")
        else:
            self.exit(("exit_status", status) if status > 0 else ("signal", -status))

    def asked_to_end(self, reason: Any) -> None:
        self.ending = reason
        self.running.end()

    def terminate(self, _reason: Any) -> None:
        self.release()

    def abandoned(self) -> None:
        self.release()

    def release(self) -> None:
        """End the guard, if it has not ended, and with it the program."""
        self.unwatch()
        self.running.close()
        self.running.kill()


@dataclass(frozen=True, slots=True)
class Alarm:
    """Kills a guard that has not ended in time: it may have been stopped by a signal. It works on
    the thread of the timer.
    """

    running: Running
    deadlines: Deadlines

    def set(self) -> None:
        left_s = self.deadlines.over_at - since_boot()
        timer.send_after(min(max(left_s, 0.0), LOOK_S), self, LOOK)

    def tell(self, _message: Any) -> None:
        if self.running.guard.poll() is not None:
            return
        if since_boot() >= self.deadlines.over_at:
            self.running.kill()
        else:
            self.set()
