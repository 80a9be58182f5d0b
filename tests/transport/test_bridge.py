"""Frames between nodes: order, answers, bounds, and links that break."""

import logging
import random
import signal
import socket
import threading
import time

import pytest

from raft_actors.config import Config
from raft_actors.errors import NoConnection, NoProcess
from raft_actors.future import Future
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.wire.frame_mac import TAG_BYTES, FrameMac
from raft_actors.wire.frames import LENGTH
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import (
    KIND,
    NODE,
    Collector,
    Insider,
    ask,
    dial_of,
    open_files,
    send,
)

MIB = 1024 * 1024
SMALL_FRAMES = Config(frame_bytes_max=1 * MIB, command_bytes_max=MIB // 2)

PEER = """
    import sys
    from raft_actors.node.local_node import LocalNode
    node = LocalNode(sys.argv[1]).start()
    seen = []
    def on_frames(frames):
        for frame in frames:
            seen.append(frame.body)
            if frame.call is not None:
                frame.reply(frame.body)
    node.on_frames(16, on_frames)
    print(node.name)
    for line in sys.stdin:
        print(eval(line))
"""
"""A node that remembers frames and answers calls with what they said."""


@pytest.fixture
def pair(make_node):
    a, b = make_node("a"), make_node("b")
    return a, b, Collector(b)


def test_frames_are_held_until_the_flush_that_sends_them_together(pair):
    a, b, seen = pair
    assert ask(a, b.name, "up") == ["said", "up"]
    link = a._bridge._links[b.name]
    a.cast(b.name, KIND, 1)
    a.cast(b.name, KIND, 2)
    other = threading.Thread(target=a.flush)  # what another thread flushes is its own
    other.start()
    other.join()
    assert len(link._out) == 2
    a.flush()
    assert not link._out
    eventually(lambda: len(seen.bodies) == 3)


# Sizes and bounds.


def test_a_node_that_does_not_read_bounds_the_queue(make_node, make_script):
    """Planted: a full queue takes more all the same."""
    a = make_node("a", config=Config(link_queue_bytes=2 * MIB), limits=BridgeLimits())
    script = make_script(PEER, "b")
    b = script.line()
    assert ask(a, b, "up") == "up"
    script.signal(signal.SIGSTOP)
    sizable = b"x" * 65_536
    taken = sum(send(a, b, sizable) for _ in range(1_000))  # 64 MiB: the kernel takes less
    assert taken < 1_000
    calls = []

    def is_refused():
        """Not each is at once: now and then the kernel has taken a little more meanwhile."""
        calls.append(a.call(b, KIND, sizable))
        a.flush()
        return calls[-1].done()

    eventually(is_refused)
    assert a._bridge._links[b]._queued_bytes <= 2 * MIB
    with pytest.raises(NoConnection, match="wait for") as error:
        calls.pop().get()
    assert not error.value.was_sent
    script.signal(signal.SIGCONT)
    eventually(lambda: send(a, b, "last"))
    eventually(lambda: script.say("seen[-1]") == "last")
    assert int(script.say("len(seen)")) == 1 + taken + len(calls) + 1


def test_what_waits_for_a_node_that_is_away_is_bounded_and_the_oldest_goes_first(make_node):
    a = make_node("a", config=Config(link_queue_bytes=100_000))
    for number in range(1_000):
        assert send(a, f"b@{a.name.partition('@')[2]}", [number, b"x" * 1_000])
    b = make_node("b")
    seen = Collector(b)
    eventually(lambda: seen.bodies and seen.bodies[-1][1][0] == 999)
    numbers = [number for _, (number, _) in seen.bodies]
    assert numbers == list(range(1_000))[-len(numbers) :]
    assert 50 < len(numbers) <= 100


def test_what_waits_too_long_is_dropped_and_nobody_dials_any_more(make_node):
    a = make_node("a", limits=BridgeLimits(waiting_s=0.2, redial_max_s=0.05))
    b = f"b@{a.name.partition('@')[2]}"
    send(a, b, "never read")
    link = a._bridge._links[b]
    dial = dial_of(a, b)
    eventually(lambda: dial.failures > 2)
    eventually(lambda: not link.dial_wanted)
    eventually(lambda: dial.retry is None and dial.attempt is None)
    failures = dial.failures
    assert a.ping(b) == "pang"  # several rounds of the bridge later
    assert dial.failures == failures + 1
    send(a, b, "read")
    assert link.dial_wanted


# Nodes that are not there, or go.


def test_calls_wait_for_the_first_dial_and_fail_when_it_fails(make_node):
    a = make_node("a")
    with pytest.raises(NoConnection, match=r"no node b@.* of this user") as error:
        ask(a, f"b@{a.name.partition('@')[2]}", 1)
    assert not error.value.was_sent


def test_calls_fail_at_once_while_a_node_is_known_to_be_away(make_node):
    a = make_node("a", limits=BridgeLimits(redial_min_s=30.0, redial_max_s=30.0))
    b = f"b@{a.name.partition('@')[2]}"
    assert a.ping(b) == "pang"
    answer = a.call(b, KIND, 1)
    assert answer.done()
    with pytest.raises(NoConnection):
        answer.get()


def test_a_sender_never_waits_for_a_dial(make_node, monkeypatch):
    """198.51.100.1 is for documentation (RFC 5737): nobody answers there."""
    monkeypatch.setenv("RAFT_ACTORS_NODES", "far@away=198.51.100.1:4001")
    a = make_node("a")
    answers = [a.call("far@away", KIND, number) for number in range(100)]
    assert a.cast("far@away", KIND, "x")
    a.flush()
    assert a.ping("far@away") == "pang"
    for answer in answers:
        with pytest.raises(NoConnection):
            answer.get(10)


def test_a_port_where_nobody_listens_is_pang(make_node, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAFT_ACTORS_NODES", f"b@two=127.0.0.1:{free.getsockname()[1]}")
        assert make_node("a").ping("b@two") == "pang"


def test_a_node_that_answers_under_another_name_is_refused(make_node, monkeypatch, caplog):
    c = make_node("c")
    monkeypatch.setenv("RAFT_ACTORS_NODES", f"b@two=127.0.0.1:{c.port}")
    assert make_node("a").ping("b@two") == "pang"
    assert f"this is {c.name}, not b@two" in caplog.text


def test_open_calls_fail_when_the_link_breaks(make_node, make_script):
    a, script = make_node("a"), make_script(PEER, "b")
    b = script.line()
    script.say("node.on_frames(16, print)")
    assert a.connect(b)
    answer = a.call(b, KIND, 1)
    a.flush()
    script.kill()
    with pytest.raises(NoConnection, match="connection_closed") as error:
        answer.get(10)
    assert error.value.was_sent


def test_a_killed_node_is_news_at_once_and_its_successor_too(make_node, make_script, caplog):
    caplog.set_level(logging.INFO)
    a = make_node("a")
    news = []
    a.monitor(news.append)
    script = make_script(PEER, "b")
    b = script.line()
    assert a.connect(b)
    script.kill()
    eventually(lambda: news == [NodeUp(b), NodeDown(b, "connection_closed")])
    assert a.list() == []
    make_script(PEER, "b").line()
    eventually(lambda: news[2:] == [NodeUp(b)])  # connected by the standing wish
    lines = [line for line in caplog.messages if line.startswith(b)]
    assert [line.split(",")[0] for line in lines] == [
        f"{b} is up", f"{b} is gone (connection_closed)", f"{b} is up",
    ]  # fmt: skip


def test_a_node_that_hangs_is_found_out(make_node, make_script):
    """SIGSTOP leaves the connection open, as a cut cable does."""
    a, script = make_node("a"), make_script(PEER, "b")
    b = script.line()
    news = []
    a.monitor(news.append)
    assert a.connect(b)
    answer = a.call(b, KIND, 1)
    script.signal(signal.SIGSTOP)
    eventually(lambda: NodeDown(b, "net_tick_timeout") in news)
    with pytest.raises(NoConnection):
        answer.get(10) if a.flush() else ask(a, b, 2)
    script.signal(signal.SIGCONT)
    eventually(lambda: a.ping(b) == "pong")
    assert ask(a, b, "again") == "again"


def test_a_slow_reader_is_no_dead_one(make_node):
    """A ping waits behind what is queued; taking that is a sign of life, too."""
    node = make_node("a", cookie="c")
    news = []
    node.monitor(news.append)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", node.port))
        insider = Insider(sock, "x@evil", "c")
        insider.enter(node)
        for _ in range(30):
            send(node, "x@evil", b"x" * MIB)
        read, start = 0, time.monotonic()
        while read < 24 * MIB:
            piece = sock.recv(65_536)
            assert piece, "it was taken for dead"
            read += len(piece)
            time.sleep(0.005)
        assert time.monotonic() - start > QUICK.ping_after_s + QUICK.dead_after_s
        assert news == [NodeUp("x@evil")]
        eventually(lambda: NodeDown("x@evil", "net_tick_timeout") in news)


def test_a_silent_link_stays_up_as_long_as_pings_are_answered(make_node):
    a, b = make_node("a"), make_node("b")
    news = []
    a.monitor(news.append)
    assert a.connect(b.name)
    connection = a._bridge._links[b.name].connection
    heard = set()

    def some_pings_later():
        heard.add(connection.received_at)
        return len(heard) > 6

    eventually(some_pings_later)
    assert news == [NodeUp(b.name)]


def test_a_restarted_node_replaces_its_former_life_promptly(make_node, make_script):
    """The old connection still looks alive: no FIN came, as after a power cut."""
    a = make_node("a", limits=BridgeLimits())
    old = make_script(PEER, "b@one")
    old.line()
    assert a.connect("b@one")
    news = []
    a.monitor(news.append)
    old.signal(signal.SIGSTOP)
    (a.access._files.directory / "b@one").unlink()
    new = make_script(PEER, "b@one")
    new.line()
    assert new.say(f"node.connect({a.name!r})") == "True"
    eventually(lambda: news == [NodeDown("b@one", "restarted"), NodeUp("b@one")])
    assert ask(a, "b@one", "new") == "new"


def test_who_waits_for_a_dial_is_told_when_it_is_given_up(make_node):
    """Planted: a disconnect ends the dial without a word, and they wait for six seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        a = make_node("a", config=Config(nodes={"x@one": f"127.0.0.1:{silent.getsockname()[1]}"}))
        hope = a._bridge.connect("x@one")
        with silent.accept()[0]:
            assert a.disconnect("x@one") is False
        assert hope.done()
        assert hope.get() is False


# Both dial at once.


# The end.


def test_what_is_asked_of_a_node_that_is_being_stopped_is_answered(make_node, monkeypatch):
    """Planted: it dials again, or nobody comes to it and who asks waits."""
    a, b = make_node("a"), make_node("b")
    assert a.ping(b.name) == "pong"
    assert a.disconnect(b.name)
    bridge, asked = a._bridge, []
    close = bridge._close

    def asked_meanwhile():
        close()
        asked.extend([bridge.connect(b.name), bridge.disconnect(b.name)])
        bridge.cast(b.name, KIND, "late")

    monkeypatch.setattr(bridge, "_close", asked_meanwhile)
    a.stop()
    asked += [bridge.connect(b.name), bridge.reach(b.name), bridge.disconnect(b.name)]
    assert [answer.get(1) for answer in asked] == [False] * 5
    assert all(dial_of(a, node).attempt is None for node in bridge._links)
    with pytest.raises(NoConnection, match="is stopped"):
        bridge.call(a.name, KIND, "to itself").get(1)


def test_nothing_of_a_stopped_node_remains(make_node):
    """No thread, no socket: a hundred lives later the process is as it was."""

    def life():
        a, b = make_node("a"), make_node("b")
        Collector(b)
        ask(a, b.name, 1)
        a.stop()
        b.stop()

    life()
    threads, files = threading.active_count(), open_files()
    for _ in range(20):
        life()
    eventually(lambda: threading.active_count() <= threads and open_files() <= files)


def test_an_idle_node_sleeps(make_node):
    """Two links and nothing to do: a few pings a second at these limits, and no more."""
    a, b = make_node("a"), make_node("b", limits=QUICK)
    assert a.connect(b.name)
    rounds = []
    for node in (a, b):
        original = node._bridge.reactor._after_round
        node._bridge.reactor._after_round = lambda original=original: (
            rounds.append(time.monotonic()), original())  # fmt: skip
    connection = a._bridge._links[b.name].connection
    heard = set()

    def ten_pings_later():
        heard.add(connection.received_at)
        return len(heard) > 10

    eventually(ten_pings_later)
    assert len(rounds) < 200


def test_the_facade_in_a_process_of_its_own(make_script, make_node):
    script = make_script(
        """
        import sys, threading
        before = threading.active_count()
        from raft_actors.node.node import Node
        from raft_actors.errors import NoNode, RaftError
        assert threading.active_count() == before, "importing starts no thread"
        print(Node.self(), Node.list(), Node.whereis("nobody"))
        try:
            Node.ping("a@b")
        except NoNode as error:
            print(error)
        print(Node.start("f"))
        try:
            Node.start("g")
        except RaftError as error:
            print(error)
        for line in sys.stdin:
            print(eval(line))
        """
    )
    assert script.line() == "nonode@nohost [] None"
    assert "Node.start(name) first" in script.line()
    name = script.line()
    assert script.line() == f"this process is node {name} already: call Node.stop() first"
    a = make_node("a")
    assert script.say("Node.self()") == name
    assert script.say(f"Node.connect({a.name!r})") == "True"
    assert script.say("Node.list()") == str([a.name])
    assert script.say(f"Node.ping('nobody@{name.partition('@')[2]}')") == "pang"
    assert script.say(f"Node.disconnect({a.name!r})") == "True"
    assert script.say("Node.stop(), Node.stop(), Node.self()") == "(None, None, 'nonode@nohost')"
    assert script.say("Node.start('h')").startswith("h@")


def test_a_process_that_ends_frees_its_name(make_script, make_node, tmp_path):
    script = make_script(NODE, "a")
    name = script.line()
    assert (tmp_path / "run" / name).exists()
    script.process.stdin.close()
    script.process.wait()
    assert not (tmp_path / "run" / name).exists()


def test_a_forked_child_is_no_node_and_leaves_its_parents_alone(make_script, make_node):
    script = make_script(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from raft_actors.node.node import Node
        name = Node.start("f")
        print(name)
        sys.stdin.readline()
        if os.fork() == 0:
            print(Node.self(), flush=True)
            Node.stop()
            sys.exit()
        os.wait()
        print(Node.self(), Node.list())
        sys.stdin.readline()
        """
    )
    f = script.line()
    a = make_node("a")
    assert a.connect(f)
    assert script.say("go") == "nonode@nohost"
    assert script.line() == f"{f} ['{a.name}']"
    assert a.ping(f) == "pong"


def test_a_forked_child_keeps_nothing_of_its_dead_parent_in_use(make_script, make_node):
    """Planted: it has the parent's sockets, so nobody hears that the parent is gone."""
    a = make_node("a", limits=BridgeLimits())  # it waits for long before it takes one for dead
    news = []
    a.monitor(news.append)
    parent = make_script(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from raft_actors.node.node import Node
        print(Node.start("f"), Node.current().port)
        sys.stdin.readline()
        if os.fork() == 0:
            os.read(0, 1)
            os._exit(0)
        print("forked")
        os.wait()
        """
    )
    name, port = parent.line().split()
    assert a.connect(name)
    assert parent.say("fork") == "forked"
    parent.process.kill()
    try:
        eventually(lambda: news[1:] == [NodeDown(name, "connection_closed")])
        make_node("f", port=int(port))
    finally:
        parent.process.stdin.close()  # the child ends


def test_a_forked_child_sends_nothing_of_what_its_parent_has_queued(make_script, make_node):
    """Both have the socket. Planted: the child's first flush sends the parent's frames too."""
    b = make_node("b")
    seen = Collector(b)
    script = make_script(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from raft_actors.node.local_node import LocalNode
        node, to = LocalNode("f").start(), sys.stdin.readline().strip()
        assert node.connect(to)
        for number in range(5):
            node.cast(to, 16, number)
        if os.fork() == 0:
            node.flush(), node.flush_call(), node.flush_soon()
            os._exit(0)
        os.wait()
        node.cast(to, 16, "last")
        node.flush()
        sys.stdin.readline()
        """
    )
    script.process.stdin.write(f"{b.name}\n")
    script.process.stdin.flush()
    eventually(lambda: seen.bodies and seen.bodies[-1][1] == "last")
    assert [body for _node, body in seen.bodies] == [0, 1, 2, 3, 4, "last"]


def test_ctrl_c_in_asking_the_bridge_for_something_leaves_it_to_the_next_one(pair, make_node):
    """Planted: a flush, or a dial, counts as asked for, and nobody asks again."""
    a, b, seen = pair
    assert a.connect(b.name)
    reactor = a._bridge.reactor

    def interrupted(_work):
        raise KeyboardInterrupt

    reactor.post, post = interrupted, reactor.post
    a.cast(b.name, KIND, "first")
    with pytest.raises(KeyboardInterrupt):
        a.flush_soon()
    c = make_node("c")
    with pytest.raises(KeyboardInterrupt):
        a.call(c.name, KIND, "lost")
    reactor.post = post
    a.flush_soon()
    eventually(lambda: (a.name, "first") in seen.bodies)
    with pytest.raises(NoProcess):
        ask(a, c.name, "answered")


def test_a_dial_that_is_reset_as_soon_as_it_connects_is_a_failed_dial():
    """Between the two looks at the socket: found by torture, as a traceback in the log."""
    from raft_actors.transport.dialer import why_not_connected

    with socket.socket() as never_connected:
        assert "not connected" in why_not_connected(never_connected)


class Slow:
    """A connection whose `send` waits, as one of a large frame does, until it is told to go on."""

    def __init__(self):
        self.is_sending, self.go_on = threading.Event(), threading.Event()
        self.sending = FrameMac(bytes(32))
        self.said, self.closed = b"", False
        self.socket = self.stream = self

    def send(self, data):
        self.is_sending.set()
        assert self.go_on.wait(10.0)
        self.said += data
        return len(data)

    def close(self):
        assert not self.is_sending.is_set() or self.go_on.is_set(), "closed in the middle of a send"
        self.closed = True


@pytest.fixture
def slow_link():
    link = Link("b@x", frame_bytes_max=MIB, queue_bytes_max=MIB, limits=QUICK)
    connection = Slow()
    link.up(connection, MIB)
    assert link.send(b"one")
    thread = threading.Thread(target=link.flush)
    thread.start()
    assert connection.is_sending.wait(10.0)
    yield link, connection
    connection.go_on.set()
    thread.join(10.0)
    assert not thread.is_alive()


def test_who_sends_takes_along_what_others_queue_and_keeps_nobody_waiting(slow_link):
    link, connection = slow_link
    assert link.send(b"two")
    assert not link.flush()  # at once, although a send is under way
    connection.go_on.set()
    eventually(lambda: b"two" in connection.said)
    assert not link.holds_frames()


def test_a_connection_is_closed_after_the_send_that_uses_it(slow_link):
    """Planted: close at once, and the send goes to whatever has the descriptor by then."""
    link, connection = slow_link
    link.down("a test")
    assert not connection.closed
    again = Slow()
    again.go_on.set()
    link.up(again, MIB)
    assert link.send(b"two")
    connection.go_on.set()
    eventually(lambda: connection.closed)
    eventually(lambda: b"two" in again.said)
    assert b"one" not in again.said


def test_two_connections_that_end_during_one_send_are_both_closed(slow_link):
    link, first = slow_link
    link.down("a test")
    second = Slow()
    link.up(second, MIB)
    link.down("a test")
    first.go_on.set()
    eventually(lambda: first.closed)
    assert second.closed


class Interrupted(Slow):
    """Somebody presses Ctrl-C while the kernel takes the bytes."""

    broken = False

    def send(self, _data):
        raise KeyboardInterrupt

    def shutdown(self, _how):
        self.broken = True


def test_ctrl_c_in_a_send_breaks_the_connection_and_not_the_link():
    """Nobody knows how much has left. Planted: the link believes for good that somebody sends."""
    link = Link("b@x", frame_bytes_max=MIB, queue_bytes_max=MIB, limits=QUICK)
    connection, again = Interrupted(), Slow()
    link.up(connection, MIB)
    assert link.send(b"one")
    with pytest.raises(KeyboardInterrupt):
        link.flush()
    assert connection.broken
    link.down("connection_closed")
    assert connection.closed
    again.go_on.set()
    link.up(again, MIB)
    assert link.send(b"two")
    assert not link.flush()
    assert b"two" in again.said


def test_what_is_sent_together_is_no_larger_than_agreed_however_long_the_queue_has_been():
    """Planted: headers are counted out of the queue and not into it."""
    room = 1_000
    link = Link("b@x", frame_bytes_max=room, queue_bytes_max=MIB, limits=QUICK)
    sizes, drawn = [], random.Random(6)

    class Taking(Slow):
        def send(self, data):
            """Take a payload, while somebody queues about as much as goes."""
            sizes.append(LENGTH.unpack_from(data)[0])
            while len(sizes) < 300 and link._queued_bytes < 4 * room:
                link.send(bytes(drawn.randrange(100, 400)))
            return len(data)

    link.up(Taking(), room)
    link.send(b"first")
    assert not link.flush()
    assert len(sizes) >= 300
    assert max(sizes) <= room + TAG_BYTES
    assert link._queued_bytes == 0


def test_a_call_that_is_denied_when_a_node_is_forgotten_is_never_sent():
    """Planted: its frame is dropped, and a moment later its call failed; in between, another."""
    link = Link("b@x", frame_bytes_max=MIB, queue_bytes_max=MIB, limits=QUICK)

    class LetsInAfterwards:
        def __init__(self):
            self.lock, self.answers = threading.Lock(), []

        def __enter__(self):
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()
            if not self.answers:
                self.answers.append(Future())
                link.send(b"call", 1, self.answers[0])

    link.lock = lock = LetsInAfterwards()
    link.drop_queue()
    assert lock.answers[0].done() != bool(link._waiting)


def test_that_a_client_has_gone_is_no_warning_and_that_a_node_in_use_has_is_one(make_node, caplog):
    """Planted: warn of each."""
    caplog.set_level(logging.INFO, "raft_actors.node.links")
    host = make_node("host")
    Collector(host)
    for name, uses in (("client", False), ("member", True)):
        node = make_node(name)
        Collector(node)
        ask(node, host.name, "anything")
        assert node.ping(host.name) == "pong"
        if uses:
            ask(host, node.name, "anything")
        node.stop()
        eventually(lambda: host.list() == [])
    told = {
        record.getMessage().partition("@")[0]: record.levelname
        for record in caplog.records
        if "is gone (connection_closed)" in record.getMessage()
    }
    assert told == {"client": "INFO", "member": "WARNING"}
