"""Election: one leader at a time among the programs that want to be it."""

import threading
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from raft_actors import encoding
from raft_actors.errors import NotApplied, OutcomeUnknown
from raft_actors.kit.claim import Claim, Claims, deadline_of
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LockLost
from raft_actors.kit.machine.grants import topic_of
from raft_actors.kit.script import News, Read, Script, Write

__all__ = ["AsyncElection", "Elected", "Election", "Term"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Elected:
    """Who leads.

    holder  host, process id and a random part
    token   the fencing token of its term
    value   what it has said of itself, as an address at which it serves
    """

    holder: str
    token: int
    value: Any


class Term:
    """The time for which a program leads. It asks it before each step whether it still does.

    token  the fencing token: higher than that of each term before
    lost   set when the term is lost or over; it may be set some milliseconds late: `check` is exact
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.token: int = claims.check()
        self.lost: threading.Event = threading.Event()
        claims.on_lost(self.lost.set)

    def __repr__(self) -> str:
        return f"<Term {self.token}: {'leads' if self._claims.owned else 'lost'}>"

    def check(self) -> int:
        """Return the fencing token, or raise LockLost if this term may be over. Nothing is sent."""
        return self._claims.check()

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the term is lost. See `Lease.on_lost`."""
        self._claims.on_lost(callback)


class ElectionScripts:
    """What `Election` and `AsyncElection` do."""

    def __init__(self, core: KitCore, name: str, ttl: float) -> None:
        self._core = core
        self._claims: Claims | None = None
        self._term: Term | None = None
        self.name: str = name
        self.ttl: float = ttl

    def campaigning(self, value: Any, until: float) -> Script[Term]:
        claim = Claim(
            "election", f"the election {self.name!r}", (1, 1, encoding.dumps(value, "value"))
        )
        if self._claims is not None and self._claims.owned:
            raise RuntimeError(f"this object leads in the election {self.name!r} already")
        claims = Claims(self._core, self.name, self.ttl, claim)
        is_elected = yield from claims.acquiring(until, waits=until > time.monotonic())
        if not is_elected:
            raise TimeoutError(f"somebody else leads in the election {self.name!r}")
        self._claims, self._term = claims, Term(claims)
        return self._term

    def resigning(self) -> Script[None]:
        claims, self._claims = self._claims, None
        if claims is None:
            return  # it was resigned inside of the block
        if self._term is not None:
            self._term.lost.set()
        yield from claims.releasing()

    def proclaiming(self, value: Any) -> Script[None]:
        if self._claims is None or self._claims._held is None:
            raise LockLost(f"this object does not lead in the election {self.name!r}: campaign")
        holder, encoded = self._claims._held.holder, encoding.dumps(value, "value")
        is_leader = yield Write(("election", "proclaim", self.name, holder, encoded))
        if not is_leader:
            raise LockLost(f"another program leads in the election {self.name!r}: campaign again")

    def looking(self) -> Script[tuple[int, Elected | None]]:
        index, holder, token, value = yield Read(("election", "leader", self.name))
        leader = None if holder is None else Elected(holder, token, encoding.loads(value))
        return index, leader

    def following(self, index: int, known: Elected | None) -> Script[tuple[int, Elected | None]]:
        """Wait until it is another leader than `known`, or the leader says something else. An index
        of -1: return what is known now.
        """
        while True:
            if index >= 0:
                yield News(topic_of("election", self.name), index, inf)
            was, index = index, 0
            index, leader = yield from self.looking()
            if was < 0 or leader != known:
                return index, leader


class Election(ElectionScripts):
    """One leader at a time among those that campaign: the one that has waited longest comes next.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> primary = kit.election("primary")
    >>> with primary.campaign("10.0.0.1:5432") as term:
    ...     kit.election("primary").leader().value, term.token == term.check()
    ('10.0.0.1:5432', True)
    >>> primary.leader() is None
    True
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, ttl: float
    ) -> None:
        """Made by `Kit.election`."""
        super().__init__(core, name, ttl)
        self._run = run

    @contextmanager
    def campaign(self, value: Any = None, *, timeout: float | None = None) -> Iterator[Term]:
        """Wait until this object leads, and lead for the time of the `with` block.

        value  what others get from `leader()`: any term, such as an address

        Raises TimeoutError if somebody else leads after `timeout` seconds. The end of the block
        raises LockLost if the term was lost inside of it.
        """
        term: Term = self._run(self.campaigning(value, deadline_of(True, timeout)))
        try:
            yield term
        except BaseException:
            with suppress(LockLost, NotApplied, OutcomeUnknown):  # the error of the block says more
                self.resign()
            raise
        self.resign()

    def resign(self) -> None:
        """Stop leading. Raises LockLost if the term was lost before; does nothing if it is over."""
        self._run(self.resigning())

    def proclaim(self, value: Any) -> None:
        """Change what this leader says of itself. Raises LockLost if it does not lead."""
        self._run(self.proclaiming(value))

    def leader(self) -> Elected | None:
        """Return who leads now; None if nobody does."""
        leader: Elected | None = self._run(self.looking())[1]
        return leader

    def observe(self) -> Iterator[Elected | None]:
        """Yield who leads now, and then each change, also of the leader's value; without end. The
        newest is never missed, one that was over soon may be.
        """
        index, leader = -1, None
        while True:
            index, leader = self._run(self.following(index, leader))
            yield leader

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Wait until this object leads, call `function(term, *args)`, resign, and return its
        result. The function has to look at `term.check()` or `term.lost`: nothing stops it.
        """
        with self.campaign() as term:
            return function(term, *args)


class AsyncElection(ElectionScripts):
    """An `Election` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, ttl: float
    ) -> None:
        """Made by `AsyncKit.election`."""
        super().__init__(core, name, ttl)
        self._run = run

    @asynccontextmanager
    async def campaign(
        self, value: Any = None, *, timeout: float | None = None
    ) -> AsyncIterator[Term]:
        """As `Election.campaign`."""
        term: Term = await self._run(self.campaigning(value, deadline_of(True, timeout)))
        try:
            yield term
        except BaseException:
            with suppress(LockLost, NotApplied, OutcomeUnknown):  # the error of the block says more
                await self.resign()
            raise
        await self.resign()

    async def resign(self) -> None:
        """As `Election.resign`."""
        await self._run(self.resigning())

    async def proclaim(self, value: Any) -> None:
        """As `Election.proclaim`."""
        await self._run(self.proclaiming(value))

    async def leader(self) -> Elected | None:
        """As `Election.leader`."""
        leader: Elected | None = (await self._run(self.looking()))[1]
        return leader

    async def observe(self) -> AsyncIterator[Elected | None]:
        """As `Election.observe`."""
        index, leader = -1, None
        while True:
            index, leader = await self._run(self.following(index, leader))
            yield leader

    async def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """As `Election.run`, with an async function."""
        async with self.campaign() as term:
            return await function(term, *args)
