"""Actors of another node: told, asked, stopped and watched as if they were here."""

import asyncio
import os
import signal
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

import pykka
import pytest

import supervision
from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.errors import FrameTooLarge, NoConnection, NoProcess
from raft_actors.node import watches
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.node.remote_ref import AskTimeout, RemoteError, RemoteRef
from raft_actors.wire.frame_codec import ACTOR, REPLY
from tests.helpers import eventually
from tests.node_helpers import Insider
from tests.signals import handled_at_each_line

HOST_SCRIPT = """
    import sys
    import supervision
    from raft_actors.node.node import Node
    class Echo(supervision.Process):
        def on_receive(self, message):
            if message == "crash":
                raise ValueError("as told")
            return ("echo", message)
    answer, ref = Echo.start_link(name="echo")
    print(Node.start(sys.argv[1]))
    for line in sys.stdin:
        print(eval(line))
"""


class Track:
    """Something that an actor has, for proxies to go into."""

    pykka_traversable = True
    title = "so what"

    def play(self):
        return "playing"


class Inner:
    """Something that an actor has for itself."""

    def __init__(self):
        self.parts = []


class Keeper(supervision.Process):
    """Does a bit of everything."""

    inner = Inner()

    @property
    def odd(self):
        raise AssertionError("a look at it from elsewhere must not run it")

    reply_errors = (KeyError, ValueError)
    size = 3
    _secret = "hidden"
    track = Track()

    def init(self, told=None, gate=None):
        self.told = told if told is not None else []
        self.gate = gate

    def on_receive(self, message):
        match message:
            case ("raise", text):
                raise KeyError(text)
            case "crash":
                raise RuntimeError("it broke")
            case "wait":
                self.gate.wait(10)
                return "waited"
            case "socket":
                return threading.Lock()
            case ("big", size):
                return b"x" * size
            case "exit":
                self.exit(("shutdown", "asked to"))
                return "exiting"
        self.told.append(message)
        return ("heard", message)

    def add(self, one, *, two=1):
        return one + two

    def get(self, key):
        return {"key": "value"}[key]


class Plain(pykka.ThreadingActor):
    """An actor that knows nothing of supervision."""

    use_daemon_thread = True
    size = 5

    def on_receive(self, message):
        if message == "raise":
            raise ValueError("plain")
        return message


class Watchable:
    """Lets a plain actor be registered: what `supervision` needs of a ref is `watch`."""

    def __init__(self, ref):
        self.ref = ref

    def __getattr__(self, name):
        return getattr(self.ref, name)

    def watch(self, _callback):
        return lambda: None


@pytest.fixture
def pair(make_node):
    return make_node("a"), make_node("b")


@pytest.fixture
def keep(pair):
    """Start a Keeper named keeper on b; returns its ref and that of a on it."""
    a, b = pair
    refs = []

    def start(*args):
        ref = Keeper.start(*args)
        refs.append(ref)
        assert b.register("keeper", ref) == ("ok", ref)
        remote = a.whereis(("keeper", b.name))
        return ref, remote

    yield start
    for ref in refs:
        supervision.kill(ref)


def test_an_address_here_is_the_actor_itself_and_elsewhere_a_remote_ref(pair, keep):
    a, b = pair
    ref, remote = keep()
    assert b.whereis(("keeper", b.name)) is ref
    assert b.whereis("keeper") is ref
    assert b.whereis("nobody") is None
    assert isinstance(remote, RemoteRef)
    assert remote.address == ("keeper", b.name)
    assert str(remote) == f"'keeper' on {b.name}"
    assert remote == a.whereis(("keeper", b.name))
    assert len({remote, a.whereis(("keeper", b.name))}) == 1


@pytest.mark.parametrize(
    "message",
    [
        None,
        ("tuple", ["list", (1, 2.5)], {"a": {3, 4}, ("k",): b"bytes"}),
        2**100,
        datetime(2024, 2, 29, tzinfo=UTC),
        "",
    ],
)
def test_messages_and_answers_are_faithful(keep, message):
    _ref, remote = keep()
    heard, answer = remote.ask(message)
    assert heard == "heard"
    assert answer == message
    assert type(answer) is type(message)


