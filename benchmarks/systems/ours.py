"""raft_actors at its defaults, through its public client; see `raft_actors.tools.bench`."""

from benchmarks.systems import System
from raft_actors.tools.bench.loads import Load, Measured
from raft_actors.tools.bench.trio import NAMES, Trio

__all__ = ["RaftActors"]


class RaftActors(System):
    name = "raft_actors"
    acknowledged = "disks of a majority"
    works = frozenset({"W1", "W64", "T64", "WP", "R64", "LAG", "FO", "REC"})

    def start(self) -> None:
        self.trio = Trio()
        self.trio.start()
        self.filled = 0

    def stop(self) -> None:
        self.trio.stop()

    def run(self, load: Load) -> Measured:
        return self.trio.run(load)

    @property
    def pids(self) -> list[int]:
        return [self.trio.pid(name) for name in NAMES]

    def fail_over(self) -> float:
        return self.trio.fail_over()

    def recover(self, entries: int) -> float:
        self.trio.fill(entries - self.filled)
        self.filled = entries
        return self.trio.restart()
