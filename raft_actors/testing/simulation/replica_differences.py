"""Replica differences: simulates what differs between replicas on different machines.

The replicas of a simulation run in one process, microseconds apart: all of them read the same
second and the same date, and equal sets have the same order in all of them. So while a handler of a
state machine runs, the clocks that its module uses are wrong by hours, by another amount in each
process of each replica. Process ids and host names are others, too, and the sets in its state and
its command get another order.
"""

import datetime as dt
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date as true_date
from datetime import datetime as true_datetime
from threading import get_ident
from types import ModuleType
from typing import Any

from raft_actors.machine.containers import StateList
from raft_actors.machine.object_state import ObjectState

__all__ = ["clocks_off", "stir"]

true_time: Callable[[], float] = time.time
true_time_ns: Callable[[], int] = time.time_ns
true_strftime: Callable[..., str] = time.strftime
true_localtime: Callable[..., time.struct_time] = time.localtime
true_gmtime: Callable[..., time.struct_time] = time.gmtime
true_getpid: Callable[[], int] = os.getpid
true_gethostname: Callable[[], str] = socket.gethostname
true_node: Callable[[], str] = platform.node

STIRRED_MAX = 10_000
"""How many parts of a state are searched for sets at most."""


class Off:
    """By how many seconds the clocks of `thread` are wrong."""

    def __init__(self) -> None:
        self.thread: int = 0
        self.seconds: int = 0

    @property
    def here(self) -> int:
        """By how many seconds the clocks of the calling thread are wrong."""
        return self.seconds if get_ident() == self.thread else 0

    @property
    def now(self) -> float:
        return true_time() + self.here


off: Off = Off()


class Alike(type):
    """The metaclass of a class that replaces its base: `isinstance` answers as for the base."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.__mro__[1])


class ShiftedDate(true_date, metaclass=Alike):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return true_date(*args, **kwargs)

    @classmethod
    def today(cls) -> Any:
        return true_date.fromtimestamp(off.now)  # noqa: DTZ012 - as a machine may ask


class ShiftedDatetime(true_datetime, metaclass=Alike):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return true_datetime(*args, **kwargs)  # noqa: DTZ001

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return true_datetime.fromtimestamp(off.now, tz)

    @classmethod
    def today(cls) -> Any:
        return true_datetime.fromtimestamp(off.now)  # noqa: DTZ006

    @classmethod
    def utcnow(cls) -> Any:
        return true_datetime.fromtimestamp(off.now, dt.UTC).replace(tzinfo=None)


SHIFTED: dict[Any, Any] = {
    true_time: lambda: off.now,
    true_time_ns: lambda: int(off.now * 1e9),
    true_localtime: lambda seconds=None: true_localtime(off.now if seconds is None else seconds),
    true_gmtime: lambda seconds=None: true_gmtime(off.now if seconds is None else seconds),
    true_strftime: lambda text, when=None: true_strftime(text, when or true_localtime(off.now)),
    true_getpid: lambda: true_getpid() + off.here,
    true_gethostname: lambda: f"{true_gethostname()}{off.here or ''}",
    true_node: lambda: f"{true_node()}{off.here or ''}",
    true_date: ShiftedDate,
    true_datetime: ShiftedDatetime,
}


def shifted_names(*modules: ModuleType) -> list[tuple[dict[str, Any], str, Any, Any]]:
    """Return all names of clocks, process ids and host names in these modules and in Python's."""
    found = []
    for names in [vars(module) for module in (time, dt, os, platform, socket, *modules)]:
        for name, value in list(names.items()):
            try:
                shifted = SHIFTED.get(value)
            except TypeError:  # it can't be hashed, so it is no clock
                continue
            if shifted is not None:
                found.append((names, name, value, shifted))
    return found


@contextmanager
def clocks_off(places: list[tuple[dict[str, Any], str, Any, Any]], seconds: int) -> Iterator[None]:
    """Make the clocks with these names wrong for the calling thread."""
    off.thread, off.seconds = get_ident(), seconds
    for names, name, _real, shifted in places:
        names[name] = shifted
    try:
        yield
    finally:
        for names, name, real, _shifted in places:
            names[name] = real
        off.thread = 0


def stir(value: Any, salt: int) -> None:
    """Give the sets in `value` another order. Their elements stay the same."""
    waiting, seen = [value], set[int]()
    while waiting and len(seen) < STIRRED_MAX:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, (str, bytes, int, float, type, ModuleType)):
            continue
        seen.add(id(each))
        if isinstance(each, set):
            members = list(each)
            turn = salt % (len(members) or 1)
            set.clear(each)  # by the methods of `set`, as a StateSet refuses changes here
            if salt & 1:  # a larger hash table has another order
                padding = range(1 << 70, (1 << 70) + 16 * (salt % 8))
                set.update(each, padding)
                set.difference_update(each, padding)
            set.update(each, members[turn:][::-1] + members[:turn])
        elif isinstance(each, ObjectState):
            waiting += each.fields.values()
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, (list, tuple, StateList)):
            waiting += each
        elif hasattr(each, "__dict__"):
            waiting += vars(each).values()
