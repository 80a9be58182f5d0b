"""Flag: something that has happened, and those that wait for it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from raft_actors.kit.claim import deadline_of
from raft_actors.kit.machine.flags import topic_of
from raft_actors.kit.script import News, Read, Script, Write

__all__ = ["AsyncFlag", "Flag"]


def changing(name: str, verb: str) -> Script[bool]:
    return bool((yield Write(("flag", verb, name))))


def looking(name: str) -> Script[bool]:
    return bool((yield Read(("flag", "is_set", name)))[1])


def waiting(name: str, until: float) -> Script[bool]:
    while True:
        index, is_set = yield Read(("flag", "is_set", name))
        if is_set or time.monotonic() >= until:
            return bool(is_set)
        yield News(topic_of(name), index, until)


class Flag:
    """A flag of the whole group, like a `threading.Event`. It stays until it is cleared, also when
    the one that has set it ends.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> kit = Kit(Raft.test_cluster(Batteries))
    >>> migrated = kit.flag("migrated")
    >>> migrated.wait(timeout=0.01), migrated.set(), migrated.wait()
    (False, True, True)
    """

    def __init__(self, run: Callable[[Script[Any]], Any], name: str) -> None:
        """Made by `Kit.flag`."""
        self.name: str = name
        self._run = run

    def set(self) -> bool:
        """Set the flag. Return whether it was not set before."""
        return bool(self._run(changing(self.name, "set")))

    def clear(self) -> bool:
        """Clear the flag. Return whether it was set before."""
        return bool(self._run(changing(self.name, "clear")))

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return bool(self._run(looking(self.name)))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, at most `timeout` seconds. Return whether it is.

        A flag that is set and cleared again at once may not be noticed.
        """
        return bool(self._run(waiting(self.name, deadline_of(True, timeout))))


class AsyncFlag:
    """A `Flag` whose calls are awaited."""

    def __init__(self, run: Callable[[Script[Any]], Awaitable[Any]], name: str) -> None:
        """Made by `AsyncKit.flag`."""
        self.name: str = name
        self._run = run

    async def set(self) -> bool:
        """As `Flag.set`."""
        return bool(await self._run(changing(self.name, "set")))

    async def clear(self) -> bool:
        """As `Flag.clear`."""
        return bool(await self._run(changing(self.name, "clear")))

    async def is_set(self) -> bool:
        """As `Flag.is_set`."""
        return bool(await self._run(looking(self.name)))

    async def wait(self, timeout: float | None = None) -> bool:
        """As `Flag.wait`."""
        return bool(await self._run(waiting(self.name, deadline_of(True, timeout))))
