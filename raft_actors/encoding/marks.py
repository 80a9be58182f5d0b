"""Marks: the types of msgpack arrays that are no tuples."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from msgpack import Packer  # type: ignore[import-untyped]

from raft_actors.encoding.ext_type import ExtType
from raft_actors.encoding.value_types import read_member, read_object
from raft_actors.encoding.zones import read_zone

__all__ = ["ATOMS", "CONTAINERS", "DATE", "DATETIME", "DECIMAL", "DECIMAL_EXPONENT_MAX",
           "FROZENSET", "LIST", "MARKED", "MARKED_HEAD", "MARKS", "MEMBER", "OBJECT",
           "POSIX_PATH", "SET", "SIGNS_TO_CHECK", "TIME", "TIMEDELTA", "TIMEZONE", "UUID_MARK",
           "WHOLE", "WINDOWS_PATH", "ZONEINFO", "Mark", "are_constant",
           "has_small_exponent"]  # fmt: skip

MARKED = 0xC1
MARKED_HEAD = bytes([MARKED])
WHOLE = 0  # the ext code of an int beyond 64 bits: two's complement, big-endian

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
ATOMS_AND_TUPLES = ATOMS | {tuple}
CONTAINERS = frozenset({tuple, list, dict, set, frozenset})
DECIMAL_EXPONENT_MAX = 400_000_000
"""Within these bounds a Decimal can be made on machines of 32 bits, too."""


class Mark:
    """The first item of an array that is no tuple; it says of which type the value is."""

    __slots__ = ("build", "sign")

    def __init__(self, code: int, build: Callable[[list[Any]], Any]) -> None:
        self.sign: ExtType = ExtType(code, b"")
        self.build: Callable[[list[Any]], Any] = build


def read_datetime(parts: list[Any]) -> datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = parts
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def read_date(parts: list[Any]) -> date:
    year, month, day = parts
    return date(year, month, day)


def read_time(parts: list[Any]) -> time:
    hour, minute, second, microsecond, fold, zone = parts
    return time(hour, minute, second, microsecond, zone, fold=fold)


def read_decimal(parts: list[Any]) -> Decimal:
    (text,) = parts
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("no Decimal") from None
    if type(text) is not str or str(value) != text or not has_small_exponent(value):
        raise ValueError("no Decimal")
    return value


def has_small_exponent(value: Decimal) -> bool:
    return not value.is_finite() or (
        value.as_tuple().exponent >= -DECIMAL_EXPONENT_MAX  # type: ignore[operator]
        and value.adjusted() <= DECIMAL_EXPONENT_MAX
    )


def read_uuid(parts: list[Any]) -> UUID:
    (data,) = parts
    return UUID(bytes=data)


def read_posix_path(parts: list[Any]) -> PurePosixPath:
    (text,) = parts
    return PurePosixPath(text)


def read_windows_path(parts: list[Any]) -> PureWindowsPath:
    (text,) = parts
    return PureWindowsPath(text)


LIST = Mark(1, lambda parts: parts)
SET = Mark(2, set)
FROZENSET = Mark(3, frozenset)
DATETIME = Mark(4, read_datetime)
DATE = Mark(5, read_date)
TIME = Mark(6, read_time)
TIMEDELTA = Mark(7, lambda parts: timedelta(*parts))
TIMEZONE = Mark(8, lambda parts: timezone(*parts))
ZONEINFO = Mark(9, lambda parts: read_zone(*parts))
DECIMAL = Mark(10, read_decimal)
UUID_MARK = Mark(11, read_uuid)
POSIX_PATH = Mark(12, read_posix_path)
WINDOWS_PATH = Mark(13, read_windows_path)
OBJECT = Mark(14, read_object)
MEMBER = Mark(15, read_member)
MARKS: dict[int, Mark] = {
    mark.sign.code: mark
    for mark in (
        LIST, SET, FROZENSET, DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONEINFO,
        DECIMAL, UUID_MARK, POSIX_PATH, WINDOWS_PATH, OBJECT, MEMBER,
    )
}  # fmt: skip
SIGNS_TO_CHECK: tuple[bytes, ...] = tuple(
    Packer().pack(mark.sign) for mark in (ZONEINFO, OBJECT, MEMBER)
)
"""The bytes of the marks of which a host may not know the value that follows."""


def are_constant(values: Iterable[Any]) -> bool:
    """Tell quickly whether all values are immutable: None, bools, numbers, strings, bytes, or
    tuples of these. False for all other values.
    """
    kinds = set(map(type, values))
    if kinds <= ATOMS:
        return True
    if not kinds <= ATOMS_AND_TUPLES:
        return False
    return ATOMS.issuperset(
        map(type, chain.from_iterable(value for value in values if type(value) is tuple))
    )
