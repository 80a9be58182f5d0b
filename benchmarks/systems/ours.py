"""raft_actors: three nodes on RocksDB, and this process as a node that calls them."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from benchmarks.systems import KEYS, Load, Measured, System
from raft_actors import Config, Node, Raft, terms
from raft_actors.kv_store import KVStore
from raft_actors.names import short_host_name
from raft_actors.peers import CLIENT, peers_here
from raft_actors.requests import READ, WRITE, next_request
from supervision import Supervisor

__all__ = ["RaftActors", "start_store"]

NAMES = "abc"
PATIENCE_S = 30.0
CATCH_UP_S = 300.0
"""A peer that starts applies its log from the beginning: some 40,000 entries a second."""


def start_store():
    """Start a server's tree; its process runs `raft-actors node --start` with this."""
    return Supervisor.start_link([(KVStore, {"name": "kv"})], strategy="one_for_one")


class RaftActors(System):
    name = "raft_actors"
    durable = "disk of a majority"

    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="raft_actors-bench-")
        path = Path(self.directory.name)
        (path / "run").mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "RAFT_ACTORS_RUNTIME_DIR": str(path / "run"),
            "RAFT_ACTORS_COOKIE": secrets.token_urlsafe(32),
        }
        os.environ.update(self.environment)
        self.servers: dict[str, subprocess.Popen] = {}
        for name in NAMES:
            self.start_server(name)
        Node.start("bench", config=Config(frame_bytes_max=64 << 20, link_queue_bytes=256 << 20))
        members = [self.address(name) for name in NAMES]
        for member in members:
            until(lambda member=member: Raft.status(member)[0] == "ok")
        answer = Raft.set_configuration(members[0], members)
        assert answer[0] == "ok", answer
        self.leader = Raft.leader(members[0])

    def start_server(self, name: str) -> None:
        command = [
            sys.executable, "-m", "raft_actors", "node", "--sname", name,
            "--start", "benchmarks.systems.ours:start_store",
            "--data-dir", str(Path(self.directory.name) / name),
        ]  # fmt: skip
        with (Path(self.directory.name) / f"{name}.log").open("ab") as log:
            self.servers[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log
            )

    def address(self, name: str) -> tuple[str, str]:
        return ("kv", f"{name}@{short_host_name()}")

    def stop(self) -> None:
        Node.stop()
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.wait(PATIENCE_S)
        self.servers.clear()
        self.directory.cleanup()

    def run(self, load: Load) -> Measured:
        node, (name, place) = peers_here().node, self.leader
        operation = WRITE if load.kind == "write" else READ
        waiting: deque = deque()
        measured = Measured()
        began = time.perf_counter()
        counted_from, ends = began + load.warm_up, began + load.warm_up + load.seconds
        batch = max(1, load.outstanding // 2)
        number = 0
        now = began
        while now < ends:
            while len(waiting) < load.outstanding:
                key = KEYS[number % len(KEYS)]
                command = ("set", key, load.value) if operation == WRITE else ("get", key)
                number += 1
                body = [operation, name, terms.dumps(command), *next_request()]
                waiting.append((time.perf_counter(), node.call(place, CLIENT, body)))
            node.flush()
            for _ in range(batch):
                sent, answer = waiting.popleft()
                answer.get(PATIENCE_S)
                now = time.perf_counter()
                if now >= counted_from:
                    measured.count += 1
                    measured.latencies.append(now - sent)
        measured.seconds = now - counted_from
        for _, answer in waiting:
            answer.get(PATIENCE_S)
        return measured

    def fail_over(self) -> float:
        self.killed = self.leader[1][0]
        rest = [self.address(name) for name in NAMES if name != self.killed]
        server = self.servers.pop(self.killed)
        server.send_signal(signal.SIGKILL)
        began = time.perf_counter()
        server.wait()
        while True:
            for member in rest:
                leader = Raft.leader(member)
                if leader in rest and Raft.write(leader, ("set", "fo", 1), 1.0)[0] == "ok":
                    self.leader = leader
                    return time.perf_counter() - began

    def restore(self) -> None:
        self.start_server(self.killed)
        goal = Raft.status(self.leader)[1]["commit_index"]

        def caught_up() -> bool:
            answer = Raft.status(self.address(self.killed))
            return answer[0] == "ok" and answer[1]["last_applied"] >= goal

        until(caught_up, CATCH_UP_S)


def until(seen, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not seen():
        assert time.monotonic() < deadline, "a server did not come up"
        time.sleep(0.02)
