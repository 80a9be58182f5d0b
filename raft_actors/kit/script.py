"""Scripts: what an object of a kit does, written once, for threads and for asyncio.

A script is a generator. It yields requests, gets their results, and returns its own result. `run`
does the requests on the caller's thread, `run_async` on a loop.
"""

import asyncio
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from raft_actors.async_cluster import AsyncCluster
from raft_actors.cluster import Cluster
from raft_actors.core.entry import RequestId
from raft_actors.errors import NotApplied
from raft_actors.kit.errors import raise_refusal

__all__ = ["News", "Read", "Request", "Script", "Settle", "Write", "outcome", "run", "run_async"]


@dataclass(frozen=True, slots=True)
class Write:
    """Have the group run a command, and return its reply."""

    command: tuple[Any, ...]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Ask the group: a linearizable read."""

    query: tuple[Any, ...]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class News:
    """Wait until a command after the entry `after` publishes `topic`, or until `until` on the
    monotonic clock. Return the entry up to which everything is known then; 0 if none has.

    is_prefix  any topic that begins with `topic`
    """

    topic: str
    after: int
    until: float = inf
    is_prefix: bool = False

    def wanted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the topics and the prefixes to watch."""
        return ((), (self.topic,)) if self.is_prefix else ((self.topic,), ())

    def left_s(self) -> float | None:
        """Return for how many seconds to wait; None for ever."""
        return None if self.until == inf else max(0.0, self.until - time.monotonic())


@dataclass(frozen=True, slots=True)
class Settle:
    """Have a command whose outcome is unknown run now or never. Return whether it has run."""

    request_id: RequestId


Request = Write | Read | News | Settle
T = TypeVar("T")
Script = Generator[Request, Any, T]


def outcome(request: tuple[Any, ...], answer: Any) -> Any:
    """Return the reply in an answer of `Batteries` to a command or a query. Raises what a refusal
    means.
    """
    match answer:
        case ("ok", reply):
            return reply
        case ("refused", reason):
            raise_refusal(f"the {request[0]} {request[2]!r}", reason)
    raise TypeError(
        f"the group answered {answer!r}: its machine is not Batteries; give a Kit the members of a "
        "group that runs Batteries"
    )


def run(cluster: Cluster, script: Script[T]) -> T:
    """Do what the script asks for, on this thread. An exception of a request, also Ctrl-C, is
    raised in the script, which may have to take something back.
    """
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = script.send(result) if error is None else script.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        result, error = None, None
        try:
            result = done(cluster, request)
        except BaseException as caught:
            error = caught


def done(cluster: Cluster, request: Request) -> Any:
    match request:
        case Write(command, timeout):
            return outcome(command, cluster.write(command, timeout))
        case Read(query, timeout):
            return outcome(query, cluster.read(query, timeout))
        case Settle(request_id):
            try:
                cluster.outcome(request_id)
            except NotApplied:
                return False
            return True
        case News():
            topics, prefixes = request.wanted()
            watching = cluster.watch_topics(*topics, prefixes=prefixes, after=request.after)
            with watching as watch, suppress(TimeoutError):
                return watch.get(request.left_s()).index
            return 0


async def run_async(cluster: AsyncCluster, script: Script[T]) -> T:
    """As `run`, on a loop. A cancellation is raised in the script too."""
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = script.send(result) if error is None else script.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        result, error = None, None
        try:
            result = await done_async(cluster, request)
        except BaseException as caught:
            error = caught


async def done_async(cluster: AsyncCluster, request: Request) -> Any:
    match request:
        case Write(command, timeout):
            return outcome(command, await cluster.write(command, timeout))
        case Read(query, timeout):
            return outcome(query, await cluster.read(query, timeout))
        case Settle(request_id):
            try:
                await cluster.outcome(request_id)
            except NotApplied:
                return False
            return True
        case News():
            topics, prefixes = request.wanted()
            watching = cluster.watch_topics(*topics, prefixes=prefixes, after=request.after)
            async with watching as watch:
                with suppress(TimeoutError):
                    return (await asyncio.wait_for(anext(watch), request.left_s())).index
            return 0
