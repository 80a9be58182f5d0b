"""Reading: bytes to values. A mark may only be the first item of an array; otherwise the bytes are
invalid.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgpack import unpackb  # type: ignore[import-untyped]

from raft_actors.encoding.bounds import (
    ARRAY_TRUSTED,
    KEYS_UNCHECKED_MAX,
    SMALL,
    check_depth,
    check_keys,
    check_lengths,
    refuse_equal_hashes,
)
from raft_actors.encoding.marks import FROZENSET, MARKED, MARKS, SET, WHOLE, Mark
from raft_actors.encoding.value_types import UnknownValue
from raft_actors.encoding.zones import UnknownZone
from raft_actors.errors import HostError, UnknownType

__all__ = ["Reader", "decoded"]


def decoded(
    data: bytes | memoryview,
    *,
    stored: bool,
    check_hashes: bool,
    reader: "Reader | None" = None,
) -> Any:
    try:
        try:
            return read(data, ARRAY_TRUSTED, stored, check_hashes, reader)
        except ValueError:
            if len(data) <= ARRAY_TRUSTED:
                raise
        check_lengths(data)
        return read(data, len(data), stored, check_hashes, reader)
    except (MemoryError, RecursionError, HostError):
        raise
    except Exception as error:  # of msgpack, of a type's own constructor, or of a user's __hash__
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
            value = unpack_tuples(
                data, max_array_len=array_max, ext_hook=read_whole if stored else meet_whole
            )
        except WholeMet:
            pass
        else:
            if not stored:
                check_depth(data, value)
            return value
    return (reader or Reader(stored=stored, check_hashes=check_hashes)).read(data, array_max)


unpack_tuples: Callable[..., Any] = partial(
    unpackb, use_list=False, strict_map_key=False, timestamp=3
)
"""As `unpack` without hooks, and without its call: most commands and replies are read by this."""


def unpack(
    data: bytes | memoryview,
    array_max: int,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None = None,
    read_pairs: Callable[[list[Any]], Any] | None = None,
) -> Any:
    return unpackb(
        data,
        # With a hook use lists: msgpack without its C extension makes tuples of the hook's results.
        use_list=read_array is not None,
        list_hook=read_array,
        object_pairs_hook=read_pairs,
        ext_hook=read_ext,
        strict_map_key=False,
        timestamp=3,  # ext -1, which `dumps` never writes, becomes a datetime, which is a term
        max_array_len=array_max,
    )


def read_whole(code: int, data: bytes) -> int:
    if code != WHOLE:
        raise ValueError(f"ext {code} has no meaning here")
    return int.from_bytes(data, "big", signed=True)


class WholeMet(Exception):
    """The value has an int beyond 64 bits: `Reader` must check whether it is a key."""


def meet_whole(_code: int, _data: bytes) -> int:
    raise WholeMet


class Reader:
    """Reads one value, and checks it, as a foreign program may have made the bytes.

    stored        whether the value was stored, so that the bounds of sent values don't apply
    check_hashes  whether too many keys with equal hashes are refused
    open_marks    number of marks that are not yet the first item of an array: must be 0 at the end
    whole         whether there was an int beyond 64 bits
    keep_unknown  whether an object whose class is not known here becomes an UnknownValue. Else
                  reading raises UnknownType
    unknown       what this host does not know: time zones, and classes of objects
    has_objects   whether there was an object whose class is not known here
    """

    __slots__ = ("check_hashes", "has_objects", "keep_unknown", "open_marks", "stored", "unknown",
                 "whole")  # fmt: skip

    def __init__(self, *, stored: bool, check_hashes: bool, keep_unknown: bool = False) -> None:
        self.stored: bool = stored
        self.check_hashes: bool = check_hashes
        self.keep_unknown: bool = keep_unknown
        self.has_objects: bool = False
        self.open_marks: int = 0
        self.whole: bool = False
        self.unknown: list[str] = []

    def read(self, data: bytes | memoryview, array_max: int) -> Any:
        """Read and check one value. Raises UnknownType, see `keep_unknown`.

        Also if the value is invalid: a program that knows the class may find nothing wrong with it,
        and two replicas must not differ.
        """
        try:
            value = self.read_value(data, array_max)
        except (MemoryError, RecursionError, UnknownType):
            raise
        except Exception:
            if self.has_objects and not self.keep_unknown:
                self.refuse_unknown()
            raise
        if self.has_objects and not self.keep_unknown:
            self.refuse_unknown()
        return value

    def refuse_unknown(self) -> None:
        raise UnknownType(
            f"this program does not know {', '.join(self.unknown)}: import the module that "
            "registers it with value_type, or install the version that the others have"
        )

    def read_value(self, data: bytes | memoryview, array_max: int) -> Any:
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
            self.unknown.append(f"the time zone {value.key!r}")
        elif type(value) is UnknownValue:
            self.has_objects = True
            self.unknown.append(value.why)
        return value

    def read_pairs(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        if len(pairs) > KEYS_UNCHECKED_MAX:
            refuse_equal_hashes([key for key, _value in pairs])
        return dict(pairs)
