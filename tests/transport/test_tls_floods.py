"""What TLS itself lets the other end send without end: it must cost this node little."""

import contextlib
import logging
import socket
import ssl
from dataclasses import replace

import pytest

from raft_actors.node.tls import loaded, own_contexts
from raft_actors.transport import tls_stream
from raft_actors.transport.tls_errors import TlsFailed
from raft_actors.transport.tls_stream import (
    OVERHEAD_MAX,
    RECORD_BYTES_MAX,
    STRANGER_OVERHEAD_MAX,
    TlsStreams,
)
from tests.certificates import Authority
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import Collector, ask
from tests.raw_tls import RawTls
from tests.transport.test_tls_stream import BUFFER, End

COOKIE = "c" * 20


@pytest.fixture
def raw(tmp_path):
    """An accepted stream in memory, after its handshake with a client of records made by hand."""
    near, far = End(), End()
    near.other, far.other = far, near
    contexts = own_contexts()
    stream = TlsStreams(lambda: contexts, BUFFER).accepted(near)

    def talk(data):
        near.incoming += data
        with contextlib.suppress(BlockingIOError):
            stream.advance()
        answer = bytes(far.incoming)
        far.incoming.clear()
        return answer

    client = RawTls(talk, tmp_path / "keys")
    talk(client.last_flight)
    assert stream.is_complete
    return near, far, stream, client


def read_all(near, stream):
    buffer = memoryview(bytearray(BUFFER))
    found = bytearray()
    while near.incoming:
        with contextlib.suppress(BlockingIOError):
            found += buffer[: stream.recv_into(buffer)]
    return bytes(found)


def flood(near, stream, client, *, wants_answer, bytes_max, size=0):
    """Send KeyUpdates, and some content with each, until they are refused."""
    sent = 0
    while sent < bytes_max:
        records = [client.key_update(wants_answer=wants_answer) for _ in range(100)]
        records += [client.record(bytes(size)) for _ in range(100) if size]
        near.incoming += b"".join(records)
        sent += len(near.incoming)
        read_all(near, stream)
    raise AssertionError(f"{sent} bytes were taken")


@pytest.mark.parametrize("wants_answer", [False, True])
def test_a_flood_of_key_updates_ends_a_connection(raw, wants_answer):
    near, _far, stream, client = raw
    with pytest.raises(TlsFailed, match="TLS records without content"):
        flood(near, stream, client, wants_answer=wants_answer, bytes_max=2 * OVERHEAD_MAX)


def test_who_has_not_proven_itself_may_send_less_of_it(raw):
    near, _far, stream, client = raw
    near.incoming += b"".join(client.key_update(wants_answer=False) for _ in range(1000))
    assert len(near.incoming) < OVERHEAD_MAX

    def listen():
        while True:
            with contextlib.suppress(BlockingIOError):
                assert stream.recv(1024)

    with pytest.raises(TlsFailed, match="TLS records without content"):
        listen()
    assert len(near.incoming) > 1000 * 27 - STRANGER_OVERHEAD_MAX - RECORD_BYTES_MAX


def test_a_key_update_now_and_then_is_answered_and_nothing_is_lost(raw):
    near, far, stream, client = raw
    found = b""
    for number in range(300):
        near.incoming += client.key_update(wants_answer=True) + client.record(b"%04d" % number * 9)
        found += read_all(near, stream)
    assert found == b"".join(b"%04d" % number * 9 for number in range(300))
    assert len(far.incoming) >= 299 * 27


def test_the_smallest_frames_are_no_flood(raw):
    """A record for each, of 23 bytes: length, payload and tag. Planted: count the record whole."""
    near, _far, stream, client = raw
    count = 3 * OVERHEAD_MAX // 45
    near.incoming += b"".join(client.record(bytes(23)) for _ in range(count))
    assert len(read_all(near, stream)) == count * 23


