"""Trio: three durable nodes on loopback, each a process of its own, and this one as a client."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from raft_actors.cluster import Cluster
from raft_actors.config import Config
from raft_actors.node.node import Node
from raft_actors.raft import Raft
from raft_actors.tools.bench.loads import Load, Measured, run_load
from raft_actors.tools.node_processes import NodeProcesses, use_own_cookie

__all__ = ["NAMES", "Trio", "until"]

NAMES = ("a", "b", "c")
PATIENCE_S = 60.0
CATCH_UP_S = 600.0
LOOK_S = 0.02


class Trio:
    """Started, they have a leader; stopped, nothing of them is left. Everything at defaults.

    machine  `module:function` that starts a node's tree, with a peer named `kv`
    """

    def __init__(self, machine: str = "raft_actors.tools.bench.map_machine:start") -> None:
        self.directory: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(
            prefix="raft_actors-bench-"
        )
        path = Path(self.directory.name)
        use_own_cookie(path)
        self.nodes: NodeProcesses = NodeProcesses(path, NAMES, machine, sessions=False)

    def start(self) -> None:
        began = time.perf_counter()
        self.nodes.start(*NAMES)
        # The client takes the answers to a thousand large commands, whatever its own peers would.
        Node.start("bench", config=Config(frame_bytes_max=64 << 20, link_queue_bytes=256 << 20))
        for name in NAMES:
            self.await_peer(name)
        members = self.nodes.addresses
        answer = Raft.set_configuration(members[0], members)
        assert answer[0] == "ok", answer
        self.cluster: Cluster = Cluster(members, timeout=PATIENCE_S)
        self.cluster.await_leader()
        self.start_s: float = time.perf_counter() - began

    def stop(self) -> None:
        self.cluster.close()
        Node.stop()
        self.nodes.kill(*NAMES)
        self.directory.cleanup()

    def __enter__(self) -> "Trio":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def leader(self) -> str:
        """The short name of the node that leads."""
        return self.cluster.await_leader()[1].partition("@")[0]

    def pid(self, name: str) -> int:
        return self.nodes.pid(name)

    def run(self, load: Load) -> Measured:
        return run_load(self.cluster, load)

    def fail_over(self) -> float:
        """SIGKILL the leader; return the seconds until a write is acknowledged again."""
        leader = self.leader
        began = time.perf_counter()
        self.nodes.kill(leader)
        self.cluster.write(("set", "fail over", 1))
        took = time.perf_counter() - began
        self.recover(leader)
        return took

    def fill(self, count: int, keys: int = 100_000) -> None:
        """Write so many entries, to so many keys in turn."""
        with self.cluster.pipeline() as pipeline:
            for number in range(count):
                pipeline.write(("set", f"key{number % keys:013d}", "v" * 64))

    def restart(self) -> float:
        """SIGKILL a follower and start it again; the seconds until it has applied all there is."""
        leader = self.leader
        follower = next(name for name in NAMES if name != leader)
        self.nodes.kill(follower)
        return self.recover(follower)

    def recover(self, name: str) -> float:
        goal = self.cluster.barrier()
        began = time.perf_counter()
        self.nodes.start(name)
        self.await_peer(name, applied=goal)
        return time.perf_counter() - began

    def await_peer(self, name: str, applied: int = 0) -> None:
        def is_there() -> bool:
            status = self.nodes.status(name)
            return status is not None and status["last_applied"] >= applied

        until(is_there, f"node {name} did not come up: {self.nodes.last_line(name)}")


def until(seen: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    while not seen():
        assert time.monotonic() < deadline, message
        time.sleep(LOOK_S)
