"""What others bring is taken out again when they are gone: names, questions, watches."""

import socket
import struct
import threading
from dataclasses import replace

import pykka
import pytest

from raft_actors.config import Config
from raft_actors.errors import FrameTooLarge, NoConnection
from raft_actors.node.remote_ref import AskTimeout
from raft_actors.transport.endpoint import EndpointUnknown
from raft_actors.wire.handshake import DialerHandshake
from supervision import Process, demonitor, monitor
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import KIND, Collector, Insider, ask, hold, send

FEW = replace(QUICK, idle_links_max=3)
SMALL = Config(frame_bytes_max=70_000, command_bytes_max=1_000)


class Hung(Process):
    gate = threading.Event()

    def on_receive(self, message):
        self.gate.wait(30)


@pytest.fixture
def hung(make_node):
    """Two nodes, and at the second one a remote ref of an actor on the first, which hangs."""
    a, b = make_node("a"), make_node("b")
    ref = Hung.start()
    a.register("hung", ref)
    assert b.ping(a.name) == "pong"
    yield a, b, b.whereis(("hung", a.name))
    Hung.gate.set()
    ref.stop()
    Hung.gate.clear()


def open_calls(node, other):
    return node._bridge._links[other.name].calls


def knows_few(node):
    """Whether both the bridge and its dialer have forgotten who was too many."""
    bridge = node._bridge
    return len(bridge._links) <= 3 and len(bridge.handshakes.dialer._dials) <= 3


def test_a_node_forgets_visitors_and_still_answers_them(make_node):
    """Planted: never retire a link; retire it, and keep its dial."""
    host = make_node("host", limits=FEW)
    Collector(host)
    for turn in range(8):
        visitor = make_node(f"visitor{turn}")
        assert ask(visitor, host.name, turn) == ["said", turn]
        visitor.stop()
        eventually(lambda: host.list() == [])
    eventually(lambda: knows_few(host))
    again = make_node("visitor0")
    Collector(again)
    assert ask(again, host.name, "again") == ["said", "again"]
    assert ask(host, again.name, "there") == ["said", "there"]


def test_an_answer_to_who_is_forgotten_goes_nowhere(make_node):
    """Planted: look its link up as if it were there."""
    host, held = make_node("host", limits=FEW), []
    host.on_frames(KIND, held.extend)
    for turn in range(8):
        visitor = make_node(f"visitor{turn}")
        visitor.call(host.name, KIND, "question")
        visitor.flush()
        eventually(lambda turn=turn: len(held) == turn + 1)
        visitor.stop()
        eventually(lambda: host.list() == [])
    assert held[0].node not in host._bridge._links
    held[0].reply("late")
    host.flush()


def test_visitors_that_leave_before_their_welcome_are_forgotten_too(make_node):
    """Planted: a link is made for each, and stays."""
    host = make_node("host", cookie="c" * 20, limits=FEW)
    for turn in range(8):
        sock = socket.create_connection(("127.0.0.1", host.port), timeout=10)
        visitor = Insider(sock, f"visitor{turn}@one", "c" * 20)
        dialer = DialerHandshake(visitor.me, visitor.cookie, host.name)
        visitor.say(dialer.hello)
        proof = dialer.receive(visitor.hear())
        release = hold(host)
        visitor.say(proof)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        sock.close()
        release()
        eventually(lambda: not len(host._bridge.handshakes.listener.strangers))
    eventually(lambda: knows_few(host))


def test_names_that_nobody_has_are_forgotten_and_calls_to_them_still_fail(make_node):
    host = make_node("host", limits=FEW)
    for turn in range(20):
        with pytest.raises(NoConnection):
            ask(host, f"nobody{turn}@nowhere", turn)
    eventually(lambda: knows_few(host))


def test_a_name_is_forgotten_although_its_dial_was_given_up_before_it_was_looked_up(
    make_node, monkeypatch
):
    """Planted: nobody looks again at a link when the name service answers at last."""
    host, answered = make_node("host", limits=replace(FEW, handshake_s=0.05)), threading.Event()

    def look_up(_timeout_s):
        answered.wait(30)
        raise EndpointUnknown("nobody is there")

    monkeypatch.setattr(host._bridge._dialer._directory, "find", lambda _node: look_up)
    for turn in range(20):
        with pytest.raises(NoConnection):
            ask(host, f"nobody{turn}@nowhere", turn)
    answered.set()
    eventually(lambda: knows_few(host))


@pytest.mark.parametrize(("body", "error"), [("x" * 80_000, FrameTooLarge), (object(), TypeError)])
def test_names_to_which_nothing_could_be_sent_are_forgotten_too(make_node, body, error):
    """Planted: a link that was made for a frame, and never dialed, stays."""
    host = make_node("host", limits=FEW, config=SMALL)
    for turn in range(20):
        with pytest.raises(error):
            host.call(f"nobody{turn}@nowhere", KIND, body)
    eventually(lambda: knows_few(host))


def test_who_has_a_link_that_is_forgotten_just_then_gets_another(make_node, monkeypatch):
    """Planted: send on a retired link as if it would be dialed."""
    host, other = make_node("host"), make_node("other")
    collector = Collector(other)
    bridge = host._bridge
    original = bridge._table.link_with
    old = original(other.name)
    del bridge._links[other.name]
    assert old.retire()
    for attempt in (lambda: ask(host, other.name, 1), lambda: send(host, other.name, 2)):
        found = [old]

        def link_with(node, found=found):
            return found.pop() if found else original(node)

        monkeypatch.setattr(bridge._table, "link_with", link_with)
        attempt()
        assert not found
    eventually(lambda: [body for _, body in collector.bodies] == [1, 2])


def test_an_ask_that_timed_out_leaves_nothing_behind(hung):
    a, b, remote = hung
    for _ in range(5):
        with pytest.raises(AskTimeout):
            remote.ask("anything", timeout=0.01)
    futures = [remote.ask("anything", block=False) for _ in range(5)]
    with pytest.raises(AskTimeout):
        futures[0].get(timeout=0.01)
    assert len(open_calls(b, a)) == 5, "these may still be asked for their answers"
    futures.clear()
    assert open_calls(b, a) == {}


def test_the_answer_that_comes_after_a_timeout_is_still_had(hung):
    _a, _b, remote = hung
    future = remote.ask("anything", block=False)
    with pytest.raises(AskTimeout):
        future.get(timeout=0.01)
    Hung.gate.set()
    assert future.get(timeout=10) is None


def test_a_monitor_that_is_ended_leaves_nothing_at_either_node(hung):
    a, b, remote = hung
    watcher = Hung.start()
    for _ in range(5):
        demonitor(monitor(remote, watcher))
    assert open_calls(b, a) == {}
    eventually(lambda: not a._actors._watches._watches)
    watcher.stop()


def test_a_watcher_of_nodes_that_ends_is_forgotten(make_node):
    node = make_node("a")
    for _ in range(5):
        watcher = Hung.start()
        node.monitor(watcher)
        end = node.monitor(watcher)
        watcher.stop()
        end()
    eventually(lambda: not node._watchers)


def test_a_plain_actor_may_watch_nodes(make_node):
    class Plain(pykka.ThreadingActor):
        pass

    node, plain = make_node("a"), Plain.start()
    end = node.monitor(plain)
    assert len(node._watchers) == 1
    end()
    assert not node._watchers
    plain.stop()
