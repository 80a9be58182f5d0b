"""All addresses of a host are tried, and an address may be of IPv6, in brackets or without."""

import contextlib
import errno
import ipaddress
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from raft_actors.config import Config
from raft_actors.errors import RaftError
from raft_actors.node.discovery import NodeDirectory, parse_address
from raft_actors.node.port_files import PortFiles
from raft_actors.transport.endpoint import Endpoint, EndpointUnknown
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.sockets import listen
from tests.helpers import eventually
from tests.node_helpers import free_port, open_files

LOOK_UP = socket.getaddrinfo


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def resolve(monkeypatch):
    """Say which addresses the host `faces` has."""

    def resolve(*addresses):
        def look_up(host, *rest, **options):
            hosts = addresses if host == "faces" else [host]
            return [found for each in hosts for found in LOOK_UP(each, *rest, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return resolve


@pytest.fixture
def silent_place():
    """An address at which connections are taken in and nothing is ever said."""
    with socket.create_server(("127.0.0.98", 0)) as server:
        yield server.getsockname()


def test_a_node_is_reached_at_the_address_that_answers(make_node, resolve):
    """Planted: the first only."""
    b = make_node("b@one")
    resolve("127.0.0.99", "127.0.0.97", "127.0.0.1")
    a = make_node("a@one", config=Config(nodes={b.name: f"faces:{b.port}"}))
    assert a.ping(b.name) == "pong"


def test_an_address_that_says_nothing_does_not_take_all_the_time(make_node, resolve, silent_place):
    """Planted: the next one is tried after an error only. Something else may listen there."""
    host, port = silent_place
    b = make_node("b@one", port=port)
    resolve(host, "127.0.0.1")
    a = make_node("a@one", config=Config(nodes={b.name: f"faces:{port}"}))
    assert a.ping(b.name) == "pong"


def test_a_kernel_without_ipv6_reaches_a_host_that_has_both(make_node, resolve, monkeypatch):
    """Planted: a socket that can't be made ends the dial, and not the try of its address."""
    make = socket.socket

    def no_ipv6(family=socket.AF_INET, *rest, **options):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return make(family, *rest, **options)

    b = make_node("b@one")
    resolve("::1", "127.0.0.1")
    monkeypatch.setattr(socket, "socket", no_ipv6)
    a = make_node("a@one", config=Config(nodes={b.name: f"faces:{b.port}"}))
    assert a.ping(b.name) == "pong"


def test_of_several_addresses_that_fail_each_is_named(make_node, resolve, caplog):
    resolve("127.0.0.99", "127.0.0.97")
    a = make_node("a@one", config=Config(nodes={"b@one": "faces:9"}))
    before = open_files()
    assert a.ping("b@one") == "pang"
    why = "127.0.0.99:9: Connection refused; 127.0.0.97:9: Connection refused"
    assert f"b@one can't be reached: {why}" in caplog.messages
    assert a.disconnect("b@one") is False
    eventually(lambda: open_files() <= before)


def test_the_port_mapper_of_each_address_is_asked(make_node, resolve, monkeypatch):
    port = free_port("127.0.0.3")
    monkeypatch.setenv("RAFT_ACTORS_MAPPER_PORT", str(port))
    b = make_node("b@one", host="127.0.0.3")
    resolve("127.0.0.99", "127.0.0.3")
    find = NodeDirectory(PortFiles(), {b.name: "faces"}).find(b.name)
    eventually(lambda: b.access.mapper is not None and b.access.mapper._listener is not None)
    assert find(2.0) == [Endpoint("127.0.0.3", b.port)]
    resolve("127.0.0.99", "127.0.0.97")
    with pytest.raises(
        EndpointUnknown, match=rf"127\.0\.0\.99:{port} .*refused.*127\.0\.0\.97:{port}"
    ):
        find(2.0)


def test_ipv6_addresses_are_read_with_and_without_brackets():
    assert parse_address("[fd00::3]:4001") == ("fd00::3", 4001)
    assert parse_address("[fd00::3]") == ("fd00::3", 0)
    assert parse_address("fd00::3") == ("fd00::3", 0)
    assert parse_address("[fe80::1%eth0]:4001") == ("fe80::1%eth0", 4001)
    assert str(Endpoint("fd00::3", 4001)) == "[fd00::3]:4001"
    assert str(Endpoint("10.0.0.3", 4001)) == "10.0.0.3:4001"


def test_this_host_in_other_letters_is_told_as_such(monkeypatch):
    """Planted: its port mapper is asked, which no node on loopback has."""
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.example.org")
    with pytest.raises(
        EndpointUnknown, match=r"no node b@box .* on this host, whose name is spelled Box"
    ):
        NodeDirectory(PortFiles(), {}).find("b@box")
    with pytest.raises(EndpointUnknown, match=r"runs on this host$"):
        NodeDirectory(PortFiles(), {}).find("b@Box")


def test_a_host_name_that_can_be_none_is_told_so_where_it_is_looked_up():
    find = NodeDirectory(PortFiles(), {"b@one": "a..b:4001"}).find("b@one")
    with pytest.raises(EndpointUnknown, match=r"'a\.\.b' is no host name"):
        find(1.0)


def address_of_one_link():
    """Return an address of this machine that means something on one link only, or None."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, zone, *_ = line.split()
            if digits.startswith("fe80"):
                return f"{ipaddress.IPv6Address(int(digits, 16))}%{int(zone, 16)}"
    return None


def test_the_zone_of_an_address_is_kept_where_it_is_looked_up():
    """Planted: the first item of the address only."""
    static = {"b@one": "[fe80::1%1]:4001"}
    place = NodeDirectory(PortFiles(), static).find("b@one")(1.0)[0]
    assert (place, place.address) == (Endpoint("fe80::1%1", 4001), ("fe80::1", 4001, 0, 1))


@pytest.mark.skipif(address_of_one_link() is None, reason="this machine has no such address")
def test_a_node_listens_at_an_address_of_one_link_and_is_found_there(make_node):
    host = address_of_one_link()
    b = make_node("b@one", host=host)
    assert b.access.host == host
    assert make_node("a@one").ping(b.name) == "pong"
    c = make_node("c@one", config=Config(nodes={b.name: f"[{host}]:{b.port}"}))
    assert c.ping(b.name) == "pong"


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_node_listens_at_ipv6_and_is_found_there(make_node, caplog, host):
    b = make_node("b@one", host=host)
    assert f"at [::1]:{b.port}" in repr(b)
    assert make_node("a@one").ping(b.name) == "pong"
    c = make_node("c@one", config=Config(nodes={b.name: f"[::1]:{b.port}"}))
    assert c.ping(b.name) == "pong"


@needs_ipv6
def test_a_node_listens_at_the_first_address_of_a_host_that_it_can(make_node, resolve):
    resolve("203.0.113.1", "::1")
    assert make_node("a@one", host="faces").access.host == "::1"


def test_a_host_name_that_has_both_is_listened_at_by_ipv4(resolve):
    resolve("::1", "127.0.0.1")
    with listen("faces", 0) as listener:
        assert listener.family == socket.AF_INET


# Of what a system can be out.


@pytest.fixture
def no_threads(monkeypatch):
    """Let no thread start; calling it lets them again."""
    start = threading.Thread.start

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return lambda: monkeypatch.setattr(threading.Thread, "start", start)


def test_a_node_is_looked_up_again_once_threads_can_be_had(make_node, request, caplog):
    """Planted: the flag that one is looking up is set before the thread has started."""
    b = make_node("b@one")
    a = make_node("a@one", config=Config(nodes={b.name: f"localhost:{b.port}"}))
    again = request.getfixturevalue("no_threads")
    assert a.ping(b.name) == "pang"
    assert "its address can't be looked up: can't start new thread" in caplog.text
    assert "defect" not in caplog.text
    again()
    eventually(lambda: a.ping(b.name) == "pong")


def test_a_look_up_that_breaks_is_made_again(make_node, monkeypatch):
    """Planted: only errors that were foreseen take the flag back."""
    b = make_node("b@one")
    a = make_node("a@one", config=Config(nodes={b.name: f"localhost:{b.port}"}))

    def breaks(*_arguments, **_options):
        raise ValueError("of a kind that nobody has foreseen")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", breaks)
        assert a.ping(b.name) == "pang"
    eventually(lambda: a.ping(b.name) == "pong")


def test_a_node_that_gets_no_thread_is_not_there_and_frees_its_name(make_node, request):
    again = request.getfixturevalue("no_threads")
    before = open_files()
    with pytest.raises(RaftError, match=r"node a@one can't start: can't start new thread"):
        make_node("a@one")
    again()
    eventually(lambda: open_files() <= before)
    assert make_node("a@one").running


def test_no_descriptor_left_is_no_defect(make_node, monkeypatch, caplog):
    b = make_node("b@one")
    a = make_node("a@one", config=Config(nodes={b.name: f"127.0.0.1:{b.port}"}))

    def none_left(*_arguments, **_options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", none_left)
        assert a.ping(b.name) == "pang"
    place = f"127.0.0.1:{b.port}"
    assert f"b@one can't be reached: {place}: no socket for it: Too many open files" in (
        caplog.messages
    )
    assert "defect" not in caplog.text
    eventually(lambda: a.ping(b.name) == "pong")


def test_a_name_service_that_is_slower_than_a_dial_is_waited_for(make_node, monkeypatch):
    """Planted: what is found when its dial is over is thrown away; then each dial begins anew."""
    b = make_node("b@one")
    limits = BridgeLimits(handshake_s=0.5, redial_max_s=0.05)
    known = Config(nodes={b.name: f"localhost:{b.port}"})
    a = make_node("a@one", config=known, limits=limits)

    def slow(*arguments, **options):
        time.sleep(0.8)
        return LOOK_UP(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert a.connect(b.name) is False  # and it goes on trying
    eventually(lambda: a.list() == [b.name])


def test_a_name_service_that_is_out_of_order_is_not_told_as_an_unknown_host(
    make_node, monkeypatch, caplog
):
    def out_of_order(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    a = make_node("a@one", config=Config(nodes={"b@one": "somewhere:1"}))
    monkeypatch.setattr(socket, "getaddrinfo", out_of_order)
    assert a.ping("b@one") == "pang"
    assert "host 'somewhere' can't be looked up: Temporary failure in name" in caplog.text
