"""Barrier: a number of parties that go on together."""

import time
from collections.abc import Awaitable, Callable
from threading import BrokenBarrierError
from typing import Any

from raft_actors.kit.claim import deadline_of
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LeaseLost
from raft_actors.kit.machine.barriers import BROKEN, topic_of
from raft_actors.kit.script import News, Read, Script, Write

__all__ = ["AsyncBarrier", "Barrier"]


class BarrierScripts:
    """What `Barrier` and `AsyncBarrier` do."""

    def __init__(self, core: KitCore, name: str, parties: int, ttl: float) -> None:
        self._core = core
        self.name: str = name
        self.parties: int = parties
        self.ttl: float = ttl

    def waiting(self, until: float) -> Script[int]:
        place = None
        while place is None:
            lease = yield from self._core.shared(self.ttl)
            party = self._core.new_holder()
            try:
                place = yield from self.place_of(party, lease.id, until)
            except LeaseLost:
                self._core.leases.end(lease)
            except BrokenBarrierError:
                raise
            except BaseException as error:
                self._core.owe_command(("barrier", "leave", self.name, party), error)
                raise
        if place == BROKEN:
            raise BrokenBarrierError(
                f"the barrier {self.name!r} broke: one that waited has left it or has ended, or it "
                "was aborted; `reset` mends it"
            )
        return place

    def place_of(self, party: str, lease: int, until: float) -> Script[int | None]:
        """Return the place of a new party; None if its lease has ended before it waited."""
        index, place = yield Write(("barrier", "arrive", self.name, lease, party, self.parties))
        if place is not None:
            return int(place)
        waits = True
        while waits and time.monotonic() < until:
            yield News(topic_of(self.name, party), index, until)
            index, place, waits = yield Read(("barrier", "place_of", self.name, party))
        place = yield Write(("barrier", "leave", self.name, party))
        # It is not known any more: its lease has ended, and has broken the barrier.
        return BROKEN if place is None else int(place)

    def looking(self) -> Script[tuple[int, bool]]:
        n_waiting, is_broken = yield Read(("barrier", "info", self.name))
        return n_waiting, is_broken

    def changing(self, verb: str) -> Script[None]:
        yield Write(("barrier", verb, self.name))


class Barrier(BarrierScripts):
    """A barrier for `parties` callers of `wait` in the whole group, like a `threading.Barrier`.

    It breaks when one that waits gives up or ends: then all that wait, and all that come, get a
    `threading.BrokenBarrierError`, until `reset`.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> kit.barrier("start", parties=1).wait()
    0
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, parties: int, ttl: float
    ) -> None:
        """Made by `Kit.barrier`."""
        super().__init__(core, name, parties, ttl)
        self._run = run

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come. Return the place of this one: 0 came first.

        Raises BrokenBarrierError if the barrier is broken or breaks, also by this `timeout`, and
        ConfigurationConflict if others wait for another number of parties.
        """
        return int(self._run(self.waiting(deadline_of(True, timeout))))

    def abort(self) -> None:
        """Break the barrier."""
        self._run(self.changing("abort"))

    def reset(self) -> None:
        """Mend the barrier. Those that wait get a BrokenBarrierError."""
        self._run(self.changing("reset"))

    def n_waiting(self) -> int:
        """Return how many wait."""
        return int(self._run(self.looking())[0])

    def broken(self) -> bool:
        """Return whether it is broken."""
        return bool(self._run(self.looking())[1])


class AsyncBarrier(BarrierScripts):
    """A `Barrier` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, parties: int,
        ttl: float,
    ) -> None:  # fmt: skip
        """Made by `AsyncKit.barrier`."""
        super().__init__(core, name, parties, ttl)
        self._run = run

    async def wait(self, timeout: float | None = None) -> int:
        """As `Barrier.wait`."""
        return int(await self._run(self.waiting(deadline_of(True, timeout))))

    async def abort(self) -> None:
        """As `Barrier.abort`."""
        await self._run(self.changing("abort"))

    async def reset(self) -> None:
        """As `Barrier.reset`."""
        await self._run(self.changing("reset"))

    async def n_waiting(self) -> int:
        """As `Barrier.n_waiting`."""
        return int((await self._run(self.looking()))[0])

    async def broken(self) -> bool:
        """As `Barrier.broken`."""
        return bool((await self._run(self.looking()))[1])
