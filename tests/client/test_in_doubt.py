"""A command that may have run is not sent again in another session: nobody would know it there.

Its session expires while it is in doubt. Planted in tests/mutations: a broken link puts nothing
in doubt; what is in doubt is sent again.
"""

import pytest

from raft_actors import Cluster, Raft, encoding
from raft_actors.errors import NoConnection, SessionExpired
from raft_actors.future import Future
from raft_actors.machine.sessions import REPLY
from tests.counter import Counter


@pytest.fixture
def cluster(make_peer):
    name, _ = make_peer(Counter, log_store="memory")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    cluster = Cluster(name, timeout=10)
    cluster.write(0)
    return cluster


def broken(was_sent):
    future = Future()
    future.set_exception(NoConnection("the link broke", was_sent=was_sent))
    return future


def refused(reason):
    future = Future()
    future.set(encoding.dumps(("error", reason)))
    return future


def in_an_expired_session(cluster, answer):
    """Have a command run, replace its answer, and have its session expire; go on with it."""
    call = cluster._client.begin(1, None)
    assert call.future.get(10).startswith(REPLY)
    assert Raft.limit_sessions(cluster.leader, sessions_max=1)[0] == "ok"
    other = Cluster(cluster.members)
    other.write(0)
    call.future = answer
    return cluster._client.finish(call)


@pytest.mark.parametrize(
    "answer",
    [broken(was_sent=True), refused("outcome_unknown"), refused("timeout")],
    ids=["the link broke", "its leader lost its office", "it did not answer"],
)
def test_what_may_have_run_in_a_session_that_expired_runs_no_second_time(cluster, answer):
    with pytest.raises(SessionExpired):
        in_an_expired_session(cluster, answer)
    assert cluster.read("any") == 1


@pytest.mark.parametrize(
    "answer",
    [broken(was_sent=False), refused("overloaded"), refused("election_in_progress")],
    ids=["it never left", "the leader had no room", "there was no leader"],
)
def test_what_has_not_run_goes_on_in_a_new_session(cluster, answer):
    """As far as the handle can tell; here it has run, so that one more shows that it is sent."""
    assert in_an_expired_session(cluster, answer) == 2
