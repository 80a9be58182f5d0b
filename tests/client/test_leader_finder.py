"""The finder: what becomes of members and leaders that it has heard of."""

import time
from types import SimpleNamespace

import pytest

from raft_actors import encoding
from raft_actors.client.leader_finder import LeaderFinder, PlainSeeker
from raft_actors.core.replies import NO_PEER
from raft_actors.future import Future

A, B, C, D = ((name, f"{name}@one") for name in "abcd")


class Answers:
    """Peers that answer what `statuses` has, if that is news for who asks; others are not there. It
    notes who was asked.
    """

    node = SimpleNamespace(running=True, forked=False, flush=lambda: None, flush_soon=lambda: None)

    def __init__(self, **statuses):
        self.statuses = statuses
        self.asked = []

    def request(self, address, body, *, flush):
        self.asked.append(address)
        answer = Future()
        status = self.statuses.get(address[0])
        if status is None or encoding.loads(body[2]) == ("leading", None):
            answer.set(encoding.dumps(NO_PEER if status is None else ("ok", status)))
        return answer

    def unpark(self, address, numbers):
        pass


def status(members, index, *, state="follower", leader=None, term=1):
    configuration = {"members": list(members), "index": index}
    return {
        "current_state": state, "leader": leader, "current_term": term,
        "configuration": configuration, "ready": True,
    }  # fmt: skip


def search(finder, timeout_s=0.2):
    return finder.find(PlainSeeker(time.monotonic() + timeout_s))


def test_members_once_heard_of_are_asked_again_when_an_old_one_answers_alone():
    """Planted: after a round without a leader the members of an older configuration replace those
    of the newer one, and those are asked no more.
    """
    peers = Answers(a=status([A, B], 1), b=status([B, C, D], 9))
    finder = LeaderFinder(lambda: peers, (A, B))
    assert search(finder) is None
    del peers.statuses["b"]
    assert search(finder) is None
    assert set(finder.members) == {B, C, D}
    peers.statuses["d"] = status([B, C, D], 9, state="leader", leader=D, term=7)
    assert search(finder, 10) == D


def test_a_group_that_was_founded_anew_is_found_though_its_indexes_are_lower():
    peers = Answers(a=status([A, B], 90, state="leader", leader=A, term=50))
    finder = LeaderFinder(lambda: peers, (A, B, C))
    assert search(finder) == A
    peers.statuses = {"c": status([C], 1, state="leader", leader=C, term=1)}
    finder.lost(A)
    assert search(finder, 10) == C
    assert finder.members == (C,)


def test_a_configuration_that_was_never_committed_gives_way_to_the_leaders():
    finder = LeaderFinder(Answers, (A,))
    finder.learn(status([A, B], 9, term=1))
    finder.learn(status([A, C], 8, state="leader", leader=C, term=2))
    assert finder.members == (A, C)
    finder.learn(status([A, D], 8, state="leader", leader=D, term=1))  # it has not heard of term 2
    assert finder.members == (A, C)
    finder.is_lost = True
    assert set(finder.candidates()) == {A, B, C, D}


def test_not_all_that_was_ever_heard_of_is_kept():
    finder = LeaderFinder(Answers, (A,))
    for number in range(1_000):
        finder.learn(status([(f"peer{number}", "a@one")], number))
    assert len(finder.known) == 64
    assert finder.known[-1] == finder.members[0] == ("peer999", "a@one")


def test_a_leader_that_is_found_too_late_is_none():
    """Planted: it is returned, and asked for what nobody waits for any more."""
    peers = Answers(a=status([A], 1, state="leader", leader=A))
    finder = LeaderFinder(lambda: peers, (A,))
    deadline = time.monotonic() + 0.2
    ask = peers.request

    def slow(address, body, **how):
        time.sleep(0.3)
        return ask(address, body, **how)

    peers.request = slow
    assert finder.find(PlainSeeker(deadline)) is None


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_nobody_is_asked_when_the_time_is_over(timeout_s):
    peers = Answers(a=status([A], 1, state="leader", leader=A))
    assert search(LeaderFinder(lambda: peers, (A,)), timeout_s) is None
    assert peers.asked == []
