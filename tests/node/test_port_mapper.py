"""Finding nodes on other hosts. Addresses of 127.0.0.0/8 play the hosts: Linux has all of them."""

import contextlib
import errno
import os
import socket
import threading

import pytest

from raft_actors.config import Config
from raft_actors.errors import BadName
from raft_actors.node import port_mapper_server
from raft_actors.node.discovery import NodeDirectory, parse_address, static_addresses
from raft_actors.node.port_files import PortFiles
from raft_actors.node.port_mapper import ask_mapper, is_reached, mapper_port, mapper_wanted
from raft_actors.transport.endpoint import Endpoint, EndpointUnknown
from raft_actors.transport.limits import BridgeLimits
from tests.helpers import eventually
from tests.node_helpers import Collector, ask, free_port
from tests.transport.test_addresses import needs_ipv6


@pytest.fixture
def port(monkeypatch):
    number = free_port("127.0.0.2")
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", str(number))
    return number


@pytest.fixture
def on_host(make_node, monkeypatch, tmp_path):
    """Start a node on another pretended host, with a runtime directory of its own."""

    def start(name, host, **options):
        monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / f"run-{host}"))
        return make_node(f"{name}@{host}", host=host, **options)

    return start


def mapper_answers(host, port, node):
    try:
        return ask_mapper(host, port, node, 5.0)
    except ConnectionError:
        return "nobody"


def test_nodes_of_two_hosts_find_each_other_by_the_port_mapper(on_host, port):
    a, b = on_host("a", "127.0.0.2"), on_host("b", "127.0.0.3")
    Collector(b)
    eventually(lambda: a.ping(b.name) == "pong")
    assert ask(a, b.name, 1) == ["said", 1]


def test_one_node_answers_for_all_of_its_host_and_the_next_takes_over(on_host, port):
    first, second = on_host("a", "127.0.0.2"), on_host("b", "127.0.0.2")
    eventually(lambda: mapper_answers("127.0.0.2", port, second.name) == second.port)
    assert mapper_answers("127.0.0.2", port, first.name) == first.port
    assert mapper_answers("127.0.0.2", port, "c@127.0.0.2") is None
    first.stop()
    eventually(lambda: mapper_answers("127.0.0.2", port, second.name) == second.port)
    assert mapper_answers("127.0.0.2", port, first.name) is None


def test_the_mapper_tells_only_of_nodes_that_can_be_reached_where_it_was_asked(
    on_host, port, make_node
):
    a = on_host("a", "127.0.0.2")
    inner = make_node("inner@127.0.0.2", host="127.0.0.1")
    eventually(lambda: mapper_answers("127.0.0.2", port, a.name) == a.port)
    assert mapper_answers("127.0.0.2", port, inner.name) is None


@pytest.mark.parametrize(
    ("listens_at", "reached_at"),
    [
        ("10.0.0.1", {"10.0.0.1", "::ffff:10.0.0.1"}),
        ("fd00::1", {"fd00::1"}),
        ("fe80::1%2", {"fe80::1%2"}),
        ("0.0.0.0", {"10.0.0.1", "::ffff:10.0.0.1"}),
        ("::", {"10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fe80::1%2"}),
    ],
)
def test_a_node_is_told_of_where_it_is_reached(listens_at, reached_at):
    """A mapper at all addresses of IPv6 is asked at ::ffff:10.0.0.1 by who connects by IPv4.
    Planted: that is none; and who listens at all of IPv4 is reached by IPv6.
    """
    asked_at = {"10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fe80::1%2"}
    assert {each for each in asked_at if is_reached(listens_at, each)} == reached_at


@pytest.mark.parametrize(
    ("number", "told"), [(errno.EACCES, ["Permission denied"]), (errno.EADDRINUSE, [])]
)
def test_a_port_that_the_mapper_may_not_have_is_told_once(
    on_host, port, monkeypatch, caplog, number, told
):
    """Planted: every error is taken for another node of this host, which has the port."""
    tries = []

    def refuse(*place):
        tries.append(place)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(port_mapper_server, "listen", refuse)
    on_host("a", "127.0.0.2", limits=BridgeLimits(mapper_retry_s=0.01))
    eventually(lambda: len(tries) > 3)
    lines = [line for line in caplog.messages if "no port mapper" in line]
    assert [line for line in lines if f"127.0.0.2:{port}: " in line] == lines
    assert [why for why in told if why in lines[0]] == told
    assert len(lines) == len(told)


@needs_ipv6
def test_a_mapper_at_all_addresses_answers_for_a_node_at_one(make_node, port):
    every = make_node("a@one", host="::")
    eventually(lambda: mapper_answers("127.0.0.1", port, every.name) == every.port)
    one = make_node("b@one", host="127.0.0.1")
    assert mapper_answers("127.0.0.1", port, one.name) == one.port
    assert mapper_answers("::1", port, one.name) is None


