"""Which connection two nodes use: the rules, each with a peer that does exactly one thing.

The node under test is a@one. Its dial wins over that of x@two, which has the larger name, and gives
way to that of X@two, which has the smaller one.
"""

import socket

import msgpack
import pytest

from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.reactor import READ
from raft_actors.wire.handshake import Refusal
from tests.helpers import eventually
from tests.node_helpers import KIND, Collector, Insider, dial_of, send

LARGER, SMALLER = "x@two", "X@two"
CLOSED = "connection_closed"


@pytest.fixture
def server(monkeypatch):
    """Where the node's dials to both names arrive."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(10)
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("RAFT_ACTORS_NODES", f"{LARGER}={place},{SMALLER}={place}")
        yield listener


@pytest.fixture
def node(make_node, server):
    return make_node("a@one", cookie="c", limits=BridgeLimits(parked_s=30.0, handshake_s=20.0))


@pytest.fixture
def news(node):
    heard = []
    node.monitor(heard.append)
    return heard


@pytest.fixture
def insider(node, server):
    """Make peers on new connections: `dialing` the node, or `dialed` by it."""
    sockets = []

    class Make:
        def dialing(self, name, incarnation=b"12345678"):
            sockets.append(socket.create_connection(("127.0.0.1", node.port), timeout=10))
            return Insider(sockets[-1], name, "c", incarnation)

        def dialed(self, name, incarnation=b"12345678"):
            sock, _address = server.accept()
            sock.settimeout(10)
            sockets.append(sock)
            return Insider(sock, name, "c", incarnation)

    yield Make()
    for sock in sockets:
        sock.close()


def hears(insider, body):
    """Wait until the insider is sent a frame with this body; pings may come before."""
    while insider.next_frame()[1] != body:
        pass
    return True


def is_over(insider):
    try:
        while insider.sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def linked_by_our_dial(node, insider, name=LARGER):
    send(node, name, "first")
    peer = insider.dialed(name)
    link_id = peer.admit().link_id
    assert hears(peer, "first")
    return peer, link_id


def test_the_dial_of_the_larger_name_waits_for_ours_and_is_turned_down(node, insider, news):
    """Planted: welcome it at once."""
    send(node, LARGER, "frame")
    ours = insider.dialed(LARGER)
    theirs = insider.dialing(LARGER)
    dialer = theirs.knock(node)
    eventually(lambda: dial_of(node, LARGER).parked is not None)
    ours.admit()
    with pytest.raises(Refusal) as refusal:
        dialer.receive(theirs.hear())
    assert refusal.value.code == "duplicate"
    assert hears(ours, "frame")
    eventually(lambda: news == [NodeUp(LARGER)])


def test_the_dial_of_the_larger_name_is_taken_when_ours_fails(node, insider, news):
    """It may be behind a firewall that only lets its own dials through. Planted: just redial."""
    send(node, LARGER, "frame")
    ours = insider.dialed(LARGER)
    theirs = insider.dialing(LARGER)
    dialer = theirs.knock(node)
    eventually(lambda: dial_of(node, LARGER).parked is not None)
    ours.sock.close()
    theirs.prove(dialer.receive(theirs.hear()))
    assert hears(theirs, "frame")
    eventually(lambda: news == [NodeUp(LARGER)])


def test_the_dial_of_the_larger_name_is_taken_when_ours_takes_too_long(
    make_node, server, monkeypatch
):
    node = make_node("a@one", cookie="c", limits=BridgeLimits(parked_s=0.1, handshake_s=20.0))
    send(node, LARGER, "frame")
    ours, _address = server.accept()  # and never says a word
    with ours, socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        theirs = Insider(sock, LARGER, "c")
        theirs.enter(node)
        assert hears(theirs, "frame")


def test_the_dial_of_the_smaller_name_is_taken_and_ours_ends(node, insider, news):
    send(node, SMALLER, "frame")
    ours = insider.dialed(SMALLER)
    theirs = insider.dialing(SMALLER)
    theirs.enter(node)
    assert hears(theirs, "frame")
    assert is_over(ours)
    eventually(lambda: news == [NodeUp(SMALLER)])


def test_a_dial_from_before_our_connection_does_not_replace_it(node, insider, news):
    """It lost the race and is read late. Planted: the newest connection always wins."""
    ours, _link_id = linked_by_our_dial(node, insider)
    with pytest.raises(Refusal, match="connected already"):
        insider.dialing(LARGER).enter(node, dial=1, last_link_id=b"of an earlier one")
    send(node, LARGER, "still here")
    assert hears(ours, "still here")
    eventually(lambda: news == [NodeUp(LARGER)])


def test_a_peer_that_has_lost_our_connection_replaces_it(node, insider, news):
    """We have not seen the end of it yet."""
    ours, link_id = linked_by_our_dial(node, insider)
    theirs = insider.dialing(LARGER)
    theirs.enter(node, dial=1, last_link_id=link_id)
    assert is_over(ours)
    send(node, LARGER, "over the new one")
    assert hears(theirs, "over the new one")
    eventually(lambda: news == [NodeUp(LARGER), NodeDown(LARGER, CLOSED), NodeUp(LARGER)])


def test_a_peer_that_dials_anew_replaces_its_own_connection_but_never_by_an_older_one(
    node, insider, news
):
    first, second = insider.dialing(LARGER), insider.dialing(LARGER)
    first.enter(node, dial=4)
    second.enter(node, dial=5)
    assert is_over(first)
    with pytest.raises(Refusal, match="connected already"):
        insider.dialing(LARGER).enter(node, dial=4)
    send(node, LARGER, "x")
    assert hears(second, "x")


def test_a_restarted_peer_replaces_the_connection_of_its_former_life(node, insider, news):
    ours, _link_id = linked_by_our_dial(node, insider)
    theirs = insider.dialing(LARGER, incarnation=b"reborn..")
    theirs.enter(node)
    assert is_over(ours)
    eventually(lambda: news[1:] == [NodeDown(LARGER, "restarted"), NodeUp(LARGER)])


def test_an_answer_to_a_former_connection_goes_nowhere(node, insider):
    """Call numbers begin anew in a new life: an old answer would be taken for another's."""
    held = []
    node.on_frames(KIND, held.extend)
    first = insider.dialing(LARGER)
    first.enter(node)
    first.send_frame([KIND, "question", 1])
    eventually(lambda: held)
    second = insider.dialing(LARGER, incarnation=b"reborn..")
    second.enter(node)
    assert is_over(first)
    held[0].reply("late")
    node.flush()
    send(node, LARGER, "marker")
    heard = [second.next_frame()]
    while heard[-1] != [KIND, "marker"]:
        heard.append(second.next_frame())
    assert "late" not in [body for _kind, body, *_call in heard]


