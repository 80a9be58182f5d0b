"""Writing: values to bytes. A value is lowered: made into atoms, tuples and dicts, which msgpack
packs with one call.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import repeat
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgpack import Packer  # type: ignore[import-untyped]

from raft_actors.encoding.bounds import (
    DEPTH_MAX,
    KEYS_UNCHECKED_MAX,
    STORED_DEPTH_MAX,
    check_keys,
    refuse_equal_hashes,
)
from raft_actors.encoding.ext_type import ExtType
from raft_actors.encoding.marks import (
    ATOMS,
    DATE,
    DATETIME,
    DECIMAL,
    DECIMAL_EXPONENT_MAX,
    FROZENSET,
    LIST,
    MEMBER,
    OBJECT,
    POSIX_PATH,
    SET,
    TIME,
    TIMEDELTA,
    TIMEZONE,
    UUID_MARK,
    WHOLE,
    WINDOWS_PATH,
    ZONEINFO,
    Mark,
    has_small_exponent,
)
from raft_actors.encoding.value_types import UnknownValue, ValueType, value_type_of
from raft_actors.encoding.zones import UnknownZone, is_zone

__all__ = ["TooDeep", "encode"]


class TooDeep(ValueError):
    """A value has too many levels, maybe because it contains itself."""


def encode(value: Any, *, stored: bool, check_hashes: bool) -> bytes:
    writer = Writer(stored=stored, check_hashes=check_hashes)
    lowered = writer.lower(value, STORED_DEPTH_MAX if stored else DEPTH_MAX)
    packed: bytes = Packer(default=writer.pack_whole).pack(lowered)
    if writer.whole and not stored:
        check_keys(value)
    return b"\xc1" + packed if writer.marked else packed


class Writer:
    """Lowers one value.

    stored        whether the value is to be stored, so that the bounds of sent values don't apply
    check_hashes  whether too many keys with equal hashes are refused
    marked        whether any mark was needed
    whole         whether there was an int beyond 64 bits
    """

    __slots__ = ("check_hashes", "marked", "stored", "whole")

    def __init__(self, *, stored: bool, check_hashes: bool) -> None:
        self.stored: bool = stored
        self.check_hashes: bool = check_hashes
        self.marked: bool = False
        self.whole: bool = False

    def pack_whole(self, value: int) -> ExtType:
        self.whole = True
        size = value.bit_length() // 8 + 1
        return ExtType(WHOLE, value.to_bytes(size, "big", signed=True))

    def lower(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return value
        lower = LOWER.get(kind)
        if lower is None:
            registered = value_type_of(kind)
            if registered is None:
                raise TypeError(refusal(value))
            if not depth:
                raise TooDeep
            return self.lower_object(registered, value, depth - 1)
        if not depth:
            raise TooDeep
        return lower(self, value, depth - 1)

    def parts(self, parts: Iterable[Any], depth: int) -> Iterable[Any]:
        if ATOMS.issuperset(map(type, parts)):
            return parts
        return [*map(self.lower, parts, repeat(depth))]

    def mark(self, mark: Mark, parts: Iterable[Any], depth: int) -> tuple[Any, ...]:
        self.marked = True
        return (mark.sign, *self.parts(parts, depth))

    def lower_tuple(self, value: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
        return tuple(self.parts(value, depth))

    def lower_dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        if len(value) > KEYS_UNCHECKED_MAX and self.check_hashes:
            refuse_equal_hashes(value)
        return dict(zip(self.parts(value, depth), self.parts(value.values(), depth), strict=True))

    def lower_list(self, value: list[Any], depth: int) -> tuple[Any, ...]:
        return self.mark(LIST, value, depth)

    def lower_set(self, value: set[Any] | frozenset[Any], depth: int) -> tuple[Any, ...]:
        self.marked = True
        if len(value) > KEYS_UNCHECKED_MAX and self.check_hashes:
            refuse_equal_hashes(value)
        mark = SET if type(value) is set else FROZENSET
        return (mark.sign, *in_order(self.parts(value, depth)))

    def lower_datetime(self, value: datetime, depth: int) -> tuple[Any, ...]:
        day = value.year, value.month, value.day
        clock = value.hour, value.minute, value.second, value.microsecond, value.fold
        return self.mark(DATETIME, (*day, *clock, value.tzinfo), depth)

    def lower_date(self, value: date, depth: int) -> tuple[Any, ...]:
        return self.mark(DATE, (value.year, value.month, value.day), depth)

    def lower_time(self, value: time, depth: int) -> tuple[Any, ...]:
        clock = value.hour, value.minute, value.second, value.microsecond, value.fold
        return self.mark(TIME, (*clock, value.tzinfo), depth)

    def lower_timedelta(self, value: timedelta, depth: int) -> tuple[Any, ...]:
        return self.mark(TIMEDELTA, (value.days, value.seconds, value.microseconds), depth)

    def lower_timezone(self, value: timezone, depth: int) -> tuple[Any, ...]:
        # (offset,) or (offset, name): the arguments of its constructor, kept for pickling
        arguments = value.__getinitargs__()  # type: ignore[attr-defined]
        return self.mark(TIMEZONE, arguments, depth)

    def lower_zoneinfo(self, value: ZoneInfo | UnknownZone, depth: int) -> tuple[Any, ...]:
        if value.key is None or not is_zone(value.key):
            raise TypeError(
                f"a ZoneInfo whose key is {value.key!r} can't be encoded, for it is no zone that "
                "other machines have; use ZoneInfo(key)"
            )
        return self.mark(ZONEINFO, (value.key,), depth)

    def lower_decimal(self, value: Decimal, depth: int) -> tuple[Any, ...]:
        if not has_small_exponent(value):
            raise ValueError(
                f"a Decimal with an exponent beyond {DECIMAL_EXPONENT_MAX:,} can't be encoded"
            )
        return self.mark(DECIMAL, (str(value),), depth)

    def lower_uuid(self, value: UUID, depth: int) -> tuple[Any, ...]:
        return self.mark(UUID_MARK, (value.bytes,), depth)

    def lower_posix_path(self, value: PurePosixPath, depth: int) -> tuple[Any, ...]:
        return self.mark(POSIX_PATH, (str(value),), depth)

    def lower_windows_path(self, value: PureWindowsPath, depth: int) -> tuple[Any, ...]:
        return self.mark(WINDOWS_PATH, (str(value),), depth)

    def lower_object(self, registered: ValueType, value: Any, depth: int) -> tuple[Any, ...]:
        mark = MEMBER if registered.is_enum else OBJECT
        head = registered.name, registered.version
        try:
            parts = registered.parts_of(value)
        except AttributeError as error:
            raise TypeError(f"a {registered.name!r} without one of its fields: {error}") from None
        return self.mark(mark, (*head, *parts), depth)

    def lower_unknown(self, value: UnknownValue, depth: int) -> tuple[Any, ...]:
        mark = MEMBER if value.is_member else OBJECT
        return self.mark(mark, (value.name, value.version, *value.parts), depth)


LOWER: dict[type, Callable[[Writer, Any, int], Any]] = {
    tuple: Writer.lower_tuple,
    dict: Writer.lower_dict,
    list: Writer.lower_list,
    set: Writer.lower_set,
    frozenset: Writer.lower_set,
    datetime: Writer.lower_datetime,
    date: Writer.lower_date,
    time: Writer.lower_time,
    timedelta: Writer.lower_timedelta,
    timezone: Writer.lower_timezone,
    ZoneInfo: Writer.lower_zoneinfo,
    UnknownZone: Writer.lower_zoneinfo,
    Decimal: Writer.lower_decimal,
    UUID: Writer.lower_uuid,
    PurePosixPath: Writer.lower_posix_path,
    PureWindowsPath: Writer.lower_windows_path,
    UnknownValue: Writer.lower_unknown,
}


def in_order(members: Iterable[Any]) -> list[Any]:
    """Sort lowered members the same way in every process, whatever their types."""
    kinds = set(map(type, members))
    if len(kinds) == 1 and not kinds.isdisjoint((str, int, bytes)):
        return sorted(members)
    return sorted(members, key=rank)


def rank(member: Any) -> tuple[str, Any]:
    kind = type(member)
    if kind is tuple:
        return "tuple", tuple(map(rank, member))
    if kind is dict:  # a field of an object that has a hash of its own
        return "dict", tuple((rank(key), rank(value)) for key, value in member.items())
    if kind is float:
        return "float", struct.pack(">d", member)  # as bytes, so that nan has its place, too
    return kind.__name__, 0 if member is None else member


def refusal(value: Any) -> str:
    kind = type(value)
    article = "an" if kind.__name__[0] in "AEIOUaeiou" else "a"
    text = (
        f"{article} {kind.__name__} can't be encoded; use None, bool, int, float, str, bytes, "
        "list, tuple, dict, set, frozenset, datetime, date, time, timedelta, Decimal, UUID or a "
        "class that is registered with value_type"
    )
    if isinstance(value, PurePath):
        return f"{text}. Of paths use PurePosixPath or PureWindowsPath: a Path is of one machine"
    if isinstance(value, Enum) or is_dataclass(kind) or hasattr(kind, "_fields"):
        return f"{text}. Write @raft_actors.value_type('a.name.for.it') above its class"
    for base in kind.__mro__[1:]:
        if base in ATOMS or base in LOWER:
            return f"{text} (it would come back as a plain {base.__name__})"
    return text
