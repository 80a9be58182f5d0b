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

`marks` and `zones` hold what there is besides msgpack's own types; `writing` makes the bytes and
`reading` the values; `bounds` says what a stranger's bytes may cost; `refusals` names the part of a
value that is no term.
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
from raft_actors.encoding.marks import ATOMS, ZONEINFO_SIGN
from raft_actors.encoding.reading import Reader, decoded
from raft_actors.encoding.refusals import written
from raft_actors.encoding.zones import UnknownZone
from raft_actors.errors import HostError

__all__ = ["ATOMS", "DEPTH_MAX", "KEYS_UNCHECKED_MAX", "STORED_DEPTH_MAX", "UnknownZone",
           "dumps", "dumps_stored", "loads", "loads_stored", "may_have_many_keys",
           "unknown_zones"]  # fmt: skip


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
