"""What the handles of a dict do, for threads and for asyncio."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from raft_actors import encoding
from raft_actors.kit.errors import Conflict
from raft_actors.kit.lease import Lease
from raft_actors.kit.script import Read, Script, Write
from raft_actors.timeouts import seconds

__all__ = ["DictScripts", "Entry"]

V = TypeVar("V")
ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A key's value, and when it was set.

    version  the index of the entry of the log that has set it; it rises with each change
    lease    the id of the lease with which the key ends; None for none
    """

    value: V
    version: int
    lease: int | None = None


def entry_of(item: tuple[bytes, int, int]) -> Entry[Any]:
    value, version, lease = item
    return Entry(encoding.loads(value), version, lease or None)


def value_of(item: tuple[bytes, int, int]) -> Any:
    return encoding.loads(item[0])


class DictScripts(Generic[V]):
    """The calls of one dict as scripts."""

    def __init__(self, name: str) -> None:
        self.name: str = name

    def entry(self, key: str, default: Any = ABSENT) -> Script[Any]:
        item = yield Read(("dict", "get", self.name, checked(key)))
        if item is None:
            return missing(key, default)
        return entry_of(item)

    def get(self, key: str, default: Any = ABSENT) -> Script[Any]:
        item = yield Read(("dict", "get", self.name, checked(key)))
        return missing(key, default) if item is None else value_of(item)

    def put(
        self, key: str, value: Any, if_version: int | None, if_absent: bool,
        lease: Lease | int | None, ttl: float | None,
    ) -> Script[int]:  # fmt: skip
        if if_absent and if_version not in (None, 0):
            raise ValueError("if_absent means if_version=0: leave out one of them")
        if lease is not None and ttl is not None:
            raise ValueError("a key ends with a lease or after a ttl: leave out one of them")
        done, found = yield Write((
            "dict", "put", self.name, checked(key), encoding.dumps(value, "value"),
            0 if if_absent else if_version, lease_id(lease), 0.0 if ttl is None else ttl_of(ttl),
        ))  # fmt: skip
        if not done:
            raise conflict(self.name, key, found)
        return int(found)

    def put_many(self, items: Iterable[tuple[str, Any]]) -> Script[None]:
        pairs = tuple((checked(key), encoding.dumps(value, "value")) for key, value in items)
        if pairs:
            yield Write(("dict", "put_many", self.name, *pairs))

    def remove(self, key: str, if_version: int | None = None) -> Script[Any]:
        """Remove a key, and return its value; ABSENT if it was not there."""
        done, item = yield Write(("dict", "remove", self.name, checked(key), if_version))
        if not done:
            raise conflict(self.name, key, item)
        return ABSENT if item is None else value_of(item)

    def pop(self, key: str, default: Any = ABSENT) -> Script[Any]:
        value = yield from self.remove(key)
        return missing(key, default) if value is ABSENT else value

    def delete(self, key: str) -> Script[None]:
        yield from self.pop(key)

    def setdefault(self, key: str, default: Any) -> Script[Any]:
        try:
            yield from self.put(key, default, None, True, None, None)
        except Conflict as error:
            return error.entry.value if error.entry is not None else default
        return default

    def remove_prefix(self, prefix: str) -> Script[int]:
        return int((yield Write(("dict", "remove_prefix", self.name, checked(prefix)))))

    def increment(self, key: str, by: int) -> Script[int]:
        return int((yield Write(("dict", "increment", self.name, checked(key), by))))

    def change(self, key: str, function: Callable[[Any], Any], tries: int) -> Script[Any]:
        """Read, compute, and write if nobody else has written meanwhile; else again."""
        item = yield Read(("dict", "get", self.name, checked(key)))
        for _ in range(tries):
            value = function(None if item is None else value_of(item))
            encoded = encoding.dumps(value, "value")
            done, item = yield Write((
                "dict", "put", self.name, key, encoded, 0 if item is None else item[1], 0, 0.0,
            ))  # fmt: skip
            if done:
                return value
        raise conflict(self.name, key, item)

    def count(self) -> Script[int]:
        return int((yield Read(("dict", "count", self.name))))

    def contains(self, key: object) -> Script[bool]:
        if type(key) is not str:
            return False
        return (yield Read(("dict", "get", self.name, key))) is not None

    def page(
        self, prefix: str, after: str | None, at: int
    ) -> Script[tuple[list[tuple[str, Any]], bool, int]]:
        """Return the next keys with their entries, whether there are more, and the entry of the log
        at which they were so.
        """
        found, more, at = yield Read(("dict", "page", self.name, checked(prefix), after, at))
        return [(key, entry_of(item)) for key, item in found], more, at

    def read_at(self, prefix: str) -> Script[tuple[dict[str, Any], int]]:
        """Return all values at one entry of the log, and the index of this entry."""
        whole: dict[str, Any] = {}
        after, more, at = None, True, 0
        while more:
            found, more, at = yield from self.page(prefix, after, at)
            whole.update((key, entry.value) for key, entry in found)
            after = found[-1][0] if found else after
        return whole, at


def checked(key: Any) -> str:
    if type(key) is not str:
        raise TypeError(f"a key of a dict is a text, not {key!r}")
    return key


def lease_id(lease: Lease | int | None) -> int:
    return lease.id if isinstance(lease, Lease) else lease or 0


def ttl_of(ttl: float) -> float:
    return float(seconds(ttl, "ttl"))


def missing(key: str, default: Any) -> Any:
    if default is ABSENT:
        raise KeyError(key)
    return default


def conflict(name: str, key: str, item: Any) -> Conflict:
    entry = None if item is None else entry_of(item)
    now = "is not there" if entry is None else f"has version {entry.version}"
    return Conflict(
        f"the key {key!r} of the dict {name!r} {now}: read it again, and decide anew", entry
    )
