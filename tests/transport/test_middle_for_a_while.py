"""Somebody between two nodes who goes on and on, with plain links and with encrypted ones.

RAFT_TEST_MIDDLE_S says for how many seconds each of the three is disturbed; a minute was played:
see docs/security.md.
"""

import os
import random
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from raft_actors.config import Config
from raft_actors.errors import FrameTooLarge
from raft_actors.node.tls import loaded, own_contexts
from tests.certificates import Authority
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import Collector, free_port, send
from tests.transport.test_middle import Middle, shut

COOKIE = "c" * 20
SECONDS = float(os.environ.get("RAFT_TEST_MIDDLE_S", "3"))
LIMITS = replace(QUICK, refused_redial_s=0.02, redial_max_s=0.02, handshake_s=1.0)
SMALL = {"command_bytes_max": 1 << 16, "frame_bytes_max": 1 << 18}
"""A length that was changed is noticed when so many bytes have come, at the latest."""


def flip(chance, data):
    changed = bytearray(data)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def repeat(_chance, data):
    return data + data


def drop(_chance, _data):
    return b""


def cut(chance, data):
    start = chance.randrange(len(data))
    return data[:start] + data[start + 1 + chance.randrange(8) :]


def inject(chance, data):
    where = chance.randrange(len(data) + 1)
    return data[:where] + chance.randbytes(1 + chance.randrange(60)) + data[where:]


def swap(_chance, data):
    half = len(data) // 2
    return data[half:] + data[:half]


def truncate(chance, data):
    """The rest of the connection is left out, too: see `Disturber`."""
    return data[: chance.randrange(len(data))]


def reorder(_chance, _data):
    """The piece comes behind the next one: see `Disturber`."""
    return b""


def reflect(_chance, data):
    """It is sent back, too: see `Disturber`."""
    return data


def replay(_chance, data):
    """A piece of an earlier connection comes before it: see `Disturber`."""
    return data


HOWS = (flip, flip, repeat, drop, cut, inject, swap, truncate, reorder, reflect, replay)


class Disturber(Middle):
    """Disturbs each connection once, early or late, and passes on what follows as it is."""

    def __init__(self, port, chance):
        self.chance = chance
        self.disturbed = []  # (what was done, event: the connection has ended)
        self.recorded = [b""]  # pieces of earlier connections, of both directions
        super().__init__(port)

    def pump(self, source, target):
        left = self.chance.randrange(1, 25)  # pieces that pass as they are
        ended = threading.Event()
        held, passed = b"", []
        try:
            while data := source.recv(1 << 16):
                left -= 1
                how = self.chance.choice(HOWS) if not left else None
                if how:
                    spoiled = how(self.chance, data)
                    if how is replay:
                        spoiled = self.chance.choice(self.recorded) + data
                    if spoiled != data or how is reflect:
                        self.disturbed.append((how.__name__, ended))
                    if how is reflect:
                        source.sendall(data)
                    held = data if how is reorder else b""
                    target.sendall(spoiled)
                    if how is truncate:
                        break
                    continue
                passed.append(data)
                target.sendall(data + held)
                held = b""
        except OSError:
            pass
        finally:
            ended.set()
            self.recorded += passed[-3:]
            shut(source, target)


@pytest.mark.parametrize("how", ["plain", "auto", "files"])
def test_nothing_is_done_that_was_not_sent_and_everything_is_noticed(
    make_node, tmp_path, request, how
):
    """Planted: a receiver that looks at no tag; one that does not count. Over TLS tags alone, or
    TLS alone, find all of it.
    """
    chance = random.Random(request.config.getoption("randomly_seed", 0))
    authority = Authority(tmp_path)
    tls = {
        "plain": lambda _host: None,
        "auto": lambda _host: "auto",
        "files": lambda host: authority.issue(f"DNS:{host}", file=host),
    }[how]
    b = make_node(
        "b@two", cookie=COOKIE, tls=tls("two"), limits=LIMITS,
        config=Config(nodes={"a@one": f"127.0.0.1:{free_port()}"}, **SMALL),  # not past the middle
    )  # fmt: skip
    middle = Disturber(b.port, chance)
    a = make_node(
        "a@one", cookie=COOKIE, tls=tls("one"), limits=LIMITS,
        config=Config(nodes={b.name: middle.address}, **SMALL),
    )  # fmt: skip
    at_a, at_b = Collector(a), Collector(b)
    sent = {a.name: [], b.name: []}
    try:
        ends = time.monotonic() + SECONDS
        number = 0
        while time.monotonic() < ends or len(middle.disturbed) < 12:
            number += 1
            for node, to in ((a, b), (b, a)):
                body = [number, chance.randbytes(chance.choice((3, 3, 300, 30_000)))]
                sent[node.name].append(body)
                try:
                    send(node, to.name, body)
                except FrameTooLarge:  # while they have not agreed
                    continue
            time.sleep(0.001)
        # What follows what was disturbed shows it: so there must be something.
        for name, ended in tuple(middle.disturbed):
            eventually(
                lambda ended=ended: ended.is_set() or not send(a, b.name, [0, b"x" * 30_000])
                or not send(b, a.name, [0, b"x" * 30_000]),
            )  # fmt: skip
            assert ended.wait(20), f"nobody noticed {name}"
    finally:
        middle.close()
    print(how, dict(Counter(name for name, _ended in middle.disturbed)))
    for seen, source in ((at_b, a), (at_a, b)):
        got = [body for node, body in seen.bodies if body[0]]
        assert all(node == source.name for node, _body in seen.bodies)
        numbers = [body[0] for body in got]
        assert len(numbers) > 20
        assert numbers == sorted(set(numbers))  # each once at most, in their order
        by_number = {body[0]: body for body in sent[source.name]}
        assert all(by_number[body[0]] == body for body in got)


