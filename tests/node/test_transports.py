"""What nodes are promised of a transport, held against TCP and against the network in memory."""

import threading

import pytest

from raft_actors.config import Config
from raft_actors.errors import BadName, FrameTooLarge, NameTaken, NoConnection, NoNode, NoProcess
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.transport.limits import BridgeLimits
from tests.helpers import eventually
from tests.node_helpers import KIND, Collector, ask, send

MIB = 1024 * 1024
SMALL_FRAMES = Config(frame_bytes_max=1 * MIB, command_bytes_max=MIB // 2)


@pytest.fixture
def make_node(make_any_node):
    return make_any_node


@pytest.fixture
def pair(make_node):
    a, b = make_node("a"), make_node("b")
    return a, b, Collector(b)


def test_frames_arrive_in_the_order_in_which_they_were_sent(pair):
    a, b, seen = pair
    for number in range(5_000):
        a.cast(b.name, KIND, number)
        if number % 7 == 0:
            a.flush()
    a.flush()
    eventually(lambda: len(seen.bodies) == 5_000)
    assert seen.bodies == [(a.name, number) for number in range(5_000)]


def test_each_of_many_threads_keeps_its_order(pair):
    a, b, seen = pair

    def run(name):
        for number in range(1_000):
            send(a, b.name, [name, number])

    threads = [threading.Thread(target=run, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(seen.bodies) == 3_000)
    for name in "xyz":
        assert [n for _, (who, n) in seen.bodies if who == name] == list(range(1_000))


def test_frames_wait_for_the_first_dial(pair):
    a, b, seen = pair
    assert send(a, b.name, "early")
    eventually(lambda: seen.bodies == [(a.name, "early")])


def test_frames_that_come_together_are_handed_over_together(pair):
    """The performance of Raft hangs on it. Planted: call the handler for each frame."""
    a, b, seen = pair
    ask(a, b.name, "up")
    for number in range(1_000):
        a.cast(b.name, KIND, number)
    a.flush()
    eventually(lambda: sum(seen.batches) == 1_001)
    assert len(seen.batches) < 100


def test_an_answer_never_overtakes_a_frame_sent_before_it(make_node):
    """Planted: set the answer as soon as it is read."""
    a, b = make_node("a"), make_node("b")
    answers, overtaken = [], []
    a.on_frames(KIND, lambda _frames: overtaken.append(answers[-1].done()))

    def on_frames(frames):
        for frame in frames:
            b.cast(frame.node, KIND, frame.body)
            frame.reply(None)

    b.on_frames(KIND, on_frames)
    assert a.connect(b.name)
    for number in range(50):
        answers.append(a.call(b.name, KIND, number))
        a.flush()
        answers[-1].get(10)
    assert overtaken == [False] * 50


def test_a_call_is_answered_from_any_thread_and_later(make_node):
    a, b = make_node("a"), make_node("b")
    held = []
    b.on_frames(KIND, held.extend)
    answer = a.call(b.name, KIND, 1)
    a.flush()
    eventually(lambda: held)
    assert not answer.done()

    def reply():
        held[0].reply("late")
        b.flush()

    threading.Thread(target=reply).start()
    assert answer.get(10) == "late"


def test_a_call_that_nobody_handles_says_so(pair):
    a, b, _seen = pair
    with pytest.raises(NoProcess, match="frames of kind 77"):
        ask(a, b.name, None, kind=77)
    assert ask(a, b.name, "still up") == ["said", "still up"]


def test_a_handler_that_raises_harms_nobody(pair, caplog):
    a, b, seen = pair

    def raises(_frames):
        raise KeyError("handler")

    b.on_frames(20, raises)
    send(a, b.name, None, kind=20)
    eventually(lambda: "handler of frames of kind 20 raised" in caplog.text)
    assert ask(a, b.name, "still up") == ["said", "still up"]
    assert seen.bodies


def test_a_node_talks_to_itself_as_to_others(make_node):
    a = make_node("a")
    seen = Collector(a)
    body = (1, b"two")
    assert send(a, a.name, body)
    assert ask(a, a.name, "me") == ["said", "me"]
    assert seen.bodies == [(a.name, [1, b"two"]), (a.name, "me")]
    assert a.ping(a.name) == "pong"
    with pytest.raises(NoProcess):
        ask(a, a.name, None, kind=78)


def test_a_frame_at_the_limit_passes_and_one_over_it_is_refused_at_the_caller(make_node):
    a, b = make_node("a", config=SMALL_FRAMES), make_node("b", config=SMALL_FRAMES)
    seen = Collector(b)
    overhead = len(b"\x92\x10\xc6....")  # a list of two, the kind, the head of the bytes
    body = b"x" * (MIB - overhead)
    send(a, b.name, body)
    eventually(lambda: len(seen.bodies) == 1)
    assert seen.bodies == [(a.name, body)]
    with pytest.raises(FrameTooLarge, match=r"1048577 bytes .* at most 1048576"):
        a.cast(b.name, KIND, body + b"x")
    assert a.ping(b.name) == "pong"


def test_both_ends_use_the_smaller_limit(make_node):
    a, b = make_node("a"), make_node("b", config=SMALL_FRAMES)
    Collector(b)
    assert a.connect(b.name)
    with pytest.raises(FrameTooLarge):
        a.call(b.name, KIND, b"x" * (2 * MIB))


def test_a_frame_that_waited_and_turns_out_too_large_is_an_error_of_its_call(make_node):
    a, b = make_node("a"), make_node("b", config=SMALL_FRAMES)
    Collector(b)
    with pytest.raises(FrameTooLarge):
        ask(a, b.name, b"x" * (2 * MIB))
    assert ask(a, b.name, "fits") == ["said", "fits"]


def test_large_frames_and_small_ones_mix(make_node):
    a, b = (make_node(name, limits=BridgeLimits()) for name in "ab")  # the queue takes its time
    seen = Collector(b)
    bodies = [b"x" * (n * 300_000 if n % 3 == 0 else n) for n in range(30)]
    for body in bodies:
        a.cast(b.name, KIND, body)
    a.flush()
    eventually(lambda: len(seen.bodies) == 30)
    assert [body for _, body in seen.bodies] == bodies


def test_what_is_no_msgpack_is_refused_at_the_caller(pair):
    a, b, _seen = pair
    with pytest.raises(TypeError):
        a.cast(b.name, KIND, object())
    with pytest.raises(BadName):
        a.cast("b", KIND, 1)
    with pytest.raises(ValueError, match="bridge's own"):
        a.on_frames(3, print)


def test_disconnect_hangs_up_and_the_next_message_connects_again(make_node):
    a, b = make_node("a"), make_node("b")
    seen = Collector(b)
    assert a.connect(b.name)
    assert a.disconnect(b.name)
    assert a.list() == []
    eventually(lambda: b.list() == [])
    assert not a.disconnect(b.name)
    send(a, b.name, "again")
    eventually(lambda: seen.bodies == [(a.name, "again")])


@pytest.mark.parametrize("rounds", [60])
def test_when_both_dial_at_once_one_connection_remains_and_nothing_is_lost(make_node, rounds):
    """Planted: welcome whoever proves itself; both connections then fall, or frames get lost."""
    for number in range(rounds):
        a, b = make_node("a"), make_node("b")
        at_a, at_b = Collector(a), Collector(b)
        news = []
        a.monitor(news.append)
        b.monitor(news.append)
        barrier = threading.Barrier(2)

        def run(me, other, barrier=barrier, number=number):
            barrier.wait()
            for each in range(50):
                send(me, other.name, [number, each])

        threads = [threading.Thread(target=run, args=pair) for pair in ((a, b), (b, a))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = [[number, each] for each in range(50)]
        eventually(lambda: len(at_a.bodies) == len(at_b.bodies) == 50)
        assert [body for _, body in at_a.bodies] == [body for _, body in at_b.bodies] == expected
        assert sorted(news, key=repr) == [NodeUp(a.name), NodeUp(b.name)], "no flapping"
        assert a.ping(b.name) == b.ping(a.name) == "pong"
        a.stop()
        b.stop()


def test_when_all_of_five_dial_all_the_others_each_pair_has_one_connection(make_node):
    nodes = [make_node(name, limits=BridgeLimits()) for name in "abcde"]
    news = []
    for node in nodes:
        node.monitor(news.append)
    for node in nodes:
        for other in nodes:
            if other is not node:
                send(node, other.name, "x")
    eventually(lambda: all(len(node.list()) == 4 for node in nodes))
    for node in nodes:
        for other in nodes:
            assert node.ping(other.name) == "pong"
    assert len(news) == 20
    assert all(isinstance(each, NodeUp) for each in news)


def test_a_stopped_node_reaches_nobody_and_says_so(make_node):
    a, b = make_node("a"), make_node("b")
    Collector(b)
    assert a.connect(b.name)
    news = []
    a.monitor(news.append)
    a.stop()
    a.stop()
    assert news == [NodeDown(b.name, "shutdown")]
    assert not a.cast(b.name, KIND, 1)
    with pytest.raises(NoConnection):
        a.call(b.name, KIND, 1).get(1)
    with pytest.raises(NoNode):
        a.ping(b.name)
    assert not a.running
    eventually(lambda: b.list() == [])


def test_waiting_for_the_bridge_on_its_own_thread_is_an_error(pair):
    a, b, _seen = pair
    errors = []

    def on_frames(_frames):
        try:
            b.ping(a.name)
        except RuntimeError as error:
            errors.append(str(error))

    b.on_frames(30, on_frames)
    send(a, b.name, None, kind=30)
    eventually(lambda: errors)
    assert "bridge thread" in errors[0]


def test_a_node_that_is_not_there_is_pang_and_a_call_to_it_fails_unsent(make_node):
    a = make_node("a@one")
    assert a.ping("b@one") == "pang"
    assert a.connect("b@one") is False
    with pytest.raises(NoConnection) as failed:
        ask(a, "b@one", 1)
    assert not failed.value.was_sent
    assert a.list() == []


def test_who_wants_to_stay_connected_is_as_soon_as_the_other_is_there(make_node):
    a = make_node("a@one")
    assert a.connect("b@one") is False
    b = make_node("b@one")
    eventually(lambda: a.list() == ["b@one"])
    b.stop()
    eventually(lambda: a.list() == [])
    make_node("b@one")
    eventually(lambda: a.list() == ["b@one"])


def test_an_open_call_fails_when_its_node_stops(make_node):
    a, b = make_node("a"), make_node("b")
    held, news = [], []
    b.on_frames(KIND, held.extend)
    a.monitor(news.append)
    answer = a.call(b.name, KIND, 1)
    a.flush()
    eventually(lambda: held)
    b.stop()
    with pytest.raises(NoConnection) as failed:
        answer.get(10)
    assert failed.value.was_sent
    eventually(lambda: news == [NodeUp(b.name), NodeDown(b.name, "connection_closed")])


def test_two_nodes_of_one_name_can_not_be_there(make_node):
    a = make_node("a")
    with pytest.raises(NameTaken):
        make_node("a")
    a.stop()
    assert make_node("a").running
