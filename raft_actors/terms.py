"""Terms: values as bytes and back, equal and of the same type, in every part.

A term is None, a bool, an int of any size, a float, a str, bytes, a date, time, datetime,
timedelta, timezone or ZoneInfo, or a list, tuple, dict, set or frozenset of terms. Exactly these
types: what is only derived from one (an IntEnum, a namedtuple, an OrderedDict) is refused, for it
could not come back as what it was.

The bytes are msgpack, in one of two forms:

    plain     msgpack; every array is a tuple; ext 0 is an int beyond 64 bits
    marked    0xC1, a byte msgpack never uses; then the same, in which an array that begins with
              a mark (ext 1 to 9, empty) is not a tuple but what the mark says: a list, a set ...

Most commands and replies are plain, and for those both ways stay in C (docs/decisions/terms.md).
Equal sets give equal bytes. A dict keeps its order. Safe to call from any thread.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from reprlib import repr as shortened
from typing import Any
from zoneinfo import ZoneInfo

from msgpack import ExtType, Packer, Unpacker, unpackb  # type: ignore[import-untyped]
from msgpack.exceptions import OutOfData  # type: ignore[import-untyped]

__all__ = ["DEPTH_MAX", "dumps", "loads"]

DEPTH_MAX = 100  # containers within containers; a tenth of Python's own limit of calls
MARKED = 0xC1
WHOLE = 0  # the ext code of an int beyond 64 bits: two's complement, big-endian
ARRAY_TRUSTED = 1024  # items an array may claim unchecked: msgpack makes room for them at once

ATOMS = frozenset({type(None), bool, int, float, str, bytes})


def dumps(value: Any, what: str = "command") -> bytes:
    """Encode a term. `what` is how messages call it: `command[1]["key"]: a socket can't ...`.

    Raises TypeError for a part that is no term, and ValueError for a str with a lone surrogate
    and for a value that contains itself or is nested deeper than `DEPTH_MAX`.
    """
    kind = type(value)
    if (kind is tuple and ATOMS.issuperset(map(type, value))) or kind in ATOMS:
        try:
            return Packer().pack(value)  # type: ignore[no-any-return]
        except (OverflowError, UnicodeEncodeError):
            pass  # an int beyond 64 bits, or a lone surrogate
    try:
        return encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise explained(error, value, what) from None


def loads(data: bytes | memoryview) -> Any:
    """Decode what `dumps` made.

    The bytes may come from a stranger: only terms come out, nothing is executed, and memory
    stays in proportion to `len(data)`, whatever lengths are claimed inside.

    Raises ValueError if `data` is anything but exactly one term, or names a time zone that
    this machine doesn't know.
    """
    try:
        try:
            return read(data, ARRAY_TRUSTED)
        except ValueError:
            if len(data) <= ARRAY_TRUSTED:
                raise
        check_lengths(data)
        return read(data, len(data))
    except (ValueError, TypeError, LookupError, OverflowError, OSError, RecursionError) as error:
        raise ValueError(f"these {len(data)} bytes are no term: {error or 'broken'}") from error


# Writing: a value is lowered to atoms, tuples and dicts, which msgpack packs in one go.


class Mark:
    """What an array that begins with it is instead of a tuple."""

    __slots__ = ("build", "sign")

    def __init__(self, code: int, build: Callable[[list[Any]], Any]) -> None:
        self.sign = ExtType(code, b"")
        self.build = build


def encode(value: Any) -> bytes:
    writer = Writer()
    lowered = writer.lower(value, DEPTH_MAX)
    packed: bytes = Packer(default=pack_whole).pack(lowered)
    return b"\xc1" + packed if writer.marked else packed


def pack_whole(value: int) -> ExtType:
    size = value.bit_length() // 8 + 1
    return ExtType(WHOLE, value.to_bytes(size, "big", signed=True))


class Writer:
    """Lowers one value. `marked` tells whether any mark was needed."""

    __slots__ = ("marked",)

    def __init__(self) -> None:
        self.marked = False

    def lower(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind not in LOWER:
            raise TypeError(refusal(value))
        if not depth:
            raise TooDeep
        return LOWER[kind](self, value, depth - 1)

    def parts(self, parts: Iterable[Any], depth: int) -> Iterable[Any]:
        if ATOMS.issuperset(map(type, parts)):
            return parts
        lower = self.lower
        return [lower(part, depth) for part in parts]

    def mark(self, mark: Mark, parts: Iterable[Any], depth: int) -> tuple[Any, ...]:
        self.marked = True
        return (mark.sign, *self.parts(parts, depth))

    def lower_tuple(self, value: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
        return tuple(self.parts(value, depth))

    def lower_dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        return dict(zip(self.parts(value, depth), self.parts(value.values(), depth), strict=True))

    def lower_list(self, value: list[Any], depth: int) -> tuple[Any, ...]:
        return self.mark(LIST, value, depth)

    def lower_set(self, value: set[Any] | frozenset[Any], depth: int) -> tuple[Any, ...]:
        self.marked = True
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

    def lower_zoneinfo(self, value: ZoneInfo, depth: int) -> tuple[Any, ...]:
        if value.key is None:
            raise TypeError("a ZoneInfo without a key can't be encoded; use ZoneInfo(key)")
        return self.mark(ZONEINFO, (value.key,), depth)


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
    if kind is float:
        return "float", struct.pack(">d", member)  # nan has a place, too
    return kind.__name__, 0 if member is None else member


# Reading: a mark stands for its array only at the head of one; anywhere else the bytes are wrong.


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
ZONEINFO = Mark(9, lambda parts: ZoneInfo(*parts))
MARKS = {
    mark.sign.code: mark
    for mark in (LIST, SET, FROZENSET, DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONEINFO)
}


def read(data: bytes | memoryview, array_max: int) -> Any:
    if data[0] == MARKED:
        return Reader().read(memoryview(data)[1:], array_max)
    return unpack(data, array_max, read_whole, None)


def unpack(
    data: bytes | memoryview,
    array_max: int,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None,
) -> Any:
    return unpackb(
        data,
        # With a hook, lists: msgpack without its C extension makes tuples of what hooks return.
        use_list=read_array is not None,
        list_hook=read_array,
        ext_hook=read_ext,
        strict_map_key=False,
        timestamp=3,  # a stranger's ext -1 becomes a datetime, which is a term
        max_array_len=array_max,
    )


def read_whole(code: int, data: bytes) -> int:
    if code != WHOLE:
        raise ValueError(f"ext {code} has no meaning here")
    return int.from_bytes(data, "big", signed=True)


class Reader:
    """Reads one marked value. Every mark met must head an array: `open_marks` ends at 0."""

    __slots__ = ("open_marks",)

    def __init__(self) -> None:
        self.open_marks = 0

    def read(self, data: memoryview, array_max: int) -> Any:
        value = unpack(data, array_max, self.read_ext, self.read_array)
        if self.open_marks:
            raise ValueError("a mark stands where no array begins")
        return value

    def read_ext(self, code: int, data: bytes) -> Any:
        if code not in MARKS or data:
            return read_whole(code, data)
        self.open_marks += 1
        return MARKS[code]

    def read_array(self, parts: list[Any]) -> Any:
        if not parts or type(parts[0]) is not Mark:
            return tuple(parts)
        self.open_marks -= 1
        mark: Mark = parts.pop(0)
        return mark.build(parts)


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


# Refusing: only after a failure, and slowly, the part at fault is looked for.


class TooDeep(ValueError):
    """A value has more than DEPTH_MAX levels, perhaps because it contains itself."""


def refusal(value: Any) -> str:
    kind = type(value)
    article = "an" if kind.__name__[0] in "AEIOUaeiou" else "a"
    text = (
        f"{article} {kind.__name__} can't be encoded; use None, bool, int, float, str, bytes, "
        "list, tuple, dict, set, frozenset, datetime, date, time or timedelta"
    )
    for base in kind.__mro__[1:]:
        if base in ATOMS or base in LOWER:
            return f"{text} (it would come back as a plain {base.__name__})"
    return text


def explained(error: Exception, value: Any, what: str) -> Exception:
    """The same complaint, naming the part: the innermost that can't be encoded on its own."""
    if isinstance(error, (TooDeep, RecursionError)):
        levels = f"is nested deeper than {DEPTH_MAX} levels, or contains itself"
        return ValueError(f"{what} {levels}; send it in a flatter form")
    for path, part in parts_of(value):
        try:
            encode(part)
        except (TypeError, ValueError, RecursionError) as inner:
            return explained(inner, part, path.format(what))
    if isinstance(error, UnicodeEncodeError):
        return ValueError(f"{what}: {shortened(value)} has a lone surrogate; send it as bytes")
    return type(error)(f"{what}: {error}")


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if kind is tuple or kind is list:
        for position, part in enumerate(value):
            yield f"{{}}[{position}]", part
    elif kind is set or kind is frozenset:
        for part in value:
            yield "a member of {}", part
    elif kind is dict:
        for key, part in value.items():
            yield "a key of {}", key
            name = shortened(key).replace("{", "{{").replace("}", "}}")
            yield f"{{}}[{name}]", part
    elif kind is datetime or kind is time:
        yield "{}.tzinfo", value.tzinfo
