"""Dicts on the replicas: values by keys, each with the index of its last change as its version.

A value is the bytes that a client made of it. A key is a text.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Any

from raft_actors import encoding
from raft_actors.effects import Notify
from raft_actors.kit.machine import history, leases
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["KEY_BYTES_MAX", "kind", "topic_of"]

KEY_BYTES_MAX = 4096
TOPIC_BYTES_MAX = 512
PAGE_MAX = 1_000
Item = tuple[bytes, int, int]
"""Value, version, and lease; the lease is 0 for none."""


def topic_of(name: str, key: str) -> str:
    """Return the topic of a key, or of all keys that begin so. A long one is cut off: who waits for
    it is told of more keys than it wants, and looks at the history for its own.
    """
    return f"dict {name}\0{key}".encode()[:TOPIC_BYTES_MAX].decode(errors="ignore")


# Commands.


def put(
    step: Step, name: str, key: str, value: bytes, if_version: int | None, lease: int, ttl_s: float
) -> tuple[bool, Any]:
    """Set a key. Return (True, version), or (False, the present item) if the key does not have the
    version `if_version`: 0 for a key that must not be there, None for any.

    lease  the key is removed when this lease ends; 0 for none
    ttl_s  the key is removed in so many seconds; 0.0 for never
    """
    check_key(key)
    check_value(value)
    now = step.tables.look("dict", name).get(key)
    if if_version is not None and version_of(now) != if_version:
        return False, now
    if lease:
        leases.check(step.tables, lease)
    if ttl_s:
        leases.check_time(ttl_s)
        lease = leases.grant(step, "", ttl_s)
    change(step, name, key, (value, step.index, lease))
    return True, step.index


def put_many(step: Step, name: str, *pairs: tuple[str, bytes]) -> int:
    for key, value in pairs:
        check_key(key)
        check_value(value)
    for key, value in pairs:
        change(step, name, key, (value, step.index, 0))
    return step.index


def remove(step: Step, name: str, key: str, if_version: int | None) -> tuple[bool, Any]:
    """Remove a key. Return (True, the item it had), or (False, the item it has) if it does not have
    the version `if_version`. The item is None for a key that is not there.
    """
    now = step.tables.look("dict", name).get(key)
    if if_version is not None and version_of(now) != if_version:
        return False, now
    if now is not None:
        change(step, name, key, None)
    return True, now


def remove_prefix(step: Step, name: str, prefix: str) -> int:
    """Remove all keys that begin with `prefix`. Return how many."""
    keys = [*keys_from(step.tables, name, prefix, None)]
    for key in keys:
        change(step, name, key, None)
    return len(keys)


def increment(step: Step, name: str, key: str, by: int) -> int:
    """Add `by` to a number; a key that is not there has 0. The key keeps its lease."""
    check_key(key)
    now = step.tables.look("dict", name).get(key)
    number = 0 if now is None else number_in(now[0])
    if type(by) is not int:
        raise Refused("bad_argument", f"a number is incremented by a whole number, not {by!r}")
    value = encoding.dumps(number + by, "value")
    change(step, name, key, (value, step.index, 0 if now is None else now[2]))
    return number + by


def transact(
    step: Step, _name: str, reads: tuple[Any, ...], writes: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    """Do all writes if everything that was read still has the version that was read. Return None,
    or (name, key) of the first that has another one.

    reads   (name, key, version) each
    writes  (name, key, value) each; the value None removes the key
    """
    for name, key, value in writes:
        check_name(name)
        check_key(key)
        if value is not None:
            check_value(value)
    for name, key, version in reads:
        if version_of(step.tables.look("dict", name).get(key)) != version:
            return name, key
    for name, key, value in writes:
        if value is not None:
            change(step, name, key, (value, step.index, 0))
        elif key in step.tables.look("dict", name):
            change(step, name, key, None)
    return None


def release(step: Step, name: str, key: str) -> None:
    """Remove a key whose lease has ended."""
    change(step, name, key, None)


def change(step: Step, name: str, key: str, item: Item | None) -> None:
    """Give `key` an item, or remove it."""
    table = step.tables.change("dict", name)
    old = table.get(key)
    if old is not None and old[2] and (item is None or item[2] != old[2]):
        leases.unhang(step, old[2], "dict", name, key)
        if old[2] == old[1]:  # the lease was made for this item alone
            leases.forget(step, old[2])
    order = step.tables.orders.get(("dict", name))
    if item is None:
        if order is not None:
            del order[bisect_left(order, key)]
        del table[key]
    else:
        if old is None and order is not None:
            insort(order, key)
        table[key] = item
        if item[2]:
            leases.hang(step, item[2], "dict", name, key)
    history.note(step, "dict", name, key, item, old)
    step.effects.append(Notify(topic_of(name, key)))


# Queries.


def get(tables: Tables, name: str, key: str) -> Item | None:
    item: Item | None = tables.look("dict", name).get(key)
    return item


def count(tables: Tables, name: str) -> int:
    return len(tables.look("dict", name))


def page(
    tables: Tables, name: str, prefix: str, after: str | None, at: int
) -> tuple[tuple[tuple[str, Item], ...], bool, int]:
    """Return the next keys after `after`, or the first ones, that begin with `prefix`, in their
    order, with their items as they were at the entry `at` (0: as they are now); whether there are
    more; and the entry to ask for the next page of.

    Raises Refused if the changes since `at` were forgotten.
    """
    before = history.changed_since(tables, "dict", name, at) if at else {}
    table = tables.look("dict", name)
    gone = sorted(
        key
        for key in before.keys() - table.keys()
        if key.startswith(prefix) and (after is None or key > after)
    )
    found: list[tuple[str, Item]] = []
    for key in merged(keys_from(tables, name, prefix, after), gone):
        item = before[key] if key in before else table[key]
        if item is not None:
            if len(found) == PAGE_MAX:
                return tuple(found), True, at or tables.index
            found.append((key, item))
    return tuple(found), False, at or tables.index


def events(
    tables: Tables, name: str, prefix: str, after: int
) -> tuple[tuple[tuple[Any, ...], ...], int]:
    """Return (index, key, new item, old item) of the next changes after the entry `after` of keys
    that begin with `prefix`, and the entry up to which these are all. Raises Refused if some were
    forgotten.
    """
    changes = history.since(tables, "dict", name, after)
    found = [change for change in changes if change[1].startswith(prefix)]
    if len(found) <= PAGE_MAX:
        return tuple(found), tables.index
    last = found[PAGE_MAX][0]  # those of one command come together
    return tuple(each for each in found if each[0] <= last), last


def keys_from(tables: Tables, name: str, prefix: str, after: str | None) -> Any:
    """Yield the keys after `after`, or from the first one on, that begin with `prefix`, in their
    order.
    """
    order = tables.orders.get(("dict", name))
    if order is None:
        order = tables.orders["dict", name] = sorted(tables.look("dict", name))
    start = max(bisect_left(order, prefix), 0 if after is None else bisect_right(order, after))
    for place in range(start, len(order)):
        if not order[place].startswith(prefix):
            return
        yield order[place]


def merged(first: Any, second: list[str]) -> Any:
    """Yield the keys of both, in their order."""
    waiting = iter(second)
    other = next(waiting, None)
    for key in first:
        while other is not None and other < key:
            yield other
            other = next(waiting, None)
        yield key
    while other is not None:
        yield other
        other = next(waiting, None)


def version_of(item: Item | None) -> int:
    return 0 if item is None else item[1]


def number_in(value: bytes) -> int:
    number = encoding.loads_stored(value) if len(value) < KEY_BYTES_MAX else None
    if type(number) is not int:
        raise Refused("bad_argument", "the value of this key is no whole number: set it to one")
    return number


def check_name(name: Any) -> None:
    if type(name) is not str or len(name.encode()) > 256:
        raise Refused("bad_argument", "a name is a text of at most 256 bytes")


def check_key(key: Any) -> None:
    if type(key) is not str or len(key.encode()) > KEY_BYTES_MAX:
        raise Refused("bad_argument", f"a key is a text of at most {KEY_BYTES_MAX} bytes")


def check_value(value: Any) -> None:
    if type(value) is not bytes:
        raise Refused("bad_argument", "a value is the bytes that a kit has made of it")


kind: Kind = Kind(
    verbs={"put": put, "put_many": put_many, "remove": remove, "remove_prefix": remove_prefix,
           "increment": increment, "transact": transact},
    queries={"get": get, "count": count, "page": page, "events": events},
    release=release,
)  # fmt: skip
