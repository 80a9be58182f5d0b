"""Terms: values as bytes and back, equal and of the same type, in every part.

A term is None, a bool, an int of any size, a float, a str, bytes, a date, time, datetime,
timedelta, timezone or ZoneInfo, or a list, tuple, dict, set or frozenset of terms. Exactly these
types: what is only derived from one (an IntEnum, a namedtuple, an OrderedDict) is refused, for it
could not come back as what it was.

The bytes are msgpack, in one of two forms:

    plain     msgpack; every array is a tuple; ext 0 is an int beyond 64 bits
    marked    0xC1, a byte msgpack never uses; then the same, in which an array that begins with
              a mark (ext 1 to 9, empty) is not a tuple but what the mark says: a list, a set ...

Most commands and replies are plain, and for those both ways stay in C (docs/decisions/encoding.md).
Equal sets give equal bytes. A dict keeps its order. Safe to call from any thread.

What travels (`dumps`, `loads`) has bounds that what is kept (`dumps_stored`, `loads_stored`) has
not, for a state may be more than the commands that made it. Whether bytes of the log can be read,
and a reply to them be written, does not depend on the machine: a time zone that it doesn't know is
an `UnknownZone` there, and with `check_hashes=False` no hashes are looked at.
"""

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from itertools import chain, repeat
from re import compile as pattern
from reprlib import repr as shortened
from typing import Any, ClassVar
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from msgpack import ExtType, Packer, Unpacker, unpackb  # type: ignore[import-untyped]
from msgpack.exceptions import OutOfData  # type: ignore[import-untyped]

from raft_actors.errors import HostError

__all__ = ["ATOMS", "DEPTH_MAX", "STORED_DEPTH_MAX", "UnknownZone", "dumps", "dumps_stored",
           "loads", "loads_stored", "may_have_many_keys", "unknown_zones"]  # fmt: skip

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
MARKED = 0xC1
WHOLE = 0  # the ext code of an int beyond 64 bits: two's complement, big-endian
ARRAY_TRUSTED = 1024  # items an array may claim unchecked: msgpack makes room for them at once

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
CONTAINERS = frozenset({tuple, list, dict, set, frozenset})


def dumps(value: Any, what: str = "command", *, check_hashes: bool = True) -> bytes:
    """Encode a term that travels. `what` is how messages call it: `command[1]["key"]: a socket
    can't ...`. `check_hashes`: see `loads`.

    Raises TypeError for a part that is no term, and ValueError for a str with a lone surrogate, for
    a value that contains itself or is nested deeper than `DEPTH_MAX`, and for keys that are ints
    beyond 64 bits or have equal hashes by the thousand; RecursionError where little stack is left.
    """
    kind = type(value)
    if (kind is tuple and ATOMS.issuperset(map(type, value))) or kind in ATOMS:
        try:
            return Packer().pack(value)  # type: ignore[no-any-return]
        except (OverflowError, UnicodeEncodeError):
            pass  # an int beyond 64 bits, or a lone surrogate
    return written(value, what, stored=False, check_hashes=check_hashes)


def dumps_stored(value: Any, what: str = "state") -> bytes:
    """As `dumps`, for what a program keeps and tells of itself: nested up to `STORED_DEPTH_MAX`,
    and with any keys.
    """
    return written(value, what, stored=True, check_hashes=False)


def loads(data: bytes | memoryview, *, check_hashes: bool = True) -> Any:
    """Decode what `dumps` made.

    check_hashes  whether keys of equal hashes by the thousand are refused. A replica reads a
                  command without that check, for strings have other hashes in each process: it
                  was made before the command was in the log

    The bytes may come from a stranger: only terms come out, nothing is executed, and memory and
    time stay in proportion to `len(data)`, whatever is claimed inside.

    Raises ValueError if `data` is anything but exactly one term within the bounds of `dumps`; and
    HostError if a moment of a time zone that is not known here is a key, or a member of a set.
    """
    return decoded(data, stored=False, check_hashes=check_hashes)


def loads_stored(data: bytes | memoryview) -> Any:
    """Decode what `dumps_stored` made, or `dumps`. Raises ValueError for anything else."""
    return decoded(data, stored=True, check_hashes=False)


def may_have_many_keys(data: bytes) -> bool:
    """Tell whether so many keys may be in a term that `loads` would look at their hashes."""
    return len(data) > SMALL and any(head in data for head in LONG_HEADS)


