"""Effects for actors of another node: told if it is there, asked until it has answered."""

import pytest

from raft_actors import Config, encoding
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import WRITE
from supervision import Process
from tests.helpers import eventually
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_any_node,
    make_memory_node,
    make_node,
    network,
    own_directories,
)
from tests.peer.test_effects import Effecting


class Notes(Process):
    def init(self, received):
        self.received = received

    def on_receive(self, message):
        self.received.append(message)
        return "noted"


class Pair:
    """A peer alone in its group on one node, and an actor on another."""

    def __init__(self, start_node):
        self.a, self.b = start_node("a"), start_node("b")
        config = Config(log_store="memory")
        answer = peers_of(self.a).start(Effecting, "kv", config, members=[("kv", self.a.name)])
        assert answer[0] == "ok", answer
        self.received = []
        self.ref = Notes.start(self.received)
        eventually(lambda: self.write([]) == "ok")

    def register(self):
        assert self.b.register("notes", self.ref)[0] == "ok"

    def write(self, effects):
        body = [WRITE, "kv", encoding.dumps(effects), 0, 1]
        answer = peers_of(self.a).router.request(("kv", self.a.name), body).get(10)
        return encoding.loads(answer) if isinstance(answer, bytes) else answer

    @property
    def outbox(self):
        return next(iter(peers_of(self.a).hosted.values())).replica.applier.applied.duties.outbox

    def end(self):
        self.ref.stop()
        peers_of(self.a).stop("kv")


@pytest.fixture
def pair(make_any_node):  # noqa: F811
    pair = Pair(make_any_node)
    yield pair
    pair.end()


def test_an_actor_of_another_node_is_told_and_asked(pair):
    pair.register()
    there = ("notes", pair.b.name)
    assert pair.write([("tell", there, {"n": 1}), ("outbox", there, [2], "m")]) == "ok"
    eventually(lambda: len(pair.received) == 2)
    assert sorted(map(str, pair.received)) == ["('outbox', 'm', [2])", "{'n': 1}"]
    eventually(lambda: not pair.outbox)


def test_a_message_waits_until_the_other_node_has_such_an_actor(pair, monkeypatch):
    monkeypatch.setattr("raft_actors.replica.carrier.ASK_S", 0.05)
    there = ("notes", pair.b.name)
    assert pair.write([("outbox", there, 1, "m")]) == "ok"
    eventually(lambda: next(iter(peers_of(pair.a).hosted.values())).replica.carrier.tries)
    assert [*pair.outbox] == ["m"]
    pair.register()
    eventually(lambda: not pair.outbox)
    assert {*pair.received} == {("outbox", "m", 1)}
