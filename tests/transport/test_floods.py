"""A flood of connections keeps out nobody who knows the cookie."""

import contextlib
import socket
import threading

import pytest

from raft_actors.transport.expiring_set import network_of
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire.frames import header
from raft_actors.wire.handshake import DialerHandshake
from tests.helpers import eventually
from tests.node_helpers import Insider, hold, overheard_hello

COOKIE = "known to those who belong here"
FEW = BridgeLimits(strangers_max=8)


@pytest.fixture
def connect():
    """Connect to a node from an address of this host; all are hung up at the end."""
    with contextlib.ExitStack() as stack:

        def connect(node, source="127.0.0.1"):
            place = "127.0.0.1", node.port
            sock = socket.create_connection(place, timeout=10, source_address=(source, 0))
            return stack.enter_context(sock)

        yield connect


def hello(node):
    """The first message of somebody who does not know the cookie, but the protocol."""
    message = overheard_hello(node)
    return header(len(message)) + message


def strangers_at(node):
    return [each.address for each in node._bridge.handshakes.listener.strangers]


def address_of(sock):
    host, port = sock.getsockname()
    return f"{host}:{port}"


def test_a_flood_from_one_place_drops_none_who_comes_from_another(make_node, connect):
    """Planted: the oldest of all is dropped."""
    node = make_node("a", limits=FEW)
    slow = connect(node, "127.0.0.2")
    eventually(lambda: strangers_at(node) == [address_of(slow)])
    last = [connect(node) for _ in range(60)][-1]
    eventually(lambda: address_of(last) in strangers_at(node))
    assert address_of(slow) in strangers_at(node)
    assert len(strangers_at(node)) == FEW.strangers_max


def test_who_has_something_to_say_is_not_dropped_for_those_who_are_silent(make_node, connect):
    """From the same place. Planted: the oldest is dropped, whatever it has said."""
    node = make_node("a", cookie=COOKIE, limits=FEW)
    insider = Insider(connect(node), "x@here", COOKIE)
    dialer = DialerHandshake(insider.me, insider.cookie, node.name)
    insider.say(dialer.hello)
    proof = dialer.receive(insider.hear())
    last = [connect(node) for _ in range(60)][-1]
    eventually(lambda: address_of(last) in strangers_at(node))
    insider.say(proof)
    assert dialer.receive(insider.hear()).name == node.name


def test_what_those_who_are_here_have_to_say_is_read_before_others_are_taken_in(make_node, connect):
    """Planted: connections are taken in where the listener is found ready."""
    node = make_node("a", cookie=COOKIE, limits=FEW)
    insider = Insider(connect(node), "x@here", COOKIE)
    dialer = DialerHandshake(insider.me, insider.cookie, node.name)
    insider.say(dialer.hello)
    proof = dialer.receive(insider.hear())
    release = hold(node)
    for _ in range(60):
        connect(node).sendall(hello(node))
    insider.say(proof)
    release()
    assert dialer.receive(insider.hear()).name == node.name


def test_what_was_sent_with_the_connection_is_read_as_it_is_taken_in(make_node, connect):
    """Planted: it is read in the next round only, when others may have driven it out."""
    node = make_node("a", cookie=COOKIE, limits=BridgeLimits(strangers_max=1))
    insider = Insider(connect(node), "x@here", COOKIE)
    eventually(lambda: strangers_at(node))
    release = hold(node)
    speaking = connect(node)
    speaking.sendall(hello(node))
    silent = [connect(node) for _ in range(3)]
    release()
    eventually(lambda: strangers_at(node) == [address_of(silent[-1])])
    assert b"challenge" in speaking.recv(1000)  # it was answered before it was dropped
    assert insider.sock.recv(1) == b""


def test_nodes_get_in_beside_a_flood(make_node, connect):
    """From the same place, by one who knows the protocol and goes on as fast as it can."""
    node = make_node("a", cookie=COOKIE)
    over = threading.Event()

    def flood():
        while not over.is_set():
            with contextlib.suppress(OSError), socket.socket() as sock:
                sock.connect(("127.0.0.1", node.port))
                sock.sendall(hello(node))

    flooding = [threading.Thread(target=flood) for _ in range(4)]
    for each in flooding:
        each.start()
    try:
        for number in range(10):
            insider = Insider(connect(node), f"x{number}@here", COOKIE)
            assert insider.enter(node).name == node.name
    finally:
        over.set()
        for each in flooding:
            each.join()


def test_an_ipv6_host_is_one_place_by_whatever_address_it_comes():
    """It has the lower half of its addresses to itself."""
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2")
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8:0:2::1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth0")
    assert network_of("::ffff:10.0.0.1") != network_of("::ffff:10.0.0.2")
    assert network_of("10.0.0.1") != network_of("10.0.0.2")
