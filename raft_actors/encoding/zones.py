"""Zones: time zones by their keys, also those that this machine has no data of."""

from datetime import datetime, timedelta, tzinfo
from re import compile as pattern
from typing import Any, ClassVar
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from raft_actors.errors import HostError

__all__ = ["UnknownZone", "is_zone", "read_zone"]

ZONE = pattern(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


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
