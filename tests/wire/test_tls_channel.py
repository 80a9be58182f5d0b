"""What a certificate must name, and that both proofs and all keys cover the certificates."""

import pytest

from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake, Refusal
from raft_actors.wire.tls_channel import TlsChannel
from tests.wire.test_handshake import COOKIE, A, B, meet

ONE, TWO, MIDDLE = b"1" * 32, b"2" * 32, b"m" * 32


def named(*names):
    return TlsChannel(ONE, TWO, tuple(names))


@pytest.mark.parametrize(
    "names",
    [
        [("DNS", "one")],
        [("DNS", "ONE")],  # host names know no case
        [("DNS", "other"), ("DNS", "one")],
        [("email", "a@one")],
    ],
    ids=str,
)
def test_a_certificate_names_the_host_or_the_node(names):
    assert named(*names).name_problem("a@one") == ""


def test_a_host_may_be_an_address():
    assert named(("IP Address", "10.0.0.1")).name_problem("a@10.0.0.1") == ""


@pytest.mark.parametrize(
    "names",
    [
        [],
        [("DNS", "one.example.com")],
        [("DNS", "*")],
        [("DNS", "on")],
        [("DNS", "ne")],
        [("DNS", "a@one")],
        [("email", "A@one")],  # names of nodes do
        [("email", "b@one")],
        [("email", "one")],
        [("URI", "one")],
        [("DNS", "a")],
    ],
    ids=str,
)
def test_any_other_name_is_refused_in_words(names):
    """Planted: a name that ends with the host's is enough; any name of the host's is."""
    words = named(*names).name_problem("a@one")
    assert words.startswith("the certificate of a@one must have DNS:one or email:a@one as")
    assert words.endswith("has none") == (not names)


def test_without_an_authority_nobody_asks_for_names():
    assert TlsChannel(b"", TWO, None).name_problem("a@one") == ""


def over(dialer_sees, acceptor_sees, tamper=lambda _number, payload: payload):
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    for side, channel in ((dialer, dialer_sees), (acceptor, acceptor_sees)):
        if channel is not None:
            side.use_tls(channel)
    return meet(dialer, acceptor, tamper)


def test_two_that_see_the_same_certificates_meet():
    channel = TlsChannel(ONE, TWO, None)
    at_a, at_b = over(channel, channel)
    assert at_a.send_key == at_b.receive_key
    assert at_a.receive_key == at_b.send_key


@pytest.mark.parametrize(
    ("dialer_sees", "acceptor_sees"),
    [
        (TlsChannel(ONE, MIDDLE, None), TlsChannel(ONE, TWO, None)),
        (TlsChannel(ONE, TWO, None), TlsChannel(MIDDLE, TWO, None)),
        (TlsChannel(ONE, MIDDLE, None), TlsChannel(MIDDLE, TWO, None)),
        (TlsChannel(b"", MIDDLE, None), TlsChannel(b"", TWO, None)),
        (TlsChannel(ONE, TWO, None), TlsChannel(TWO, ONE, None)),
        (None, TlsChannel(b"", TWO, None)),
        (TlsChannel(b"", MIDDLE, None), None),
    ],
    ids=["acceptor's", "dialer's", "both", "auto", "turned around", "to plain", "from plain"],
)
def test_a_relay_that_ends_the_encryption_is_found(dialer_sees, acceptor_sees):
    """Planted: proofs that cover nothing of the channel; one of the two certificates only."""
    with pytest.raises(Refusal, match="the cookies differ"):
        over(dialer_sees, acceptor_sees)


def test_a_welcome_for_another_channel_is_worth_nothing():
    """Planted: the acceptor's proof does not cover the certificates."""
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    dialer.use_tls(TlsChannel(ONE, MIDDLE, None))
    acceptor.use_tls(TlsChannel(ONE, TWO, None))
    dialer.receive(acceptor.receive(dialer.hello))
    with pytest.raises(Refusal, match="or something between the two nodes decrypts their TLS"):
        dialer.receive(acceptor.welcome())


def test_keys_of_frames_cover_the_certificates():
    keys = set()
    for acceptor in (TWO, MIDDLE):
        dialer = DialerHandshake(A, COOKIE, "b@two")
        channel = TlsChannel(ONE, acceptor, None)
        other = AcceptorHandshake(B, COOKIE)
        dialer.use_tls(channel)
        other.use_tls(channel)
        at_a, _at_b = meet(dialer, other)
        keys |= {at_a.send_key, at_a.receive_key}
    assert len(keys) == 4


def test_a_dialer_turns_down_an_acceptor_whose_certificate_names_another():
    dialer = DialerHandshake(A, COOKIE, "b@two")
    with pytest.raises(Refusal, match="the certificate of b@two must have DNS:two") as refusal:
        dialer.use_tls(TlsChannel(ONE, TWO, (("DNS", "one"),)))
    assert refusal.value.code == "certificate"


def test_an_acceptor_turns_down_a_dialer_whose_certificate_names_another():
    acceptor = AcceptorHandshake(B, COOKIE)
    acceptor.use_tls(TlsChannel(ONE, TWO, (("DNS", "two"),)))
    with pytest.raises(Refusal, match="the certificate of a@one must have DNS:one"):
        acceptor.receive(DialerHandshake(A, COOKIE, "b@two").hello)
