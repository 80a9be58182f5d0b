"""The systems that are measured: each starts three servers and runs the same work on them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

__all__ = ["KEYS", "VALUE", "Load", "Measured", "System"]

KEYS = [f"key{n:013d}" for n in range(1000)]
VALUE = "v" * 64


@dataclass(frozen=True, slots=True)
class Load:
    """`outstanding` closed loops of one kind, from one load process.

    kind     "write" or "read"; a read is linearizable, or the system has none
    seconds  how long it is counted, after `warm_up` seconds
    value    what is written
    """

    kind: str
    outstanding: int
    seconds: float
    warm_up: float = 1.0
    value: str = VALUE


@dataclass(slots=True)
class Measured:
    """What came of a load: operations in `seconds`, and each one's latency in seconds."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def p50(self) -> float:
        return sorted(self.latencies)[len(self.latencies) // 2] if self.latencies else 0.0


class System(ABC):
    """Three servers, each a process of its own on loopback; started and stopped by pid."""

    name: str
    durable: str
    """Where a write is when it is acknowledged."""
    reads = True

    @abstractmethod
    def start(self) -> None:
        """Start the servers and wait until they have a leader."""

    @abstractmethod
    def stop(self) -> None:
        """End what `start` started. Harmless twice."""

    @abstractmethod
    def run(self, load: Load) -> Measured:
        """Put this load on the servers and count."""

    def fail_over(self) -> float:
        """SIGKILL the leader; return the seconds until a write is acknowledged again."""
        raise NotImplementedError

    def restore(self) -> None:
        """Start the killed server again, and wait until it is back."""
        raise NotImplementedError
