"""Protocol versions: two nodes use the newest that both speak, and nothing that one lacks."""

from dataclasses import dataclass, field, replace

import msgpack
import pytest

from raft_actors.core.messages import SINCE, AppendReply, Message, VoteReply
from raft_actors.peer import message_codec as wire
from raft_actors.wire import versions
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake, Refusal
from tests.wire.test_handshake import COOKIE, A, B, meet

ADDRESSES = {"source": ("kv", "a@one"), "target": ("kv", "b@two"), "group": "g"}


def agreed(monkeypatch, dialer_supports, acceptor_supports):
    """Return what each end takes for the version of the connection."""
    monkeypatch.setattr(versions, "SUPPORTED", dialer_supports)
    dialer = DialerHandshake(A, COOKIE, "b@two")
    acceptor = AcceptorHandshake(B, COOKIE)
    monkeypatch.setattr(versions, "SUPPORTED", acceptor_supports)
    challenge = acceptor.receive(dialer.hello)
    monkeypatch.setattr(versions, "SUPPORTED", dialer_supports)
    proof = dialer.receive(challenge)
    at_acceptor = acceptor.receive(proof)
    return dialer.receive(acceptor.welcome()).version, at_acceptor.version


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [([1], [1], 1), ([1], [1, 2], 1), ([1, 2], [1], 1), ([1, 2], [2, 3], 2), ([1, 2], [1, 2], 2)],
)
def test_both_ends_take_the_newest_version_that_both_speak(monkeypatch, ours, theirs, common):
    assert agreed(monkeypatch, ours, theirs) == (common, common)


def test_versions_without_a_common_one_are_refused_in_words(monkeypatch):
    with pytest.raises(
        Refusal, match=r"b@two supports protocol versions 3 to 4, and was offered \[1, 2\]"
    ):
        agreed(monkeypatch, [1, 2], [3, 4])


def demanding(me, version):
    return replace(me, require_version=version)


def test_a_version_that_is_demanded_is_offered_alone_and_taken_alone(monkeypatch):
    """Planted: either side looks at what it speaks, and not at what it demands."""
    monkeypatch.setattr(versions, "SUPPORTED", [2, 3])
    for a, b in ((demanding(A, 3), B), (A, demanding(B, 3))):
        at_a, at_b = meet(DialerHandshake(a, COOKIE, "b@two"), AcceptorHandshake(b, COOKIE))
        assert at_a.version == at_b.version == 3


def test_who_offers_less_than_is_demanded_is_refused_in_words(monkeypatch):
    hello = DialerHandshake(A, COOKIE, "b@two").hello
    monkeypatch.setattr(versions, "SUPPORTED", [3, 4])
    with pytest.raises(Refusal, match=r"b@two demands protocol version 4 \(Config.require_version"):
        AcceptorHandshake(demanding(B, 4), COOKIE).receive(hello)


def test_an_older_version_than_demanded_is_not_taken_from_an_acceptor(monkeypatch):
    monkeypatch.setattr(versions, "SUPPORTED", [2, 3])
    dialer = DialerHandshake(demanding(A, 3), COOKIE, "b@two")
    acceptor = AcceptorHandshake(B, COOKIE)
    _version, *rest = msgpack.unpackb(dialer.hello)[1:]
    challenge = acceptor.receive(msgpack.packb(["raft_actors", [2], *rest]))
    with pytest.raises(Refusal, match="version 2, which was not offered"):
        dialer.receive(challenge)


@pytest.mark.parametrize("offer", [[2], [3, 2], [2, 3, 3]], ids=str)
def test_a_list_of_versions_that_was_changed_on_its_way_is_noticed(monkeypatch, offer):
    """A downgrade. Planted: a proof that covers the challenge only."""
    monkeypatch.setattr(versions, "SUPPORTED", [2, 3])

    def tamper(number, payload):
        if number:
            return payload
        magic, _versions, *rest = msgpack.unpackb(payload)
        return msgpack.packb([magic, offer, *rest])

    with pytest.raises(Refusal, match="cookies differ"):
        meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE), tamper)


def test_a_version_that_was_not_offered_is_refused(monkeypatch):
    dialer = DialerHandshake(A, COOKIE, "b@two")
    challenge = AcceptorHandshake(B, COOKIE).receive(dialer.hello)
    monkeypatch.setattr(versions, "SUPPORTED", [9])
    with pytest.raises(Refusal, match=r"version \d, which was not offered"):
        dialer.receive(challenge)


def test_a_meeting_says_the_version_of_this_release():
    at_a, at_b = meet(DialerHandshake(A, COOKIE, "b@two"), AcceptorHandshake(B, COOKIE))
    assert at_a.version == at_b.version == versions.newest()


@dataclass(slots=True, kw_only=True)
class Gossip(Message):
    """A kind of message that the next version brings."""

    since = 2

    rumour: int


@dataclass(slots=True, kw_only=True)
class WiderVoteReply(VoteReply):
    """What VoteReply might be in the next version."""

    mood: int = field(default=7, metadata={SINCE: 2})


@pytest.fixture
def next_version(monkeypatch):
    """The wire as the next version has it."""
    kinds = (*[WiderVoteReply if kind is VoteReply else kind for kind in wire.KINDS], Gossip)
    monkeypatch.setattr(wire, "KINDS", kinds)
    monkeypatch.setattr(wire, "NAMES", [wire.fields_of(kind) for kind in kinds])
    monkeypatch.setattr(wire, "TYPES", [wire.types_of(kind) for kind in kinds])
    monkeypatch.setattr(wire, "NEEDED", [len(wire.fields_of(kind, kind.since)) for kind in kinds])
    wire.packers.cache_clear()
    yield
    wire.packers.cache_clear()


def unpacked(packed):
    return wire.unpack(packed, *ADDRESSES.values())


def test_a_kind_is_said_only_in_versions_that_have_it(next_version):
    rumour = Gossip(**ADDRESSES, term=3, rumour=9)
    assert wire.pack(rumour, 1) is None
    assert unpacked(wire.pack(rumour, 2)) == rumour


def test_a_field_that_came_later_is_left_out_and_has_its_default_when_it_is_not_there(next_version):
    vote = WiderVoteReply(**ADDRESSES, term=3, granted=True, mood=1)
    assert unpacked(wire.pack(vote, 2)) == vote
    assert unpacked(wire.pack(vote, 1)).mood == 7
    assert len(wire.pack(vote, 1)) + 1 == len(wire.pack(vote, 2))


def test_of_the_fields_that_were_there_from_the_beginning_none_may_lack():
    reply = AppendReply(**ADDRESSES, term=1, match=1, round=1)
    packed = wire.pack(reply, 1)
    with pytest.raises(ValueError, match="wrong types"):
        unpacked(packed[: wire.NEEDED[packed[0]]])


def test_no_kind_and_no_field_is_of_a_version_that_nobody_speaks_yet():
    for kind in wire.KINDS:
        assert 1 <= kind.since <= versions.newest(), kind.__name__
        for name in wire.fields_of(kind):
            since = kind.__dataclass_fields__[name].metadata.get(SINCE, kind.since)
            assert kind.since <= since <= versions.newest(), f"{kind.__name__}.{name}"
