"""What holds a session's window up, and what does not: calls that nobody will ever finish.

Planted, each seen to go red here: leave out only what has its reply; a cast that nobody ends where
no leader is known; a request id that is given outside of what ends the call.
"""

import math
import time

import pytest

from raft_actors import Cluster
from raft_actors.client.call import Call
from raft_actors.client.session import SPAN, ClientSession
from raft_actors.errors import (
    FrameTooLarge,
    NoConnection,
    NoProcess,
    OutcomeUnknown,
    Overloaded,
)
from raft_actors.future import Future
from raft_actors.peer.router import Router
from raft_actors.replica.requests import WRITE


def writing(seconds):
    return Call(WRITE, b"", deadline=time.monotonic() + seconds)


def test_a_call_that_nobody_finishes_holds_up_others_until_its_deadline_and_no_longer():
    session = ClientSession(1)
    left = writing(30)
    session.next(left)
    for _ in range(SPAN - 1):
        session.under_way.pop(session.next(writing(30))[1])
    late = writing(0)
    with pytest.raises(Overloaded, match="did not happen"):
        session.next(late)
    late.end()
    left.deadline = time.monotonic()
    for _ in range(SPAN):
        session.under_way.pop(session.next(writing(30))[1])
    assert session.under_way == {}


@pytest.mark.parametrize("error", [FrameTooLarge("no"), NoConnection("no"), NoProcess("no")])
def test_what_another_call_was_answered_is_raised_to_nobody_else(error):
    session = ClientSession(1)
    other = writing(30)
    session.next(other)
    other.future = Future()
    other.future.set_exception(error)
    assert not session.forget_ended()
    assert not other.is_replied()


def test_a_call_that_was_left_out_is_not_sent_again_and_can_be_settled(counters, monkeypatch):
    cluster = Cluster(counters[0])
    cluster.write(0)
    call = cluster._client.begin(5, timeout=0.0)
    call.future = Future()  # its answer gets lost
    assert cluster._client.session.forget_ended()
    assert cluster._client.session.under_way == {}
    with monkeypatch.context() as patch:
        patch.setattr(Router, "request", None)
        with pytest.raises(OutcomeUnknown) as unknown:
            cluster._client.finish(call)
    assert cluster.outcome(unknown.value.request_id) == 5


def test_a_cast_that_finds_no_leader_holds_up_nobody(counters, monkeypatch):
    cluster = Cluster(counters[0])
    cluster.write(0)
    cluster._client.finder.leader = None
    monkeypatch.setattr(cluster._client.finder, "find", lambda *_, **__: None)
    cluster.cast(1)
    assert cluster._client.session.under_way == {}


def test_ctrl_c_with_the_request_id_just_given_holds_up_nobody(counters, monkeypatch):
    cluster = Cluster(counters[0])
    cluster.write(0)
    given = ClientSession.next

    def interrupted(session, call):
        given(session, call)
        raise KeyboardInterrupt

    monkeypatch.setattr(ClientSession, "next", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster.write(1)
    assert cluster._client.session.under_way == {}


def test_a_write_of_a_pipeline_that_failed_and_was_dropped_holds_up_nobody(counters, monkeypatch):
    """With no timeout it would for ever."""
    cluster = Cluster(counters[0], timeout=math.inf)
    cluster.write(0)
    failed = Future()
    failed.set_exception(NoConnection("gone", was_sent=False))
    monkeypatch.setattr(Router, "request", lambda *_, **__: failed)
    cluster.pipeline().write(1)
    assert cluster._client.session.under_way == {}
