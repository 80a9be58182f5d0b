"""Canonical: bytes that are the same for equal values, for digests. They are never decoded.

The bytes of `dumps_stored` differ between equal values in two ways: a dict keeps its order, and a
NaN keeps its bits, which depend on the processor that computed it. Here a dict has the order of its
keys, and there is one NaN. Values of different types stay different: 1, 1.0 and True, a tuple and a
list.
"""

import re
from collections.abc import Collection, Iterable
from itertools import repeat
from math import nan
from typing import Any

from msgpack import Packer  # type: ignore[import-untyped]

from raft_actors.encoding.bounds import STORED_DEPTH_MAX
from raft_actors.encoding.marks import ATOMS, are_constant
from raft_actors.encoding.writing import TooDeep, Writer, in_order

__all__ = ["canonical_rows", "may_have_other_bytes"]

NAN = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""Is in the bytes of every NaN. In those of other values it is rare."""
DICT_OR_NAN = re.compile(rb"[\x80-\x8f\xde\xdf]|" + NAN.pattern)
"""Is in the bytes of every dict and every NaN, and in those of many other values."""


def canonical_rows(*columns: Collection[Any]) -> list[bytes]:
    """Return the bytes of each row of these columns: `canonical_rows(keys, values)` for a dict.

    Raises TypeError for a part that is no term, and ValueError for one that is nested too deep.
    """
    if all(map(are_constant, columns)):
        try:
            rows = pack_rows(Packer(), columns)
        except (OverflowError, UnicodeEncodeError):
            pass  # an int beyond 64 bits; or a lone surrogate, which is refused below
        else:
            if not NAN.search(b"".join(rows)):
                return rows
    writer = CanonicalWriter()
    lowered = [writer.parts(column, STORED_DEPTH_MAX) for column in columns]
    return pack_rows(Packer(default=writer.pack_whole), lowered)


def may_have_other_bytes(data: bytes) -> bool:
    """Tell whether `dumps_stored` might give other bytes for a value that is equal to that of
    `data`.
    """
    return DICT_OR_NAN.search(data) is not None


def pack_rows(packer: Any, columns: Iterable[Iterable[Any]]) -> list[bytes]:
    return [*map(packer.pack, zip(*columns, strict=True))]


class CanonicalWriter(Writer):
    """Lowers values of a state, see `Writer`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(stored=True, check_hashes=False)

    def lower(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is dict:
            if not depth:
                raise TooDeep
            return self.in_order_of_keys(value, depth - 1)
        if kind is float:
            return one_nan(value)
        return super().lower(value, depth)

    def parts(self, parts: Iterable[Any], depth: int) -> Iterable[Any]:
        kinds = set(map(type, parts))
        if kinds <= ATOMS:
            return [*map(one_nan, parts)] if float in kinds else parts
        return [*map(self.lower, parts, repeat(depth))]

    def in_order_of_keys(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        keys, values = self.parts(value, depth), self.parts(value.values(), depth)
        lowered = dict(zip(keys, values, strict=True))
        return {key: lowered[key] for key in in_order(keys)}


def one_nan(value: Any) -> Any:
    return nan if value != value else value
