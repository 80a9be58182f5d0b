"""Spent: what processes have used so far: processor time, and how often they woke."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Spent", "spent"]


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds in the program and its libraries, seconds in the kernel, and wake-ups."""

    user_s: float = 0.0
    system_s: float = 0.0
    wakes: int = 0

    @property
    def processor_s(self) -> float:
        return self.user_s + self.system_s

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.user_s + other.user_s, self.system_s + other.system_s, self.wakes + other.wakes
        )

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(
            self.user_s - other.user_s, self.system_s - other.system_s, self.wakes - other.wakes
        )


def spent(*pids: int) -> Spent:
    """Return what these processes have used so far, together; wake-ups of living threads only."""
    total = Spent()
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        wakes = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError):  # a thread that ends now
                for line in (task / "status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        wakes += int(line.split()[1])
        total += Spent(times.user, times.system, wakes)
    return total
