"""Bounds: how deep a term may be nested, and how much its keys and lengths may cost its reader."""

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain, repeat
from typing import Any

from msgpack import Unpacker  # type: ignore[import-untyped]
from msgpack.exceptions import OutOfData  # type: ignore[import-untyped]

from raft_actors.encoding.marks import ATOMS, CONTAINERS, MARKED
from raft_actors.encoding.value_types import fields_inside

__all__ = ["ARRAY_TRUSTED", "DEPTH_MAX", "KEYS_UNCHECKED_MAX", "LONG_HEADS", "SMALL",
           "STORED_DEPTH_MAX", "check_depth", "check_keys", "check_lengths",
           "refuse_equal_hashes"]  # fmt: skip

DEPTH_MAX = 100  # levels of containers in a term that is sent
STORED_DEPTH_MAX = 150  # in a stored one; each level takes 4 of the 1,000 calls that Python allows
INT_MIN, INT_MAX = -(1 << 63), (1 << 64) - 1
"""Bounds of ints that are keys. Beyond them it is easy to choose thousands with equal hashes."""
KEYS_UNCHECKED_MAX = 1000
"""With more keys than this, their hashes are checked."""
COMPARISONS_MAX = 1 << 20
"""Most comparisons because of equal hashes: they take some hundredths of a second."""
SMALL = 4096
"""So few bytes have too few keys to cost anything, even if all hashes are equal."""
LONG_HEADS = b"\xdc", b"\xdd", b"\xde", b"\xdf"
"""The first bytes of an array or a map with more than 15 items."""
ARRAY_TRUSTED = 1024  # items that an array may claim unchecked: msgpack allocates for all at once
NOT_HEADS = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""The bytes with which no array or map begins."""


def check_lengths(data: bytes | memoryview) -> None:
    """Raise ValueError if an array in `data` claims more items than there are. Nothing is built.

    msgpack allocates memory for as many items as an array claims before it has read one. Arrays may
    be nested, so a few kilobytes could make it allocate gigabytes.
    """
    walker = Unpacker(max_buffer_size=len(data))
    walker.feed(memoryview(data)[1:] if data[0] == MARKED else data)
    try:
        walker.skip()
    except OutOfData:
        raise ValueError("it ends in the middle") from None


def refuse_equal_hashes(keys: Collection[Any]) -> None:
    """Raise ValueError for keys of which so many have equal hashes that comparing them takes long.
    By chance only a few keys do. In another process the same keys may have other hashes.
    """
    counts = Counter(map(hash, keys)).values()
    if sum(count * count for count in counts) > max(COMPARISONS_MAX, 64 * len(keys)):
        raise ValueError(f"most of {len(keys)} keys have equal hashes")


def check_keys(value: Any) -> None:
    """Raise ValueError for an int beyond 64 bits that is, or is a part of, a key of a dict or a
    member of a set.
    """
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
        elif kind not in ATOMS:
            waiting += zip(fields_inside(part) or (), repeat(is_key))


def check_depth(data: bytes | memoryview, value: Any) -> None:
    """Raise ValueError if `value`, which was read from `data`, is deeper than `dumps` allows."""
    if len(data) <= DEPTH_MAX or (type(value) is tuple and ATOMS.issuperset(map(type, value))):
        return
    if len(bytes(data).translate(None, NOT_HEADS)) <= DEPTH_MAX:
        return  # the whole value has at most so many containers
    parts: Iterable[Any] = (value,)
    for _ in range(DEPTH_MAX + 1):
        found = [part for part in parts if type(part) not in ATOMS]
        layer = [part for part in found if type(part) in CONTAINERS]
        fields = [fields_inside(part) for part in found if type(part) not in CONTAINERS]
        layer += [each for each in fields if each]
        if not layer:
            return
        values = [each.values() for each in layer if type(each) is dict]
        parts = chain(chain.from_iterable(layer), chain.from_iterable(values))
    raise ValueError(f"it is nested deeper than {DEPTH_MAX} levels")
