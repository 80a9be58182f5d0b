"""Bounds: how deep a term nests, and what its keys and lengths may cost who reads it."""

from collections import Counter
from collections.abc import Collection
from itertools import chain, repeat
from typing import Any

from msgpack import Unpacker  # type: ignore[import-untyped]
from msgpack.exceptions import OutOfData  # type: ignore[import-untyped]

from raft_actors.encoding.marks import ATOMS, CONTAINERS, MARKED

__all__ = ["ARRAY_TRUSTED", "DEPTH_MAX", "KEYS_UNCHECKED_MAX", "LONG_HEADS", "SMALL",
           "STORED_DEPTH_MAX", "check_depth", "check_keys", "check_lengths",
           "refuse_equal_hashes"]  # fmt: skip

DEPTH_MAX = 100  # containers within containers, of what travels
STORED_DEPTH_MAX = 150  # of what is kept; each takes four of Python's thousand calls
INT_MIN, INT_MAX = -(1 << 63), (1 << 64) - 1
"""Of ints that are keys. Larger ones have equal hashes by the thousand, if somebody wants it."""
KEYS_UNCHECKED_MAX = 1000
"""So many keys are looked at for equal hashes."""
COMPARISONS_MAX = 1 << 20
"""What equal hashes may cost: some hundredths of a second."""
SMALL = 4096
"""Bytes that hold too few keys for equal hashes to cost anything."""
LONG_HEADS = b"\xdc", b"\xdd", b"\xde", b"\xdf"
"""What begins an array or a map of more than 15 items."""
ARRAY_TRUSTED = 1024  # items an array may claim unchecked: msgpack makes room for them at once
NOT_HEADS = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""What never begins an array or a map."""


def check_lengths(data: bytes | memoryview) -> None:
    """Walk over `data` without building anything: what arrays claim to hold must be there.

    msgpack makes room for as many items as an array claims before it has read one, and arrays
    nest: a few kilobytes could claim gigabytes.
    """
    walker = Unpacker(max_buffer_size=len(data))
    walker.feed(memoryview(data)[1:] if data[0] == MARKED else data)
    try:
        walker.skip()
    except OutOfData:
        raise ValueError("it ends in the middle") from None


def refuse_equal_hashes(keys: Collection[Any]) -> None:
    """Raise ValueError for keys that would be compared with each other for long: they have equal
    hashes, as keys have by chance only a few times. In another process they may have others.
    """
    counts = Counter(map(hash, keys)).values()
    if sum(count * count for count in counts) > max(COMPARISONS_MAX, 64 * len(keys)):
        raise ValueError(f"most of {len(keys)} keys have equal hashes")


def check_keys(value: Any) -> None:
    """Raise ValueError for an int beyond 64 bits that is a key or a member of a set, or in one."""
    waiting = [(value, False)]
    while waiting:
        part, is_key = waiting.pop()
        kind = type(part)
        if kind is int:
            if is_key and not INT_MIN <= part <= INT_MAX:
                raise ValueError("an int beyond 64 bits can't be a key, or a member of a set")
        elif kind is dict:
            waiting += zip(part, repeat(True))
            waiting += zip(part.values(), repeat(False))
        elif kind is tuple or kind is list:
            waiting += zip(part, repeat(is_key))
        elif kind is set or kind is frozenset:
            waiting += zip(part, repeat(True))


def check_depth(data: bytes | memoryview, value: Any) -> None:
    """Raise ValueError if what was read from `data` is deeper than `dumps` would make it."""
    if len(data) <= DEPTH_MAX or (type(value) is tuple and ATOMS.issuperset(map(type, value))):
        return
    if len(bytes(data).translate(None, NOT_HEADS)) <= DEPTH_MAX:
        return  # it has no more containers than that
    layer = [value] if type(value) in CONTAINERS else []
    for _ in range(DEPTH_MAX):
        values = [each.values() for each in layer if type(each) is dict]
        parts = chain(chain.from_iterable(layer), chain.from_iterable(values))
        layer = [part for part in parts if type(part) in CONTAINERS]
        if not layer:
            return
    raise ValueError(f"it is nested deeper than {DEPTH_MAX} levels")
