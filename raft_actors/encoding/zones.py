"""Zones: time zones by their names, also those of which this host has no data."""

from datetime import datetime, timedelta, tzinfo
from re import compile as pattern
from typing import Any, ClassVar
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from raft_actors.errors import HostError

__all__ = ["UnknownZone", "is_zone", "read_zone"]

ZONE = pattern(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


class UnknownZone(tzinfo):
    """A time zone of which this host has no data. It is encoded like the ZoneInfo that it is on
    other hosts. Everything that needs its offset raises HostError. `loads` makes one object for
    each name.
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

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when)

    def tzname(self, when: datetime | None) -> str:
        return self.utcoffset(when).__str__()


def is_zone(key: str) -> bool:
    """Return whether `key` may be the name of a zone in the time zone database of some host."""
    return ZONE.fullmatch(key) is not None and key != "localtime"


def read_zone(key: str) -> tzinfo:
    if not is_zone(key):
        raise ValueError(f"{key!r} names no time zone")
    try:
        return ZoneInfo(key)
    except (LookupError, OSError, ValueError):  # no data of the zone here, or no valid data
        return UnknownZone.of(key)
