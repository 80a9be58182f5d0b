"""What a stranger's msgpack may be, before it is read."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_actors.wire.depth_check import check_containers, check_depth
from raft_actors.wire.frame_codec import unpack
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake, Identity
from raft_actors.wire.keyring import Keyring
from tests.memory import least_allocated

HERE = Identity("a@one", b"aaaaaaaa", 1 << 20)
atoms = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=300) | st.binary(max_size=300)
)  # fmt: skip


def depth_of(value):
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(st.recursive(atoms, lambda parts: st.lists(parts, max_size=20), max_leaves=30))
def test_lists_pass_if_they_are_no_deeper_than_they_may_be(value):
    """Planted: count a str's length from the wrong byte; forget to close an empty list."""
    packed = msgpack.packb(value)
    depth = depth_of(value)
    check_depth(packed, depth)
    if depth:
        with pytest.raises(ProtocolError, match="deeper"):
            check_depth(packed, depth - 1)


@given(st.binary(max_size=100))
def test_any_bytes_pass_or_are_refused_and_what_passes_is_as_shallow_as_told(data):
    try:
        check_depth(data, 2)
        value = unpack(data)
    except ProtocolError:
        return
    assert depth_of(value) <= 2


def containers_in(value):
    if isinstance(value, dict):
        return 1 + sum(containers_in(each) for pair in value.items() for each in pair)
    return 1 + sum(map(containers_in, value)) if isinstance(value, list) else 0


exts = st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=300))


@given(
    st.recursive(
        atoms | exts,
        lambda parts: st.lists(parts, max_size=20) | st.dictionaries(st.integers(0, 99), parts),
        max_leaves=30,
    )
)
def test_lists_and_dicts_are_counted_and_what_looks_like_one_inside_of_bytes_is_none(value):
    """Planted: forget the type of an ext; count a map's head as a fixed value."""
    packed = msgpack.packb(value)
    count = containers_in(value)
    check_containers(packed, count)
    if count:
        with pytest.raises(ProtocolError, match="more than"):
            check_containers(packed, count - 1)


@given(st.binary(max_size=100), st.integers(0, 5))
def test_any_bytes_have_no_more_containers_than_they_may_or_are_refused(data, most):
    try:
        check_containers(data, most)
        value = unpack(data)
    except ProtocolError:
        return
    assert containers_in(value) <= most


@pytest.mark.parametrize("value", [{}, {1: 2}, [{}], [1, [{}]], msgpack.ExtType(1, b"x")])
def test_maps_and_exts_are_refused(value):
    with pytest.raises(ProtocolError, match="a map or an ext"):
        check_depth(msgpack.packb(value), 9)


@pytest.mark.parametrize("head", [b"\x9f", b"\xdc\x00\x10", b"\x81\x01", b"\xdd\x00\x00\x00\x10"])
def test_a_message_of_heads_costs_little(head):
    """Found by measuring strangers: a kilobyte of nested heads took 180 KiB for a moment."""
    payload = (head * 1024)[:1024]

    def refused():
        acceptor = AcceptorHandshake(HERE, Keyring.of("secret"))
        with pytest.raises(ProtocolError):
            acceptor.receive(payload)

    assert least_allocated(refused) < 8_000


def test_an_answer_to_a_stranger_takes_no_new_packer():
    """Found by measuring strangers: a packer begins with 256 KiB."""
    hello = DialerHandshake(
        Identity("b@two", b"bbbbbbbb", 1 << 20), Keyring.of("secret"), HERE.name
    ).hello

    def answered():
        AcceptorHandshake(HERE, Keyring.of("secret")).receive(hello)

    answered()
    assert least_allocated(answered) < 12_000
