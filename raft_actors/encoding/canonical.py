"""Canonical: bytes that are the same for equal values, for digests. They are never decoded.

The bytes of `dumps_stored` differ between equal values in these ways: a dict keeps its order, a NaN
keeps its bits, which depend on the processor that computed it, and an object that is stored keeps
the version of its class. Here a dict has the order of its keys, there is one NaN, and objects are
of the versions that this program has. Values of different types stay different: 1, 1.0 and True, a
tuple and a list.
"""

import re
from collections.abc import Collection, Iterable
from itertools import repeat
from math import nan
from typing import Any
from zlib import crc32

from msgpack import Packer  # type: ignore[import-untyped]

from raft_actors.encoding.bounds import STORED_DEPTH_MAX
from raft_actors.encoding.marks import ATOMS, MEMBER, OBJECT, are_constant
from raft_actors.encoding.reading import decoded
from raft_actors.encoding.value_types import ValueType
from raft_actors.encoding.writing import TooDeep, Writer, in_order

__all__ = ["Canonical"]

NAN = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""Is in the bytes of every NaN. In those of other values it is rare."""
OTHERS = re.compile(
    b"|".join([
        rb"[\x80-\x8f\xde\xdf]",  # a dict
        NAN.pattern,
        *(re.escape(Packer().pack(mark.sign)) for mark in (OBJECT, MEMBER)),
    ])
)  # fmt: skip
"""Is in the bytes of every value for which `dumps_stored` may have given other bytes, and in those
of many other values."""


class Canonical:
    """Makes canonical bytes of the parts of one state.

    classes   the classes of the objects in it: (name, version, fields)
    """

    def __init__(self) -> None:
        self.classes: set[tuple[str, int, tuple[str, ...]]] = set()

    def rows(self, *columns: Collection[Any]) -> list[bytes]:
        """Return the bytes of each row of these columns: `rows(keys, values)` for a dict.

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
        writer = CanonicalWriter(self.classes)
        lowered = [writer.parts(column, STORED_DEPTH_MAX) for column in columns]
        return pack_rows(Packer(default=writer.pack_whole), lowered)

    def again(self, data: bytes) -> bytes:
        """Return canonical bytes for the bytes of `dumps_stored`. Raises ValueError for others."""
        if OTHERS.search(data) is None:
            return data
        return self.rows((decoded(data, stored=True, check_hashes=False),))[0]

    def versions(self) -> int:
        """Return a checksum of the classes and their versions. While programs with two versions of
        a class run side by side, equal states may differ in the fields of their objects.
        """
        return crc32(repr(sorted(self.classes)).encode()) if self.classes else 0


def pack_rows(packer: Any, columns: Iterable[Iterable[Any]]) -> list[bytes]:
    return [*map(packer.pack, zip(*columns, strict=True))]


class CanonicalWriter(Writer):
    """Lowers values of a state, see `Writer`."""

    __slots__ = ("classes",)

    def __init__(self, classes: set[tuple[str, int, tuple[str, ...]]]) -> None:
        super().__init__(stored=True, check_hashes=False)
        self.classes: set[tuple[str, int, tuple[str, ...]]] = classes

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

    def lower_object(self, registered: ValueType, value: Any, depth: int) -> tuple[Any, ...]:
        self.classes.add((registered.name, registered.version, tuple(registered.fields)))
        return super().lower_object(registered, value, depth)


def one_nan(value: Any) -> Any:
    return nan if value != value else value
