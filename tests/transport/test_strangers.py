"""What someone without the cookie can do at the port of a node: next to nothing."""

import contextlib
import gc
import socket
import time
import tracemalloc

import msgpack
import pytest

from raft_actors.errors import NoConnection
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire.frame_mac import TAG_BYTES
from raft_actors.wire.frames import header
from tests.helpers import eventually
from tests.node_helpers import KIND, Collector, Insider, ask, free_port, open_files, overheard_hello

IMPATIENT = BridgeLimits(handshake_s=0.3)


@pytest.fixture
def strangers():
    """Connect to a node without a word; all are hung up at the end."""
    with contextlib.ExitStack() as stack:

        def connect(node):
            sock = socket.create_connection(("127.0.0.1", node.port), timeout=10)
            return stack.enter_context(sock)

        yield connect


def hung_up(sock):
    """Wait until the node hangs up. Returns what it said before."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(4096):
            said += piece
    return said


def lines(caplog):
    return [line for line in caplog.messages if line.startswith("dropped")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "a frame of 1195725856 bytes, over the limit of 1024"),
        (b"\xff\xff\xff\xff" + b"x" * 100, "a frame of 4294967295 bytes"),
        (header(4) + b"\xc1\xc1\xc1\xc1", "a payload that is not msgpack"),
        (header(1) + b"\x00", "a handshake message that is not a list"),
        (header(0), "a payload that is not msgpack"),
        (header(3) + b"\x92\x10\x01", "not a HELLO of a raft_actors node"),
    ],
    ids=["http", "4 GiB", "no msgpack", "no list", "empty", "a frame"],
)
def test_garbage_is_dropped_with_one_line(make_node, strangers, caplog, data, words):
    node = make_node("a")
    seen = Collector(node)
    sock = strangers(node)
    sock.sendall(data)
    assert hung_up(sock) == b""
    (line,) = lines(caplog)
    assert line.startswith("dropped the stranger at 127.0.0.1:")
    assert words in line
    assert seen.bodies == []


def test_a_port_scanner_gets_one_line(make_node, strangers, caplog):
    node = make_node("a")
    strangers(node).close()
    eventually(lambda: lines(caplog))
    assert "hung up" in lines(caplog)[0]


def test_a_silent_connection_is_dropped_in_time(make_node, strangers, caplog):
    node = make_node("a", limits=IMPATIENT)
    assert hung_up(strangers(node)) == b""
    assert [line.partition(": ")[2] for line in lines(caplog)] == ["no handshake within 0.3 s"]


def test_a_byte_now_and_then_buys_no_time(make_node, strangers):
    """Slow loris. Planted: count the deadline from the last byte."""
    node = make_node("a", limits=IMPATIENT)
    sock = strangers(node)
    hello = header(1000) + b"x" * 1000
    start = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for byte in hello:
            sock.send(bytes([byte]))
            if not node._bridge.handshakes.listener.strangers and time.monotonic() - start > 0.1:
                break
            time.sleep(0.005)
        else:
            pytest.fail("it was listened to until the end")


def test_who_said_hello_has_no_more_time_than_others(make_node, strangers, caplog):
    node = make_node("a", limits=IMPATIENT)
    sock = strangers(node)
    hello = overheard_hello(node)
    sock.sendall(header(len(hello)) + hello)
    assert b"challenge" in hung_up(sock)
    assert "dropped x@evil at 127.0.0.1" in lines(caplog)[0]


def test_nothing_reaches_a_handler_before_the_proof(make_node, strangers, caplog):
    node = make_node("a")
    seen = Collector(node)
    sock = strangers(node)
    hello = overheard_hello(node)
    frame = msgpack.packb([KIND, "sneaked in"])
    sock.sendall(header(len(hello)) + hello + header(len(frame)) + frame)
    hung_up(sock)
    assert seen.bodies == []
    assert node.list() == []
    assert "expected a PROOF, received another message" in lines(caplog)[0]


def test_a_crowd_of_silent_strangers_keeps_no_node_out(make_node, strangers, caplog):
    """Planted: refuse the newest instead of the oldest."""
    limits = BridgeLimits(strangers_max=8)
    a, b = make_node("a", limits=limits), make_node("b", limits=limits)
    crowd = [strangers(a) for _ in range(60)]
    assert b.ping(a.name) == "pong"
    there = a._bridge.handshakes.listener.strangers
    ports = [int(each.address.rpartition(":")[2]) for each in there]
    assert ports == [sock.getsockname()[1] for sock in crowd[-7:]], "the oldest had to go, b came"
    assert hung_up(crowd[0]) == b""
    assert any("too many strangers at once" in line for line in lines(caplog))


def test_a_flood_of_strangers_is_no_flood_of_lines(make_node, strangers, caplog):
    node = make_node("a", limits=BridgeLimits(log_burst=5))
    start = time.monotonic()
    for _ in range(300):
        sock = strangers(node)
        sock.sendall(b"garbage!")
        hung_up(sock)
        sock.close()
    assert 5 <= len(lines(caplog)) <= 7 + (time.monotonic() - start)

    def one_more_is_told():
        sock = strangers(node)
        sock.sendall(b"garbage!")
        hung_up(sock)
        return "others before it" in lines(caplog)[-1]

    eventually(one_more_is_told)


def test_memory_and_descriptors_stay_flat_under_many_strangers(make_node):
    node = make_node("a")

    def visit(count):
        for number in range(count):
            with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
                if number % 2:
                    sock.sendall(b"\xff\xff\xff\xff" + b"x" * 1000)
                    hung_up(sock)
        eventually(lambda: not node._bridge.handshakes.listener.strangers)
        gc.collect()

    visit(100)
    files = open_files()
    tracemalloc.start()
    try:
        visit(1_000)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    eventually(lambda: open_files() <= files)  # fewer: what an earlier test left is closed late


def test_a_stranger_in_the_middle_of_a_handshake_costs_a_few_kib(make_node, strangers):
    node = make_node("a", limits=BridgeLimits(strangers_max=64))
    strangers(node)
    eventually(lambda: len(node._bridge.handshakes.listener.strangers) == 1)
    tracemalloc.start()
    try:
        for _ in range(50):
            strangers(node).sendall(header(1000) + b"x" * 990)
        eventually(lambda: len(node._bridge.handshakes.listener.strangers) == 51)
        eventually(
            lambda: (
                sum(
                    len(each.reader._partial) == 994
                    for each in node._bridge.handshakes.listener.strangers
                )
                == 50
            )
        )
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 51 * 6_000  # the test's own sockets included
    finally:
        tracemalloc.stop()


def test_out_of_descriptors_a_node_pauses_and_recovers(make_node, strangers, caplog, monkeypatch):
    """Planted: just return; the listener stays readable and the thread spins."""
    node = make_node("a")
    door = node._bridge.handshakes.listener
    listener = door._socket
    tries = []

    class NoneLeft:
        def accept(self):
            tries.append(1)
            raise OSError(24, "Too many open files")

        def fileno(self):
            return listener.fileno()

    monkeypatch.setattr(door, "_socket", NoneLeft())
    sock = strangers(node)
    eventually(lambda: len(tries) >= 2)
    assert len(tries) < 10
    monkeypatch.setattr(door, "_socket", listener)
    sock.sendall(b"garbage!")
    hung_up(sock)
    assert any("Too many open files" in line for line in caplog.messages)


def test_a_server_that_is_no_node_is_told_as_such(make_node, monkeypatch, caplog):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(10)
        place = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAFT_ACTORS_NODES", f"b@two={place}")
        node = make_node("a")
        node.cast("b@two", KIND, 1)
        peer, _address = server.accept()
        with peer:
            peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            eventually(lambda: f"b@two can't be reached: {place}: it sent a fr" in caplog.text)


@pytest.mark.parametrize("answers", ["nobody listens", "nobody speaks", "another cookie"])
def test_who_can_not_be_reached_is_named_with_address_and_port(
    make_node, monkeypatch, caplog, answers
):
    """Whatever went wrong there: one wants to know where it was looked for."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{server.getsockname()[1]}"
        name = "b@two"
        if answers == "nobody speaks":
            server.listen()
        elif answers == "another cookie":
            other = make_node("b", cookie="another cookie that is long enough")
            name, place = other.name, f"127.0.0.1:{other.port}"
        monkeypatch.setenv("RAFT_ACTORS_NODES", f"{name}={place}")
        node = make_node("a", limits=BridgeLimits(handshake_s=0.3))
        node.cast(name, KIND, 1)
        eventually(lambda: f"{name} can't be reached: {place}: " in caplog.text)
        assert f"can't be reached: {place}: " in str(lost(node, name))