class Relay(Middle):
    """Ends the encryption of both sides with certificates of its own, and passes on the rest."""

    def __init__(self, port, accept, dial):
        self.contexts = accept, dial
        self.heard = []
        super().__init__(port)

    def accept(self):
        while True:
            try:
                near, _address = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            self.run(self.serve, near, far)

    def serve(self, near, far):
        accept, dial = self.contexts
        try:
            far = dial.wrap_socket(far)
            near = accept.wrap_socket(near, server_side=True)
        except (OSError, ssl.SSLError):
            near.close()
            far.close()
            return
        self.sockets += [near, far]
        self.run(self.pump, near, far)
        self.run(self.pump, far, near)

    def pump(self, source, target):
        try:
            while data := source.recv(1 << 16):
                self.heard.append(data)
                target.sendall(data)
        except OSError:
            pass
        shut(source, target)


def relayed(make_node, contexts, tls, caplog):
    b = make_node("b@two", cookie=COOKIE, tls=tls("two"))
    relay = Relay(b.port, *contexts)
    nodes = {b.name: relay.address}
    a = make_node("a@one", cookie=COOKIE, tls=tls("one"), config=Config(nodes=nodes))
    try:
        assert a.ping(b.name) == "pang"
        assert a.list() == b.list() == []
        heard = b"".join(relay.heard)
        assert b"raft_actors" in heard, "it was in the middle, and read along"
        assert b"proof" in heard
        assert b"welcome" not in heard
        words = "the cookies differ: nodes of one cluster share the cookie file or"
        eventually(lambda: sum(words in line for line in caplog.messages) >= 2)
        assert "or something between the two nodes decrypts their TLS" in caplog.text
    finally:
        relay.close()


def test_a_relay_that_ends_the_encryption_is_refused_by_both_nodes(make_node, caplog):
    """Planted: proofs that do not cover the certificate."""
    contexts = own_contexts()
    relayed(make_node, (contexts.accept, contexts.dial), lambda _host: "auto", caplog)


def test_a_relay_with_good_certificates_for_both_names_is_refused_all_the_same(
    make_node, tmp_path, caplog
):
    """Somebody who got them from the authority, and has no cookie."""
    authority = Authority(tmp_path)
    stolen = authority.issue("DNS:one", "DNS:two", file="stolen")
    relayed(
        make_node, (loaded(stolen), loaded(stolen, dials=True)),
        lambda host: authority.issue(f"DNS:{host}", file=host), caplog,
    )  # fmt: skip


def test_a_port_mapper_that_lies_leads_to_a_refusal(make_node, monkeypatch, caplog):
    """Who has its port first, and leads others to a relay, or to another node."""
    contexts = own_contexts()
    b = make_node("b@two", cookie=COOKIE, tls="auto")
    c = make_node("c@two", cookie=COOKIE, tls="auto")
    relay = Relay(b.port, contexts.accept, contexts.dial)
    answers = [relay.listener.getsockname()[1], c.port]
    with socket.create_server(("127.0.0.1", 0)) as mapper:

        def lie():
            while answers:
                asker, _address = mapper.accept()
                with asker:
                    if b.name.encode() in asker.recv(100):
                        asker.sendall(b"%d\n" % answers.pop(0))

        liar = threading.Thread(target=lie)
        liar.start()
        monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", str(mapper.getsockname()[1]))
        limits = replace(QUICK, refused_redial_s=0.02)
        a = make_node(
            "a@one", cookie=COOKIE, tls="auto", config=Config(nodes={b.name: "127.0.0.1"}),
            limits=limits,
        )  # fmt: skip
        assert a.ping(b.name) == "pang"
        eventually(lambda: "or something between the two nodes decrypts their TLS" in caplog.text)
        eventually(lambda: a.ping(b.name) == "pang" and "this is c@two, not b@two" in caplog.text)
        assert a.list() == []
        liar.join(10)
        relay.close()
