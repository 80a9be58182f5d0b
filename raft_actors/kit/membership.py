"""Membership: who is there, each with a value."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from math import inf
from types import TracebackType
from typing import Any

from raft_actors import encoding
from raft_actors.errors import NotApplied, OutcomeUnknown
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import LeaseLost
from raft_actors.kit.lease import Lease
from raft_actors.kit.machine.members import topic_of
from raft_actors.kit.script import News, Read, Script, Write

__all__ = ["AsyncMembership", "Membership"]

Members = dict[str, Any]


class MembershipScripts:
    """What `Membership` and `AsyncMembership` do.

    id  the name of this member; "" before it has joined
    """

    def __init__(self, core: KitCore, name: str, value: Any, ttl: float) -> None:
        self._core = core
        self._lease: Lease | None = None
        self._value = encoding.dumps(value, "value")
        self.name: str = name
        self.ttl: float = ttl
        self.id: str = ""

    def __repr__(self) -> str:
        state = f"joined as {self.id}" if self.joined else "not joined"
        return f"<{type(self).__name__} {self.name!r}: {state}>"

    @property
    def joined(self) -> bool:
        """Whether this object is a member, and is sure to be one at this moment."""
        return self._lease is not None and self._lease.alive

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this process could not keep the membership alive: join again. See
        `Lease.on_lost`. Raises LeaseLost if it has not joined.
        """
        if self._lease is None:
            raise LeaseLost(f"this object is no member of {self.name!r}: join")
        self._lease.on_lost(callback)

    def joining(self) -> Script[str]:
        if self.joined:
            return self.id
        while True:
            lease = yield from self._core.shared(self.ttl)
            member = self._core.new_holder()
            try:
                yield Write(("members", "join", self.name, lease.id, member, self._value))
            except LeaseLost:
                self._core.leases.end(lease)
                continue
            except BaseException as error:
                self._core.owe_command(("members", "leave", self.name, member), error)
                raise
            self._lease, self.id = lease, member
            return member

    def leaving(self) -> Script[bool]:
        member, self.id, self._lease = self.id, "", None
        if not member:
            return False
        leave = ("members", "leave", self.name, member)
        try:
            return bool((yield Write(leave)))
        except (NotApplied, OutcomeUnknown) as error:
            self._core.owe_command(leave, error)
            raise

    def looking(self) -> Script[tuple[int, Members]]:
        index, members = yield Read(("members", "members", self.name))
        return index, {member: encoding.loads(value) for member, value in members}

    def following(self, index: int, known: Members) -> Script[tuple[int, Members]]:
        """Wait until the members are others than `known`. An index of -1: return those of now."""
        is_first = index < 0
        while True:
            if not is_first:
                yield News(topic_of(self.name), index, inf)
            index, members = yield from self.looking()
            if is_first or members != known:
                return index, members


class Membership(MembershipScripts):
    """Programs that are there at the moment, each with a value, such as its address.

    A member whose process ends goes within `ttl` seconds.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> workers = kit.membership("workers", "10.0.0.1:8000")
    >>> with workers:
    ...     list(workers.members().values())
    ['10.0.0.1:8000']
    >>> workers.members()
    {}
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, value: Any, ttl: float
    ) -> None:
        """Made by `Kit.membership`."""
        super().__init__(core, name, value, ttl)
        self._run = run

    def join(self) -> str:
        """Become a member, and return its id. A member that was lost joins with a new id."""
        return str(self._run(self.joining()))

    def leave(self) -> bool:
        """Stop being a member. Return whether this object was one."""
        return bool(self._run(self.leaving()))

    def members(self) -> dict[str, Any]:
        """Return the values of the members by their ids, in the order in which they came."""
        members: Members = self._run(self.looking())[1]
        return members

    def watch(self) -> Iterator[dict[str, Any]]:
        """Yield the members of now, and then those after each change; without end. Changes that
        come close to each other may come as one.
        """
        index: int = -1
        members: Members = {}
        while True:
            index, members = self._run(self.following(index, members))
            yield members

    def __enter__(self) -> str:
        return self.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            self.leave()
        except (NotApplied, OutcomeUnknown):
            if error is None:
                raise


class AsyncMembership(MembershipScripts):
    """A `Membership` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str, value: Any,
        ttl: float,
    ) -> None:  # fmt: skip
        """Made by `AsyncKit.membership`."""
        super().__init__(core, name, value, ttl)
        self._run = run

    async def join(self) -> str:
        """As `Membership.join`."""
        return str(await self._run(self.joining()))

    async def leave(self) -> bool:
        """As `Membership.leave`."""
        return bool(await self._run(self.leaving()))

    async def members(self) -> dict[str, Any]:
        """As `Membership.members`."""
        members: Members = (await self._run(self.looking()))[1]
        return members

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """As `Membership.watch`."""
        index: int = -1
        members: Members = {}
        while True:
            index, members = await self._run(self.following(index, members))
            yield members

    async def __aenter__(self) -> str:
        return await self.join()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            await self.leave()
        except (NotApplied, OutcomeUnknown):
            if error is None:
                raise