def test_an_answer_can_not_slip_over_to_the_next_connection(node, insider, news):
    """The connection is replaced between two steps of `reply`. Planted: check, then send."""
    held = []
    node.on_frames(KIND, held.extend)
    first = insider.dialing(LARGER)
    first.enter(node)
    first.send_frame([KIND, "question", 1])
    eventually(lambda: held)
    link = node._bridge._links[LARGER]

    class Slow:
        """The link's lock, whose next release lets the peer come back in a new life."""

        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            self.lock.acquire()

        def __exit__(self, *_error):
            self.lock.release()
            link.lock = self.lock
            insider.dialing(LARGER, incarnation=b"reborn..").enter(node)
            eventually(lambda: len(news) == 3)

    link.lock = Slow(link.lock)
    held[0].reply("x" * 100)
    assert all(b"x" * 100 not in each for each in link._out)


def test_what_comes_over_a_connection_that_was_replaced_is_not_read(node, insider, news):
    """Planted: read it as long as the socket is open, as it is while a thread is sending."""
    seen = Collector(node)
    first, second = insider.dialing(LARGER), insider.dialing(LARGER, incarnation=b"reborn..")
    first.enter(node)
    eventually(lambda: news == [NodeUp(LARGER)])
    link = node._bridge._links[LARGER]
    old = link._sending = link.connection
    second.enter(node)
    eventually(lambda: len(news) == 3)
    first.send_frame([KIND, "of a former life"])
    node.post(lambda: node._bridge._sockets.on_ready(old, READ))
    second.send_frame([KIND, "of this one"])
    eventually(lambda: seen.bodies)
    old.close()
    assert seen.bodies == [(LARGER, "of this one")]


def test_a_parked_peer_that_hangs_up_is_forgotten(node, insider):
    send(node, LARGER, "frame")
    ours = insider.dialed(LARGER)
    theirs = insider.dialing(LARGER)
    theirs.knock(node)
    eventually(lambda: dial_of(node, LARGER).parked is not None)
    theirs.sock.close()
    eventually(lambda: not node._bridge.handshakes.listener.strangers)
    ours.admit()
    assert hears(ours, "frame")


def test_speaking_before_the_welcome_ends_a_parked_connection(node, insider, caplog):
    seen = Collector(node)
    send(node, LARGER, "frame")
    insider.dialed(LARGER)
    theirs = insider.dialing(LARGER)
    theirs.knock(node)
    eventually(lambda: dial_of(node, LARGER).parked is not None)
    theirs.say(msgpack.packb([KIND, "too early"]))
    assert is_over(theirs)
    assert "it sent a message after its PROOF" in caplog.text
    assert seen.bodies == []


def test_frames_right_behind_the_welcome_are_not_lost(node, insider):
    seen = Collector(node)
    send(node, LARGER, "frame")
    ours = insider.dialed(LARGER)
    real_say, said = ours.say, []
    ours.say = said.append
    ours.hear, hear = (lambda: next(steps)), ours.hear

    def conversation():
        yield hear()  # the hello
        real_say(said.pop())  # our challenge
        yield hear()  # the proof

    steps = conversation()
    ours.admit()
    welcome = said.pop()
    frames = [ours.framed(msgpack.packb([KIND, number])) for number in range(100)]
    ours.sock.sendall(b"".join(len(each).to_bytes(4, "big") + each for each in (welcome, *frames)))
    eventually(lambda: len(seen.bodies) == 100)
    assert seen.bodies == [(LARGER, number) for number in range(100)]
