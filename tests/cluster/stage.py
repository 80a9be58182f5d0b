"""Stage: node processes of a test, each with one peer, `kv`."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from raft_actors import Node, Raft
from raft_actors.tools.node_processes import RUN, STORE, NodeProcesses
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent.parent
NAMES = "abc"


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


class Stage(NodeProcesses):
    """Three nodes on this machine, with a cookie and port files of their own.

    module   what each runs; this and the next may be changed between two starts
    disks    whether each has a disk of its own that obeys; see `bad_disk`
    """

    module = RUN
    disks = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, tuple(NAMES), STORE, sessions=False)
        self.environment = {
            "RAFT_ACTORS_RUNTIME_DIR": str(directory / "run"),
            "RAFT_ACTORS_COOKIE": secrets.token_urlsafe(32),
            "XDG_CONFIG_HOME": str(directory / "config"),
        }
        (directory / "run").mkdir(mode=0o700)

    def program(self, name: str) -> list[str]:
        if self.disks:
            return ["tests.cluster.bad_disk", str(self.data_dir(name))]
        return [self.module]

    def environment_of(self, name: str) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT)} | super().environment_of(name)

    def stop(self, name: str) -> None:
        """SIGTERM, as a service manager does, and wait for the end."""
        self.signal(name, signal.SIGTERM)
        assert self.processes[name].wait(30) == 0, self.log(name).read_text()
        self.reap(name)

    def is_up(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.log(name).read_text()
        return self.status(name) is not None

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
        status = self.status(name)
        return -1 if status is None else status["last_applied"]

    @contextmanager
    def load(self, threads: int = 4, *, pipelined: bool = False):
        """Clients in a process of their own; see `load`. At the end none may have failed."""
        command = [sys.executable, "-m", "tests.cluster.load", json.dumps(self.addresses)]
        command.append(str(0 if pipelined else threads))
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | self.environment_of("load"),
        )  # fmt: skip
        load = Load(process)
        try:
            load.wait_for_more()
            yield load
            load.report = json.loads(process.communicate(timeout=60)[0])
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # what it was told last
                    pipe.close()
        assert load.report["errors"] == []
        assert load.report["found"] == load.report["written"], "lost, or run twice"

    def end(self) -> None:
        self.kill(*list(self.processes))
        Node.stop()
