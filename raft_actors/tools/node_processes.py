"""NodeProcesses: nodes on this machine. Each is a process with its own directory and log.

Signals are sent only to processes that were started here. If the started program calls
`end_with_stdin`, its process ends together with this process, also if this process is killed.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from raft_actors import Raft, Supervisor
from raft_actors.client.views import Status
from raft_actors.kv_store import KVStore
from raft_actors.names import Address
from raft_actors.node.host_name import node_name

__all__ = [
    "PEER",
    "RUN",
    "STORE",
    "NodeProcesses",
    "end_with_stdin",
    "start_store",
    "use_own_cookie",
]  # fmt: skip

PEER = "kv"
"""The peer of each node."""
RUN = "raft_actors.tools.run_node"
"""The module that a node runs."""
STORE = "raft_actors.tools.node_processes:start_store"
"""A starter: one key-value store, of this package."""


class NodeProcesses:
    """Nodes by their short names, each with one peer.

    starter      the `module:function` that each node runs
    sessions     whether each node has its own session, as a service has. Then a Ctrl-C does not
                 reach it; but Linux first shares the processor between sessions, which costs
                 latency on a busy machine
    cwd          the directory in which each node runs; None: that of this process
    environment  variables for the nodes, in addition to the environment of this process
    """

    def __init__(
        self, directory: Path, names: tuple[str, ...], starter: str, *,
        sessions: bool = True, cwd: Path | None = None,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.names = names
        self.starter = starter
        self.sessions = sessions
        self.cwd = cwd
        self.environment: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start these nodes; a node that runs already is left alone."""
        for name in names:
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                self.reap(name)
                self.launch(
                    name, "-m", *self.program(name), name, self.starter, str(self.data_dir(name)),
                )  # fmt: skip

    def program(self, name: str) -> list[str]:  # noqa: ARG002
        """Return the module that a node runs, with arguments of its own before those of `RUN`."""
        return [RUN]

    def launch(self, name: str, *arguments: str) -> None:
        """Run Python with these arguments as the process of the node."""
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=log, stderr=log,
                cwd=self.cwd, start_new_session=self.sessions,
                env=os.environ | self.environment_of(name),
            )  # fmt: skip

    def environment_of(self, name: str) -> dict[str, str]:  # noqa: ARG002
        return self.environment

    def kill(self, *names: str) -> None:
        """Send SIGKILL to these nodes, all at once, and wait until their processes have ended."""
        for name in names:
            self.signal(name, signal.SIGKILL)
        for name in names:
            self.reap(name)

    def reap(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process is not None:
            process.wait()
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node, unless it has ended."""
        process = self.processes.get(name)
        if process is not None:
            process.send_signal(number)

    def order(self, name: str, text: str) -> None:
        """Write an order to the standard input of a node. For a node that has ended, do nothing."""
        process = self.processes.get(name)
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(f"{text}\n".encode())
                process.stdin.flush()

    def pid(self, name: str) -> int:
        return self.processes[name].pid

    def last_line(self, name: str) -> str | None:
        """Return the last line in the log of a node that has ended; None while it runs."""
        process = self.processes.get(name)
        if process is None or process.poll() is None:
            return None
        lines = self.log(name).read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"status {process.returncode}"

    def log(self, name: str) -> Path:
        return self.directory / f"node-{name}.log"

    def data_dir(self, name: str) -> Path:
        return self.directory / "data" / name

    def address(self, name: str) -> Address:
        return PEER, node_name(name)

    @property
    def addresses(self) -> list[Address]:
        return [self.address(name) for name in self.names]

    def status(self, name: str) -> Status | None:
        """Return the status of the node's peer; None if there is no answer."""
        answer = Raft.status(self.address(name))
        return answer[1] if answer[0] == "ok" else None


def start_store() -> Any:
    """Start a node's tree: one peer, `kv`. The process ends when its standard input does."""
    threading.Thread(target=end_with_stdin, name="end-with-stdin", daemon=True).start()
    return Supervisor.start_link([(KVStore, {"name": PEER})], strategy="one_for_one")


def end_with_stdin() -> NoReturn:
    """End this process when its standard input ends: when the process that started it has ended."""
    sys.stdin.read()
    os._exit(1)


def use_own_cookie(directory: Path) -> None:
    """Give this process and its children their own cookie and their own port files."""
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    os.environ["RAFT_ACTORS_RUNTIME_DIR"] = str(runtime)
    os.environ["RAFT_ACTORS_COOKIE"] = secrets.token_urlsafe(32)
    for name in ("RAFT_ACTORS_NODES", "RAFT_ACTORS_MAPPER_PORT"):
        os.environ.pop(name, None)
