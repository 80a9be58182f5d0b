"""Messages between peers, as lists that msgpack encodes: `[kind, term, field, ...]`.

Sender, receiver, group and incarnations are sent once for each batch, beside the lists. Entries are
bytes already and are not changed. For a node with an older protocol version, the kinds of messages
and the last fields that this version does not have are left out (see wire/versions.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from reprlib import repr as shortened
from typing import Any

from raft_actors.core import messages
from raft_actors.core.configuration import Configuration
from raft_actors.core.digests import DIGEST_BYTES_MAX, comparison_in
from raft_actors.core.entry import (
    CHECKSUM_BYTES,
    COMMAND,
    CONFIG,
    HEADER,
    NOOP,
    TERM_BYTES,
    VERSION,
    VERSION_BYTES,
    has_extensions,
    kind_of,
    payload_of,
    version_of,
)
from raft_actors.core.messages import SINCE, Message
from raft_actors.names import Address

__all__ = ["pack", "unpack"]

ENVELOPE = {"source", "target", "group", "source_incarnation", "target_incarnation"}
KINDS: tuple[type[Message], ...] = (
    messages.RequestPreVote,
    messages.PreVoteReply,
    messages.RequestVote,
    messages.VoteReply,
    messages.AppendEntries,
    messages.AppendReply,
    messages.AppendRejected,
    messages.TimeoutNow,
    messages.ReadIndex,
    messages.ReadIndexReply,
    messages.InstallSnapshot,
    messages.SnapshotReply,
)
"""The number of a kind of message in the frames is its position in this tuple: add new kinds at the
end, and never change the order.
"""


def fields_of(kind: type[Message], version: int | None = None) -> list[str]:
    """Return the names of the fields that are in the list: all of them, or those of `version`."""
    return [
        field.name
        for field in fields(kind)
        if field.name not in ENVELOPE
        and (version is None or field.metadata.get(SINCE, kind.since) <= version)
    ]


def types_of(kind: type[Message]) -> list[type]:
    known = {int: int, bool: bool, bytes: bytes, list[bytes]: list}
    return [known[field.type] for field in fields(kind) if field.name not in ENVELOPE]  # type: ignore[index]


def values_of(names: Sequence[str]) -> Callable[[Message], Sequence[Any]]:
    """As `attrgetter`, but the result is a sequence also for a single name."""
    getter = attrgetter(*names)
    return getter if len(names) > 1 else lambda message: (getter(message),)


NUMBER_MAX = 1 << 62
"""The bound of terms and indexes: an entry has 8 bytes for a term, and with this bound there are
enough higher terms left for elections.
"""

NAMES = [fields_of(kind) for kind in KINDS]
TYPES = [types_of(kind) for kind in KINDS]
NEEDED = [len(fields_of(kind, kind.since)) for kind in KINDS]
"""How many fields a message of each kind has at least: those of its first version."""

Packer = tuple[int, Callable[[Message], Sequence[Any]]]


@cache
def packers(version: int) -> dict[type[Message], Packer]:
    """Return how messages are packed, for each kind that this protocol version has."""
    return {
        kind: (number, values_of(fields_of(kind, version)))
        for number, kind in enumerate(KINDS)
        if kind.since <= version
    }


def pack(message: Message, version: int) -> list[Any] | None:
    """Return the message as a list of this protocol version; None if the version has no such
    kind.
    """
    packer = packers(version).get(type(message))
    return None if packer is None else [packer[0], *packer[1](message)]


def unpack(
    packed: Sequence[Any],
    source: Address,
    target: Address,
    group: str,
    incarnations: tuple[int, int] = (0, 0),
) -> Message:
    """Return the message. Raises ValueError for anything that `pack` can't have made.

    incarnations  that of the sender, and that of the receiver as far as the sender knows
    """
    if (type(source[0]), type(target[0]), type(group)) != (str, str, str):
        raise ValueError("peer messages whose sender, receiver or group is not a str")
    for incarnation in incarnations:
        if type(incarnation) is not int or not 0 <= incarnation <= NUMBER_MAX:
            raise ValueError("peer messages with an incarnation that is out of range or not an int")
    try:
        number, *values = packed
    except (TypeError, ValueError):
        raise ValueError("a peer message that is not a list, or is an empty list") from None
    if type(number) is not int or not 0 <= number < len(KINDS):
        raise ValueError(f"this version has no peer message of kind {shortened(number)}")
    kind, names = KINDS[number], NAMES[number]
    if len(values) < NEEDED[number] or list(map(type, values)) != TYPES[number][: len(values)]:
        raise ValueError(f"a {kind.__name__} with missing fields or fields of wrong types")
    for value in values:
        if type(value) is int and not 0 <= value < NUMBER_MAX:
            raise ValueError(f"a {kind.__name__} with a field out of range")
    message: Message = kind(
        source=source, target=target, group=group,
        source_incarnation=incarnations[0], target_incarnation=incarnations[1],
        **dict(zip(names, values, strict=False)),
    )  # fmt: skip
    if type(message) is messages.AppendEntries:
        if message.entries:
            check_entries(message)
    elif type(message) is messages.AppendReply:
        if len(message.digest) > DIGEST_BYTES_MAX:
            raise ValueError("an AppendReply with a digest that is none")
    elif type(message) is messages.InstallSnapshot:
        check_chunk(message)
    return message


def check_entries(message: messages.AppendEntries) -> None:
    """Raise ValueError for entries that no leader's log can have. In a peer's own log such an entry
    would end the peer, now or after a restart. The payload of a command is not checked here: see
    `ReplicatedState`. The follower checks the checksums of the entries: see `Follower.on_append`.
    """
    before = message.prev_term.to_bytes(TERM_BYTES, "big")
    for index, entry in enumerate(message.entries, message.prev_index + 1):
        if type(entry) is not bytes or len(entry) < HEADER.size + CHECKSUM_BYTES:
            raise ValueError("an AppendEntries with an item that is not an entry")
        term = entry[:TERM_BYTES]
        if term < before:
            raise ValueError(f"entry {index} has an older term than the entry before it")
        before = term
        kind = kind_of(entry)
        if kind == COMMAND:
            continue
        if kind == NOOP:
            check_extensions(entry, index)
        elif kind == CONFIG:
            check_configuration(payload_of(entry), index)
        elif kind != VERSION:
            raise ValueError(f"entry {index} has the kind {kind}, which this version does not know")
        elif len(payload_of(entry)) != VERSION_BYTES or not version_of(entry):
            raise ValueError(f"entry {index} has no valid machine version")
    if before > message.term.to_bytes(TERM_BYTES, "big"):
        raise ValueError("an AppendEntries with an entry of a later term than its own")


def check_extensions(entry: bytes, index: int) -> None:
    """Raise ValueError if an empty entry has a comparison of digests that is malformed, or of later
    states.
    """
    if has_extensions(entry):
        comparison = comparison_in(entry)
        if comparison is not None and comparison.index >= index:
            raise ValueError(f"an entry {index} that compares the states after {comparison.index}")


def check_configuration(payload: bytes, index: int) -> None:
    configuration = Configuration.decode(payload, index)
    if not 0 <= configuration.previous < index:
        raise ValueError(
            f"configuration {index} says that the one before it is {configuration.previous}"
        )


def check_chunk(message: messages.InstallSnapshot) -> None:
    if not 0 < len(message.data) <= message.size - message.offset:
        raise ValueError("an InstallSnapshot with no data, or with data beyond its size")
    if not 0 < message.last_term <= message.term or not message.index:
        raise ValueError("an InstallSnapshot of an entry that its leader can't have")
    if message.checksum >> 32:
        raise ValueError("an InstallSnapshot with a checksum over 32 bits")
