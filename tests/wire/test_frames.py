"""The stream of frames and what is in them: any cut gives the same, any bytes at worst an error."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_actors.wire.frame_codec import (
    FRAMES_MAX,
    join_frames,
    make_packer,
    unpack,
    unpack_frame,
    unpack_frames,
)
from raft_actors.wire.frames import FrameReader, ProtocolError, header
from tests.memory import least_allocated

payloads = st.lists(st.binary(max_size=300), max_size=12)


def framed(payload):
    return header(len(payload)) + payload


@given(payloads, st.lists(st.integers(0, 4000), max_size=20))
def test_any_cut_of_the_stream_gives_the_same_frames(expected, cuts):
    """Planted: keep `view[start:]` only when a frame was complete; lose it otherwise."""
    stream = b"".join(map(framed, expected))
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader(limit=300)
    found = []
    for start, stop in itertools.pairwise(edges):
        found += [bytes(payload) for payload in reader.feed(stream[start:stop])]
    assert found == expected


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_give_frames_or_a_protocol_error(pieces):
    reader = FrameReader(limit=64)
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                assert len(payload) <= 64
    except ProtocolError:
        pass


@given(st.binary(max_size=200))
def test_any_payload_is_a_frame_or_a_protocol_error(payload):
    try:
        frame = unpack_frame(payload)
    except ProtocolError:
        return
    assert isinstance(frame[0], int)


@given(st.binary(max_size=200))
def test_any_payload_is_frames_or_a_protocol_error(payload):
    try:
        frames = unpack_frames(payload)
    except ProtocolError:
        return
    assert frames
    assert all(isinstance(frame[0], int) for frame in frames)


@pytest.mark.parametrize("count", [2, 15, 16, 4096])
def test_frames_that_are_joined_come_apart_again(count):
    pack = make_packer()
    frames = [[16, b"x" * (number % 5), number] for number in range(count)]
    assert unpack_frames(join_frames([pack(frame) for frame in frames])) == frames
    assert unpack_frames(pack(frames[0])) == frames[:1]


def test_one_frame_that_is_none_spoils_those_it_came_with():
    pack = make_packer()
    with pytest.raises(ProtocolError, match="not \\[kind"):
        unpack_frames(join_frames([pack([16, None]), pack("no frame")]))


def test_a_payload_of_more_frames_than_nodes_join_is_refused():
    """A reader's one frame of 16 MiB, with four million pings, kept a node from all else for half a
    minute.
    """
    ping = b"\x92\x00\xc0"
    with pytest.raises(ProtocolError, match="4097 frames, over the limit of 4096"):
        unpack_frames(join_frames([ping] * (FRAMES_MAX + 1)))


def test_a_payload_of_a_million_lists_is_refused_before_they_are_made():
    """Sixteen millions, which fit into one frame, take a gigabyte, and ten seconds and more."""
    count = 1 << 20
    lists = b"\x92\x10\xdd" + count.to_bytes(4, "big") + b"\x90" * count

    def refused():
        with pytest.raises(ProtocolError, match="more than 65536 lists"):
            unpack_frames(lists)

    assert least_allocated(refused) < 3 * count


def test_lists_that_claim_more_than_there_is_are_refused_before_room_is_made_for_them():
    nested = b"\x92\x10" + b"\xdc\xff\xff" * 1000 + b"\xc0" * 70_000

    def refused():
        with pytest.raises(ProtocolError, match="ends in the middle"):
            unpack_frames(nested)

    assert least_allocated(refused) < 40 << 20, "room for all claims is half a gigabyte"


def test_a_list_that_is_longer_than_frames_are_joined_arrives():
    body = list(range(10_000))
    assert unpack_frames(make_packer()([16, body])) == [[16, body]]


def test_a_large_value_in_bytes_may_look_like_anything():
    body = b"\x90" * (1 << 20)
    assert unpack_frames(make_packer()([16, body])) == [[16, body]]


def test_a_byte_at_a_time_is_enough():
    reader = FrameReader(limit=100)
    stream = framed(b"one") + framed(b"") + framed(b"three")
    found = [bytes(p) for byte in stream for p in reader.feed(bytes([byte]))]
    assert found == [b"one", b"", b"three"]


def test_a_frame_at_the_limit_passes_and_one_over_it_does_not():
    reader = FrameReader(limit=10)
    assert [len(p) for p in reader.feed(framed(b"x" * 10))] == [10]
    with pytest.raises(ProtocolError, match="11 bytes, over the limit of 10"):
        list(reader.feed(header(11)))


def test_the_frames_before_a_bad_one_are_given():
    frames = FrameReader(limit=10).feed(framed(b"good") + header(4_000_000_000))
    assert bytes(next(frames)) == b"good"
    with pytest.raises(ProtocolError):
        next(frames)


def test_the_limit_may_grow_between_two_frames():
    reader = FrameReader(limit=4)
    found = []
    for payload in reader.feed(framed(b"more") + framed(b"a longer one")):
        found.append(bytes(payload))
        reader.limit = 100
    assert found == [b"more", b"a longer one"]


def test_a_claim_of_4_gib_allocates_nothing():
    def claim():
        reader = FrameReader(limit=2**32)
        for payload in reader.feed(header(2**32 - 1) + b"x" * 1000):
            pytest.fail(f"a frame of {len(payload)} bytes from nowhere")

    assert least_allocated(claim) < 20_000


def test_a_large_frame_in_small_pieces_takes_linear_time():
    """1,024 pieces: were all copied for each piece, that would be 2 GiB and many seconds."""
    piece = b"x" * 4096
    reader = FrameReader(limit=2**24)
    assert list(reader.feed(header(1024 * 4096))) == []
    found = [len(payload) for _ in range(1024) for payload in reader.feed(piece)]
    assert found == [1024 * 4096]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_bodies_come_out_as_they_went_in(body):
    assert unpack_frame(make_packer()([16, body, 7])) == [16, body, 7]


def test_a_list_that_claims_more_than_it_may_is_refused_before_room_is_made_for_it():
    """Planted: unpack without max_array_len; 64 nested claims then cost half a megabyte."""
    claims = b"\xdc\x03\x84" * 64 + b"\x00" * 800  # lists of 900 items, each in the other

    def refused():
        with pytest.raises(ProtocolError):
            unpack(claims, 16)

    assert least_allocated(refused) < 20_000
