"""The handle on a group of this process: it finds, follows, tries again, and says what it knows.

Planted once, each seen to go red here: an attempt that timed out and is sent again with a fresh
request id; a command in doubt that is repeated in a new session; a refusal at the deadline, after
an attempt in doubt, that says the command did not happen.
"""

import asyncio
import threading

import pytest

from raft_actors import AsyncCluster, Cluster, Config, Node, Raft, StateMachine, encoding
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.rpc import address_of
from raft_actors.client.views import ConfigurationView
from raft_actors.errors import (
    CommandTooLarge,
    NoConnection,
    NoLeader,
    NoNode,
    NotApplied,
    OutcomeUnknown,
    Overloaded,
    ReplyLost,
    SessionExpired,
    Unavailable,
)
from raft_actors.future import Future
from raft_actors.machine.sessions import NEW, REPLY_BYTES_MAX
from raft_actors.peer.router import Router
from raft_actors.replica.requests import READ, WRITE
from tests.counter import Counter
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


class Trouble:
    """Comes between a handle and its peers: `meet(operation, send)` returns the future."""

    def __init__(self, monkeypatch):
        self.meet = lambda _operation, send: send()
        request = Router.request

        def meddled(peers, address, body, **how):
            if body[0] == WRITE and (body[3] == NEW or body[3] == 0):
                return request(peers, address, body, **how)
            return self.meet(body[0], lambda: request(peers, address, body, **how))

        monkeypatch.setattr(Router, "request", meddled)

    def lose_answers(self, count):
        """Let so many writes happen, and lose their answers."""
        self.left = count

        def meet(operation, send):
            if operation == WRITE and self.left:
                self.left -= 1
                send().get(5)
                return answered(("error", "outcome_unknown"))
            return send()

        self.meet = meet

    def answer(self, *errors):
        """Answer the next requests so, the last of these for ever, instead of asking."""
        errors = list(errors)

        def meet(operation, send):
            if operation not in (WRITE, READ):
                return send()
            error = errors.pop(0) if len(errors) > 1 else errors[0]
            return send() if error is None else answered(("error", error))

        self.meet = meet


def answered(answer):
    from raft_actors.future import Future

    future = Future()
    future.set(encoding.dumps(answer))
    return future


@pytest.fixture
def trouble(monkeypatch):
    return Trouble(monkeypatch)


def test_from_any_one_member_it_finds_the_leader_and_the_others(counters):
    names, leader = counters
    follower = next(name for name in names if name != leader[0])
    with Cluster(follower) as cluster:
        assert cluster.write(2) == 2
        assert cluster.read("any") == 2
        assert {name for name, _node in cluster.members} == set(names)
        assert cluster.leader == cluster.await_leader() == leader
        assert cluster.status()[leader]["current_state"] == "leader"


def test_a_machines_replies_that_look_like_errors_of_rafts_are_replies(counters):
    cluster = Cluster(counters[0])
    for reply in (("error", "timeout"), ("error", "session_expired"), ("redirect", None)):
        assert cluster.write(reply) == reply
    assert cluster.read("odd") == ("error", "overloaded")
    assert cluster.write("raise") == ("error", ("exception", "ValueError", "no"))


def test_a_write_whose_answer_is_lost_runs_once(counters, trouble):
    cluster = Cluster(counters[0])
    trouble.lose_answers(3)
    assert cluster.write(1) == 1
    assert cluster.write(1) == 2
    assert cluster.read("any") == 2


def test_a_leader_that_stops_is_followed_to_the_next(counters):
    names, leader = counters
    cluster = Cluster(names)
    assert cluster.write(1) == 1
    Raft.stop(leader)
    assert cluster.write(1) == 2
    assert cluster.leader != leader
    assert cluster.read("any") == 2


