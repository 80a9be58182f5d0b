"""Claims: how an object gets what one holder, or some, may have, and gives it back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

from raft_actors.errors import NotApplied, OutcomeUnknown, Unavailable
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LeaseLost, LockLost
from raft_actors.kit.lease import Lease
from raft_actors.kit.machine.grants import topic_of
from raft_actors.kit.script import News, Read, Script, Write
from raft_actors.timeouts import seconds

__all__ = ["Claim", "Claims", "Place", "deadline_of", "not_instead_of", "request_s", "turn"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed.

    kind       of the object, as the members call it
    words      what it is for people: "the lock 'a'"
    arguments  of its command "acquire", after those that each claim has
    """

    kind: str
    words: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What an object has while it holds its claim.

    callbacks  what is called when the claim ends, and how to take each out of the lease, which may
               last longer
    """

    holder: str
    token: int
    lease: Lease
    callbacks: list[tuple[Callable[[], None], Callable[[], None]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one that waits.

    words  of what it waits for, for people
    topic  what is published when it gets it
    look   the query that returns what it has got, and whether it still waits
    leave  the command that gives up the place
    """

    words: str
    topic: str
    look: tuple[Any, ...]
    leave: tuple[Any, ...]


class Claims:
    """Gets a claim, and gives it back: what `Lock`, `AsyncLock` and others do."""

    def __init__(self, core: KitCore, name: str, ttl: float, claim: Claim) -> None:
        self._core = core
        self._claim = claim
        self.name: str = name
        self.ttl: float = float(seconds(ttl, "ttl"))
        self._held: Held | None = None
        self._token: int = 0

    def __repr__(self) -> str:
        held = self._held
        state = "not held here" if held is None else f"held here with token {held.token}"
        return f"<{type(self).__name__} {self.name!r}: {state}>"

    @property
    def owned(self) -> bool:
        """Whether this object holds the lock, and is sure to hold it at this moment."""
        return self._held is not None and self._held.lease.alive

    @property
    def token(self) -> int:
        """The fencing token of the present or last hold of this object; 0 before the first."""
        return self._token

    def check(self) -> int:
        """Return the fencing token if the lock is held at this moment. Call it before each change
        of what the lock protects.

        Raises LockLost. Nothing is sent.
        """
        held = self._held
        if held is None:
            raise LockLost(f"{self._claim.words} is not held here: acquire it")
        if not held.lease.alive:
            raise LockLost(
                f"{self._claim.words} was lost: its lease was not kept alive for {self.ttl} s, "
                "because this process was paused or could not reach the group; acquire it again"
            )
        return held.token

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the lock that is held now is lost or released. See `Lease.on_lost`.

        Raises LockLost if it is not held.
        """
        self.check()
        assert self._held is not None
        take_out = self._held.lease.on_lost(callback)
        self._held.callbacks.append((callback, take_out))

    def acquiring(self, until: float, *, waits: bool) -> Script[bool]:
        if self._held is not None and self._held.lease.alive:
            raise RuntimeError(
                f"this object holds {self._claim.words} already; for another holder make "
                "another object"
            )
        self._held = None
        try:
            while True:
                lease = yield from self._core.shared(self.ttl, request_s(until))
                try:
                    self._held = yield from self.attempt(lease, until, waits=waits)
                except LeaseLost:
                    self._core.leases.end(lease)
                    if time.monotonic() < until:
                        continue
                if self._held is None:
                    return False
                self._token = self._held.token
                return True
        except OutcomeUnknown as error:
            raise Unavailable(
                f"{self._claim.words} can't be acquired: the group does not answer; if it has "
                "granted it, this kit gives it back"
            ) from error

    def attempt(self, lease: Lease, until: float, *, waits: bool) -> Script[Held | None]:
        """Try with one lease. Return None if the time is over or the lock is taken."""
        holder = self._core.new_holder()
        try:
            token = yield from self.token_for(holder, lease, until, waits=waits)
        except LeaseLost:
            raise
        except BaseException as error:
            self.give_back(holder, error)
            raise
        return Held(holder, token, lease) if token else None

    def token_for(self, holder: str, lease: Lease, until: float, *, waits: bool) -> Script[int]:
        """Return the token of a new holder, or 0."""
        kind = self._claim.kind
        acquire = (kind, "acquire", self.name, lease.id, holder, waits, *self._claim.arguments)
        granted = yield Write(acquire, request_s(until))
        if granted is None:
            return 0
        token, after = granted
        if not token:
            place = Place(
                self._claim.words, topic_of(kind, self.name, holder),
                (kind, "token_of", self.name, holder), (kind, "release", self.name, holder),
            )  # fmt: skip
            token = yield from turn(place, lease, after, until)
        return int(token or 0)

    def give_back(self, holder: str, error: BaseException | None = None) -> None:
        """Have the kit give up the claim or the place in the queue, as soon as the group can be
        reached.
        """
        self._core.owe_command((self._claim.kind, "release", self.name, holder), error)

    def releasing(self) -> Script[None]:
        held, self._held = self._held, None
        if held is None:
            raise RuntimeError(f"{self._claim.words} is not held here")
        for callback, take_out in held.callbacks:
            take_out()
            callback()
        try:
            had = yield Write((self._claim.kind, "release", self.name, held.holder))
        except (NotApplied, OutcomeUnknown):
            self.give_back(held.holder)
            raise
        if not had:
            raise LockLost(
                f"{self._claim.words} was lost before its release: it was taken away, or its "
                "lease had ended; what was done under it may overlap with another holder's work"
            )

    def anybody(self) -> Script[bool]:
        """Whether anybody has anything of the object."""
        return bool((yield Read((self._claim.kind, "info", self.name)))[1])


@contextmanager
def not_instead_of(error: BaseException | None) -> Iterator[None]:
    """At the end of a `with` block that ends by `error`: an end of the claim that fails does not
    take the place of it.
    """
    try:
        yield
    except (LockLost, NotApplied, OutcomeUnknown):
        if error is None:
            raise


def turn(place: Place, lease: Lease, after: int, until: float) -> Script[Any]:
    """Wait for one's turn, from the entry `after` on. Return what was got, or None if the time is
    over. Raises LeaseLost if the place was lost.
    """
    while True:
        if time.monotonic() >= until:
            yield Write(place.leave)
            return None
        # A lease that is lost meanwhile needs another look.
        wake_at = min(until, time.monotonic() + max(lease.remaining(), 0.01))
        after = (yield News(place.topic, after, wake_at)) or after
        found, is_waiting = yield Read(place.look)
        if found:
            return found
        if not is_waiting:
            raise LeaseLost(f"the place in the queue of {place.words} was lost")


def request_s(until: float) -> float | None:
    """Return the timeout of a request, for a call with this deadline; None: that of the kit."""
    left = until - time.monotonic()
    return left if 0.0 < left < inf else None


def deadline_of(blocking: bool, timeout: float | None) -> float:
    if timeout is None or timeout == -1:
        return inf if blocking else time.monotonic()
    if not blocking:
        raise ValueError("a timeout of a call that does not block has no meaning")
    return time.monotonic() + seconds(timeout)