def test_what_is_told_arrives_in_order(keep):
    told = []
    _ref, remote = keep(told)
    for number in range(500):
        remote.tell(number)
    remote.ask("last")
    assert told == [*range(500), "last"]


def test_an_exception_there_comes_back_as_a_remote_error(keep):
    _ref, remote = keep()
    with pytest.raises(RemoteError, match="KeyError: 'no such'") as error:
        remote.ask(("raise", "no such"))
    assert (error.value.type_name, error.value.text) == ("KeyError", "'no such'")
    assert remote.is_alive()


def test_what_can_not_travel_is_refused_at_the_caller(keep):
    told = []
    _ref, remote = keep(told)
    with pytest.raises(TypeError, match=r'message\[1\]\["key"\]|message\[1\]\[\'key\'\]'):
        remote.tell(("x", {"key": object()}))
    with pytest.raises(TypeError):
        remote.ask(object())
    with pytest.raises(TypeError):
        remote.proxy().add(object())
    assert told == []


def test_an_answer_that_can_not_travel_is_an_error_of_its_ask_only(pair, keep):
    _ref, remote = keep()
    with pytest.raises(RemoteError, match="TypeError: answer: "):
        remote.ask("socket")
    assert remote.ask("still there") == ("heard", "still there")


def test_messages_and_answers_over_the_frame_limit_are_refused(make_node):
    small = Config(frame_bytes_max=200_000, command_bytes_max=100_000)
    a, b = make_node("c", config=small), make_node("d", config=small)
    ref = Keeper.start()
    b.register("keeper", ref)
    remote = a.whereis(("keeper", b.name))
    with pytest.raises(FrameTooLarge):
        remote.ask(b"x" * 200_000)
    with pytest.raises(RemoteError, match="FrameTooLarge"):
        remote.ask(("big", 200_000))
    assert len(remote.ask(("big", 190_000))) == 190_000
    ref.stop()


def test_no_actor_of_that_name(pair):
    a, b = pair
    nobody = a.whereis(("nobody", b.name))
    with pytest.raises(NoProcess, match="'nobody' on b@"):
        nobody.ask(1)
    nobody.tell("into the void")
    assert not nobody.is_alive()
    assert nobody.stop() is False


def test_a_future_is_answered_later(keep):
    gate = threading.Event()
    _ref, remote = keep(None, gate)
    future = remote.ask("wait", block=False)
    with pytest.raises(AskTimeout, match="no answer from 'keeper'"):
        future.get(timeout=0.01)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.01)
    done = threading.Event()
    future.add_done_callback(lambda _future: done.set())
    assert not future.done()
    gate.set()
    assert future.get(timeout=10) == "waited"
    assert done.wait(10)


def test_a_future_is_awaited_without_holding_up_the_loop(keep):
    gate = threading.Event()
    _ref, remote = keep(None, gate)

    async def wait():
        async def open_gate():
            gate.set()

        waiting = asyncio.ensure_future(open_gate())
        answer = await remote.ask("wait", block=False)
        await waiting
        with pytest.raises(RemoteError, match="KeyError"):
            await remote.ask(("raise", "x"), block=False)
        return answer

    assert asyncio.run(wait()) == "waited"


def test_a_callback_that_raises_harms_no_other_answer(keep, caplog):
    _ref, remote = keep()

    def raises(_future):
        raise KeyError("callback")

    futures = [remote.ask(number, block=False) for number in range(20)]
    for future in futures[::2]:
        future.add_done_callback(raises) if not future.done() else None
    assert [future.get(timeout=10)[1] for future in futures] == list(range(20))
    assert "defect" not in caplog.text


def test_a_busy_actor_does_not_hold_up_the_others(pair, keep):
    """The asked actor never blocks the bridge. Planted: ask with block=True on its thread."""
    a, b = pair
    gate = threading.Event()
    _ref, remote = keep(None, gate)
    slow = remote.ask("wait", block=False)
    other = Keeper.start()
    b.register("other", other)
    assert a.whereis(("other", b.name)).ask("quick", timeout=10) == ("heard", "quick")
    gate.set()
    assert slow.get(timeout=10) == "waited"
    other.stop()


