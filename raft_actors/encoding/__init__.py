"""Encoding: values as bytes and back. The decoded value is equal to the first one, and every part
of it has the same type.

A value that can be encoded is called a term: None, a bool, an int of any size, a float, a str,
bytes, a date, time, datetime, timedelta, timezone or ZoneInfo, a Decimal, UUID, PurePosixPath or
PureWindowsPath, a list, tuple, dict, set or frozenset of terms, or an object of a class that was
registered with `value_type`. Only exactly these types: an object of a subclass (an OrderedDict) is
refused, because it would not come back as the same type.

The bytes are msgpack, in one of two forms:

    plain     msgpack; every array is a tuple; ext 0 is an int beyond 64 bits
    marked    0xC1, with which msgpack never begins; then the same as plain, but an array that
              begins with a mark (ext 1 to 15, empty) is of the mark's type: a list, a set ...

Most commands and replies are plain; these are encoded and decoded by msgpack's C code alone
(docs/decisions/encoding.md). Equal sets give equal bytes. A dict keeps its order. All functions may
be called from any thread.

Values that are sent (`dumps`, `loads`) have bounds. Values that are only stored (`dumps_stored`,
`loads_stored`) have wider ones, because a state may be larger than the commands that made it.
Whether a replica can read bytes of the log, and encode a reply to them, must not depend on the
host. So an unknown time zone becomes an `UnknownZone`, and with `check_hashes=False` hashes are not
checked. An object whose class this program has not registered raises UnknownType, a HostError.

`marks`, `zones` and `value_types` have the types that msgpack does not have; `writing` makes bytes
of values, `reading` values of bytes; `bounds` limits the cost of bytes from foreign programs;
`refusals` finds the part of a value that is no term; `canonical` makes bytes that are only
compared.
"""

from typing import Any

from msgpack import Packer  # type: ignore[import-untyped]

from raft_actors.encoding.bounds import (
    DEPTH_MAX,
    KEYS_UNCHECKED_MAX,
    LONG_HEADS,
    SMALL,
    STORED_DEPTH_MAX,
)
from raft_actors.encoding.canonical import Canonical
from raft_actors.encoding.marks import ATOMS, MARKED_HEAD, SIGNS_TO_CHECK, are_constant
from raft_actors.encoding.reading import Reader, decoded
from raft_actors.encoding.refusals import written
from raft_actors.encoding.value_types import UnknownValue, value_type
from raft_actors.encoding.zones import UnknownZone
from raft_actors.errors import HostError

__all__ = ["ATOMS", "DEPTH_MAX", "KEYS_UNCHECKED_MAX", "MARKED_HEAD", "SMALL", "STORED_DEPTH_MAX",
           "Canonical", "UnknownValue", "UnknownZone", "are_constant", "dumps", "dumps_stored",
           "loads", "loads_shown", "loads_stored", "may_have_many_keys", "unknown_here",
           "value_type"]  # fmt: skip


def dumps(value: Any, what: str = "command", *, check_hashes: bool = True) -> bytes:
    """Encode a term that is sent. `what` is its name in error messages: `command[1]["key"]: a
    socket can't ...`. `check_hashes`: see `loads`.

    Raises TypeError for a part that is no term. Raises ValueError for a str with a lone surrogate,
    for a value that contains itself or is nested deeper than `DEPTH_MAX`, for keys that are ints
    beyond 64 bits, and for thousands of keys with equal hashes. Raises RecursionError if little of
    the stack is left.
    """
    kind = type(value)
    if (kind is tuple and ATOMS.issuperset(map(type, value))) or kind in ATOMS:
        try:
            return Packer().pack(value)  # type: ignore[no-any-return]
        except (OverflowError, UnicodeEncodeError):
            pass  # an int beyond 64 bits, or a lone surrogate
    return written(value, what, stored=False, check_hashes=check_hashes)


def dumps_stored(value: Any, what: str = "state") -> bytes:
    """Encode a term that is stored, or made by this library itself. Like `dumps`, but the term may
    be nested up to `STORED_DEPTH_MAX`, and have any keys.
    """
    return written(value, what, stored=True, check_hashes=False)


def loads(data: bytes | memoryview, *, check_hashes: bool = True) -> Any:
    """Decode the bytes of `dumps`.

    check_hashes  whether thousands of keys with equal hashes are refused. A replica decodes the
                  commands of the log without this check, because strings have other hashes in each
                  process. The check was made before the command was in the log

    The bytes may come from a foreign program: the result is always a term, nothing is executed, and
    memory and time stay in proportion to `len(data)`, whatever lengths the bytes claim.

    Raises ValueError if `data` is not exactly one term within the bounds of `dumps`. Raises
    UnknownType if this program has not registered the class of an object in it, and HostError if a
    key, or a member of a set, is a datetime with a time zone that this host does not know.
    """
    return decoded(data, stored=False, check_hashes=check_hashes)


def loads_stored(data: bytes | memoryview) -> Any:
    """Decode the bytes of `dumps_stored` or `dumps`. Raises ValueError for other bytes, and what
    `loads` raises.
    """
    return decoded(data, stored=True, check_hashes=False)


def loads_shown(data: bytes | memoryview) -> Any:
    """Decode like `loads_stored`, for a person to look at: an object whose class this program has
    not registered becomes an `UnknownValue`.
    """
    reader = Reader(stored=True, check_hashes=False, keep_unknown=True)
    return decoded(data, stored=True, check_hashes=False, reader=reader)


def may_have_many_keys(data: bytes) -> bool:
    """Return whether a term may have so many keys that `loads` would check their hashes."""
    return len(data) > SMALL and any(head in data for head in LONG_HEADS)


def unknown_here(data: bytes) -> list[str]:
    """Name what this host does not know of a term: time zones, and classes of objects.

    Decodes the term only if something of this kind is in it; then raises ValueError like `loads`.
    """
    if data[:1] != MARKED_HEAD or not any(sign in data for sign in SIGNS_TO_CHECK):
        return []
    reader = Reader(stored=False, check_hashes=True, keep_unknown=True)
    try:
        decoded(data, stored=False, check_hashes=True, reader=reader)
    except HostError:  # a datetime with such a zone is a key, and its hash needs the offset
        return reader.unknown
    return reader.unknown
