"""The systems that are measured: each starts three servers and runs the same work on them."""

from abc import ABC, abstractmethod

from raft_actors.tools.bench.loads import Load, Measured

__all__ = ["System"]


class System(ABC):
    """Three servers, each a process of its own on loopback; started and stopped by pid."""

    name: str
    acknowledged: str
    """Where a write is when it is acknowledged."""
    works: frozenset[str]
    """What can be measured of it, by the names in docs/benchmarks.md."""

    @abstractmethod
    def start(self) -> None:
        """Start the servers and wait until they have a leader."""

    @abstractmethod
    def stop(self) -> None:
        """End what `start` started. Harmless twice."""

    @abstractmethod
    def run(self, load: Load) -> Measured:
        """Put this load on the servers and count."""

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """The servers' processes."""

    def fail_over(self) -> float:
        """SIGKILL the leader and start it again; the seconds until a write was acknowledged."""
        raise NotImplementedError

    def recover(self, entries: int) -> float:
        """Fill to so many entries, SIGKILL a server, start it; the seconds until it has them."""
        raise NotImplementedError
