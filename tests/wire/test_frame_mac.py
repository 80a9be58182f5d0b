"""Frames after the handshake: what was changed, repeated, left out or turned around is noticed."""

import pytest

from raft_actors.wire.frame_mac import TAG_BYTES, FrameMac
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake
from tests.wire.test_handshake import COOKIE, A, B, meet

KEY = b"k" * 32


def framed(mac, payload):
    return memoryview(payload + mac.tag(payload))


def test_frames_arrive_as_they_were_sent():
    sending, receiving = FrameMac(KEY), FrameMac(KEY)
    for payload in (b"", b"one", b"two" * 1000, b"one"):
        assert receiving.checked(framed(sending, payload)) == payload


def test_a_tag_is_the_keyed_blake2b_of_number_and_payload():
    """As another implementation would make it (RFC 7693): the wire format is a promise."""
    tag = FrameMac(bytes(range(32))).tag(b"abc")
    assert tag.hex() == "e9d03ed57970244aa43282cc4ec993d4"
    assert len(tag) == TAG_BYTES


def test_each_changed_bit_is_noticed():
    """Planted: compare only the first bytes of a tag."""
    frame = framed(FrameMac(KEY), b"1000 euros")
    for bit in range(8 * len(frame)):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError, match="wrong tag"):
            FrameMac(KEY).checked(memoryview(changed))


@pytest.mark.parametrize("order", [(0, 0), (1,), (0, 2), (0, 1, 0)], ids=str)
def test_frames_come_once_each_and_in_order(order):
    """Planted: a number that stays 0."""
    sending, receiving = FrameMac(KEY), FrameMac(KEY)
    frames = [framed(sending, payload) for payload in (b"a", b"b", b"c")]
    *first, last = order
    for index in first:
        receiving.checked(frames[index])
    with pytest.raises(ProtocolError):
        receiving.checked(frames[last])


@pytest.mark.parametrize("size", range(TAG_BYTES))
def test_what_is_too_short_for_a_tag_is_refused(size):
    with pytest.raises(ProtocolError):
        FrameMac(KEY).checked(memoryview(bytes(size)))


def test_both_ends_have_the_same_two_keys_and_each_connection_its_own():
    """Planted: one key for both directions; keys without the nonces."""
    keys = set()
    for _ in range(3):
        at_a, at_b = meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE))
        assert at_a.send_key == at_b.receive_key
        assert at_a.receive_key == at_b.send_key
        keys |= {at_a.send_key, at_a.receive_key}
    assert len(keys) == 6


def test_keys_do_not_print():
    at_a, _at_b = meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE))
    assert repr(at_a.send_key)[2:-1] not in repr(at_a)