def unknown_zones(data: bytes) -> list[str]:
    """Return the keys of the time zones in a term that this machine doesn't know.

    Raises ValueError as `loads` does, if there is a time zone in it at all.
    """
    if ZONEINFO_SIGN not in data:
        return []
    reader = Reader(stored=False, check_hashes=True)
    try:
        decoded(data, stored=False, check_hashes=True, reader=reader)
    except HostError:  # a moment of such a zone is a key, whose hash needs the offset
        return reader.unknown
    return reader.unknown


class UnknownZone(tzinfo):
    """A time zone that this machine has no data of. It is kept, and passed on, as the ZoneInfo that
    it is elsewhere; what needs its offset raises HostError. Made by `loads`, one for each key.
    """

    made: ClassVar["WeakValueDictionary[str, UnknownZone]"] = WeakValueDictionary()

    def __init__(self, key: str) -> None:
        self.key = key

    @classmethod
    def of(cls, key: str) -> "UnknownZone":
        return cls.made.setdefault(key, cls(key))

    def __repr__(self) -> str:
        return f"UnknownZone({self.key!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return UnknownZone.of, (self.key,)

    def utcoffset(self, when: datetime | None) -> timedelta:  # noqa: ARG002
        raise HostError(
            f"the time zone {self.key!r} is not known on this machine: install the tzdata that the "
            "others have"
        )

    dst = utcoffset

    def tzname(self, when: datetime | None) -> str:
        return self.utcoffset(when).__str__()


# Writing: a value is lowered to atoms, tuples and dicts, which msgpack packs in one go.


class Mark:
    """What an array that begins with it is instead of a tuple."""

    __slots__ = ("build", "sign")

    def __init__(self, code: int, build: Callable[[list[Any]], Any]) -> None:
        self.sign = ExtType(code, b"")
        self.build = build


def written(value: Any, what: str, *, stored: bool, check_hashes: bool) -> bytes:
    try:
        return encode(value, stored=stored, check_hashes=check_hashes)
    except (TypeError, ValueError) as error:
        raise explained(error, value, what, stored=stored, check_hashes=check_hashes) from None


def encode(value: Any, *, stored: bool, check_hashes: bool) -> bytes:
    writer = Writer(stored=stored, check_hashes=check_hashes)
    lowered = writer.lower(value, STORED_DEPTH_MAX if stored else DEPTH_MAX)
    packed: bytes = Packer(default=writer.pack_whole).pack(lowered)
    if writer.whole and not stored:
        check_keys(value)
    return b"\xc1" + packed if writer.marked else packed


class Writer:
    """Lowers one value.

    stored        whether it is kept here, and may be what does not travel
    check_hashes  whether keys of equal hashes are refused
    marked        whether any mark was needed
    whole         whether there was an int beyond 64 bits
    """

    __slots__ = ("check_hashes", "marked", "stored", "whole")

    def __init__(self, *, stored: bool, check_hashes: bool) -> None:
        self.stored = stored
        self.check_hashes = check_hashes
        self.marked = self.whole = False

    def pack_whole(self, value: int) -> ExtType:
        self.whole = True
        size = value.bit_length() // 8 + 1
        return ExtType(WHOLE, value.to_bytes(size, "big", signed=True))

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


