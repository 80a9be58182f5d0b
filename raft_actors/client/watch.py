"""Watch: a stream of news that members send by parked calls, for the thread that reads it."""

import time
from collections.abc import Iterator
from math import inf
from typing import Generic, Protocol, Self, TypeVar

from raft_actors.client.parking import Wait, await_result
from raft_actors.errors import RaftError
from raft_actors.timeouts import seconds

__all__ = ["Watch", "WatchWait"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class WatchWait(Wait[T_co], Protocol[T_co]):
    """What a watch waits for, again and again."""

    def begin(self, now: float) -> None:
        """Called when a reader begins to wait: it may have been away for long."""


class Watch(Generic[T]):
    """One thread reads it; any may close it. Nothing runs while nobody reads it.

    _what  what it has news of, for error messages
    """

    _what = "change"

    def __init__(self, wait: WatchWait[T]) -> None:
        self._wait = wait

    def get(self, timeout: float | None = None) -> T:
        """Wait for the next news, and return them.

        Raises TimeoutError if there are none in time, RaftError if the watch is closed, NoNode if
        this process can't reach any member.
        """
        deadline = inf if timeout is None else time.monotonic() + seconds(timeout)
        parking = self._wait.parking
        parking.finder.check_node()
        self._wait.begin(time.monotonic())
        news = await_result(self._wait, deadline)
        if news is not None:
            return news
        if parking.closed:
            raise RaftError("this watch is closed: make a new one")
        raise TimeoutError(f"no {self._what} within {timeout} s")

    def close(self) -> None:
        """End the stream. A `get` that waits on another thread raises RaftError."""
        self._wait.parking.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self.get()
        except RaftError:
            if not self._wait.parking.closed:
                raise
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