def test_a_proxy_reads_writes_and_calls(keep):
    ref, remote = keep()
    proxy = remote.proxy()
    assert proxy.size.get() == 3
    proxy.size = 4
    assert ref.proxy().size.get() == 4
    assert proxy.add(1).get(timeout=10) == 2
    assert proxy.add(1, two=5).get() == 6
    assert proxy.get("key").get() == "value"
    assert proxy.track.play().get() == "playing"
    assert proxy.track.title.get() == "so what"
    proxy.track.title = "kind of blue"
    assert proxy.track.title.get() == "kind of blue"
    for typo in (proxy.nothing, proxy.nothing.more, proxy.track.pause):
        with pytest.raises(RemoteError, match="AttributeError"):
            typo.get()
        with pytest.raises(RemoteError, match="AttributeError"):
            typo(1).get()
        typo.defer(1)
    assert remote.is_alive(), "a typo over here ends nobody over there"
    with pytest.raises(RemoteError, match="KeyError"):
        proxy.get("else").get()
    assert "add of" not in repr(proxy.add)
    assert "'keeper' on" in repr(proxy.add)


def test_defer_does_not_wait(keep):
    told = []
    _ref, remote = keep(told)
    remote.proxy().on_receive.defer("deferred")
    remote.ask("last")
    assert told == ["deferred", "last"]


def test_what_is_private_to_an_actor_stays_so(pair, keep):
    _a, _b = pair
    _ref, remote = keep()
    with pytest.raises(AttributeError, match="private"):
        remote.proxy()._secret
    with pytest.raises(AttributeError, match="private"):
        remote.proxy()._secret = 1
    from raft_actors.node.remote_ref import encode

    for path in (("_secret",), ("track", "__class__"), ("__init__", "__globals__")):
        with pytest.raises(RemoteError, match=r"AttributeError: .* is private"):
            remote._call("proxy", encode(("get", path))).get(timeout=10)


@pytest.mark.parametrize(
    "path", [("inner", "parts"), ("inner", "parts", "append"), ("told", "append"), ("odd", "reach")]
)
@pytest.mark.parametrize("what", ["get", "call", "set"])
def test_a_proxy_goes_into_what_is_marked_traversable_only(keep, path, what):
    """Else whoever holds the cookie reaches a path of a store, and writes any file by it."""
    ref, remote = keep()
    more = {"get": (), "call": ((), {}), "set": (1,)}[what]
    order = encoding.dumps((what, path, *more))
    with pytest.raises(RemoteError, match=r"AttributeError: .* traversable"):
        remote._call("proxy", order).get(timeout=10)
    remote._node.cast(remote.address[1], ACTOR, ["defer", "keeper", order])
    assert remote.ask("last", timeout=10) == ("heard", "last")
    assert ref.is_alive()


@pytest.mark.parametrize("name", ["on_receive", "actor_inbox", "actor_ref", "terminate"])
def test_what_an_actor_is_run_by_is_not_replaced_from_elsewhere(keep, name):
    _ref, remote = keep()
    with pytest.raises(RemoteError, match="it runs the actor"):
        setattr(remote.proxy(), name, 1)
    assert remote.ask("there", timeout=10) == ("heard", "there")


def test_a_call_of_what_is_no_method_ends_nobody(keep):
    _ref, remote = keep()
    for one in (remote.proxy().size, remote.proxy().actor_stopped):
        with pytest.raises(RemoteError, match="can't be called"):
            one(1).get(timeout=10)
    assert remote.is_alive()


def test_a_supervisor_answers_no_proxy_of_another_node(pair):
    a, b = pair
    _ok, ref = supervision.Supervisor.start_link([])
    b.register("top", ref)
    proxy = a.whereis(("top", b.name)).proxy()
    for one in (proxy.which_children, proxy.stop, proxy.init):
        with pytest.raises(RemoteError, match="supervisor"):
            one().get(timeout=10)
        one.defer()
    assert a.whereis(("top", b.name)).is_alive()
    supervision.stop(ref)


