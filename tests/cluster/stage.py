"""Stage: node processes of a test, each `raft-actors node` with one peer, `kv`."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from raft_actors import Node, Raft
from raft_actors.node.host_name import short_host_name
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent.parent
NAMES = "abc"
STARTER = "raft_actors.tools.demo:start_store"


class Load:
    """The clients of another process.

    report   what they say in the end
    """

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.report: dict = {}

    def written(self) -> int:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait_for_more(self, count: int = 50, timeout_s: float = 30) -> None:
        """Wait until `count` writes more are acknowledged."""
        goal = self.written() + count
        deadline = time.monotonic() + timeout_s
        while self.written() < goal:
            assert time.monotonic() < deadline, f"{count} more were not written in time"
            time.sleep(min(0.2, timeout_s / 6_000))


class Stage:
    """Three nodes on this machine, with cookie, port files and logs of their own.

    Only processes that it started are ever signalled; they end with this process, for they wait
    for the end of their standard input. `starter` starts the tree of each.

    program   the module that each runs; this and the next may be changed between two starts
    disks     whether each has a disk of its own that obeys; see `bad_disk`
    """

    starter = STARTER
    program = "raft_actors"
    disks = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen] = {}
        self.environment = {
            "RAFT_ACTORS_RUNTIME_DIR": str(directory / "run"),
            "RAFT_ACTORS_COOKIE": secrets.token_urlsafe(32),
            "XDG_CONFIG_HOME": str(directory / "config"),
        }
        (directory / "run").mkdir(mode=0o700)

    def start(self, *names: str) -> None:
        for name in names:
            with self.log(name).open("ab") as log:
                data_dir = str(self.directory / name)
                program = ["tests.cluster.bad_disk", data_dir] if self.disks else [self.program]
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", *program, "node", "--sname", name,
                     "--start", self.starter, "--data-dir", data_dir],
                    stdin=subprocess.PIPE, stdout=log, stderr=log,
                    env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
                )  # fmt: skip

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def order(self, name: str, text: str) -> None:
        """Give a node an order that its starter takes."""
        stdin = self.processes[name].stdin
        stdin.write(f"{text}\n".encode())
        stdin.flush()

    def stop(self, name: str) -> None:
        """SIGTERM, as a service manager does, and wait for the end."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, self.log(name).read_text()
        process.stdin.close()

    def kill(self, *names: str) -> None:
        for name in names:
            self.signal(name, signal.SIGKILL)
        for name in names:
            process = self.processes.pop(name)
            process.wait()
            process.stdin.close()

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def address(self, name: str) -> tuple[str, str]:
        return ("kv", f"{name}@{short_host_name()}")

    @property
    def addresses(self) -> list[tuple[str, str]]:
        return [self.address(name) for name in NAMES]

    def is_up(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.log(name).read_text()
        return Raft.status(self.address(name))[0] == "ok"

    def form(self) -> None:
        self.start(*NAMES)
        for name in NAMES:
            eventually(lambda name=name: self.is_up(name))
        answer = Raft.set_configuration(self.addresses[0], self.addresses)
        assert answer[0] == "ok", answer

    def leader(self, among: str = NAMES) -> str:
        """Wait until these nodes agree on a leader among them, and return its node's letter."""
        wanted = [self.address(name) for name in among]
        found: set = set()

        def agreed() -> bool:
            found.clear()
            found.update(Raft.leader(address) for address in wanted)
            return len(found) == 1 and found <= set(wanted)

        eventually(agreed)
        return found.pop()[1][0]

    def write(self, key, value, timeout_s: float = 30.0):
        """Write until it is acknowledged, wherever the leader is."""
        deadline = time.monotonic() + timeout_s
        address = self.addresses[0]
        attempt = 0
        while True:
            attempt += 1
            match Raft.write(address, ("set", key, value), timeout=2.0):
                case ("ok", *_):
                    return
                case ("error", ("redirect", leader)) if leader is not None:
                    address = leader
                case answer:
                    assert time.monotonic() < deadline, answer
                    address = self.addresses[attempt % len(NAMES)]
                    time.sleep(0.01)

    def read_all(self, keys) -> dict:
        """Read these keys from the leader."""
        address = self.address(self.leader())
        return {key: Raft.read(address, ("get", key), timeout=10) for key in keys}

    def others(self, name: str) -> str:
        return "".join(other for other in NAMES if other != name)

    def applied(self, name: str) -> int:
        match Raft.status(self.address(name)):
            case ("ok", status):
                return status["last_applied"]
        return -1

    @contextmanager
    def load(self, threads: int = 4, *, pipelined: bool = False):
        """Clients in a process of their own; see `load`. At the end none may have failed."""
        command = [sys.executable, "-m", "tests.cluster.load", json.dumps(self.addresses)]
        command.append(str(0 if pipelined else threads))
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        load = Load(process)
        try:
            load.wait_for_more()
            yield load
            load.report = json.loads(process.communicate(timeout=60)[0])
        finally:
            process.kill()
            process.wait()
        assert load.report["errors"] == []
        assert load.report["found"] == load.report["written"], "lost, or run twice"

    def end(self) -> None:
        for name, process in list(self.processes.items()):
            process.send_signal(signal.SIGCONT)
            self.kill(name)
        Node.stop()
