"""What one peer knows of digests, and what a leader asks for and writes down, step by step."""

from types import SimpleNamespace

import pytest

from raft_actors import Config
from raft_actors.core.digest_rounds import DigestRounds
from raft_actors.core.digests import Comparison, Digests
from raft_actors.core.divergence import note_comparison
from raft_actors.core.messages import AppendReply

A, B, C = ((name, f"{name}@host") for name in "abc")
RIGHT, WRONG = b"\x01\xaa\x00\x00\x00\x01", b"\x01\xaa\x00\x00\x00\x02"


def compared(index, digests, equal_at=0, replicas=3):
    rows = tuple((peer, digest.hex()) for peer, digest in digests.items())
    return Comparison(index, replicas, rows, equal_at)


# What a peer knows of its own digest.


def test_a_comparison_at_the_last_entry_of_a_new_state_is_about_the_state_that_is_gone():
    digests = Digests()
    digests.compared = compared(7, {A: WRONG, B: RIGHT, C: RIGHT})
    assert digests.known_as(A) == WRONG.hex()
    for index in (7, 8):
        digests.replaced(index)
        assert digests.known_as(A) is None
    digests.compared = compared(9, {A: RIGHT, B: RIGHT, C: RIGHT})
    assert digests.known_as(A) == RIGHT.hex()


def test_while_a_digest_is_made_nothing_is_known_of_it():
    """After a restart the log may say what it was before: of a state in memory that is gone."""
    digests = Digests()
    digests.compared = compared(7, {A: WRONG, B: RIGHT, C: RIGHT})
    digests.making = 7
    assert digests.known_as(A) is None
    digests.made(7, RIGHT)
    assert digests.known_as(A) == RIGHT.hex()


def test_a_digest_that_could_not_be_made_is_none():
    digests = Digests()
    digests.made(5, RIGHT)
    digests.making = 7
    digests.made(7, b"")
    assert digests.own == digests.owed == (5, RIGHT)
    assert digests.making == 0


def test_a_digest_is_sent_until_it_is_written_down():
    digests = Digests()
    digests.made(7, RIGHT)
    digests.compared = compared(7, {B: RIGHT, C: RIGHT})
    digests.settle(A)
    assert digests.owed == (7, RIGHT), "it came late"
    digests.compared = compared(7, {A: RIGHT, B: RIGHT, C: RIGHT})
    digests.settle(A)
    assert digests.owed == (0, b"")


def test_a_new_state_has_no_digest_yet():
    digests = Digests()
    digests.made(7, WRONG)
    digests.replaced(6)
    assert digests.own == digests.owed == (0, b"")


# What a peer makes of comparisons.


@pytest.fixture
def peer():
    state = SimpleNamespace(digests=Digests(), peer=A, troubles={}, reported=[])

    def report(trouble):
        if trouble.what not in state.troubles:
            state.troubles[trouble.what] = trouble
            state.reported.append((trouble.what, trouble.detail))

    state.report = report
    return state


def test_an_older_comparison_changes_nothing(peer):
    note_comparison(peer, compared(9, {A: RIGHT, B: RIGHT, C: RIGHT}))
    note_comparison(peer, compared(7, {A: WRONG, B: RIGHT, C: RIGHT}))
    assert peer.digests.compared.index == peer.digests.equal_at == 9
    assert peer.digests.differs is None


def test_a_dispute_is_decided_by_who_reports_later(peer):
    note_comparison(peer, compared(7, {A: WRONG, B: RIGHT}, 3))
    assert [what for what, _detail in peer.reported] == ["digests_differ"]
    assert not peer.digests.is_wrong
    note_comparison(peer, compared(7, {A: WRONG, B: RIGHT, C: RIGHT}, 3))
    assert peer.digests.is_wrong
    assert peer.reported[1] == ("diverged", "after entry 3 and not later than entry 7")
    assert "digests_differ" not in peer.troubles


# What a leader does.


@pytest.fixture
def leader():
    state = SimpleNamespace(
        digests=Digests(), peer=A, now=0.0, snapshot=SimpleNamespace(index=0),
        log=SimpleNamespace(last_index=100), config=Config(digest_entries=10),
        voters=SimpleNamespace(everyone=(A, B, C), witnesses=()),
    )  # fmt: skip
    state.digests.asked = 7
    return state


def rounds_of(leader, **reported):
    rounds = DigestRounds(leader)
    rounds.compare_at = 50.0
    for name, (index, digest) in reported.items():
        rounds.note_reply(
            AppendReply(
                source=(name, f"{name}@host"), target=A, group="", term=1, match=1, round=1,
                digest_index=index, digest=digest,
            )
        )  # fmt: skip
    return rounds


def written(rounds):
    comparison = rounds.comparison([A, B, C])
    return comparison and dict(comparison.digests)


def test_only_digests_of_the_entry_that_asked_are_written_down(leader):
    leader.digests.made(5, WRONG)
    rounds = rounds_of(leader, b=(7, RIGHT), c=(7, RIGHT))
    assert written(rounds) is None, "its own is being made"
    leader.now = 50.0
    assert written(rounds) == {B: RIGHT.hex(), C: RIGHT.hex()}
    leader.digests.made(7, RIGHT)
    assert len(written(rounds)) == 3


def test_a_new_leader_adds_to_what_was_written_down(leader):
    leader.digests.made(7, RIGHT)
    leader.digests.compared = compared(7, {A: RIGHT, C: RIGHT})
    assert written(rounds_of(leader)) is None
    assert written(rounds_of(leader, b=(7, WRONG))) == {
        A: RIGHT.hex(), B: WRONG.hex(), C: RIGHT.hex(),
    }  # fmt: skip


def test_the_range_begins_where_all_were_equal_last(leader):
    leader.digests.made(7, RIGHT)
    leader.digests.compared = compared(4, {A: RIGHT, B: RIGHT, C: RIGHT}, 2)
    rounds = rounds_of(leader, b=(7, RIGHT), c=(7, WRONG))
    assert rounds.comparison([A, B, C]).equal_at == 4


def test_nothing_is_asked_for_while_a_round_is_under_way(leader):
    rounds = rounds_of(leader)
    leader.digests.compared = compared(4, {A: RIGHT, B: RIGHT, C: RIGHT})
    assert not rounds.may_ask(), "digests are missing"
    leader.digests.compared = compared(7, {A: RIGHT, B: RIGHT, C: RIGHT}, 4)
    assert rounds.may_ask()
    rounds.asks(100)
    leader.log.last_index = 200
    assert not rounds.may_ask(), "what it has asked for is not applied yet"
    leader.digests.asked = 100
    leader.digests.compared = compared(100, {A: RIGHT, B: RIGHT, C: RIGHT}, 7)
    assert rounds.may_ask()
