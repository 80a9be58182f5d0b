"""What the cookie of a client and of a reader is good for, at real nodes, and what it is not."""

import socket

import pytest

from raft_actors import Config, encoding
from raft_actors.errors import NotAllowed
from raft_actors.kv_store import KVStore
from raft_actors.node.remote_ref import RemoteError
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import ALLOWED, RAFT
from raft_actors.peer.router import CLIENT as REQUEST
from raft_actors.replica.questions import Leading
from raft_actors.replica.requests import (
    CONFIGURE,
    ENTRY,
    LEADER,
    LIMIT_SESSIONS,
    OPERATIONS,
    PARK,
    PART,
    READ,
    READ_AS,
    STATUS,
    TRANSFER,
    UNPARK,
    WRITE,
    read_request,
)
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.frame_codec import ACTOR
from raft_actors.wire.roles import CLIENT, MEMBER, READER
from supervision import Process, Supervisor, stop
from tests.helpers import eventually
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures
from tests.node_helpers import Insider

SECRET = "the-cookie-of-the-members-of-this-test"
NOT_ALLOWED = ("error", "not_allowed")
NOTHING = encoding.dumps(())
PAYLOADS = {
    WRITE: encoding.dumps(("set", "k", 2)),
    READ: encoding.dumps(("get", "k")),
    READ_AS: read_request(encoding.dumps(("get", "k")), "stale")[1],
    CONFIGURE: encoding.dumps(((("kv", "a@one"),), (), None, False)),
    TRANSFER: encoding.dumps(None),
    ENTRY: encoding.dumps((1,)),
    PART: encoding.dumps((1, 0)),
    LIMIT_SESSIONS: encoding.dumps((None, 3_600_000)),
    PARK: encoding.dumps(Leading().encodable()),
}


class Actor(Process):
    def init(self):
        self.heard = []

    def on_receive(self, message):
        self.heard.append(message)
        return message


@pytest.fixture
def member(make_node, tmp_path):  # noqa: F811
    """A node with a group of one peer, and an actor that it has exposed."""
    node = make_node("a@one", cookie=SECRET)
    peers = peers_of(node)
    assert peers.start(KVStore, "kv", Config(data_dir=tmp_path, log_store="memory"))[0] == "ok"
    assert asked(node, node, CONFIGURE)[0] == "ok"
    assert asked(node, node, WRITE) == ("ok", "k", 2)
    actor = Actor.start()
    node.register("actor", actor)
    yield node
    peers.stop("kv")
    actor.stop()


@pytest.fixture
def guest(make_node):  # noqa: F811
    def make(role, name="g@two"):
        return make_node(name, cookie=Cookie(SECRET).text_for(role))

    return make


def asked(node, member, operation):
    body = [operation, "kv", PAYLOADS.get(operation, NOTHING), 0, 1]
    return encoding.loads(peers_of(node).router.request(("kv", member.name), body).get(20))


@pytest.mark.parametrize("role", [CLIENT, READER])
@pytest.mark.parametrize(
    "operation", range(UNPARK), ids=OPERATIONS[:UNPARK]
)  # UNPARK gets no answer
def test_a_guest_is_answered_what_its_role_may_ask_and_nothing_else(member, guest, operation, role):
    node = guest(role)
    before = asked(member, member, STATUS)[1]
    answer = asked(node, member, operation)
    if operation in ALLOWED[role]:
        assert answer != NOT_ALLOWED
        assert answer[:1] != ("error",)
    else:
        assert answer == NOT_ALLOWED
        after = asked(member, member, STATUS)[1]
        for what in ("configuration", "last_applied", "current_state"):
            assert after[what] == before[what]


def test_what_each_role_may_ask_is_as_the_page_says():
    assert ALLOWED[MEMBER] == set(range(len(OPERATIONS)))
    assert ALLOWED[CLIENT] == {WRITE, READ, READ_AS, STATUS, LEADER, PARK, UNPARK}
    assert ALLOWED[READER] == ALLOWED[CLIENT] - {WRITE}


def test_a_client_can_not_stop_a_peer_as_the_actor_that_it_is_either(member, guest):
    """A peer has its name as a process does. Planted: check requests only."""
    ref = guest(CLIENT).whereis(("kv", member.name))
    with pytest.raises(RemoteError) as error:
        ref.stop()
    assert error.value.type_name == "NotAllowed"
    assert ref.is_alive()
    assert asked(member, member, READ) == ("ok", 2)


def test_a_client_talks_to_actors_that_are_exposed_and_a_reader_only_watches(member, guest):
    actor = ("actor", member.name)
    assert guest(CLIENT).whereis(actor).ask("x", timeout=20) == "x"
    reader = guest(READER, "r@two").whereis(actor)
    for use in (lambda: reader.ask("y", timeout=20), lambda: reader.proxy().heard.get(timeout=20)):
        with pytest.raises(RemoteError) as error:
            use()
        assert error.value.type_name == "NotAllowed"
    reader.tell("z")
    assert reader.is_alive()
    assert member.whereis("actor").proxy().heard.get() == ["x"]
    ended = []
    reader.watch(ended.append)
    assert reader.is_alive()
    member.whereis("actor").stop()
    eventually(lambda: ended)


