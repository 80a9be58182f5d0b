"""Cluster: the node processes under torture. Only processes that it started are ever signalled."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raft_actors import Raft
from raft_actors.names import Address
from raft_actors.node.host_name import node_name
from raft_actors.node.port_files import PortFiles
from raft_actors.tools.torture.child import LEASES, ON_DISK, PEER
from raft_actors.tools.torture.disks import limit_file_size

__all__ = ["Cluster", "TortureFailed", "keep_to_ourselves"]

STARTER = "raft_actors.tools.torture.child:start"
PAUSE_S = 0.05
STATE_S = 10.0


class TortureFailed(Exception):
    """What must come true did not, in its time; the message says what."""


class Cluster:
    """Nodes by their short names, each a process of its own with a log file of its own.

    starter   the `module:function` that each starts
    leases    whether leaders have leases
    on_disk   whether the machine's state is on disk
    witness   the node whose peer is a witness, if any
    sessions  whether each has a session of its own, as a service has: no Ctrl-C reaches it, but
              Linux shares the processor between sessions first, which costs latency on a busy one
    """

    def __init__(
        self, directory: Path, names: tuple[str, ...], *, starter: str = STARTER,
        leases: bool = False, on_disk: bool = False, witness: str = "", sessions: bool = True,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.names = names
        self.starter = starter
        self.sessions = sessions
        self.witness = witness
        self.environment = {LEASES: "0.01"} if leases else {}
        if on_disk:
            self.environment[ON_DISK] = "1"
        self.static: Callable[[str], str] = lambda _name: ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.files = PortFiles(directory / "run")

    # Processes.

    def start(self, name: str) -> None:
        """Start the node, unless it runs."""
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            return
        self.bury(name)
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                [
                    sys.executable, "-m", "raft_actors", "node", "--sname", name,
                    "--start", self.starter, "--data-dir", str(self.data_dir(name)),
                ],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=self.sessions,
                env=os.environ | {"RAFT_ACTORS_NODES": self.static(name)} | self.environment,
            )  # fmt: skip

    def kill(self, *names: str) -> None:
        """SIGKILL these nodes, all at once, and wait until they are gone."""
        for name in names:
            self.signal(name, signal.SIGKILL)
        for name in names:
            self.bury(name)

    def bury(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process is not None:
            process.wait()
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal; a node that has ended gets none."""
        process = self.processes.get(name)
        if process is not None:
            process.send_signal(number)

    def order(self, name: str, text: str) -> None:
        """Give the node an order, see `child`. One that has ended misses it."""
        process = self.processes.get(name)
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(f"{text}\n".encode())
                process.stdin.flush()

    def limit_files(self, name: str, size: int | None) -> None:
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            limit_file_size(process.pid, size)

    def last_words(self, name: str) -> str | None:
        """The last line of the log of a node that has ended by itself; None while it runs."""
        process = self.processes.get(name)
        if process is None or process.poll() is None:
            return None
        lines = self.log(name).read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"status {process.returncode}"

    def log(self, name: str) -> Path:
        return self.directory / f"node-{name}.log"

    # Peers.

    def data_dir(self, name: str) -> Path:
        return self.directory / "data" / name

    def address(self, name: str) -> Address:
        return PEER, node_name(name)

    @property
    def addresses(self) -> list[Address]:
        return [self.address(name) for name in self.names]

    def place(self, name: str) -> tuple[str, int] | None:
        """Where the node listens, if it does."""
        entry = self.files.read(node_name(name))
        return None if entry is None else (entry.host, entry.port)

    def status(self, name: str) -> dict[str, Any] | None:
        """What the node's peer says of itself; None if it says nothing."""
        answer = Raft.status(self.address(name))
        return answer[1] if answer[0] == "ok" else None

    def state(self, name: str) -> dict[str, list[Any]] | None:
        """What the node's own replica holds, asked beside the cluster; None if it has no say."""
        path = self.directory / f"state-{name}.json"
        path.unlink(missing_ok=True)
        self.order(name, f"state {path}")
        deadline = time.monotonic() + STATE_S
        while not path.exists():
            if time.monotonic() > deadline:
                return None
            time.sleep(PAUSE_S)
        state: dict[str, list[Any]] = json.loads(path.read_text())
        return state


def keep_to_ourselves(directory: Path) -> None:
    """Give this process and its children a cookie and port files of their own."""
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    os.environ["RAFT_ACTORS_RUNTIME_DIR"] = str(runtime)
    os.environ["RAFT_ACTORS_COOKIE"] = secrets.token_urlsafe(32)
    for name in ("RAFT_ACTORS_NODES", "RAFT_ACTORS_MAPPER_PORT"):
        os.environ.pop(name, None)