@pytest.mark.parametrize(
    "question",
    [b"", b"\n", b"port \n", b"port ../../etc/passwd\n", b"list\n", b"x" * 5_000, b"\xff\xfe\n",
     b"port a@b\r\n", b"names\nnames\n"],
)  # fmt: skip
def test_any_other_question_learns_nothing(on_host, port, question):
    a = on_host("a", "127.0.0.2")
    eventually(lambda: mapper_answers("127.0.0.2", port, a.name) == a.port)
    hung_up_early = contextlib.suppress(OSError)
    with hung_up_early, socket.create_connection(("127.0.0.2", port), timeout=10) as sock:
        sock.sendall(question)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) in {b"", b"none\n"}
    assert mapper_answers("127.0.0.2", port, a.name) == a.port


def test_a_silent_asker_is_hung_up_and_a_crowd_of_them_bounded(on_host, port):
    a = on_host("a", "127.0.0.2")
    eventually(lambda: mapper_answers("127.0.0.2", port, a.name) == a.port)
    silent = [socket.create_connection(("127.0.0.2", port), timeout=60) for _ in range(80)]
    eventually(lambda: mapper_answers("127.0.0.2", port, a.name) == a.port)
    assert len(a.access.mapper._askers) <= a.access._limits.strangers_max
    for sock in silent:
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        sock.close()
    eventually(lambda: not a.access.mapper._askers)  # the one that was answered, too


def test_what_answers_now_and_then_is_waited_for_no_longer_than_what_does_not():
    """Planted: a time limit for each piece. What stands in line for the look-up waits along."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve():
            peer, _ = server.accept()
            with peer, contextlib.suppress(OSError):
                while not over.wait(0.25):
                    peer.sendall(b" ")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match="timed out"):
            ask_mapper("127.0.0.1", server.getsockname()[1], "a@b", 0.5)
        over.set()
        thread.join()


def test_what_answers_nonsense_is_no_mapper():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve():
            for answer in (b"70000\n", b"HTTP/1.0 400 Bad\r\n", b""):
                peer, _ = server.accept()
                with peer:
                    peer.recv(100)
                    peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(3):
            with pytest.raises(OSError, match="no port mapper"):
                ask_mapper("127.0.0.1", server.getsockname()[1], "a@b", 5.0)
        thread.join()


def test_on_loopback_there_is_no_mapper_unless_the_environment_names_its_port(
    make_node, monkeypatch
):
    assert make_node("a").access.mapper is None
    assert not mapper_wanted("127.0.0.1")
    assert mapper_wanted("0.0.0.0")
    assert mapper_port() == 4370
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", "4371")
    assert mapper_wanted("127.0.0.1")
    assert mapper_port() == 4371
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", "many")
    with pytest.raises(ValueError, match="RAFT_ACTORS_MAPPER_PORT"):
        mapper_port()


def test_static_addresses_come_first_and_the_config_before_the_environment(monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_NODES", "b@two=10.0.0.2:4001, c@three=[fd00::3]:4002,")
    addresses = static_addresses({"b@two": "10.0.0.9:1"})
    assert addresses == {"b@two": "10.0.0.9:1", "c@three": "[fd00::3]:4002"}
    files = PortFiles()
    files.claim("b@two", "127.0.0.1", 5)
    files.claim("d@four", "0.0.0.0", 6)
    directory = NodeDirectory(files, addresses)
    assert directory.find("b@two") == [Endpoint("10.0.0.9", 1)]
    assert directory.find("c@three") == [Endpoint("fd00::3", 4002)]
    assert directory.find("d@four") == [Endpoint("127.0.0.1", 6)]
    assert callable(directory.find("e@elsewhere"))
    with pytest.raises(EndpointUnknown, match="runs on this host"):
        directory.find(f"e@{socket.gethostname().partition('.')[0]}")


def test_a_host_that_nobody_knows_is_named_with_the_way_out(monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    look_up = NodeDirectory(PortFiles(), {}).find("b@nowhere")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        EndpointUnknown, match=r"host 'nowhere' .*Config\.nodes or RAFT_ACTORS_NODES"
    ):
        look_up(1.0)


@pytest.mark.parametrize(
    ("text", "error"),
    [("b@two", ValueError), ("b=1.2.3.4:5", BadName), ("b@two=:5", ValueError),
     ("b@two=1.2.3.4:99999", ValueError), ("b@two=a:b:c", ValueError)],
)  # fmt: skip
def test_an_address_that_makes_no_sense_stops_the_start(make_node, monkeypatch, text, error):
    monkeypatch.setenv("RAFT_ACTORS_NODES", text)
    with pytest.raises(error):
        make_node("a")


def test_addresses_are_cut_in_host_and_port():
    assert parse_address("10.0.0.2:4370") == ("10.0.0.2", 4370)
    assert parse_address("two.example") == ("two.example", 0)
    assert parse_address("[::1]:7") == ("::1", 7)


def test_a_node_of_the_config_is_reached_where_it_says(make_node, on_host):
    b = on_host("b", "127.0.0.3")
    a = on_host("a", "127.0.0.2", config=Config(nodes={b.name: f"127.0.0.3:{b.port}"}))
    assert a.ping(b.name) == "pong"


def test_a_host_name_is_looked_up_aside(make_node, on_host):
    b = on_host("b", "127.0.0.1", config=None)
    a = on_host("a", "127.0.0.2", config=Config(nodes={b.name: f"localhost:{b.port}"}))
    assert a.ping(b.name) == "pong"
