"""Nodes that encrypt: who is let in, who is told what, and what is left of a bridge over TLS."""

import contextlib
import logging
import os
import socket
import ssl
import threading

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from raft_actors.errors import BadTls
from raft_actors.node.tls import Tls, loaded
from raft_actors.wire.frames import header
from raft_actors.wire.handshake import DialerHandshake, Identity
from raft_actors.wire.keyring import Keyring
from tests.certificates import Authority
from tests.helpers import eventually
from tests.node_helpers import Collector, ask, send

COOKIE = "c" * 20
MIB = 1 << 20


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def pair(make_node, authority, request):
    """Two nodes that encrypt, in the way that the test says: b knows what comes in."""
    how = getattr(request, "param", "auto")
    tls = {
        "auto": lambda host: "auto",
        "files": lambda host: authority.issue(f"DNS:{host}", file=host),
    }[how]
    a, b = (
        make_node(f"{x}@{y}", cookie=COOKIE, tls=tls(y)) for x, y in (("a", "one"), ("b", "two"))
    )
    return a, b, Collector(b)


both = pytest.mark.parametrize("pair", ["auto", "files"], indirect=True)


def refused(caplog, dialer, acceptor, at_dialer, at_acceptor):
    """Have one node dial the other in vain, and look for what each says in its log."""
    assert dialer.ping(acceptor.name) == "pang"
    assert dialer.list() == acceptor.list() == []

    def said(words, begin):
        return [line for line in caplog.messages if words in line and line.startswith(begin)]

    eventually(lambda: said(at_dialer, f"{acceptor.name} can't be reached: 127.0.0.1:"))
    eventually(lambda: said(at_acceptor, "dropped "))


@both
def test_two_nodes_meet_and_ask_each_other(pair):
    a, b, _seen = pair
    assert a.ping(b.name) == "pong"
    assert ask(a, b.name, {"x": [1, b"2"]}) == ["said", {"x": [1, b"2"]}]
    assert b.list() == [a.name]


@both
@pytest.mark.parametrize("size", [0, 1, 16_384, 100_000, 5 * MIB])
def test_frames_of_any_size_arrive_whole_and_in_order(pair, size):
    """A record holds 16 KiB, and a write 256 KiB. Planted: a rest that is encrypted again."""
    a, b, seen = pair
    for number in range(5):
        assert send(a, b.name, [number, b"x" * size])
    eventually(lambda: len(seen.bodies) == 5)
    assert [body for _node, body in seen.bodies] == [[n, b"x" * size] for n in range(5)]


def test_nothing_of_what_is_said_can_be_read_on_the_way(make_node, monkeypatch):
    from raft_actors.config import Config
    from tests.transport.test_middle import Middle

    b = make_node("b@two", cookie=COOKIE, tls="auto")
    seen, middle, passed = Collector(b), Middle(b.port), []
    middle.look = passed.append
    a = make_node("a@one", cookie=COOKIE, tls="auto", config=Config(nodes={b.name: middle.address}))
    try:
        send(a, b.name, b"1000 euros")
        eventually(lambda: seen.bodies)
        everything = b"".join(passed)
        assert len(everything) > 500
        for words in (b"1000 euros", b"a@one", b"b@two", b"raft_actors"):
            assert words not in everything
    finally:
        middle.close()


