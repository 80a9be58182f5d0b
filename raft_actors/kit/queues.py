"""What the handles of a queue do, for threads and for asyncio."""

import queue
import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from raft_actors import encoding
from raft_actors.kit.claim import Place, request_s, turn
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import KitError, LeaseLost
from raft_actors.kit.machine.queues import result_topic, room_topic, topic_of
from raft_actors.kit.script import News, Read, Script, Write
from raft_actors.timeouts import seconds

__all__ = ["Counts", "DeadJob", "QueueScripts", "Taken"]

T = TypeVar("T")
BACKOFF_S, BACKOFF_S_MAX = 0.5, 60.0
"""A job that has failed is tried again after BACKOFF_S, then after twice as long each time."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs a queue has: ready to be taken, to be ready later, taken, and given up."""

    ready: int
    delayed: int
    taken: int
    dead: int


@dataclass(frozen=True, slots=True)
class DeadJob(Generic[T]):
    """A job that is not tried any more: `Queue.retry_dead` begins anew with it.

    reason  the text of the last failure
    """

    id: int
    item: T
    attempts: int
    reason: str


class Taken(Generic[T]):
    """A job that a worker has.

    id       the index of the entry that has put it
    item     what was put
    attempt  1 the first time; higher: it may have been done before, at least in part
    token    a fencing token, higher with each attempt: see docs/locks.md
    """

    def __init__(self, scripts: "QueueScripts", found: tuple[int, bytes, int, int]) -> None:
        job, value, attempt, token = found
        self.id: int = job
        self.item: T = encoding.loads(value)
        self.attempt: int = attempt
        self.token: int = token
        self._scripts = scripts

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}, attempt {self.attempt}: {self.item!r}>"

    def _acking(self, result: Any) -> Script[None]:
        encoded = None if result is None else encoding.dumps(result, "result")
        yield Write(("queue", "ack", self._scripts.name, self.id, self.token, encoded))

    def _nacking(self, delay: float | None, reason: str) -> Script[None]:
        wait_s = self._backoff_s() if delay is None else float(seconds(delay, "delay"))
        yield Write(("queue", "nack", self._scripts.name, self.id, self.token, wait_s, reason))

    def _failing(self, reason: str) -> Script[None]:
        yield Write(("queue", "fail", self._scripts.name, self.id, self.token, reason))

    def _extending(self, time_s: float) -> Script[None]:
        visible_s = float(seconds(time_s, "the time"))
        yield Write(("queue", "extend", self._scripts.name, self.id, self.token, visible_s))

    def _backoff_s(self) -> float:
        return float(min(BACKOFF_S * 2.0 ** min(self.attempt - 1, 30), BACKOFF_S_MAX))


class QueueScripts:
    """The calls of one queue as scripts."""

    def __init__(
        self, core: KitCore, name: str, maxsize: int, visibility: float, max_attempts: int,
        ttl: float,
    ) -> None:  # fmt: skip
        self.core: KitCore = core
        self.name: str = name
        self.maxsize: int = maxsize
        self.visibility: float = float(seconds(visibility, "visibility"))
        self.max_attempts: int = max_attempts
        self.ttl: float = ttl

    def putting(
        self, item: Any, priority: int, delay: float, key: str | None, until: float
    ) -> Script[int]:
        """Put a job. While the queue is full, wait until a job is taken, and try again."""
        value = encoding.dumps(item, "item")
        delay_s = float(seconds(delay, "delay"))
        while True:
            answer, job = yield Write(
                ("queue", "put", self.name, value, priority, delay_s, key or "",
                 self.max_attempts, self.maxsize),
                request_s(until),
            )  # fmt: skip
            if answer != "full":
                return int(job) if answer == "ok" else 0
            if time.monotonic() >= until:
                raise queue.Full(f"the queue {self.name!r} has {self.maxsize} jobs")
            yield News(room_topic(self.name), job, until)

    def taking(self, until: float, *, waits: bool) -> Script[tuple[int, bytes, int, int]]:
        while True:
            lease = yield from self.core.shared(self.ttl, request_s(until))
            worker = self.core.new_holder()
            try:
                found = yield from self.job_for(worker, lease, until, waits=waits)
            except LeaseLost:
                self.core.leases.end(lease)
                if time.monotonic() < until:
                    continue
                found = None
            except BaseException as error:
                self.core.owe_command(("queue", "leave", self.name, worker), error)
                raise
            if found is None:
                raise queue.Empty(f"the queue {self.name!r} has no job that is ready")
            job, value, attempt, token = found
            return job, value, attempt, token

    def job_for(self, worker: str, lease: Any, until: float, *, waits: bool) -> Script[Any]:
        command = ("queue", "take", self.name, lease.id, worker, self.visibility, waits)
        found, after = yield Write(command, request_s(until))
        if found is not None or not waits:
            return found
        place = Place(
            f"the queue {self.name!r}", topic_of(self.name, worker),
            ("queue", "look", self.name, worker), ("queue", "leave", self.name, worker),
        )  # fmt: skip
        return (yield from turn(place, lease, after, until))

    def counting(self) -> Script[Counts]:
        return Counts(*(yield Read(("queue", "counts", self.name))))

    def dead(self) -> Script[list[DeadJob[Any]]]:
        found = yield Read(("queue", "dead", self.name))
        return [
            DeadJob(job, encoding.loads(value), attempts, reason)
            for job, value, attempts, reason in found
        ]

    def retrying(self, job: int) -> Script[bool]:
        return bool((yield Write(("queue", "retry_dead", self.name, job))))

    def result(self, job: int, until: float) -> Script[Any]:
        """Wait for the result of a job."""
        after = 0
        while True:
            state, value = yield Read(("queue", "result", self.name, job))
            if state == "done":
                return encoding.loads(value)
            if state in {"", "dead"}:
                raise KitError(
                    f"the job {job} of the queue {self.name!r} "
                    + ("was given up: see `dead()`" if state else "is done and has no result here")
                )
            if time.monotonic() >= until:
                raise TimeoutError(f"the job {job} of the queue {self.name!r} is not done yet")
            after = (yield News(result_topic(job), after, until)) or after
