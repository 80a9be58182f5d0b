"""Entries: shows the entries of a log to people and programs, also damaged ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.digests import comparison_in, told_of_digests
from raft_actors.core.entry import (
    CHECKSUM_BYTES,
    COMMAND,
    CONFIG,
    HEADER,
    KIND_NAMES,
    NOOP,
    TIME_MAX,
    VERSION,
    VERSION_BYTES,
    command_of,
    extensions_of,
    first_damaged,
    kind_of,
    payload_of,
    term_of,
    version_of,
)
from raft_actors.errors import HostError
from raft_actors.machine.sessions import asked_of_sessions
from raft_actors.stores.durable import DurableStore
from raft_actors.tools.offline.stopped_peer import batches

__all__ = ["damage_in", "entries_of", "entry_view", "is_entry"]


def entries_of(store: DurableStore[Any], first: int, last: int) -> Iterator[dict[str, Any]]:
    for start, entries in batches(store, first, last):
        for index, entry in enumerate(entries, start):
            yield entry_view(index, entry)


def is_entry(entry: bytes) -> bool:
    """Return whether the bytes have all parts of an entry, and a kind that this version knows."""
    if len(entry) < HEADER.size + CHECKSUM_BYTES or kind_of(entry) not in KIND_NAMES:
        return False
    try:
        extensions_of(entry)
    except ValueError:
        return False
    return True


def damage_in(index: int, entry: bytes) -> str:
    """Return what is wrong with an entry, as a text after "entry 7"; "" if nothing is wrong."""
    if first_damaged([entry], index):
        return "is not what its leader wrote there: its checksum is wrong"
    if not is_entry(entry):
        return "is not what raft_actors writes"
    kind, (payload, _, time_ms) = kind_of(entry), command_of(entry)
    if kind == CONFIG:
        try:
            Configuration.decode(payload, 0)
        except (ValueError, KeyError, TypeError) as error:
            return f"is no configuration: {error!r}"
    if kind == VERSION and len(payload) != VERSION_BYTES:
        return f"is no machine version: it has {len(payload)} bytes, not {VERSION_BYTES}"
    if kind == NOOP:
        try:
            comparison_in(entry)
        except ValueError as error:
            return f"has {error}"
    if time_ms > TIME_MAX:
        return f"is of a time that no clock shows: {time_ms} ms since 1970"
    return ""


def entry_view(index: int, entry: bytes) -> dict[str, Any]:
    """An entry as terms that JSON can hold. What can't be read is shown as its bytes are."""
    damage = damage_in(index, entry) or None
    if not is_entry(entry):
        return {
            "index": index, "term": None, "kind": None, "time": None, "request": None,
            "extensions": {}, "data": repr(entry), "damage": damage,
        }  # fmt: skip
    payload, request, time_ms = command_of(entry)
    kind, time = KIND_NAMES[kind_of(entry)], None
    data: Any = None
    asked = asked_of_sessions(index, request, payload) if kind_of(entry) == COMMAND else None
    if asked is not None:
        kind, data = "session", repr(asked)
    elif kind_of(entry) == NOOP and not damage and (told := told_of_digests(entry)):
        kind, data = "digests", told
    else:
        data = data_of(entry)
    if 0 < time_ms <= TIME_MAX:
        time = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()
    return {
        "index": index, "term": term_of(entry), "kind": kind, "time": time,
        "request": list(request),
        "extensions": {str(tag): value.hex() for tag, value in extensions_of(entry)},
        "data": data, "damage": damage,
    }  # fmt: skip


def data_of(entry: bytes) -> Any:
    kind, payload = kind_of(entry), payload_of(entry)
    try:
        if kind == CONFIG:
            return json.loads(payload)
        if kind == COMMAND:
            return repr(encoding.loads_shown(payload))
    except (ValueError, HostError):  # a strange client's, or not to be read here
        return repr(payload)
    return version_of(entry) if kind == VERSION else None
