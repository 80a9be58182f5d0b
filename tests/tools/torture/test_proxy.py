"""The wires between nodes, and each way of making them bad.

Planted once in the proxy, each seen red here: conditions of the way back used for the way there;
a block that drops what waits; a refusal that lets open connections live; a delay that lets small
pieces overtake large ones; the end of a stream told through a block.
"""

import contextlib
import random
import socket
import threading
import time

import pytest

from raft_actors import Config
from raft_actors.node.host_name import node_name
from raft_actors.node.local_node import LocalNode
from raft_actors.tools.torture.proxy import Proxy
from tests.helpers import eventually
from tests.node_helpers import Collector, send

SILENCE_S = 0.15


class Wire:
    """`a` has dialed `b` through the proxy; both ends are here."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(("a", "b"), {"b": self.server.getsockname()}.get)
        self.ends = []

    def dial(self):
        near = socket.create_connection(self.proxy.endpoints["a", "b"])
        self.server.settimeout(10)
        far, _ = self.server.accept()
        self.ends += [near, far]
        for end in (near, far):
            end.settimeout(10)
        return near, far

    def close(self):
        self.proxy.close()
        for end in (self.server, *self.ends):
            end.close()


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.close()


def receive(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(65536)
        assert more, "it ended early"
        data += more
    return data


def is_silent(sock):
    sock.settimeout(SILENCE_S)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)
    return False


def test_bytes_get_through_both_ways(wire):
    near, far = wire.dial()
    near.sendall(b"there")
    far.sendall(b"back")
    assert receive(far, 5) == b"there"
    assert receive(near, 4) == b"back"


def test_a_block_is_one_way_and_what_waited_arrives_after_it(wire):
    near, far = wire.dial()
    with wire.proxy.path("a", "b").worse(blocked=True):
        wire.proxy.wake()
        near.sendall(b"late")
        far.sendall(b"back")
        assert receive(near, 4) == b"back"
        assert is_silent(far)
    wire.proxy.wake()
    assert receive(far, 4) == b"late"


def test_a_block_hides_the_end_of_a_stream(wire):
    near, far = wire.dial()
    with wire.proxy.path("a", "b").worse(blocked=True):
        wire.proxy.wake()
        near.close()
        assert is_silent(far)
    wire.proxy.wake()
    with contextlib.suppress(ConnectionResetError):
        assert far.recv(1) == b""


def test_a_refusal_resets_connections_old_and_new(wire):
    near, far = wire.dial()
    with wire.proxy.path("b", "a").worse(refused=True):
        wire.proxy.wake()
        for end in (near, far):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        with socket.create_connection(wire.proxy.endpoints["a", "b"]) as again:
            again.settimeout(10)
            with pytest.raises(ConnectionResetError):
                again.recv(1)
    near, far = wire.dial()
    near.sendall(b"healed")
    assert receive(far, 6) == b"healed"


def test_a_delay_is_kept_in_one_direction(wire):
    near, far = wire.dial()
    with wire.proxy.path("a", "b").worse(delay_s=0.3):
        began = time.monotonic()
        near.sendall(b"slow")
        assert receive(far, 4) == b"slow"
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    "conditions",
    [{}, {"delay_s": 0.01, "jitter_s": 0.05}, {"loss": 0.05}, {"bytes_per_s": 8_000_000}],
    ids=str,
)
def test_much_arrives_whole_and_in_order(wire, conditions):
    near, far = wire.dial()
    data = random.Random(1).randbytes(2_000_000)
    with wire.proxy.path("a", "b").worse(**conditions):
        sender = threading.Thread(target=near.sendall, args=(data,))
        sender.start()
        assert receive(far, len(data)) == data
        sender.join()


def test_some_of_what_is_sent_resets_its_connection(wire):
    near, far = wire.dial()
    with wire.proxy.path("a", "b").worse(resets=1.0):
        near.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            far.recv(1)


def test_nobody_listens_where_a_node_has_ended(wire):
    wire.server.close()
    with socket.create_connection(wire.proxy.endpoints["a", "b"]) as near:
        near.settimeout(10)
        with pytest.raises(ConnectionResetError):
            near.recv(1)


@pytest.fixture
def two_nodes(tmp_path, monkeypatch):
    """Two nodes that know each other by the proxy's addresses alone, connected."""
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", "of this test")
    monkeypatch.delenv("RAFT_ACTORS_NODES", raising=False)
    nodes = {}

    def place(name):
        access = nodes[name].access if name in nodes else None
        return access and (access.host, access.port)

    proxy = Proxy(("a", "b"), place)
    for name in ("a", "b"):
        static = dict(one.split("=") for one in proxy.static_addresses(name).split(","))
        nodes[name] = LocalNode(name, config=Config(nodes=static)).start()
    yield nodes["a"], nodes["b"], proxy
    for node in nodes.values():
        node.stop()
    proxy.close()


def test_nodes_dial_each_other_through_the_proxy_and_hear_one_way_only(two_nodes):
    """Whoever's dial won: the conditions go by direction, not by who dialed."""
    a, b, proxy = two_nodes
    at_a, at_b = Collector(a), Collector(b)
    dials = [threading.Thread(target=one.connect, args=(node_name(two),))
             for one, two in ((a, "b"), (b, "a"))]  # fmt: skip
    for dial in dials:
        dial.start()
    for dial in dials:
        dial.join()
    eventually(lambda: a.list() == [b.name] and b.list() == [a.name])
    eventually(lambda: len(proxy.streams) == 1)
    for deaf, hearing, way in ((at_b, at_a, ("a", "b")), (at_a, at_b, ("b", "a"))):
        with proxy.path(*way).worse(blocked=True):
            proxy.wake()
            deaf_before, heard_before = len(deaf.bodies), len(hearing.bodies)
            send(a, b.name, "from a")
            send(b, a.name, "from b")
            eventually(lambda: len(hearing.bodies) > heard_before)
            assert len(deaf.bodies) == deaf_before
        proxy.wake()
        eventually(lambda: len(deaf.bodies) > deaf_before)
