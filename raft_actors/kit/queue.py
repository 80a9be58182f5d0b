"""Queue: jobs for workers, each done at least once, and seen to be done again if it is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from raft_actors.errors import in_text
from raft_actors.kit.claim import deadline_of
from raft_actors.kit.core import KitCore
from raft_actors.kit.errors import KitError
from raft_actors.kit.queues import Counts, DeadJob, QueueScripts, Taken
from raft_actors.kit.script import Script

__all__ = ["AsyncJob", "AsyncQueue", "Job", "Queue"]

T = TypeVar("T")
REASON_CHARACTERS = 1_000


class Job(Taken[T]):
    """A job that this worker has: end it with `ack`, `nack` or `fail`, or use it with `with`.

    `with queue.get() as job:` acknowledges the job at the end of the block, and gives it back if
    the block raises: then it is tried again a little later.
    """

    def __init__(
        self, scripts: QueueScripts, found: Any, run: Callable[[Script[Any]], Any]
    ) -> None:
        super().__init__(scripts, found)
        self._run = run
        self._ended = False

    def ack(self, result: Any = None) -> None:
        """Note that the job is done. `result` is for `Queue.result`.

        Raises KitError if another worker has got it since.
        """
        self._run(self._acking(result))
        self._ended = True

    def nack(self, delay: float | None = None, reason: str = "given back") -> None:
        """Give the job back, to be tried again in `delay` seconds: by default in 0.5 s, then in
        twice as long each time. After the last attempt it is dead.
        """
        self._run(self._nacking(delay, reason))
        self._ended = True

    def fail(self, reason: str) -> None:
        """Give the job up: it is dead, and not tried again."""
        self._run(self._failing(reason))
        self._ended = True

    def extend(self, time_s: float) -> None:
        """Keep the job for `time_s` seconds from now on."""
        self._run(self._extending(time_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: object) -> None:
        if self._ended:
            return
        if error is None:
            self.ack()
            return
        with suppress(KitError):  # another worker has it already
            self.nack(reason=reason_of(error))


class Queue(Generic[T]):
    """A queue of jobs in the group, with the calls of a `queue.Queue` for putting and getting.

    A worker takes a job and acknowledges it when it is done. If the worker dies, or does not end it
    within `visibility` seconds, another one gets it, with a higher `attempt`.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> mails = kit.queue("mails")
    >>> number = mails.put("to ann")
    >>> with mails.get() as job:
    ...     job.item, job.attempt
    ('to ann', 1)
    >>> mails.qsize()
    0
    """

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Any], name: str, maxsize: int,
        visibility: float, max_attempts: int, ttl: float,
    ) -> None:  # fmt: skip
        """Made by `Kit.queue`."""
        self._run = run
        self._scripts = QueueScripts(core, name, maxsize, visibility, max_attempts, ttl)
        self.name: str = name

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"

    def put(
        self, item: T, block: bool = True, timeout: float | None = None, *, priority: int = 0,
        delay: float = 0.0, key: str | None = None,
    ) -> int:  # fmt: skip
        """Add a job. Return its id; 0 if a job with this `key` is not done yet.

        priority  jobs with a higher one are taken first
        delay     it is ready in so many seconds

        Raises `queue.Full` if the queue has `maxsize` jobs that nobody has taken.
        """
        until = deadline_of(block, timeout)
        return int(self._run(self._scripts.putting(item, priority, delay, key, until)))

    def get(self, block: bool = True, timeout: float | None = None) -> Job[T]:
        """Take a job; wait for one, first come first served. Raises `queue.Empty`."""
        until = deadline_of(block, timeout)
        found = self._run(self._scripts.taking(until, waits=block))
        return Job(self._scripts, found, self._run)

    def __iter__(self) -> Iterator[Job[T]]:
        """Take one job after the other, for ever."""
        while True:
            yield self.get()

    def qsize(self) -> int:
        """Return how many jobs are ready."""
        return self.counts().ready

    def counts(self) -> Counts:
        """Return how many jobs there are in each state."""
        counts: Counts = self._run(self._scripts.counting())
        return counts

    def dead(self) -> list[DeadJob[T]]:
        """Return the jobs that are not tried any more, the oldest first; 1,000 at most."""
        found: list[DeadJob[T]] = self._run(self._scripts.dead())
        return found

    def retry_dead(self, job: int) -> bool:
        """Try a dead job again, with all its attempts. Return whether there was one."""
        return bool(self._run(self._scripts.retrying(job)))

    def result(self, job: int, timeout: float | None = None) -> Any:
        """Wait until a job is done, and return its result. The last 1,000 results are kept.

        Raises TimeoutError, and KitError for a job that was given up, or has no result.
        """
        return self._run(self._scripts.result(job, deadline_of(True, timeout)))


class AsyncJob(Taken[T]):
    """A `Job` whose calls are awaited."""

    def __init__(
        self, scripts: QueueScripts, found: Any, run: Callable[[Script[Any]], Awaitable[Any]]
    ) -> None:
        super().__init__(scripts, found)
        self._run = run
        self._ended = False

    async def ack(self, result: Any = None) -> None:
        """As `Job.ack`."""
        await self._run(self._acking(result))
        self._ended = True

    async def nack(self, delay: float | None = None, reason: str = "given back") -> None:
        """As `Job.nack`."""
        await self._run(self._nacking(delay, reason))
        self._ended = True

    async def fail(self, reason: str) -> None:
        """As `Job.fail`."""
        await self._run(self._failing(reason))
        self._ended = True

    async def extend(self, time_s: float) -> None:
        """As `Job.extend`."""
        await self._run(self._extending(time_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: object) -> None:
        if self._ended:
            return
        if error is None:
            await self.ack()
            return
        with suppress(KitError):  # another worker has it already
            await self.nack(reason=reason_of(error))


class AsyncQueue(Generic[T]):
    """A `Queue` whose calls are awaited."""

    def __init__(
        self, core: KitCore, run: Callable[[Script[Any]], Awaitable[Any]], name: str,
        maxsize: int, visibility: float, max_attempts: int, ttl: float,
    ) -> None:  # fmt: skip
        """Made by `AsyncKit.queue`."""
        self._run = run
        self._scripts = QueueScripts(core, name, maxsize, visibility, max_attempts, ttl)
        self.name: str = name

    def __repr__(self) -> str:
        return f"<AsyncQueue {self.name!r}>"

    async def put(
        self, item: T, block: bool = True, timeout: float | None = None, *, priority: int = 0,
        delay: float = 0.0, key: str | None = None,
    ) -> int:  # fmt: skip
        """As `Queue.put`."""
        until = deadline_of(block, timeout)
        return int(await self._run(self._scripts.putting(item, priority, delay, key, until)))

    async def get(self, block: bool = True, timeout: float | None = None) -> AsyncJob[T]:
        """As `Queue.get`."""
        until = deadline_of(block, timeout)
        found = await self._run(self._scripts.taking(until, waits=block))
        return AsyncJob(self._scripts, found, self._run)

    async def __aiter__(self) -> AsyncIterator[AsyncJob[T]]:
        """As `Queue.__iter__`."""
        while True:
            yield await self.get()

    async def counts(self) -> Counts:
        """As `Queue.counts`."""
        counts: Counts = await self._run(self._scripts.counting())
        return counts

    async def dead(self) -> list[DeadJob[T]]:
        """As `Queue.dead`."""
        found: list[DeadJob[T]] = await self._run(self._scripts.dead())
        return found

    async def retry_dead(self, job: int) -> bool:
        """As `Queue.retry_dead`."""
        return bool(await self._run(self._scripts.retrying(job)))

    async def result(self, job: int, timeout: float | None = None) -> Any:
        """As `Queue.result`."""
        return await self._run(self._scripts.result(job, deadline_of(True, timeout)))


def reason_of(error: BaseException) -> str:
    name, text = in_text(error)
    return f"{name}: {text}"[:REASON_CHARACTERS]