def test_many_threads_send_both_ways_at_once(pair):
    """Planted: no lock around what is encrypted and decrypted."""
    a, b, at_b = pair
    at_a = Collector(a)
    assert a.connect(b.name)

    def talk(node, to, me):
        for number in range(300):
            send(node, to, [me, number, b"x" * (number * 50)])

    threads = [
        threading.Thread(target=talk, args=(node, to.name, me))
        for me in range(3) for node, to in ((a, b), (b, a))
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seen in (at_a, at_b):
        eventually(lambda seen=seen: len(seen.bodies) == 900)
        for me in range(3):
            numbers = [body[1] for _node, body in seen.bodies if body[0] == me]
            assert numbers == list(range(300))


def test_a_node_with_a_peer_that_reads_nothing_waits_for_nobody(pair):
    """What the kernel does not take stays encrypted in memory, and leaves when there is room."""
    a, b, seen = pair
    assert a.connect(b.name)
    go_on = threading.Event()
    b._bridge.reactor.post(lambda: go_on.wait(30))
    count = 40
    for number in range(count):
        assert send(a, b.name, [number, b"x" * MIB])
    assert not seen.bodies
    go_on.set()
    eventually(lambda: len(seen.bodies) == count)
    assert [body[0] for _node, body in seen.bodies] == list(range(count))


def test_what_was_sent_before_a_node_stopped_arrives(pair):
    a, b, seen = pair
    assert a.connect(b.name)
    send(a, b.name, "last")
    a.stop()
    eventually(lambda: [body for _node, body in seen.bodies] == ["last"])
    eventually(lambda: b.list() == [])


def test_a_forked_child_says_nothing_over_the_links_of_its_parent(pair):
    """Planted: the child closes its copies by way of TLS, which says that all is over."""
    a, b, _seen = pair
    assert a.ping(b.name) == "pong"
    links = [node._bridge._links[to.name].connection for node, to in ((a, b), (b, a))]
    child = os.fork()
    if not child:
        os._exit(0)  # all nodes were forgotten in the fork itself
    os.waitpid(child, 0)
    for _ in range(3):
        assert a.ping(b.name) == b.ping(a.name) == "pong"
    assert links == [node._bridge._links[to.name].connection for node, to in ((a, b), (b, a))]


# Who is not let in.


def test_a_node_that_speaks_plainly_and_one_with_tls_refuse_each_other(make_node, caplog):
    """Planted: fall back to what the other end speaks."""
    plain = make_node("plain@one", cookie=COOKIE)
    crypt = make_node("crypt@one", cookie=COOKIE, tls="auto")
    what_to_do = (
        "start both with TLS (Node.start(tls=...), --tls, RAFT_ACTORS_TLS), or both without"
    )
    first = f"the dialed node uses TLS, and the dialing node does not: {what_to_do}"
    refused(caplog, plain, crypt, first, first)
    assert "dropped plain@one at" in caplog.text
    second = f"the dialing node uses TLS, and the dialed node does not: {what_to_do}"
    refused(caplog, crypt, plain, second, second)


def test_a_stranger_that_speaks_something_else_to_a_node_with_tls_is_told_nothing(
    make_node, caplog
):
    node = make_node("a@one", cookie=COOKIE, tls="auto")
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.recv(100) == b""
    eventually(lambda: "a frame of 1195725856 bytes, over the limit" in caplog.text)


def test_cookies_that_differ_are_refused_over_tls_as_well(make_node, caplog):
    a = make_node("a@one", cookie="1" * 20, tls="auto")
    b = make_node("b@one", cookie="2" * 20, tls="auto")
    words = "the cookies differ: nodes of one cluster share the cookie file or RAFT_ACTORS_COOKIE"
    refused(caplog, a, b, words, words)


def late(node, tls):
    """Give a node, which runs, certificates that it would not have been started with."""
    from raft_actors.node.tls import loaded
    from raft_actors.transport.tls_stream import TlsContexts

    contexts = TlsContexts(
        loaded(tls, dials=True), loaded(tls), b"1" * 32, b"2" * 32, f"the authorities in {tls.ca}"
    )
    node._bridge.handshakes._tls._current = lambda: contexts
    return node


def test_an_expired_certificate_is_refused_and_both_sides_say_so(make_node, authority, caplog):
    good = make_node("good@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    bad = make_node("bad@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    late(bad, authority.issue("DNS:one", file="old", days=-1))
    here = "its certificate has expired"
    there = "it refuses this node's certificate: it has expired"
    refused(caplog, bad, good, there, here)
    refused(caplog, good, bad, here, there)


def test_a_certificate_of_another_authority_is_refused(make_node, authority, tmp_path, caplog):
    good = make_node("good@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    theirs = Authority(tmp_path, "theirs")
    other = make_node("other@one", cookie=COOKIE, tls=theirs.issue("DNS:one", file="other"))
    here = "its certificate is signed by none of the authorities in"
    there = "it refuses this node's certificate: none of its authorities has signed it"
    refused(caplog, good, other, here, there)
    refused(caplog, other, good, here, there)
    assert str(authority.path) in caplog.text
    assert str(theirs.path) in caplog.text


def test_a_certificate_of_another_name_is_refused(make_node, authority, caplog):
    good = make_node("good@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    bad = make_node("bad@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    late(bad, authority.issue("DNS:two", file="two"))
    words = (
        "the certificate of bad@one must have DNS:one or email:bad@one as subjectAltName, and has "
        "DNS:two"
    )
    refused(caplog, bad, good, words, words)
    assert good.ping(bad.name) == "pang"
    eventually(lambda: f"bad@one can't be reached: 127.0.0.1:{bad.port}: {words}" in caplog.text)


def test_names_in_a_certificate_can_forge_no_line_of_the_log(make_node, authority, caplog):
    """Who signs certificates may sign such a name. Planted: log it as it is."""
    a = make_node("a@one", cookie=COOKIE, tls=authority.issue("DNS:one", file="a"))
    forged = "DNS:two\nWARNING raft_actors.node: all is well\x1b[2J" + "x" * 5_000
    tls = loaded(authority.issue(forged, file="b"), dials=True)
    with contextlib.suppress(OSError):
        sock = socket.create_connection(("127.0.0.1", a.port), 10)
        with tls.wrap_socket(sock, do_handshake_on_connect=False) as tls:
            tls.do_handshake()
            hello = DialerHandshake(
                Identity("b@two", b"12345678", 1 << 24), Keyring.of(COOKIE), a.name
            ).hello
            tls.sendall(header(len(hello)) + hello)
            assert tls.recv(1 << 16)
    eventually(lambda: "must have DNS:two or email:b@two" in caplog.text)
    (line,) = [line for line in caplog.messages if "must have DNS:two" in line]
    assert line.isprintable()
    assert len(line) < 500


def test_a_certificate_of_a_node_is_none_of_its_neighbour_on_the_host(make_node, authority, caplog):
    a = make_node("a@one", cookie=COOKIE, tls=authority.issue("email:a@one", file="a"))
    b = make_node("b@one", cookie=COOKIE, tls=authority.issue("email:b@one", file="b"))
    assert a.ping(b.name) == "pong"
    a.disconnect(b.name)
    late(b, authority.issue("email:a@one", file="a"))
    refused(caplog, b, a, "must have DNS:one or email:b@one", "must have DNS:one or email:b@one")


def test_a_node_with_auto_and_one_with_certificates_refuse_each_other(make_node, authority, caplog):
    files = make_node("files@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    auto = make_node("auto@one", cookie=COOKIE, tls="auto")
    refused(
        caplog, auto, files,
        "it demands a certificate, and this node has none (does this node run with tls=\"auto\"",
        "it has no certificate (does it run with tls=\"auto\", and this node with certificates?)",
    )  # fmt: skip
    refused(
        caplog, files, auto, "its certificate is signed by none of the authorities in",
        "it refuses this node's certificate: none of its authorities has signed it",
    )  # fmt: skip


def tls_client(authority=None, certificate=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


def test_a_client_without_a_certificate_is_dropped(make_node, authority, caplog):
    """Planted: CERT_OPTIONAL."""
    node = make_node("a@one", cookie=COOKIE, tls=authority.issue("DNS:one"))
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock,
        tls_client().wrap_socket(sock) as stranger,
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"),
    ):
        stranger.recv(1)
    eventually(lambda: "it has no certificate" in caplog.text)


@pytest.mark.parametrize("how", ["auto", "files"])
def test_tls_1_2_is_not_spoken(make_node, authority, caplog, how):
    """Planted: no minimum_version."""
    tls = "auto" if how == "auto" else authority.issue("DNS:one")
    node = make_node("a@one", cookie=COOKIE, tls=tls)
    client = tls_client(version=ssl.TLSVersion.TLSv1_2)
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
    ):
        client.wrap_socket(sock)
    eventually(lambda: "it speaks no TLS 1.3" in caplog.text)


def test_a_server_of_tls_1_2_is_not_dialed(make_node, authority, caplog):
    from raft_actors.config import Config

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    files = authority.issue("DNS:two")
    context.load_cert_chain(files.cert, files.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def serve():
            sock, _ = listener.accept()
            with sock, pytest.raises(ssl.SSLError):
                context.wrap_socket(sock, server_side=True)

        server = threading.Thread(target=serve)
        server.start()
        a = make_node("a@one", cookie=COOKIE, tls="auto", config=Config(nodes={"b@two": address}))
        assert a.ping("b@two") == "pang"
        server.join(10)
    eventually(lambda: "it speaks no TLS 1.3" in caplog.text)


# Certificates that change.


def test_new_certificates_are_used_by_new_connections_under_load(
    make_node, authority, tmp_path, caplog
):
    """Each renews its certificate, again and again, while frames are answered. Planted: contexts
    that are made once; prints of the certificates of before.
    """
    caplog.set_level(logging.INFO)
    a, b = (
        make_node(f"{x}@one", cookie=COOKIE, tls=authority.issue("DNS:one", file=x)) for x in "ab"
    )
    Collector(b)
    prints = set()
    for number in range(6):
        for x in "ab":
            authority.issue("DNS:one", file=x)
        if number % 2:
            a.disconnect(b.name)
        for _ in range(20):
            assert ask(a, b.name, number) == ["said", number]
        channel = a._bridge._links[b.name].connection.handshake._channel
        prints.add((channel.dialer, channel.acceptor))
    assert len(prints) == 4  # those of the beginning, and those of three connections anew
    assert "node a@one has a new certificate, of" in caplog.text
    assert not [each for each in caplog.records if each.levelno > logging.WARNING]


def test_certificates_that_can_not_be_used_change_nothing(make_node, authority, tmp_path, caplog):
    tls = authority.issue("DNS:one", file="a")
    a = make_node("a@one", cookie=COOKIE, tls=tls)
    b = make_node("b@one", cookie=COOKIE, tls=authority.issue("DNS:one", file="b"))
    other = authority.issue("DNS:one", file="other")
    kept = tls.key.read_bytes()
    for spoil, words in (
        (
            lambda: tls.key.write_bytes(other.key.read_bytes()),
            "the key belongs to another certificate",
        ),
        (lambda: tls.key.write_bytes(b"nothing"), "one of the two is no PEM"),
        (lambda: tls.key.write_bytes(kept[: len(kept) // 2]), "one of the two is no PEM"),
        (lambda: tls.key.unlink(), "No such file"),
    ):
        spoil()
        a.disconnect(b.name)
        assert a.ping(b.name) == "pong"
        assert "node a@one keeps the certificate that it has" in caplog.text
        assert words in caplog.text
    lines = len(caplog.messages)
    a.disconnect(b.name)
    assert a.ping(b.name) == "pong"
    assert len(caplog.messages) == lines  # said once for each change
    tls.key.write_bytes(kept)
    a.disconnect(b.name)
    assert a.ping(b.name) == "pong"


def test_an_authority_that_is_taken_off_the_list_lets_nobody_in_any_more(
    make_node, authority, tmp_path
):
    a = make_node("a@one", cookie=COOKIE, tls=authority.issue("DNS:one", file="a"))
    b = make_node("b@one", cookie=COOKIE, tls=authority.issue("DNS:one", file="b"))
    assert a.ping(b.name) == "pong"
    after = Authority(tmp_path, "after")
    authority.key, authority.name, authority.certificate = after.key, after.name, after.certificate
    authority.path.write_bytes(after.path.read_bytes())
    authority.issue("DNS:one", file="a")
    a.disconnect(b.name)
    assert a.ping(b.name) == "pang"
    authority.issue("DNS:one", file="b")
    b.disconnect(a.name)
    eventually(lambda: b.ping(a.name) == "pong")


# What a node is not started with.


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["DNS:one"], {"days": -1}, "can't be used: it has expired"),
        (["DNS:one"], {"days": 61}, "can't be used: it is not valid yet"),
        (["DNS:two"], {}, "is not this node's: the certificate of a@one must have DNS:one"),
        ([], {}, "and has none"),
        (
            ["DNS:one"],
            {"usages": [ExtendedKeyUsageOID.SERVER_AUTH]},
            "can't be used: it is not for this use: .*both serverAuth and clientAuth",
        ),
        (
            ["DNS:one"],
            {"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]},
            "can't be used: it is not for this use: ",
        ),
    ],
    ids=["expired", "early", "name", "nameless", "server only", "client only"],
)
def test_a_certificate_that_others_would_refuse_is_refused_at_the_start(
    make_node, authority, names, options, words
):
    with pytest.raises(BadTls, match=words):
        make_node("a@one", cookie=COOKIE, tls=authority.issue(*names, **options))


def test_a_certificate_of_another_authority_is_refused_at_the_start(make_node, authority, tmp_path):
    theirs = Authority(tmp_path, "theirs").issue("DNS:one")
    with pytest.raises(BadTls, match=r"signed by none of the authorities in .*ours\.pem"):
        make_node("a@one", cookie=COOKIE, tls=Tls(theirs.cert, theirs.key, authority.path))


def contexts(tls, **changes):
    made = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(tls.cert, tls.key)
        context.load_verify_locations(tls.ca)
        for name, value in changes.items():
            setattr(context, name, value)
        made.append(context)
    return tuple(made)


def test_contexts_of_the_user_encrypt_as_files_do(make_node, authority):
    tls = authority.issue("DNS:one")
    a = make_node("a@one", cookie=COOKIE, tls=contexts(tls))
    b = make_node("b@one", cookie=COOKIE, tls=tls)
    assert a.ping(b.name) == "pong"
    a.disconnect(b.name)
    eventually(lambda: b.list() == [])
    assert b.ping(a.name) == "pong"


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")
def test_one_context_may_be_for_both_sides(make_node, authority):
    tls = authority.issue("DNS:one")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(tls.cert, tls.key)
    context.load_verify_locations(tls.ca)
    a = make_node("a@one", cookie=COOKIE, tls=context)
    b = make_node("b@one", cookie=COOKIE, tls=tls)
    assert a.ping(b.name) == "pong"
    a.disconnect(b.name)
    eventually(lambda: b.list() == [])
    assert b.ping(a.name) == "pong"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minimum_version": ssl.TLSVersion.TLSv1_2}, "set minimum_version of the SSLContext"),
        ({"verify_mode": ssl.CERT_OPTIONAL}, "set verify_mode of the SSLContext"),
        ({"verify_mode": ssl.CERT_NONE}, "set verify_mode of the SSLContext"),
        ({"check_hostname": True}, "set check_hostname of the SSLContext"),
    ],
    ids=str,
)
def test_contexts_that_let_others_in_are_refused(make_node, authority, changes, words):
    with pytest.raises(BadTls, match=words):
        make_node("a@one", cookie=COOKIE, tls=contexts(authority.issue("DNS:one"), **changes))


def test_a_context_for_one_side_only_is_refused_in_words(make_node, authority):
    accept, dial = contexts(authority.issue("DNS:one"))
    for wrong in (accept, dial, (dial, accept)):
        with pytest.raises(BadTls, match="a node accepts and dials"):
            make_node("a@one", cookie=COOKIE, tls=wrong)


@pytest.mark.parametrize("wrong", ["on", True, 1, ("a", "b", "c"), {"cert": "x"}], ids=str)
def test_what_is_no_tls_is_refused_in_words(make_node, wrong):
    with pytest.raises(BadTls, match='tls is "auto", Tls\\(cert, key, ca\\), or'):
        make_node("a@one", cookie=COOKIE, tls=wrong)