def test_answers_that_the_other_end_does_not_read_are_bounded(raw, monkeypatch):
    near, _far, stream, client = raw
    near.takes = 0
    monkeypatch.setattr(tls_stream, "UNSENT_MAX", 30_000)
    with pytest.raises(TlsFailed, match="does not read the answers"):
        flood(near, stream, client, wants_answer=True, bytes_max=1 << 20, size=60)
    assert len(stream._unsent) < 40_000


STAGES = ("nothing", "half a hello", "hello", "tls", "half a message")


@pytest.mark.parametrize("stage", STAGES)
def test_who_stops_in_the_middle_of_a_handshake_is_dropped_in_time(make_node, tmp_path, stage):
    node = make_node("a@one", cookie=COOKIE, tls="auto", limits=replace(QUICK, handshake_s=0.5))
    with socket.create_connection(("127.0.0.1", node.port), 10) as sock:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        if stage == "half a hello":
            sock.sendall(hello)
        elif stage != "nothing":

            def talk(data):
                sock.sendall(data)
                return b"" if stage == "hello" else sock.recv(1 << 16)

            with contextlib.suppress(ssl.SSLWantReadError, TypeError, ValueError):
                client = RawTls(talk, tmp_path / "keys")
                sock.sendall(client.last_flight)
                if stage == "half a message":
                    sock.sendall(client.record(b"\x00\x00\x00\x50" + bytes(9)))
        strangers = node._bridge.handshakes.listener.strangers
        eventually(lambda: len(strangers) == 0)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(1 << 16):
                pass
    other = make_node("b@two", cookie=COOKIE, tls="auto")
    Collector(node)
    assert ask(other, node.name, 1) == ["said", 1]


@pytest.mark.parametrize("names", [8_500, 12_000])
def test_a_giant_certificate_is_refused(make_node, tmp_path, caplog, names):
    """OpenSSL refuses what is larger than 100 KiB, and what comes in parts as well."""
    authority = Authority(tmp_path)
    node = make_node("a@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    large = authority.issue("DNS:two", *(f"DNS:{each}.example" for each in range(names)), file="l")
    assert large.cert.stat().st_size > 120_000
    with contextlib.suppress(OSError):
        sock = socket.create_connection(("127.0.0.1", node.port), 10)
        with loaded(large, dials=True).wrap_socket(sock, do_handshake_on_connect=False) as tls:
            tls.do_handshake()
            while tls.recv(1 << 16):
                pass
    eventually(lambda: "dropped the stranger" in caplog.text)
    assert "excessive message size" in caplog.text or "is larger than" in caplog.text


def test_a_session_of_tls_is_not_resumed(make_node, tmp_path, caplog):
    """Contexts of the user's own may offer it. Planted: take a resumed one."""
    authority = Authority(tmp_path)
    tls = authority.issue("DNS:one")
    contexts = loaded(tls), loaded(tls, dials=True)
    contexts[0].num_tickets = 2
    node = make_node("a@one", cookie=COOKIE, tls=contexts)
    context, session = loaded(authority.issue("DNS:two", file="two"), dials=True), None
    for _ in range(2):
        sock = socket.create_connection(("127.0.0.1", node.port), 10)
        with context.wrap_socket(sock, session=session) as tls:
            tls.settimeout(0.2)
            with contextlib.suppress(OSError):
                tls.recv(1)  # the tickets come before anything else
            session, resumed = tls.session, tls.session_reused
    assert resumed, "the test does what it is to do"
    eventually(lambda: "it resumes a TLS session, and nodes never do" in caplog.text)


def test_a_dial_that_is_given_up_in_the_handshake_of_tls_is_no_news(make_node, caplog):
    """Two nodes that dial each other at once give one of the two up. A flood of them is news."""
    node = make_node("a@one", cookie=COOKIE, tls="auto")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="x").do_handshake()
    hello = outgoing.read()
    for number in range(30):
        with socket.create_connection(("127.0.0.1", node.port), 10) as sock:
            sock.sendall(hello)
            assert sock.recv(1)
        strangers = node._bridge.handshakes.listener.strangers
        eventually(lambda strangers=strangers: len(strangers) == 0)
        if number == 9:
            assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "hung up" in caplog.text
