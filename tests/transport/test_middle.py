"""Somebody between two nodes, without the cookie, changes, repeats, drops or adds what passes."""

import contextlib
import random
import socket
import threading

import pytest

from raft_actors.config import Config
from tests.helpers import eventually
from tests.node_helpers import Collector, send

SECRET = b"1000 euros"


def change_a_byte(data):
    return [data.replace(SECRET, b"9000 euros")]


def repeat(data):
    return [data, data]


def cut_a_byte_out(data):
    return [data.replace(SECRET, SECRET[1:])]


def add_a_frame(data):
    return [b"\x00\x00\x00\x16" + bytes(22), data]


class Middle:
    """Passes on what two nodes say, but for one time: then it does to it what `spoil` says."""

    def __init__(self, port, to="127.0.0.1", at="127.0.0.1"):
        self.target = to, port
        self.spoil = None
        self.look = lambda data: None
        self.listener = socket.create_server((at, 0))
        self.threads = []
        self.sockets = [self.listener]
        self.run(self.accept)

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def run(self, work, *arguments):
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while True:
            try:
                near, _address = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            self.sockets += [near, far]
            self.run(self.pump, near, far)
            self.run(self.pump, far, near)

    def pump(self, source, target):
        try:
            while data := source.recv(1 << 16):
                self.look(data)
                spoil = self.spoil
                if spoil is not None and SECRET in data:
                    self.spoil = None
                    for piece in spoil(data):
                        target.sendall(piece)
                else:
                    target.sendall(data)
        except OSError:
            pass
        shut(source, target)

    def close(self):
        shut(*self.sockets)
        for thread in self.threads:
            thread.join(10)
        for sock in self.sockets:
            sock.close()


def shut(*sockets):
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def between(make_node):
    """Make two nodes, b of which a reaches only through a middle: returns a, b and the middle."""
    b = make_node("b@two", cookie="c" * 20)
    middle = Middle(b.port)
    a = make_node("a@one", cookie="c" * 20, config=Config(nodes={"b@two": middle.address}))
    assert a.connect("b@two")
    yield a, b, middle
    middle.close()


@pytest.mark.parametrize("spoil", [change_a_byte, repeat, cut_a_byte_out, add_a_frame])
def test_what_a_middle_changes_is_noticed_and_nothing_of_it_is_done(between, spoil, caplog):
    """Planted: a receiver that does not look at tags."""
    a, b, middle = between
    seen = Collector(b)
    middle.spoil = spoil
    send(a, "b@two", SECRET)
    eventually(lambda: "has a wrong tag" in caplog.text or "over the limit" in caplog.text)
    assert [body for _node, body in seen.bodies] in ([], [SECRET])
    eventually(lambda: send(a, "b@two", b"after") and ("a@one", b"after") in seen.bodies)
    assert {body for _node, body in seen.bodies} <= {SECRET, b"after"}
    assert [body for _node, body in seen.bodies].count(SECRET) <= 1


def test_of_drawn_bits_flipped_on_the_way_none_gets_through(between, request):
    a, b, middle = between
    chance = random.Random(request.config.getoption("randomly_seed", 0))
    seen = Collector(b)

    def flip(data):
        changed = bytearray(data)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return [bytes(changed)]

    sent = set()
    for number in range(40):
        body = SECRET + str(number).encode()
        middle.spoil = flip
        sent.add(body)
        send(a, "b@two", body)
        eventually(lambda: middle.spoil is None)
        eventually(lambda: a.connect("b@two") and b.list() == ["a@one"])
    bodies = [body for _node, body in seen.bodies]
    assert set(bodies) <= sent
    assert len(bodies) == len(set(bodies))