def test_an_order_that_wants_no_answer_where_one_is_given_ends_nobody(keep):
    """Planted before: the answer had nobody to go to, and the actor ended by that."""
    ref, remote = keep()
    node = remote.address[1]
    for verb, *rest in (("ask", encoding.dumps(1)), ("stop",), ("alive",), ("watch", 1), ("none",)):
        remote._node.cast(node, ACTOR, [verb, "keeper", *rest])
    remote._node.cast(node, ACTOR, ["proxy", "keeper", encoding.dumps(("get", ("size",)))])
    assert remote.ask("last", timeout=10) == ("heard", "last")
    assert ref.is_alive()


class Wordless(ValueError):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no file \udcff.txt"), Wordless(),
        ValueError("x" * 1_000_000),
    ],
    ids=["lone surrogate", "no text", "long"],
)  # fmt: skip
def test_an_error_is_told_whatever_its_text_is(pair, error):
    class Raises(supervision.Process):
        reply_errors = (ValueError,)

        def on_receive(self, _message):
            raise error

    a, b = pair
    ref = Raises.start()
    b.register("raises", ref)
    remote = a.whereis(("raises", b.name))
    for _ in range(2):
        with pytest.raises(RemoteError) as told:
            remote.ask("anything", timeout=10)
        assert len(str(told.value)) < 20_000
    ref.stop()


def test_an_answer_that_is_too_deep_is_an_error_of_the_asker(keep):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    ref, remote = keep()
    ref.proxy().told = deep
    with pytest.raises(RemoteError, match=r"deep|recursion"):
        remote.proxy().told.get(timeout=10)
    assert remote.is_alive()


def test_names_for_use_in_the_program_are_not_reached_from_other_nodes(pair):
    a, b = pair
    ref = Keeper.start()
    b.registry.register("local", ref)
    assert b.whereis("local") is ref
    remote = a.whereis(("local", b.name))
    with pytest.raises(NoProcess):
        remote.ask("anything", timeout=10)
    assert not remote.is_alive()
    assert b.register("offered", ref) == ("ok", ref)
    assert a.whereis(("offered", b.name)).ask("x", timeout=10) == ("heard", "x")
    ref.stop()
    other = Keeper.start()
    eventually(lambda: b.whereis("offered") is None)
    b.registry.register("offered", other)
    with pytest.raises(NoProcess):
        a.whereis(("offered", b.name)).ask("anything", timeout=10)
    other.stop()


def test_a_process_is_reached_by_the_name_that_it_was_started_with(pair):
    a, b = pair
    _ok, ref = Keeper.start_link(name="started", registry=b.registry)
    assert a.whereis(("started", b.name)).ask("x", timeout=10) == ("heard", "x")
    ref.stop()


def test_plain_pykka_actors_are_adopted_first(pair):
    a, b = pair
    with pytest.raises(TypeError, match=r"supervision\.as_process"):
        b.register("plain", Plain.start())
    pykka.ActorRegistry.stop_all()
    ref = supervision.as_process(Plain).start()
    b.register("plain", ref.proxy())
    remote = a.whereis(("plain", b.name))
    with pytest.raises(RemoteError, match="ValueError: plain"):
        remote.ask("raise")
    assert remote.ask("still there") == "still there"
    ref.stop()


def test_plain_pykka_actors_are_reached_too(pair):
    a, b = pair
    ref = Plain.start()
    b.register("plain", Watchable(ref))
    remote = a.whereis(("plain", b.name))
    assert remote.ask([1, (2,)]) == [1, (2,)]
    assert remote.proxy().size.get() == 5
    with pytest.raises(RemoteError, match="ValueError: plain"):
        remote.ask("raise")
    assert remote.stop()
    eventually(lambda: not ref.is_alive())
    assert remote.stop() is False


def test_stop_waits_for_the_end_as_pykkas_does(keep):
    ref, remote = keep()
    assert remote.stop(timeout=10) is True
    assert supervision.exit_reason(ref) == "normal"
    assert remote.stop(block=False).get(timeout=10) is False


def ends_of(remote):
    ends = []
    return ends, remote.watch(ends.append)


