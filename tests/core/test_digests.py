"""Which replica is right is a matter of counting; one that is down may agree with either side."""

import pytest

from raft_actors.core.digests import Comparison, comparison_in
from raft_actors.core.entry import COMMAND, NOOP, encode, extension
from raft_actors.core.messages import AppendEntries, AppendReply
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.wire import versions

RIGHT, WRONG, OTHER = "01aa0000001", "01aa0000002", "01aa0000003"
ELSEWHERE = "02aa0000001"
"""A digest of another form."""


def compared(digests, replicas=0):
    rows = tuple(((name, f"{name}@host"), digest) for name, digest in zip("abcde", digests))
    return Comparison(7, replicas or len(rows), rows, 3)


def wrong(comparison):
    return "".join(name for name, _node in comparison.wrong())


@pytest.mark.parametrize(
    ("digests", "replicas", "right", "differing"),
    [
        ([RIGHT, RIGHT, RIGHT], 3, RIGHT, ""),
        ([RIGHT, WRONG, RIGHT], 3, RIGHT, "b"),
        ([RIGHT, RIGHT, WRONG], 5, None, ""),  # the two that are down may be of either opinion
        ([RIGHT, RIGHT, RIGHT, WRONG], 5, RIGHT, "d"),
        ([RIGHT, RIGHT, WRONG, WRONG], 4, None, ""),
        ([RIGHT, WRONG], 2, None, ""),
        ([RIGHT, WRONG, OTHER], 3, None, ""),
        ([RIGHT, WRONG, OTHER, RIGHT, RIGHT], 5, RIGHT, "bc"),
        ([RIGHT, RIGHT, ELSEWHERE], 3, RIGHT, ""),  # runs another release, and may be right
    ],
)
def test_more_than_half_of_all_replicas_are_right(digests, replicas, right, differing):
    """Planted: half_of_the_replicas_are_right, replicas_that_are_down_agree."""
    comparison = compared(digests, replicas)
    assert comparison.right == right
    assert wrong(comparison) == differing


def test_only_what_differs_in_one_form_is_disputed():
    assert compared([RIGHT, WRONG]).is_disputed(RIGHT)
    assert not compared([RIGHT, ELSEWHERE]).is_disputed(RIGHT)
    assert not compared([RIGHT, RIGHT, WRONG]).is_disputed(WRONG), "that is decided"


def test_all_were_equal_only_if_all_were_known():
    assert compared([RIGHT, RIGHT, RIGHT]).last_equal == 7
    assert compared([RIGHT, RIGHT], 3).last_equal == 3
    assert compared([RIGHT, RIGHT, WRONG]).last_equal == 3


def test_a_comparison_comes_back_from_its_entry():
    comparison = compared([RIGHT, WRONG, OTHER])
    assert comparison_in(encode(1, NOOP, index=9, extensions=comparison.encode())) == comparison
    assert comparison_in(encode(1, NOOP, index=9)) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[7,3,[],3]x", b"[7,3,[]]", b"[3,3,[],7]", b'[7,3,[["a","b"]],3]',
     b'[7,3,[[["a","b"],5]],3]', b'[7,3,[[["a","b"],"no hex!"]],3]', b"[7,-1,[],3]",
     b'["7",3,[],3]', b"\xff", b"[" * 60_000],
)  # fmt: skip
def test_what_is_no_comparison_is_refused_where_it_arrives(data):
    """In a log it would end its peer."""
    entry = encode(1, NOOP, index=9, extensions=extension(2, data))
    with pytest.raises(ValueError):  # noqa: PT011
        comparison_in(entry)
    message = AppendEntries(
        source=("a", "a@host"), target=("b", "b@host"), group="", term=1, prev_index=8,
        prev_term=1, commit=0, round=0, entries=[entry],
    )  # fmt: skip
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(pack(message, versions.newest()), message.source, message.target, "")
    message.entries = [encode(1, COMMAND, index=9, extensions=extension(2, data))]
    assert unpack(pack(message, versions.newest()), message.source, message.target, "") == message


def test_a_comparison_of_a_state_to_come_and_an_endless_digest_are_refused():
    entry = encode(1, NOOP, index=7, extensions=compared([RIGHT, RIGHT]).encode())
    message = AppendEntries(
        source=("a", "a@host"), target=("b", "b@host"), group="", term=1, prev_index=6,
        prev_term=1, commit=0, round=0, entries=[entry],
    )  # fmt: skip
    with pytest.raises(ValueError, match="compares the states after 7"):
        unpack(pack(message, versions.newest()), message.source, message.target, "")
    reply = AppendReply(
        source=("a", "a@host"), target=("b", "b@host"), group="", term=1, match=1, round=1,
        digest_index=1, digest=bytes(65),
    )  # fmt: skip
    with pytest.raises(ValueError, match="a digest that is none"):
        unpack(pack(reply, versions.newest()), reply.source, reply.target, "")
