"""Admission: how many requests of clients may wait for one peer, and how many of them may be of one
network of guests.

The inbox itself has no bound, because messages of other peers must never wait or be dropped when
too many requests of clients are in it.
"""

import threading
from itertools import accumulate
from typing import Any

from raft_actors.config import Config

__all__ = ["AdmissionLimit", "RequestBatch"]

LARGEST_MAX = 8
"""So many commands of the largest size may wait, or smaller ones with as many bytes in total."""


class RequestBatch(list[Any]):
    """Requests of clients, as one message to their peer. `size_bytes` sums their payloads."""

    __slots__ = ("size_bytes",)

    def __init__(self, events: list[Any]) -> None:
        super().__init__(events)
        self.size_bytes: int = sum(map(size_of, events))


class GuestShares:
    """Counts the requests of guests that are not answered yet, by the network they come from.

    A network may have as many of them as are left free: so one alone may have half of what the peer
    takes, two may have a third each, and there is always something left for the next one, and for
    members, which are not counted here. From any thread.
    """

    __slots__ = ("bytes_left", "count_left", "lock", "networks")

    def __init__(self, count_max: int, bytes_max: int) -> None:
        self.count_left: int = count_max
        self.bytes_left: int = bytes_max
        self.networks: dict[str, tuple[int, int]] = {}
        self.lock: threading.RLock = threading.RLock()

    def take(self, network: str, size: int) -> bool:
        """Count a request of `size` bytes; return False, and count nothing, if it is too many."""
        with self.lock:
            count, size_before = self.networks.get(network, (0, 0))
            if count and (count >= self.count_left or size_before + size > self.bytes_left):
                return False
            self.networks[network] = count + 1, size_before + size
            self.count_left -= 1
            self.bytes_left -= size
            return True

    def give(self, network: str, size: int) -> None:
        """Note that a request was answered."""
        with self.lock:
            self.count_left += 1
            self.bytes_left += size
            count, size_before = self.networks.pop(network)
            if count > 1:
                self.networks[network] = count - 1, size_before - size


class AdmissionLimit:
    """Counts the requests that wait: `admit` adds, on any thread; `taken` subtracts, on the peer's
    thread.

    guests  what guests may have of it
    """

    __slots__ = ("bytes_in", "bytes_max", "bytes_out", "count_in", "count_max", "count_out",
                 "guests", "lock")  # fmt: skip

    def __init__(self, config: Config) -> None:
        self.count_max: int = config.proposals_max
        self.bytes_max: int = LARGEST_MAX * config.command_bytes_max
        self.count_in: int = 0
        self.count_out: int = 0
        self.bytes_in: int = 0
        self.bytes_out: int = 0
        # A signal handler may interrupt `admit`, and write.
        self.lock: threading.RLock = threading.RLock()
        self.guests: GuestShares = GuestShares(self.count_max, self.bytes_max)

    def admit(self, events: list[Any]) -> RequestBatch:
        """Count the first requests of `events`, as many as the limits allow, and return them."""
        requests = RequestBatch(events)
        with self.lock:
            count_left = self.count_max - (self.count_in - self.count_out)
            bytes_left = self.bytes_max - (self.bytes_in - self.bytes_out)
            if len(requests) > count_left or requests.size_bytes > bytes_left:
                sizes = accumulate(map(size_of, events))
                fitting = sum(size <= bytes_left for size in sizes)
                requests = RequestBatch(events[: max(0, min(count_left, fitting))])
            self.count_in += len(requests)
            self.bytes_in += requests.size_bytes
        return requests

    def taken(self, requests: RequestBatch) -> None:
        self.count_out += len(requests)
        self.bytes_out += requests.size_bytes


def size_of(event: Any) -> int:
    """Return the bytes of a command or a query; 0 for other requests, which are small."""
    payload: bytes = getattr(event, "command", b"") or getattr(event, "query", b"")
    return len(payload)