def test_a_repeated_request_id_runs_once_after_a_leader_change_and_a_restart(make_peer, tmp_path):
    names = [make_peer(Counter)[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    cluster = Cluster(names)
    call = cluster._client.begin(5, None)
    assert cluster._client.finish(call) == 5
    Raft.stop(cluster.leader)
    assert cluster.outcome(call.request) == 5
    for name in names:
        Raft.stop(name)
    for name in names:
        answer = Raft.start_peer(Counter, name=name, data_dir=tmp_path / name)
        assert answer[0] == "ok", answer
    call.deadline += 30
    assert cluster._client.finish(cluster._client.send(call)) == 5
    assert cluster.read("any") == 5


def test_threads_share_a_handle_and_every_command_runs_once(counters, trouble):
    names, _leader = counters
    cluster = Cluster(names, timeout=30)
    trouble.lose_answers(40)
    replies = []

    def work():
        replies.extend(cluster.write(1) for _ in range(25))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == list(range(1, 401))
    assert cluster._client.session.under_way == {}


def test_a_pipeline_keeps_the_order_and_its_bound(counters, trouble, monkeypatch):
    cluster = Cluster(counters[0])
    trouble.lose_answers(3)
    with cluster.pipeline(outstanding_max=50) as pipeline:
        pending = []
        for _ in range(300):
            pending.append(pipeline.write(1))
            assert len(pipeline._under_way) <= 50
    assert sorted(each.result() for each in pending) == list(range(1, 301))
    trouble.meet = lambda _operation, send: send()
    ask, sent = RetryingClient.ask, []
    monkeypatch.setattr(
        RetryingClient, "ask", lambda *call, **how: sent.append(call) or ask(*call, **how)
    )

    def written_in_one_go(before):
        sent.clear()
        with cluster.pipeline() as pipeline:
            pending = [pipeline.write(1) for _ in range(2_000)]
        replies, wanted = [each.result() for each in pending], range(before + 1, before + 2_001)
        assert sorted(replies) == list(wanted)
        assert len(sent) > 2_000 or replies == list(wanted), "each was sent once, and in order"
        return len(sent) == 2_000

    befores = iter(range(300, 100_000, 2_000))
    eventually(lambda: written_in_one_go(next(befores)))  # with a leader that stays, and has time
    with pytest.raises(ValueError, match="outstanding_max"):
        cluster.pipeline(outstanding_max=5_000)


def test_a_pipeline_says_of_each_write_what_became_of_it(counters, trouble):
    cluster = Cluster(counters[0], timeout=0.3)
    cluster.write(0)
    trouble.answer(None, "overloaded")
    with cluster.pipeline() as pipeline:
        first, second = pipeline.write(1), pipeline.write(1)
    assert first.result() == 1
    with pytest.raises(Overloaded):
        second.result()


def test_a_pipeline_that_nobody_fetches_holds_up_nobody(counters):
    cluster = Cluster(counters[0])
    pipeline = cluster.pipeline()
    for _ in range(900):
        pipeline.write(1)
    for _ in range(900):
        cluster.write(1)
    assert cluster.read("any") == 1_800
    pipeline.drain()


def test_a_cast_is_done_and_waits_for_nothing(counters):
    cluster = Cluster(counters[0])
    for _ in range(20):
        cluster.cast(1)
    eventually(lambda: cluster.read("any") == 20)
    eventually(lambda: cluster._client.session.under_way == {})


def test_a_barrier_tells_what_every_member_can_be_waited_for(counters):
    names, _leader = counters
    cluster = Cluster(names)
    cluster.write(1)
    index = cluster.barrier()
    cluster.await_applied(index)
    assert all(status["last_applied"] >= index for status in cluster.status().values())
    with pytest.raises(Unavailable, match="have not applied"):
        cluster.await_applied(index + 1_000, at=names[0], timeout=0.05)


def test_new_members_become_known(make_peer, counters):
    _names, leader = counters
    cluster = Cluster(leader)
    cluster.write(1)
    fourth, _ = make_peer(Counter)
    assert Raft.add_peer(leader, fourth)[0] == "ok"
    cluster._client.finder.refresh()
    eventually(lambda: fourth in {name for name, _node in cluster.members})


def test_a_handle_that_was_given_one_member_tells_of_all_and_waits_for_all(make_peer):
    names = [make_peer(Counter)[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    status = Cluster(names[0]).status()
    assert {name for name, _ in status} == set(names)
    assert all(type(each["configuration"]) is ConfigurationView for each in status.values())
    Raft.stop(names[2])
    with pytest.raises(Unavailable, match=f"{names[2]}.* have not applied"):
        Cluster(names[0]).await_applied(1, timeout=0.5)


# Each error, provoked.


def test_no_leader(make_peer):
    name, _ = make_peer(Counter)
    with pytest.raises(NoLeader, match="try again"):
        Cluster(name).write(1, timeout=0.1)


def test_no_leader_although_the_deadline_cuts_off_the_last_question(make_peer, monkeypatch):
    """Planted: who was heard is forgotten with each question; then nobody seems to answer."""
    name, _ = make_peer(Counter)
    cluster = Cluster(name)
    answers = iter([cluster._client.finder.ask(address_of(name))])
    monkeypatch.setattr(cluster._client.finder, "ask", lambda _: next(answers, None) or Future())
    with pytest.raises(NoLeader, match="try again"):
        cluster.write(1, timeout=0.2)


def test_unavailable(counters, trouble):
    trouble.answer("no_node")
    with pytest.raises(Unavailable, match="try again"):
        Cluster(counters[0]).read(1, timeout=0.1)
    with pytest.raises(Unavailable, match="majority"):
        Cluster("nobody").write(1, timeout=0.1)


def test_who_reaches_nobody_hears_why(caplog, monkeypatch):
    monkeypatch.setattr(Node.current(), "logged_no_node", False)
    for _ in range(2):
        assert Raft.status(("peer", "nobody@nowhere")) == ("error", "no_node")
    assert caplog.text.count("call Node.start(name) first") == 1
    with pytest.raises(NoNode, match=r"no node, .*Node\.start\(name\)"):
        Cluster(("peer", "nobody@nowhere")).write(1, timeout=0.1)
    with pytest.raises(Unavailable, match=r"nobody.* no such peer"):
        Cluster("nobody").write(1, timeout=0.1)


def test_overloaded(counters, trouble):
    trouble.answer("overloaded")
    with pytest.raises(Overloaded, match="try again later"):
        Cluster(counters[0]).write(1, timeout=0.1)


def test_command_too_large(counters):
    cluster = Cluster(counters[0])
    with pytest.raises(CommandTooLarge, match="split it"):
        cluster.write(b"x" * (Config().command_bytes_max + 1))


def test_what_can_not_be_encoded_is_named(counters):
    with pytest.raises(TypeError, match=r"command\[1\]"):
        Cluster(counters[0]).write([1, object()])


@pytest.mark.parametrize("last", ["overloaded", "no_node", "election_in_progress"])
def test_outcome_unknown_and_then_settled(counters, trouble, last):
    """Whatever the last attempt says: one before it may have come through."""
    cluster = Cluster(counters[0])
    cluster.write(1)
    for happened in (True, False):
        trouble.answer("outcome_unknown", last)
        if happened:
            trouble.lose_answers(1)
            lose, refuse = trouble.meet, Trouble.answer
            trouble.meet = lambda operation, send, lose=lose, refuse=refuse: (
                lose(operation, send) if trouble.left else answered(("error", last))
            )
        with pytest.raises(OutcomeUnknown, match="outcome") as unknown:
            cluster.write(10, timeout=0.2)
        assert not isinstance(unknown.value, SessionExpired)
        trouble.meet = lambda _operation, send: send()
        if happened:
            assert cluster.outcome(unknown.value.request_id) == 11
        else:
            with pytest.raises(NotApplied):
                cluster.outcome(unknown.value.request_id)
    assert cluster.read("any") == 11


def expire(cluster):
    """Have so many sessions opened that those of before expire."""
    others = Cluster(cluster.members)
    assert Raft.limit_sessions(others.await_leader(), sessions_max=3)[0] == "ok"
    for _ in range(3):
        others._client.session = None
        others._client.open_session(others._client.deadline(10))


def test_a_handle_that_is_closed_ends_its_session(make_peer):
    """Planted: only take no more calls."""
    name, _ = make_peer(Counter, log_store="memory")
    Raft.set_configuration(name, [name])
    sessions = peer_of(name).replica.applier.applied.sessions
    with Cluster(name) as cluster:
        cluster.write(1)
        assert len(sessions.by_number) == 1
    eventually(lambda: not sessions.by_number)
    cluster.close()

    asynchronous = AsyncCluster(name)
    asyncio.run(asynchronous.write(1))
    asynchronous.close()
    eventually(lambda: not sessions.by_number)
    Cluster(name).close()


def test_what_is_under_way_when_its_handle_is_closed_ends_the_session_after(make_peer):
    name, _ = make_peer(Counter, log_store="memory")
    Raft.set_configuration(name, [name])
    sessions = peer_of(name).replica.applier.applied.sessions
    cluster = Cluster(name)
    cluster.write(1)
    call = cluster._client.begin(1, 10.0)
    call.future = Future()  # its answer is not there yet
    cluster.close()
    cluster.close()
    assert Raft.write(name, 0) == 2
    assert len(sessions.by_number) == 1
    call.future.set_exception(NoConnection("gone", was_sent=True))
    assert cluster._client.finish(call) == 2, "sent again, it gets its first answer"
    eventually(lambda: not sessions.by_number)


def test_a_session_with_a_command_in_doubt_outlives_its_handle(make_peer):
    """Planted: end it all the same. Then nobody could tell any more whether it happened."""
    name, _ = make_peer(Counter, log_store="memory")
    Raft.set_configuration(name, [name])
    with Cluster(name) as cluster:
        cluster.write(1)
        call = cluster._client.begin(1, 0.05)
        call.future = Future()
        with pytest.raises(OutcomeUnknown) as unknown:
            cluster._client.finish(call)
    assert Cluster(name).outcome(unknown.value.request_id) == 2


def test_session_expired_only_for_what_is_in_doubt(make_peer):
    name, _ = make_peer(Counter, log_store="memory")
    Raft.set_configuration(name, [name])
    cluster = Cluster(name)
    call = cluster._client.begin(1, None)
    assert cluster._client.finish(call) == 1
    expire(cluster)
    assert cluster.write(1) == 2, "a fresh command goes into a new session"
    call.may_have_happened = True
    with pytest.raises(SessionExpired, match="read"):
        cluster._client.finish(cluster._client.send(call))
    with pytest.raises(SessionExpired):
        cluster.outcome(call.request)
    assert cluster.read("any") == 2


class Echo(StateMachine):
    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return "x" * command, state + 1

    def handle_read(self, query, state):
        return state


def test_reply_lost(make_peer):
    name, _ = make_peer(Echo)
    Raft.set_configuration(name, [name])
    cluster = Cluster(name)
    call = cluster._client.begin(REPLY_BYTES_MAX // 2, None)
    cluster._client.finish(call)
    for _ in range(2):
        cluster.write(REPLY_BYTES_MAX // 2)
    with pytest.raises(ReplyLost, match="happened"):
        cluster.outcome(call.request)
    assert cluster.read("any") == 3


def test_a_closed_handle_takes_nothing(counters):
    with Cluster(counters[0]) as cluster:
        cluster.write(1)
    with pytest.raises(NotApplied, match="closed"):
        cluster.write(1)