def test_a_watch_tells_the_reason_once(keep):
    _ref, remote = keep()
    ends, _cancel = ends_of(remote)
    more, _cancel_more = ends_of(remote)
    remote.tell("exit")
    eventually(lambda: ends and more)
    assert ends == more == [("shutdown", "asked to")]


def test_a_crash_over_there_is_a_reason_too(keep):
    _ref, remote = keep()
    ends, _cancel = ends_of(remote)
    remote.tell("crash")
    eventually(lambda: ends)
    assert ends[0][:2] == ("exception", "RuntimeError") or "RuntimeError" in repr(ends[0])


def test_a_watch_on_nobody_says_noproc(pair):
    a, b = pair
    ends, _cancel = ends_of(a.whereis(("nobody", b.name)))
    eventually(lambda: ends == ["noproc"])


def test_a_watch_on_an_unreachable_node_says_noconnection(pair):
    a, _b = pair
    ends, _cancel = ends_of(a.whereis(("x", f"z@{a.name.partition('@')[2]}")))
    eventually(lambda: ends == ["noconnection"])


def test_a_watch_that_has_told_is_ended_without_a_word_to_the_other_node(make_node):
    """Planted: that one is told, and dialed for it: a node that is gone, by each who watched."""
    a = make_node("a")
    ends, cancel = ends_of(a.whereis(("x", "gone@one")))
    eventually(lambda: ends == ["noconnection"])
    cancel()
    assert not a._bridge._links["gone@one"]._waiting


def test_a_reason_that_is_not_known_here_is_told_as_such(make_node):
    """That of a later version, say. Planted: nobody hears that the actor has ended."""
    a = make_node("a", cookie="c" * 20)
    with socket.create_connection(("127.0.0.1", a.port), timeout=10) as sock:
        insider = Insider(sock, "later@one", "c" * 20)
        insider.enter(a)
        ends, _cancel = ends_of(a.whereis(("x", "later@one")))
        _kind, body, call = insider.next_frame()
        assert body[0] == "watch"
        insider.send_frame([REPLY, ["ok", b"\xff?"], call])
        eventually(lambda: ends)
    assert ends[0][:2] == ("exception", "ValueError")


def watches_at(node):
    return len(node._actors._watches)


def test_a_cancelled_watch_is_silent_and_forgotten_over_there(pair, keep):
    """Planted: don't send "unwatch"."""
    _a, b = pair
    _ref, remote = keep()
    ends, cancel = ends_of(remote)
    others, _other_cancel = ends_of(remote)
    eventually(lambda: watches_at(b) == 2)
    cancel()
    cancel()
    eventually(lambda: watches_at(b) == 1)
    remote.stop()
    eventually(lambda: others == ["normal"])
    assert ends == []
    assert watches_at(b) == 0


def test_watches_of_one_node_are_bounded_and_each_has_a_number_of_its_own(pair, keep, monkeypatch):
    """A reader's cookie was good for as many as the memory holds. Planted: forget the first of two
    with one number, so that it is never ended.
    """
    a, b = pair
    monkeypatch.setattr(watches, "WATCHES_MAX", 2)
    ref, remote = keep()
    name = remote.address[0]
    calls = [a.call(b.name, ACTOR, ["watch", name, number]) for number in (1, 1, "x", 2, 3)]
    a.flush()
    refused = [calls[1].get(10), calls[2].get(10), calls[4].get(10)]
    assert [body[:2] for body in refused] == [
        ["raised", "ValueError"], ["raised", "ValueError"], ["raised", "OverflowError"],
    ]  # fmt: skip
    assert watches_at(b) == 2
    ref.stop()
    assert calls[0].get(10)[0] == calls[3].get(10)[0] == "ok"
    assert watches_at(b) == 0


def test_what_a_lost_node_has_watched_is_forgotten(pair, keep):
    a, b = pair
    _ref, remote = keep()
    ends, _cancel = ends_of(remote)
    eventually(lambda: watches_at(b))
    a.stop()
    eventually(lambda: not watches_at(b))
    assert ends == ["noconnection"]