@pytest.mark.parametrize("name", ["stop", "exit", "on_stop", "terminate", "actor_ref", "init"])
def test_a_client_can_not_stop_an_actor_by_a_proxy_either(member, guest, name):
    """Planted: ask only whether a role may send orders of proxies."""
    actor = guest(CLIENT).whereis(("actor", member.name))
    for use in (lambda p: p.get(timeout=20), lambda p: p().get(timeout=20)):
        with pytest.raises(RemoteError, match=rf"may not use {name} of an actor") as error:
            use(getattr(actor.proxy(), name))
        assert error.value.type_name == "NotAllowed"
    getattr(actor.proxy(), name).defer()
    assert actor.proxy().heard.get(timeout=20) == []
    assert actor.is_alive()


def test_a_member_may_stop_an_actor_by_a_proxy(member, make_node):  # noqa: F811
    actor = make_node("b@two", cookie=SECRET).whereis(("actor", member.name))
    actor.proxy().stop().get(timeout=20)
    eventually(lambda: not actor.is_alive())


def test_a_client_sends_no_message_to_a_peer_or_a_supervisor(member, guest, caplog):
    """It would wait in a mailbox without a bound, and be a line of the log each."""
    _ok, top = Supervisor.start_link([], strategy="one_for_one")
    member.register("top", top)
    node = guest(CLIENT)
    ref, above = (node.whereis((name, member.name)) for name in ("kv", "top"))
    for use in (
        lambda: ref.ask("x", timeout=20),
        lambda: above.ask("x", timeout=20),
        lambda: ref.proxy().status().get(timeout=20),
    ):
        with pytest.raises(RemoteError, match=r"may not .* a peer or a supervisor"):
            use()
    for number in range(100):
        ref.tell(number)
    assert ref.is_alive()
    assert "unknown message" not in caplog.text
    assert asked(node, member, READ) == ("ok", 2)
    stop(top)


def test_requests_that_make_no_sense_are_logged_once_a_minute(member, guest, caplog):
    """Planted: a line for each."""
    node = guest(READER)
    nonsense = [None, [], [1, "kv"], [READ, {}, b"", 0, 1], [READ, "kv", None, 0, 1], [STATUS] * 5]
    for body in nonsense * 20:
        node.cast(member.name, REQUEST, body)
        answer = node.call(member.name, REQUEST, body)
        node.cast(member.name, ACTOR, body)
    node.flush()
    assert encoding.loads(answer.get(20))[1][0] in {"bad_request", "not_allowed"}
    lines = [line for line in caplog.messages if line.startswith("g@two sent ")]
    assert len(lines) == 1


def test_a_client_reaches_nothing_that_is_not_exposed(member, guest):
    hidden = Actor.start()
    member.registry.register("hidden", hidden)
    assert not guest(CLIENT).whereis(("hidden", member.name)).is_alive()
    hidden.stop()


def test_a_clients_messages_of_raft_are_dropped_and_logged_once_a_minute(member, guest, caplog):
    node = guest(CLIENT)
    term = asked(member, member, STATUS)[1]["current_term"]
    group = peers_of(member).stores and next(iter(peers_of(member).stores.values()))
    forged = ["kv", "kv", group.replica.core.group, 0, 0, [[4, term + 9, 0, 0, 0, 0, []]]]
    for _ in range(5):
        node.cast(member.name, RAFT, forged)
        node.flush()
    assert asked(node, member, READ) == ("ok", 2)
    assert asked(member, member, STATUS)[1]["current_term"] == term
    lines = [line for line in caplog.messages if "may not send messages of Raft" in line]
    assert lines == ["g@two may not send messages of Raft, with the cookie of a client"]


def test_a_guest_with_the_name_of_a_member_is_sent_nothing_that_is_meant_for_it(
    member, make_node, caplog  # noqa: F811
):  # fmt: skip
    """Else it gets the entries of the log, and answers in the other member's place."""
    impostor = Insider(
        socket.create_connection(("127.0.0.1", member.port), 10),
        "b@one",
        Cookie(SECRET).text_for(CLIENT),
    )
    impostor.enter(member)
    eventually(lambda: member.list() == ["b@one"])
    real = make_node("b@one", cookie=SECRET)
    assert asked_of(member, real) == ("error", "no_peer")
    impostor.sock.close()
    with socket.create_connection(("127.0.0.1", member.port), 10) as sock:
        again = Insider(sock, "b@one", Cookie(SECRET).text_for(CLIENT), b"restart!")
        with pytest.raises(Exception, match="b@one is the name of a member for a@one"):
            again.enter(member)


def asked_of(node, other):
    """Ask a peer of the other node until its connection is one of members."""

    def answer():
        future = node.call(other.name, REQUEST, [STATUS, "kv", NOTHING, 0, 1])
        node.flush()
        try:
            return encoding.loads(future.get(20))
        except Exception:
            return None

    peers_of(other)
    return eventually(answer)


def test_a_handle_says_that_its_cookie_may_not(member, guest, monkeypatch):
    from raft_actors import Cluster

    node = guest(READER)
    monkeypatch.setattr("raft_actors.client.leader_finder.peers_here", lambda: peers_of(node))
    with Cluster(("kv", member.name)) as cluster:
        assert cluster.read(("get", "k")) == ("ok", 2)
        with pytest.raises(NotAllowed, match="a reader's may read; nothing happened"):
            cluster.write(("set", "k", 3))
    assert asked(member, member, READ) == ("ok", 2)
