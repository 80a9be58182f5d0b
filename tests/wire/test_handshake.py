"""The handshake without sockets: who gets in, and what no stranger can do."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_actors.wire.cookie import Cookie, UnsafeCookie
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.handshake import (
    HANDSHAKE_BYTES_MAX,
    AcceptorHandshake,
    DialerHandshake,
    Identity,
    Refusal,
    RemoteNode,
    refusal_message,
)
from raft_actors.wire.keyring import Keyring
from raft_actors.wire.roles import CLIENT, MEMBER, READER

A = Identity("a@one", b"aaaaaaaa", 1_000_000)
B = Identity("b@two", b"bbbbbbbb", 2_000_000)
COOKIE = Keyring.of("secret")


def meet(dialer, acceptor, tamper=lambda number, payload: payload):
    """Let the two talk to the end. `tamper` sees each payload on its way."""
    challenge = acceptor.receive(tamper(0, dialer.hello))
    proof = dialer.receive(tamper(1, challenge))
    at_acceptor = acceptor.receive(tamper(2, proof))
    at_dialer = dialer.receive(tamper(3, acceptor.welcome()))
    return at_dialer, at_acceptor


def test_two_nodes_with_one_cookie_meet():
    dialer = DialerHandshake(A, COOKIE, "b@two", dial=3, last_link_id=b"before")
    at_a, at_b = meet(dialer, AcceptorHandshake(B, COOKIE))
    assert (at_a.name, at_a.incarnation) == ("b@two", b"bbbbbbbb")
    assert (at_b.name, at_b.incarnation) == ("a@one", b"aaaaaaaa")
    assert at_a.frame_bytes_max == at_b.frame_bytes_max == 1_000_000, "the smaller of the two"
    assert at_a.link_id == at_b.link_id
    assert (at_b.dial, at_b.last_link_id) == (3, b"before")


def test_every_meeting_has_an_id_of_its_own():
    ids = {
        meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE))[0].link_id
        for _ in range(20)
    }
    assert len(ids) == 20


def test_what_an_acceptor_has_sent_is_worth_nothing_to_the_next_dialer():
    """Played back by somebody who has recorded it. Planted: a hello without a nonce."""
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    challenge = acceptor.receive(dialer.hello)
    acceptor.receive(dialer.receive(challenge))
    welcome = acceptor.welcome()
    assert dialer.receive(welcome).name == "b@two"
    second = DialerHandshake(A, COOKIE, "b@two")
    second.receive(challenge)
    with pytest.raises(Refusal, match="the cookies differ"):
        second.receive(welcome)


def test_a_dialer_with_another_cookie_is_refused():
    with pytest.raises(Refusal, match="the cookies differ") as refusal:
        meet(DialerHandshake(A, Keyring.of("other"), "b@two"), AcceptorHandshake(B, COOKIE))
    assert refusal.value.code == "cookie"


def test_an_acceptor_that_can_not_prove_the_cookie_is_refused():
    dialer, impostor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    dialer.receive(impostor.receive(dialer.hello))
    with pytest.raises(Refusal, match="the cookies differ"):
        dialer.receive(msgpack.packb(["welcome", b"m" * 32]))


def test_the_acceptor_signs_nothing_before_the_dialer_has_proven_itself():
    signed = []

    class Watched(Cookie):
        __slots__ = ()

        def sign(self, *parts):
            signed.append(parts[0])
            return super().sign(*parts)

    acceptor = AcceptorHandshake(B, Keyring.of(Watched("secret")))
    acceptor.receive(DialerHandshake(A, COOKIE, "b@two").hello)
    assert signed == []


def test_a_proof_played_back_to_another_challenge_is_worth_nothing():
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    proof = dialer.receive(acceptor.receive(dialer.hello))
    again = AcceptorHandshake(B, COOKIE)
    again.receive(dialer.hello)
    with pytest.raises(Refusal, match="cookies differ"):
        again.receive(proof)


def test_a_proof_sent_back_to_its_author_is_no_welcome():
    """Reflection. Planted: sign both with the same label."""
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    proof = dialer.receive(acceptor.receive(dialer.hello))
    _, mac = msgpack.unpackb(proof)
    with pytest.raises(Refusal, match="cookies differ"):
        dialer.receive(msgpack.packb(["welcome", mac]))


def test_a_hello_sent_back_to_its_author_is_refused():
    hello = DialerHandshake(A, COOKIE, "a@one").hello
    with pytest.raises(Refusal, match="own name"):
        AcceptorHandshake(A, COOKIE).receive(hello)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (0, 2, "c@one"), (0, 3, b"cccccccc"), (0, 4, 999_999), (0, 5, b"n" * 32), (0, 1, [3, 3]),
        (0, 7, 9), (0, 8, b"else"), (0, 9, [b"another!", *COOKIE.ids]),
        (1, 3, b"cccccccc"), (1, 4, 5_000), (1, 5, b"n" * 32),
    ],
)  # fmt: skip
def test_a_handshake_changed_on_its_way_fails(message, field, value):
    """Both names, incarnations, limits, nonces and the versions are under the MAC."""

    def tamper(number, payload):
        if number != message:
            return payload
        parts = msgpack.unpackb(payload)
        parts[field] = value
        return msgpack.packb(parts)

    with pytest.raises(Refusal, match="cookies differ"):
        meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE), tamper)


def test_whoever_answers_under_another_name_is_refused():
    hello = DialerHandshake(A, COOKIE, "c@three").hello
    with pytest.raises(Refusal, match="this is b@two, not c@three"):
        AcceptorHandshake(B, COOKIE).receive(hello)
    with pytest.raises(Refusal, match="dialed c@three, but b@two answered"):
        DialerHandshake(A, COOKIE, "c@three").receive(
            AcceptorHandshake(B, COOKIE).receive(DialerHandshake(A, COOKIE, "b@two").hello)
        )


def test_an_unknown_version_is_refused_in_words():
    parts = msgpack.unpackb(DialerHandshake(A, COOKIE, "b@two").hello)
    parts[1] = [7, 8]
    with pytest.raises(
        Refusal, match=r"supports protocol version \d, and was offered \[7, 8\]: install"
    ):
        AcceptorHandshake(B, COOKIE).receive(msgpack.packb(parts))
    with pytest.raises(Refusal, match="install the same release"):
        AcceptorHandshake(B, COOKIE).receive(
            msgpack.packb(["raft_actors", [7], "of a shape to come"])
        )


def test_the_words_of_a_refusal_reach_the_dialer_but_can_forge_no_log_line():
    with pytest.raises(Refusal) as refusal:
        DialerHandshake(A, COOKIE, "b@two").receive(
            refusal_message("cookie", "no\nERROR forged" + "x" * 900)
        )
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) <= 200
    assert refusal.value.code == "cookie"


def test_the_longest_handshake_fits_its_limit():
    long = Identity("n" * 64 + "@" + "h" * 190, b"aaaaaaaa", 2**32 - 1)
    longer = Identity("m" * 64 + "@" + "h" * 190, b"bbbbbbbb", 2**32 - 1)
    sizes = []

    def note(_number, payload):
        sizes.append(len(payload))
        return payload

    keys = Keyring.of("1", "2", "3", "4")
    dialer = DialerHandshake(long, keys, longer.name, dial=2**40, last_link_id=b"x" * 16)
    meet(dialer, AcceptorHandshake(longer, keys), note)
    assert max(sizes) < HANDSHAKE_BYTES_MAX


@given(st.binary(max_size=1024), st.sampled_from(["hello", "proof", "challenge", "welcome"]))
def test_any_bytes_are_refused_and_nothing_else_happens(payload, place):
    dialer, acceptor = DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE)
    if place in {"proof", "welcome"}:
        challenge = acceptor.receive(dialer.hello)
    if place == "welcome":
        dialer.receive(challenge)
    with pytest.raises((ProtocolError, Refusal)):
        (acceptor if place in {"hello", "proof"} else dialer).receive(payload)


@given(
    st.lists(
        st.none() | st.integers() | st.text(max_size=9) | st.binary(max_size=40)
        | st.sampled_from(["raft_actors", [1], "proof", "c@x", "b@two", b"i" * 8, b"n" * 32]),
        max_size=10,
    )
)  # fmt: skip
def test_any_list_gives_at_most_a_challenge(parts):
    try:
        payload = msgpack.packb(parts)
    except OverflowError:
        return
    acceptor = AcceptorHandshake(B, COOKIE)
    for _ in range(2):
        try:
            assert not isinstance(acceptor.receive(payload), RemoteNode)
        except (ProtocolError, Refusal):
            return


def test_a_cookie_neither_prints_nor_travels():
    import copy
    import pickle

    cookie = Cookie("secret")
    assert "secret" not in f"{cookie!r} {cookie}"
    with pytest.raises(TypeError):
        pickle.dumps(cookie)
    with pytest.raises(TypeError):
        copy.copy(cookie)


def test_an_empty_cookie_is_refused():
    with pytest.raises(UnsafeCookie):
        Cookie(" \n")


def test_a_mac_covers_how_its_parts_are_cut():
    cookie = Cookie("secret")
    assert cookie.sign(b"ab", b"c") != cookie.sign(b"a", b"bc")
    assert cookie.sign(b"ab") != cookie.frame_key(b"ab")


MEMBERS = Cookie("secret")


@pytest.mark.parametrize("role", [CLIENT, READER])
def test_a_members_cookie_makes_one_for_a_lesser_role_which_says_so_at_both_ends(role):
    guest = Keyring.of(MEMBERS.text_for(role))
    at_guest, at_member = meet(DialerHandshake(A, guest, "b@two"), AcceptorHandshake(B, COOKIE))
    assert (at_guest.role, at_member.role) == (role, role)


def test_nobody_gets_from_a_lesser_cookie_to_another():
    texts = {MEMBERS.text_for(role) for role in (CLIENT, READER)}
    assert len(texts) == 2
    for text in texts:
        for role in (MEMBER, CLIENT, READER):
            with pytest.raises(ValueError, match="only a member's"):
                Cookie(text).text_for(role)


@pytest.mark.parametrize("role", [CLIENT, READER])
def test_a_member_does_not_dial_with_what_it_lets_guests_prove(role):
    """Else whoever has a client's cookie could answer in another member's place. Planted."""
    guest = Keyring.of(MEMBERS.text_for(role))
    hello = DialerHandshake(A, COOKIE, "b@two").hello
    with pytest.raises(Refusal, match=f"b@two has the cookie of a {role} and is not dialed by"):
        AcceptorHandshake(B, guest).receive(hello)


def test_a_challenge_to_prove_a_cookie_that_was_not_offered_is_refused():
    dialer = DialerHandshake(A, COOKIE, "b@two")
    parts = msgpack.unpackb(AcceptorHandshake(B, COOKIE).receive(dialer.hello))
    parts[6] = Cookie(MEMBERS.text_for(CLIENT)).id
    with pytest.raises(ProtocolError, match="was not offered"):
        dialer.receive(msgpack.packb(parts))


@pytest.mark.parametrize(
    ("here", "there"),
    [("old", "new old"), ("new old", "old"), ("old new", "new old"), ("new", "new old"),
     ("x new", "new old")],
)  # fmt: skip
def test_whoever_shares_one_cookie_of_several_meets(here, there):
    meet(
        DialerHandshake(A, Keyring.of(*here.split()), "b@two"),
        AcceptorHandshake(B, Keyring.of(*there.split())),
    )


@pytest.mark.parametrize("text", ["client:", "client:short", "reader:" + "!" * 43, "client:=" * 9])
def test_a_clients_cookie_is_never_one_that_a_person_has_chosen(text):
    with pytest.raises(UnsafeCookie, match=r"make a .*'s cookie by `raft-actors cookie"):
        Cookie(text)


def test_more_than_four_cookies_of_a_role_are_refused():
    with pytest.raises(UnsafeCookie, match="5 cookies of role member: at most 4 are allowed"):
        Keyring.of(*"12345")


def test_a_keyring_neither_prints_nor_travels():
    import pickle

    assert repr(COOKIE) == "<Keyring of a member>"
    with pytest.raises(TypeError):
        pickle.dumps(COOKIE)