class Watcher(supervision.Process):
    def init(self, heard):
        self.heard = heard

    def on_receive(self, message):
        self.heard.append(message)


def test_supervision_monitors_remote_actors(pair, keep):
    _ref, remote = keep()
    heard = []
    watcher = Watcher.start(heard)
    monitor = supervision.monitor(remote, watcher)
    remote.stop()
    eventually(lambda: heard == [supervision.Down(monitor.ref, remote.address, "normal")])
    watcher.stop()


def test_a_killed_process_takes_its_actors_with_it(make_node, make_script):
    a = make_node("a")
    script = make_script(HOST_SCRIPT, "b")
    b = script.line()
    remote = a.whereis(("echo", b))
    assert remote.ask(("x", [1])) == ("echo", ("x", [1]))
    heard, nodes = [], []
    watcher = Watcher.start(heard)
    node_watcher = Watcher.start(nodes)
    a.monitor(node_watcher)
    monitor = supervision.monitor(remote, watcher)
    assert a.ping(b) == "pong"
    pending = remote.ask("x", block=False)
    pending.get(timeout=10)
    script.signal(signal.SIGKILL)
    eventually(lambda: heard == [supervision.Down(monitor.ref, ("echo", b), "noconnection")])
    eventually(lambda: nodes == [NodeDown(b, "connection_closed")])
    with pytest.raises(NoConnection):
        remote.ask("x")
    assert not remote.is_alive()
    make_script(HOST_SCRIPT, "b").line()
    eventually(remote.is_alive)
    eventually(lambda: nodes[-1] == NodeUp(b))
    watcher.stop()
    node_watcher.stop()


def test_an_asked_process_that_crashes_says_why_to_the_asker(make_node, make_script):
    a = make_node("a")
    script = make_script(HOST_SCRIPT, "b")
    remote = a.whereis(("echo", script.line()))
    with pytest.raises(RemoteError, match="ValueError: as told"):
        remote.ask("crash")
    eventually(lambda: not remote.is_alive())


def test_actors_of_two_processes_ask_each_other_both_ways(make_node, make_script):
    a = make_node("a")
    ref = Keeper.start()
    a.register("keeper", ref)
    script = make_script(HOST_SCRIPT, "b")
    script.line()
    asked = script.say(f"Node.whereis(('keeper', {a.name!r})).ask({os.getpid()})")
    assert asked == str(("heard", os.getpid()))
    ref.stop()


def test_a_dead_watcher_of_nodes_is_dropped(make_node):
    a, b = make_node("a"), make_node("b")
    watcher = Watcher.start([])
    a.monitor(watcher)
    watcher.stop()
    assert a.connect(b.name)
    assert not a._watchers


def test_a_watcher_of_nodes_that_raises_harms_nobody(make_node, caplog):
    a, b = make_node("a"), make_node("b")
    news = []

    def raises(_news):
        raise KeyError("watcher")

    a.monitor(raises)
    cancel = a.monitor(news.append)
    assert a.connect(b.name)
    assert news == [NodeUp(b.name)]
    cancel()
    a.disconnect(b.name)
    assert news == [NodeUp(b.name)]
    assert "a watcher of nodes raised" in caplog.text
    with pytest.raises(TypeError, match="a watcher is"):
        a.monitor("me")


def test_a_signal_handler_may_send_while_it_interrupts_a_send(pair, keep):
    """Planted: a lock of the link, or of the table of links, that no second call passes; a frame
    that gets ahead of one whose checksum was made before, which breaks the connection.
    """
    a, b = pair
    ref, remote = keep()
    assert a.ping(b.name) == "pong"
    news = []
    a.monitor(news.append)
    numbers = count(1)

    def work():
        with suppress(AskTimeout):  # if it interrupts the sending, its frame is sent afterwards
            remote.ask("again", timeout=0.05)
        a.whereis(("anybody", f"n{next(numbers)}@elsewhere")).tell("hello")

    times = handled_at_each_line(work, "raft_actors")
    assert times > 100
    assert remote.ask("last") == ("heard", "last")
    assert ref.proxy().told.get(timeout=10) == ["again"] * times + ["last"]
    assert [each for each in news if each.node == b.name] == []
