"""Messages between peers are checked where they are unpacked: the core may rely on it."""

import json
from functools import partial

import pytest

from raft_actors.core import entry
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import COMMAND, CONFIG, NOOP, VERSION, version_bytes
from raft_actors.core.messages import AppendEntries, InstallSnapshot
from raft_actors.peer.message_codec import pack, unpack

encode = partial(entry.encode, index=4)
A, B = ("kv", "a@one"), ("kv", "b@two")
TERM = 7


def arrives(message, **changed):
    """Return the message as it comes out at the other side."""
    packed = pack(message(source=A, target=B, group="g", term=TERM, **changed), 1)
    return unpack(packed, A, B, "g")


def append(*entries, prev_index=3, prev_term=2):
    return arrives(
        AppendEntries, prev_index=prev_index, prev_term=prev_term, commit=3, round=1,
        entries=list(entries),
    )  # fmt: skip


def configuration(**changed):
    fields = json.loads(Configuration(members=(A, B), group="0123456789abcdef").encode())
    return encode(TERM, CONFIG, json.dumps({**fields, **changed}).encode())


def test_what_a_leader_sends_comes_through():
    entries = [
        encode(2, NOOP), encode(2, COMMAND, b"any bytes \xff", (1, 2), 3),
        encode(2, COMMAND, b"x", extensions=b"\xff\xff\0\1?"), encode(5, VERSION, version_bytes(4)),
        configuration(previous=3, incarnations=[[A, 12], [B, 13]], forced={"by": "somebody"}),
    ]  # fmt: skip
    assert append(*entries).entries == entries
    assert append().entries == []


@pytest.mark.parametrize(
    "entry",
    [
        encode(TERM, COMMAND)[:-1],
        encode(TERM, 4),
        encode(TERM, 255, b"payload"),
        encode(TERM, VERSION),
        encode(TERM, VERSION, bytes(4)),
        encode(TERM, VERSION, bytes(3) + b"\1\1"),
        encode(1, COMMAND),
        encode(TERM + 1, COMMAND),
        encode((1 << 64) - 1, NOOP),
    ],
    ids=repr,
)
def test_an_entry_that_no_leader_of_this_version_has_is_refused(entry):
    with pytest.raises(ValueError, match="entry"):
        append(encode(2, COMMAND), entry)


def test_entries_of_falling_terms_are_refused():
    with pytest.raises(ValueError, match="older term"):
        append(encode(5, COMMAND), encode(4, COMMAND))


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", b"7", b"null", b"\xff", b"[" * 100_000,
        json.dumps({"members": []}).encode(),
    ],
    ids=lambda payload: repr(payload[:20]),
)  # fmt: skip
def test_a_configuration_of_another_shape_is_refused(payload):
    with pytest.raises(ValueError, match="no configuration"):
        append(encode(TERM, CONFIG, payload))


@pytest.mark.parametrize(
    "changed",
    [
        {"members": [["kv"]]}, {"members": [["kv", "a@one", 3]]}, {"members": [[1, 2]]},
        {"members": ["kv", "a@one"]}, {"learners": [[None, "a"]]}, {"witnesses": [[[], "a"]]},
        {"members": [["\udcff", "a@one"]]}, {"old": 3}, {"group": 3}, {"group": None},
        {"group": "\udcff"}, {"previous": -1}, {"previous": "1"}, {"previous": True},
        {"previous": 4}, {"previous": 1 << 70}, {"incarnations": [[A, "x"]]},
        {"incarnations": [[A, -1]]}, {"incarnations": [A]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_configuration_with_fields_of_other_types_is_refused(changed):
    """One that follows on itself would be looked for, for ever, when the log is cut."""
    with pytest.raises(ValueError, match="configuration"):
        append(configuration(**changed))


def chunk(**changed):
    fields = {
        "index": 9, "last_term": 3, "size": 100, "checksum": 5, "offset": 0, "data": b"x",
        "round": 1, **changed,
    }  # fmt: skip
    return arrives(InstallSnapshot, **fields)


def test_a_part_of_a_snapshot_comes_through():
    assert chunk(checksum=(1 << 32) - 1).data == b"x"


@pytest.mark.parametrize(
    "changed",
    [
        {"index": 0}, {"last_term": 0}, {"last_term": TERM + 1}, {"checksum": 1 << 32},
        {"size": 0}, {"data": b""}, {"offset": 100}, {"offset": (1 << 62) - 1},
    ],
    ids=repr,
)  # fmt: skip
def test_a_part_of_a_snapshot_that_can_be_none_is_refused(changed):
    """A checksum of more than 32 bits would make a file name that ends the peer's next start."""
    with pytest.raises(ValueError, match="InstallSnapshot"):
        chunk(**changed)
