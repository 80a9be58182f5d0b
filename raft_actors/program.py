"""Program: a program of the operating system as a child of a LeaderSupervisor."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from raft_actors.lead.program_child import ProgramChild, Running
from raft_actors.timeouts import seconds
from supervision import ChildSpec

__all__ = ["Program"]

SLACK_S = 1.0
"""So much longer than for the program its supervisor waits for the child, before it kills it."""


class Program:
    """A program that a LeaderSupervisor starts where the peer leads, and ends before the lead goes.

    Ended means: SIGTERM, and SIGKILL after `shutdown` seconds, or earlier if there is less time.
    The program must stay in the foreground: what it leaves running is killed when it ends. No shell
    is between. Its standard output and error are those of this process, its standard input is
    empty. In its environment RAFT_ACTORS_TERM is the fencing token.

    command   the program and its arguments; a name without a slash is looked for in PATH
    shutdown  seconds from SIGTERM to SIGKILL
    env       its environment; None: that of this process
    cwd       its working directory; None: that of this process
    restart   whether it is started again where it ended by itself: "permanent", "transient" (unless
              its exit status is 0), "temporary"
    id        the id of the child; None: the command as one text
    ended     called with the exit status when it ended by itself: minus the number of a signal;
              None if its guard was killed

    Raises TypeError and ValueError.

    >>> from raft_actors import LeaderSupervisor
    >>> from raft_actors.program import Program
    >>> beat = Program(["celery", "-A", "shop", "beat"], shutdown=10.0)
    >>> ok, supervisor = LeaderSupervisor.start_link([beat], of="peer1")
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        shutdown: float = 5.0,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        restart: Literal["permanent", "transient", "temporary"] = "permanent",
        id: str | None = None,  # noqa: A002
        ended: Callable[[int | None], None] = lambda _status: None,
    ) -> None:
        if isinstance(command, str | bytes) or not command:
            raise TypeError(f"a command is a list of the program and its arguments: {command!r}")
        self.command: list[str] = [os.fspath(part) for part in command]
        for part in self.command:
            if not isinstance(part, str) or "\0" in part:
                raise TypeError(f"a part of a command is a str without NUL, not {part!r}")
        if seconds(shutdown, "shutdown") < 0:
            raise ValueError(f"shutdown must be seconds from 0 on, not {shutdown!r}")
        self.shutdown = shutdown
        self.env = env
        self.cwd = cwd
        self.restart: Literal["permanent", "transient", "temporary"] = restart
        self.id: str = id or " ".join(self.command)
        self._ended = ended
        self._running: Running | None = None

    def child_spec(self) -> ChildSpec:
        """Return the spec of this child."""
        start = partial(
            ProgramChild.start_link, self.command, self.shutdown, self.env, self.cwd,
            self._has_started, self._ended,
        )  # fmt: skip
        return ChildSpec(
            self.id, start, restart=self.restart, shutdown=self.shutdown + SLACK_S,
            modules=(ProgramChild,),
        )  # fmt: skip

    def send_signal(self, number: int) -> None:
        """Send a signal to the program, and not to its children, if it runs here now."""
        if self._running is not None:
            self._running.signal(number)

    def _has_started(self, running: Running) -> None:
        self._running = running

    def __repr__(self) -> str:
        return f"Program({self.command!r})"
