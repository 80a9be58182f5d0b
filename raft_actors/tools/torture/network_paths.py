"""Paths: from each node to each other one, a way for bytes, and how good it is at the moment."""

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

__all__ = ["Path", "Pipe"]

RETRANSMIT_S = 0.2  # the least that TCP waits before it sends again what was lost, on Linux
BUFFER_BYTES_MAX = 256 * 1024
CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class Path:
    """The conditions from one node to another; the way back has its own.

    blocked      nothing arrives, and nobody is told: bytes wait, as with packets that TCP sends
                 again and again, and arrive late if that ends before the ends give up
    refused      connections are reset, new ones too
    delay_s      how long each byte travels, and up to `jitter_s` more
    loss         how likely a piece of data is lost and sent again by TCP, which stops what follows
    resets       how likely a piece of data meets a reset of its connection
    bytes_per_s  0 for as fast as it goes
    """

    blocked: bool = False
    refused: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    resets: float = 0.0
    bytes_per_s: float = 0.0

    @contextmanager
    def worse(self, **conditions: float) -> Iterator[None]:
        """Have these conditions while the body runs."""
        before = {name: getattr(self, name) for name in conditions}
        for name, value in conditions.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def travel_s(self, size: int, luck: Random) -> float:
        """How long a piece of `size` bytes is under way."""
        travel = self.delay_s
        if self.jitter_s:
            travel += luck.uniform(0, self.jitter_s)
        if self.bytes_per_s:
            travel += size / self.bytes_per_s
        while self.loss and luck.random() < self.loss:
            travel += RETRANSMIT_S
        return travel


class Reset(Exception):
    """The connection is to be reset."""


@dataclass(slots=True)
class Pipe:
    """One direction of one connection: bytes from `source` to `sink`, along `path`, in order."""

    source: socket.socket
    sink: socket.socket
    path: Path
    under_way: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    arrival: float = 0.0
    ended: bool = False
    full: bool = False  # the sink takes no more for now

    @property
    def wants_more(self) -> bool:
        return not (self.path.blocked or self.ended or self.size >= BUFFER_BYTES_MAX)

    def due(self, now: float) -> float | None:
        """In how many seconds the next piece arrives; None if nothing will by itself."""
        if self.path.blocked or self.full or not self.under_way:
            return None
        return max(0.0, self.under_way[0][0] - now)

    def receive(self, now: float, luck: Random) -> None:
        """Take in what the source has sent; its end travels like everything else."""
        try:
            data = self.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = not data
        if data and self.path.resets and luck.random() < self.path.resets:
            raise Reset
        self.size += len(data)
        self.arrival = max(self.arrival, now + self.path.travel_s(len(data), luck))
        self.under_way.append((self.arrival, data))

    def deliver(self, now: float) -> None:
        """Hand the sink what has arrived. Raises Reset at the end of the stream."""
        while self.under_way and not self.path.blocked and self.under_way[0][0] <= now:
            arrival, data = self.under_way.popleft()
            if not data:
                raise Reset
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                raise Reset from None
            self.size -= sent
            if sent < len(data):
                self.under_way.appendleft((arrival, data[sent:]))
                self.full = True
                return
