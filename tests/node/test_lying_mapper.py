"""Somebody else has the port of the port mapper, and answers what he likes: nobody believes it
without a handshake, and the node whose host it is says so.
"""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from raft_actors.node import mapper_holder
from raft_actors.node.mapper_holder import users_of
from raft_actors.node.port_mapper import ask_mapper
from raft_actors.transport.endpoint import Endpoint
from tests.helpers import eventually
from tests.node_helpers import Collector, free_port, send
from tests.transport.test_middle import Middle, repeat

COOKIE = "known to those who belong here"


@pytest.fixture
def port(monkeypatch):
    number = free_port("127.0.0.3")
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", str(number))
    return number


@pytest.fixture
def liar(port):
    """Have the mapper's port of 127.0.0.3 before any node, and answer what `say` was given."""
    answers = [b"none\n"]
    server = socket.create_server(("127.0.0.3", port))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                asker, _address = server.accept()
                with asker, contextlib.suppress(OSError):
                    asker.recv(300)
                    asker.sendall(answers[-1])

    thread = threading.Thread(target=serve)
    thread.start()

    def say(answer):
        answers.append(answer if type(answer) is bytes else b"%d\n" % answer)

    yield say
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def on_host(make_node, monkeypatch, tmp_path):
    """Start a node on another pretended host, with a runtime directory of its own."""

    def start(name, host, **options):
        monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / f"run-{host}"))
        return make_node(f"{name}@{host}", host=host, **{"cookie": COOKIE} | options)

    return start


# What a node that asks makes of the answer.


def refusal(a, caplog):
    """Why `a` does not reach b@127.0.0.3."""
    assert not a.connect("b@127.0.0.3")
    return eventually(lambda: [x for x in caplog.messages if "b@127.0.0.3 can't be reached" in x])


def test_the_port_of_another_node_is_noticed_by_its_name(liar, on_host, caplog):
    a, c = on_host("a", "127.0.0.2"), on_host("c", "127.0.0.3")
    seen = Collector(c)
    liar(c.port)
    send(a, "b@127.0.0.3", b"for b")
    assert any("this is c@127.0.0.3, not b@127.0.0.3" in each for each in refusal(a, caplog))
    assert seen.bodies == []
    assert a.list() == c.list() == []


def test_the_port_of_a_node_of_somebody_else_is_noticed_by_its_cookie(liar, on_host, caplog):
    a = on_host("a", "127.0.0.2")
    forged = on_host("b", "127.0.0.3", cookie="known to somebody else only")
    seen = Collector(forged)
    liar(forged.port)
    send(a, "b@127.0.0.3", b"for b")
    assert any("the cookies differ" in each for each in refusal(a, caplog))
    assert seen.bodies == []
    assert a.list() == forged.list() == []


def test_a_port_where_no_node_listens_is_said(liar, on_host, caplog):
    a = on_host("a", "127.0.0.2")
    dead = free_port("127.0.0.3")
    liar(dead)
    assert any(f"127.0.0.3:{dead}: Connection refused" in each for each in refusal(a, caplog))


def test_a_port_where_something_else_listens_is_said(liar, port, on_host, caplog):
    """The liar itself, for instance."""
    a = on_host("a", "127.0.0.2")
    liar(port)
    assert any(f"127.0.0.3:{port}: it sent a frame" in each or "hung up" in each
               for each in refusal(a, caplog))  # fmt: skip


def test_a_middle_can_read_and_pass_on_and_not_repeat(liar, on_host, monkeypatch, caplog):
    a, b = on_host("a", "127.0.0.2"), on_host("b", "127.0.0.3")
    middle = Middle(b.port, to="127.0.0.3", at="127.0.0.3")
    try:
        seen = Collector(b)
        liar(middle.port)
        assert a.connect(b.name)
        middle.spoil = repeat
        send(a, b.name, b"1000 euros")
        eventually(lambda: "has a wrong tag" in caplog.text)
        assert [body for _node, body in seen.bodies] in ([], [b"1000 euros"])
    finally:
        middle.close()


def test_a_middle_that_ends_the_tls_of_both_is_refused(liar, on_host, caplog):
    """It needs the cookie for the proofs, which cover the certificate that it showed."""
    pytest.importorskip("cryptography")
    a = on_host("a", "127.0.0.2", tls="auto")
    forged = on_host("b", "127.0.0.3", cookie="known to somebody else only", tls="auto")
    liar(forged.port)
    assert any("the cookies differ" in each for each in refusal(a, caplog))
    assert a.list() == forged.list() == []


# What the node makes of it that was too late.


def warnings(caplog):
    return [each for each in caplog.messages if "no port mapper at" in each]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"none\n", "a port mapper listens there that does not know b@127.0.0.3"),
        (1, "gives port 1 for b@127.0.0.3, and not"),
        (b"HTTP/1.0 400 Bad\r\n", "does not answer as a port mapper does"),
        (b"", "does not answer as a port mapper does"),
    ],
)
def test_a_node_that_comes_too_late_says_who_has_its_port(
    liar, port, on_host, caplog, answer, said
):
    """Planted: every holder of the port is taken for another node of this host."""
    liar(answer)
    on_host("b", "127.0.0.3")
    (text,) = eventually(lambda: warnings(caplog))
    assert f"no port mapper at 127.0.0.3:{port}: " in text
    assert said in text
    assert "RAFT_ACTORS_NODES" in text
    assert "refused" in text


def test_it_says_so_of_another_user_whatever_is_answered(liar, on_host, monkeypatch, caplog):
    """He may tell this host the truth, and lie to others. Planted: only the answer counts."""
    asked = []

    def seen_by(endpoint):
        asked.append(endpoint)
        return {os.getuid(), 123_456}

    monkeypatch.setattr(mapper_holder, "users_of", seen_by)
    b = on_host("b", "127.0.0.3")
    liar(b.port)
    (text,) = eventually(lambda: warnings(caplog))
    assert "a program of user 123456 has the port" in text
    eventually(lambda: len(asked) > 4)
    assert len(warnings(caplog)) == 1


def test_another_node_of_this_user_that_has_the_port_is_no_news(port, on_host, caplog):
    first, second = on_host("a", "127.0.0.3"), on_host("b", "127.0.0.3")
    looked = []
    second.access.mapper._on_looked = lambda problem, on=second.access.mapper._on_looked: (
        looked.append(problem), on(problem)
    )  # fmt: skip
    eventually(lambda: len(looked) > 3)
    assert ask_mapper("127.0.0.3", port, second.name, 5.0) == second.port
    assert set(looked) == {""}
    first.stop()
    eventually(lambda: second.access.mapper._listener)
    assert warnings(caplog) == []


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_the_system_tells_whose_process_listens(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        number = server.getsockname()[1]
        assert users_of(Endpoint(host, number)) == {os.getuid()}
        assert (users_of(Endpoint("127.0.0.9", number)) == {os.getuid()}) == (
            host in {"0.0.0.0", "::"}
        )
    assert users_of(Endpoint(host, number)) == set()
