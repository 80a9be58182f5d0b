"""Lease: what a holder knows of its lease, by its own clock."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf

from raft_actors.clock import since_boot

__all__ = ["Lease", "Leases"]

DRIFT = 0.02
"""The clock of a holder may be slower than that of a leader by this share. Clocks of computers
differ by less than 0.001."""
KEPT_SHARE = 1 / 3
"""A lease is kept alive when so much of its time has passed, so that two tries may fail."""


class Lease:
    """A lease of this process, kept alive by its kit. Any thread may ask it.

    The holder counts from when it has sent the last keepalive that was answered, by its own clock,
    which goes on while the machine sleeps. The leader counts from when it has applied it. So the
    holder stops first, whatever a wall clock does. A process that was paused finds out at its first
    look.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> with kit.lease(ttl=10.0) as lease:
    ...     lease.alive, lease.remaining() > 5
    (True, True)
    >>> lease.alive
    False

    id    the index of the entry that made it
    ttl   for how many seconds one keepalive is good
    lost  set when the lease has ended, or was not kept alive in time. It may be set some
          milliseconds late: `alive` is exact
    """

    def __init__(self, owner: "Leases", lease_id: int, ttl: float, sent_at: float) -> None:
        self.id: int = lease_id
        self.ttl: float = ttl
        self.lost: threading.Event = threading.Event()
        self._owner = owner
        self._sent_at = sent_at
        self._callbacks: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Lease {self.id}: {self.remaining():.1f} s of {self.ttl:.1f} s left>"

    def remaining(self) -> float:
        """Return for how many seconds the lease is sure to last. 0.0: it may have ended, and is
        lost for good.
        """
        left = self._sent_at + self.ttl * (1 - DRIFT) - since_boot()
        if left > 0.0 and not self.lost.is_set():
            return left
        self._owner.end(self)
        return 0.0

    @property
    def alive(self) -> bool:
        """Whether the lease is sure to last at this moment."""
        return self.remaining() > 0.0

    def on_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the lease is lost; at once if it is. It runs on the thread of the
        kit, so it must return soon. Returns a function that takes the callback out again.
        """
        self._callbacks.append(callback)
        if self.lost.is_set():
            self._tell()

        def take_out() -> None:
            with suppress(ValueError):  # it was called
                self._callbacks.remove(callback)

        return take_out

    def _lose(self) -> None:
        self.lost.set()
        self._tell()

    def _tell(self) -> None:
        while self._callbacks:
            with suppress(IndexError):  # another thread has called it
                self._callbacks.pop()()


class Leases:
    """The leases of a kit, and when each of them is to be kept alive. It sends nothing itself.

    wake  called when there is a new lease: the keeper may have to look earlier
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.by_id: dict[int, Lease] = {}
        self.wake = wake

    def add(self, lease_id: int, ttl: float, sent_at: float) -> Lease:
        lease = self.by_id[lease_id] = Lease(self, lease_id, ttl, sent_at)
        self.wake()
        return lease

    def alive_with(self, ttl: float) -> Lease | None:
        """Return a lease with this time that is alive, if there is one."""
        for lease in tuple(self.by_id.values()):
            if lease.ttl == ttl and lease.alive:
                return lease
        return None

    def due(self) -> tuple[int, ...]:
        """Return the leases to be kept alive now. Those whose time is over are lost."""
        now = since_boot()
        return tuple(
            lease.id
            for lease in tuple(self.by_id.values())
            if lease.alive and now >= lease._sent_at + lease.ttl * KEPT_SHARE
        )

    def next_s(self) -> float:
        """Return in how many seconds to look again."""
        kept_at = [each._sent_at + each.ttl * KEPT_SHARE for each in tuple(self.by_id.values())]
        return max(0.0, min(kept_at, default=inf) - since_boot())

    def patience_s(self) -> float:
        """Return for how many seconds to wait for the answer to a keepalive: then a lease may be
        lost, and the next try is due.
        """
        leases = tuple(self.by_id.values())
        return max(0.05, min((min(each.ttl * KEPT_SHARE, each.remaining()) for each in leases),
                             default=1.0))  # fmt: skip

    def kept(self, leases: Iterable[int], gone: Iterable[int], sent_at: float) -> None:
        """Note the answer to a keepalive that was sent at `sent_at`."""
        for lease_id in leases:
            if lease := self.by_id.get(lease_id):  # one that was found lost is not there
                lease._sent_at = sent_at
        for lease_id in gone:
            if lease := self.by_id.get(lease_id):
                self.end(lease)

    def end(self, lease: Lease) -> None:
        """Forget a lease that has ended."""
        if self.by_id.pop(lease.id, None) is not None:
            lease._lose()

    def end_all(self) -> None:
        for lease in tuple(self.by_id.values()):
            self.end(lease)