def lost(node, name):
    """Return what a call to that node raises."""
    with pytest.raises(NoConnection) as raised:
        node.call(name, KIND, 1).get(5)
    return raised.value


def test_a_port_mapper_that_does_not_answer_is_named_with_address_and_port(
    make_node, monkeypatch, caplog
):
    port = free_port()
    monkeypatch.setenv("RAFT_ACTORS_NODES", "b@two=127.0.0.1")
    node = make_node("a")
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", str(port))
    node.cast("b@two", KIND, 1)
    eventually(lambda: f"no port mapper answers at 127.0.0.1:{port} (" in caplog.text)


# Who knows the cookie is trusted with what actors take, but not with this thread.


def test_a_broken_frame_of_a_proven_peer_ends_its_link(make_node, strangers, caplog):
    node = make_node("a", cookie="c")
    insider = Insider(strangers(node), "x@evil", "c")
    insider.enter(node)
    eventually(lambda: node.list() == ["x@evil"])
    insider.say(insider.framed(b"\xc1"))
    hung_up(insider.sock)
    eventually(lambda: node.list() == [])
    assert "x@evil sent a payload that is not msgpack" in caplog.text
    assert "x@evil is gone (protocol_error)" in caplog.text


@pytest.mark.parametrize(
    "frame",
    [
        [2, None, 99], [3, None, 99], [2, None], [0, None, 1], [4, None], [4, None, 5],
        [4, ["tell"]], [4, ["ask", "x", 3], 5], [4, ["watch", "x", []], 5], [4, [{}, []], 5],
        [-1, None], [15, None, 1], [2**40, 1], [1, None, 3], [4, ["unwatch", "x", []]],
    ],
    ids=repr,
)  # fmt: skip
def test_odd_frames_of_a_proven_peer_harm_nobody(make_node, strangers, frame, caplog):
    node, other = make_node("a", cookie="c"), make_node("b", cookie="c")
    Collector(node)
    insider = Insider(strangers(node), "x@evil", "c")
    insider.enter(node)
    insider.send_frame(frame)
    insider.send_frame([KIND, "still there?", 1])
    while "still there?" not in str(insider.next_frame()):
        pass
    assert ask(other, node.name, 1) == ["said", 1]
    assert "defect" not in caplog.text


def test_a_frame_over_the_agreed_limit_ends_the_link(make_node, strangers, caplog):
    node = make_node("a", cookie="c")
    insider = Insider(strangers(node), "x@evil", "c")
    insider.enter(node)
    insider.sock.sendall(header(2**24 + TAG_BYTES + 1))
    hung_up(insider.sock)
    assert "over the limit of 16777232" in caplog.text
