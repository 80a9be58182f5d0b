"""Crowd: strangers with little time, and not many of them at once."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from raft_actors.reactor import Reactor

__all__ = ["Crowd"]

T = TypeVar("T")


class Crowd(Generic[T]):
    """Holds each member until it is removed or its time is up; then `drop(member, why)` is called.

    One more than `count_max` drops the oldest: who is in earnest is gone by then.
    """

    def __init__(
        self,
        reactor: Reactor,
        drop: Callable[[T, str], None],
        *,
        count_max: int,
        patience_s: float,
    ) -> None:
        self._reactor = reactor
        self._drop = drop
        self._count_max = count_max
        self._patience_s = patience_s
        self._due: dict[T, float] = {}  # in order, since all have the same time
        self._timer_set = False

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._due))

    def __contains__(self, member: T) -> bool:
        return member in self._due

    def add(self, member: T) -> None:
        if len(self._due) >= self._count_max:
            self._end(next(iter(self._due)), "too many strangers at once")
        self._due[member] = self._reactor.now + self._patience_s
        self._set_timer()

    def remove(self, member: T) -> None:
        self._due.pop(member, None)

    def _set_timer(self) -> None:
        if self._due and not self._timer_set:
            self._timer_set = True
            due = next(iter(self._due.values()))
            self._reactor.after(due - self._reactor.now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer_set = False
        for member, due in tuple(self._due.items()):
            if due > self._reactor.now:
                break
            self._end(member, f"no handshake within {self._patience_s:g} s")
        self._set_timer()

    def _end(self, member: T, why: str) -> None:
        del self._due[member]
        self._drop(member, why)
