"""Marks: the types of msgpack arrays that are no tuples."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from itertools import chain
from typing import Any

from msgpack import ExtType, Packer  # type: ignore[import-untyped]

from raft_actors.encoding.zones import read_zone

__all__ = ["ATOMS", "CONTAINERS", "DATE", "DATETIME", "FROZENSET", "LIST", "MARKED", "MARKS",
           "SET", "TIME", "TIMEDELTA", "TIMEZONE", "WHOLE", "ZONEINFO", "ZONEINFO_SIGN",
           "Mark", "are_constant"]  # fmt: skip

MARKED = 0xC1
WHOLE = 0  # the ext code of an int beyond 64 bits: two's complement, big-endian

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
ATOMS_AND_TUPLES = ATOMS | {tuple}
CONTAINERS = frozenset({tuple, list, dict, set, frozenset})


class Mark:
    """The first item of an array that is no tuple; it says of which type the value is."""

    __slots__ = ("build", "sign")

    def __init__(self, code: int, build: Callable[[list[Any]], Any]) -> None:
        self.sign = ExtType(code, b"")
        self.build = build


def read_datetime(parts: list[Any]) -> datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = parts
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def read_date(parts: list[Any]) -> date:
    year, month, day = parts
    return date(year, month, day)


def read_time(parts: list[Any]) -> time:
    hour, minute, second, microsecond, fold, zone = parts
    return time(hour, minute, second, microsecond, zone, fold=fold)


LIST = Mark(1, lambda parts: parts)
SET = Mark(2, set)
FROZENSET = Mark(3, frozenset)
DATETIME = Mark(4, read_datetime)
DATE = Mark(5, read_date)
TIME = Mark(6, read_time)
TIMEDELTA = Mark(7, lambda parts: timedelta(*parts))
TIMEZONE = Mark(8, lambda parts: timezone(*parts))
ZONEINFO = Mark(9, lambda parts: read_zone(*parts))
MARKS = {
    mark.sign.code: mark
    for mark in (LIST, SET, FROZENSET, DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONEINFO)
}
ZONEINFO_SIGN = Packer().pack(ZONEINFO.sign)


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