ZONE = pattern(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def is_zone(key: str) -> bool:
    """Tell whether this may be a zone of the database, on any machine."""
    return ZONE.fullmatch(key) is not None and key != "localtime"


def read_zone(key: str) -> tzinfo:
    if not is_zone(key):
        raise ValueError(f"{key!r} names no time zone")
    try:
        return ZoneInfo(key)
    except (LookupError, OSError, ValueError):  # whatever this machine has in that place
        return UnknownZone.of(key)


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
NOT_HEADS = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""What never begins an array or a map."""


def decoded(
    data: bytes | memoryview, *, stored: bool, check_hashes: bool, reader: "Reader | None" = None
) -> Any:
    try:
        try:
            return read(data, ARRAY_TRUSTED, stored, check_hashes, reader)
        except ValueError:
            if len(data) <= ARRAY_TRUSTED:
                raise
        check_lengths(data)
        return read(data, len(data), stored, check_hashes, reader)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise ValueError(f"these {len(data)} bytes are no term: {error or 'broken'}") from error


def read(
    data: bytes | memoryview,
    array_max: int,
    stored: bool,
    check_hashes: bool,
    reader: "Reader | None" = None,
) -> Any:
    if reader is None and data[0] != MARKED and (not check_hashes or len(data) <= SMALL):
        try:
            value = unpack(data, array_max, read_whole if stored else meet_whole)
        except WholeMet:
            pass
        else:
            if not stored:
                check_depth(data, value)
            return value
    return (reader or Reader(stored=stored, check_hashes=check_hashes)).read(data, array_max)


def unpack(
    data: bytes | memoryview,
    array_max: int,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None = None,
    read_pairs: Callable[[list[Any]], Any] | None = None,
) -> Any:
    return unpackb(
        data,
        # With a hook, lists: msgpack without its C extension makes tuples of what hooks return.
        use_list=read_array is not None,
        list_hook=read_array,
        object_pairs_hook=read_pairs,
        ext_hook=read_ext,
        strict_map_key=False,
        timestamp=3,  # a stranger's ext -1 becomes a datetime, which is a term
        max_array_len=array_max,
    )


def read_whole(code: int, data: bytes) -> int:
    if code != WHOLE:
        raise ValueError(f"ext {code} has no meaning here")
    return int.from_bytes(data, "big", signed=True)


class WholeMet(Exception):
    """There is an int beyond 64 bits: its place is to be looked at."""


def meet_whole(_code: int, _data: bytes) -> int:
    raise WholeMet


class Reader:
    """Reads one value, and looks at what a stranger may have put there.

    stored        whether the value was kept here, and may be what does not travel
    check_hashes  whether keys of equal hashes are refused
    open_marks    marks met that head no array yet: it must end at 0
    whole         whether there was an int beyond 64 bits
    unknown       keys of the time zones that are not known here
    """

    __slots__ = ("check_hashes", "open_marks", "stored", "unknown", "whole")

    def __init__(self, *, stored: bool, check_hashes: bool) -> None:
        self.stored = stored
        self.check_hashes = check_hashes
        self.open_marks = 0
        self.whole = False
        self.unknown: list[str] = []

    def read(self, data: bytes | memoryview, array_max: int) -> Any:
        self.open_marks = 0
        read_pairs = self.read_pairs if self.check_hashes and len(data) > SMALL else None
        if data[0] == MARKED:
            inner = memoryview(data)[1:]
            value = unpack(inner, array_max, self.read_ext, self.read_array, read_pairs)
        else:
            value = unpack(data, array_max, self.read_int, None, read_pairs)
        if self.open_marks:
            raise ValueError("a mark stands where no array begins")
        if not self.stored:
            if self.whole:
                check_keys(value)
            check_depth(data, value)
        return value

    def read_int(self, code: int, data: bytes) -> int:
        self.whole = True
        return read_whole(code, data)

    def read_ext(self, code: int, data: bytes) -> Any:
        if code not in MARKS or data:
            return self.read_int(code, data)
        self.open_marks += 1
        return MARKS[code]

    def read_array(self, parts: list[Any]) -> Any:
        if not parts or type(parts[0]) is not Mark:
            return tuple(parts)
        self.open_marks -= 1
        mark: Mark = parts.pop(0)
        if len(parts) > KEYS_UNCHECKED_MAX and self.check_hashes and mark in (SET, FROZENSET):
            refuse_equal_hashes(parts)
        value = mark.build(parts)
        if type(value) is UnknownZone:
            self.unknown.append(value.key)
        return value

    def read_pairs(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        if len(pairs) > KEYS_UNCHECKED_MAX:
            refuse_equal_hashes([key for key, _value in pairs])
        return dict(pairs)


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


def explained(
    error: Exception, value: Any, what: str, *, stored: bool, check_hashes: bool
) -> Exception:
    """The same complaint, naming the part: the innermost that can't be encoded on its own."""
    if isinstance(error, TooDeep):
        levels = STORED_DEPTH_MAX if stored else DEPTH_MAX
        return ValueError(
            f"{what} is nested deeper than {levels} levels, or contains itself; send it in a "
            "flatter form"
        )
    for path, part in parts_of(value):
        try:
            encode(part, stored=stored, check_hashes=check_hashes)
        except (TypeError, ValueError) as inner:
            return explained(
                inner, part, path.format(what), stored=stored, check_hashes=check_hashes
            )
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
            yield f"{{}}[{named(key).replace('{', '{{').replace('}', '}}')}]", part
    elif kind is datetime or kind is time:
        yield "{}.tzinfo", value.tzinfo


def named(key: Any) -> str:
    try:
        return shortened(key)
    except ValueError:  # an int of more digits than this process wants to see
        return "..."
