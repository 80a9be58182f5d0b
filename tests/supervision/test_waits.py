"""Processes that wait for each other: one that could go on without its answer is told so."""

import threading

import pytest

from supervision import (
    CallingSelf,
    ChildSpec,
    DynamicSupervisor,
    Process,
    Supervisor,
    exit_reason,
    names,
    stop,
)
from supervision.lifeline import Lifeline
from supervision.waits import Wait
from tests.helpers import eventually

from .helpers import Gate, Worker

LONG_S = 60.0  # a shutdown time that no test has
SOON_S = 20.0


class Careful(Process):
    """Does the work that it is told, and notes what came of it."""

    def init(self, log):
        self.log = log

    def on_receive(self, work):
        try:
            self.log.append(work())
        except CallingSelf as error:
            self.log.append(error)

    def terminate(self, reason):
        self.log.append(reason)


class Helper(Process):
    def on_receive(self, work):
        return work()


CALLS = {
    "a call": lambda: Supervisor.count_children("top"),
    "a call by proxy": lambda: names.whereis("top").proxy().count_children().get(),
    "a call with a timeout": lambda: names.whereis("top").ask("a question", timeout=LONG_S),
    "a call through another": lambda: names.whereis("helper").ask(CALLS["a call"]),
    "stop": lambda: stop("top"),
    "pykka's stop": lambda: names.whereis("top").stop(),
}


@pytest.fixture
def log():
    return []


@pytest.fixture(params=["supervisor", "dynamic"])
def top(request, log):
    """A supervisor with one child that is given a long time to end, and a process beside them."""
    helper = Helper.start_link(name="helper")[1]
    spec = ChildSpec("child", lambda: Careful.start_link(log, name="child"), shutdown=LONG_S)
    kind = Supervisor if request.param == "supervisor" else DynamicSupervisor
    _, ref = kind.start_link(name="top")
    kind.start_child(ref, spec)
    yield ref
    for each in (ref, helper):
        if each.is_alive():
            stop(each)


def end_child(top):
    if top.actor_class is DynamicSupervisor:
        return DynamicSupervisor.terminate_child(top, "child")
    return Supervisor.terminate_child(top, "child")


def aside(function, *arguments):
    """Call it on another thread; gives its answer when called."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*arguments)), daemon=True)
    thread.start()

    def answer():
        thread.join(SOON_S)
        assert answers, "it waits and waits"
        return answers[0]

    return answer


@pytest.mark.parametrize("call", CALLS)
def test_a_child_may_ask_who_waits_for_its_end(call, top, log):
    """Planted: they wait for each other until the child is killed, without its `terminate`."""
    gate, child = Gate(), names.whereis("child")
    child.tell(lambda: (gate.hold(), CALLS[call]()))
    assert gate.reached.wait(10)
    ended = aside(end_child, top)
    eventually(lambda: top.wait is not None)
    gate.opened.set()
    assert ended() == "ok"
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]


@pytest.mark.parametrize("call", CALLS)
def test_a_child_may_have_asked_who_then_waits_for_its_end(call, top, log):
    """The question waits behind the order to end the child."""
    gate, child = Gate(), names.whereis("child")
    kind = top.actor_class
    busy = aside(kind.start_child, top, ChildSpec("busy", lambda: gate.hold() and Worker.start()))
    assert gate.reached.wait(10)
    waiting = top.actor_inbox.waiting()
    ended = aside(end_child, top)
    eventually(lambda: top.actor_inbox.waiting() > waiting)
    child.tell(CALLS[call])
    eventually(lambda: child.wait is not None)
    if "another" in call:
        eventually(lambda: names.whereis("helper").wait is not None)
    gate.opened.set()
    assert busy()[0] == "ok"
    assert ended() == "ok"
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]


def test_a_child_may_stop_the_tree_above_it(top, log):
    """The tree ends at once; only the answer of `stop` does not come."""
    names.whereis("child").tell(CALLS["stop"])
    eventually(lambda: exit_reason(top) == "normal", SOON_S)
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]


def test_all_of_a_group_may_ask_who_waits_for_their_end():
    log = []
    _, top = DynamicSupervisor.start_link(name="top")
    spec = ChildSpec("each", lambda: Careful.start_link(log), shutdown=LONG_S)
    gates = [Gate() for _ in range(3)]
    for gate in gates:
        _, child = DynamicSupervisor.start_child(top, spec)
        child.tell(lambda gate=gate: (gate.hold(), stop("top")))
        assert gate.reached.wait(10)
    ended = aside(stop, top)
    eventually(lambda: top.wait is not None)
    for gate in gates:
        gate.opened.set()
    assert ended() == "ok"
    assert log.count("shutdown") == 3


def test_a_child_may_ask_above_those_who_end_it(log):
    """The one at the top waits for the one in the middle, and that one for the child."""
    gate = Gate()
    child = ChildSpec("child", lambda: Careful.start_link(log, name="child"), shutdown=LONG_S)
    middle = ChildSpec("middle", lambda: Supervisor.start_link([child]), type="supervisor")
    _, top = Supervisor.start_link([middle], name="top")
    names.whereis("child").tell(lambda: (gate.hold(), Supervisor.count_children("top")))
    assert gate.reached.wait(10)
    ended = aside(Supervisor.terminate_child, top, "middle")
    eventually(lambda: top.wait is not None)
    gate.opened.set()
    assert ended() == "ok"
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]
    stop(top)


def test_siblings_that_a_strategy_ends_may_ask_their_supervisor(log):
    gate = Gate()
    specs = [
        ChildSpec("first", lambda: Worker.start_link(name="first")),
        ChildSpec("child", lambda: Careful.start_link(log, name="child"), shutdown=LONG_S),
    ]
    _, top = Supervisor.start_link(specs, strategy="one_for_all", name="top")
    child = names.whereis("child")
    child.tell(lambda: (gate.hold(), Supervisor.count_children("top")))
    assert gate.reached.wait(10)
    names.whereis("first").tell(ValueError("boom"))
    eventually(lambda: top.wait is not None)
    gate.opened.set()
    eventually(lambda: names.whereis("child") not in (None, child), SOON_S)
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]
    stop(top)


def test_of_two_that_stop_each_other_one_is_told_that_it_cant():
    logs = {name: [] for name in "ab"}
    for name, log in logs.items():
        Careful.start_link(log, name=name)
    both = threading.Barrier(2)
    for name, other in ("ab", "ba"):
        names.whereis(name).tell(lambda other=other: (both.wait(10), stop(other)))
    eventually(lambda: all(logs.values()), SOON_S)
    assert any(isinstance(log[0], CallingSelf) for log in logs.values())
    assert any("normal" in log for log in logs.values())


def test_supervisors_that_start_each_other_come_to_an_end():
    """Each has the other as its child. Planted: the end of each waits for the other for ever."""
    _, first = Supervisor.start_link(name="first")
    _, second = Supervisor.start_link(name="second")
    for one, other in ((first, second), (second, first)):
        spec = ChildSpec("other", lambda other=other: other, type="supervisor")
        assert Supervisor.start_child(one, spec)[0] == "ok"
    first.tell(ValueError)  # not understood, and no harm
    aside(lambda: first.stop(timeout=SOON_S))()
    for ref in (first, second):
        eventually(lambda ref=ref: exit_reason(ref) is not None, SOON_S)


def test_a_supervisor_is_no_child_of_its_own():
    _, top = Supervisor.start_link()
    spec = ChildSpec("me", lambda: top, type="supervisor")
    assert Supervisor.start_child(top, spec)[0] == "error"
    assert aside(stop, top)() == "ok"


def test_those_that_only_ask_each_other_are_left_to_their_timeouts():
    class Asking(Process):
        def on_receive(self, other):
            return other.ask(None, timeout=0.2) if other else "answer"

    one, other = Asking.start(), Asking.start()
    assert one.ask(other) == "answer"
    stop(one)
    stop(other)


class Stopped:
    """One whose thread waits, as far as another wait can see."""

    _lifeline = Lifeline()
    started = True
    wait = None


def test_a_wait_looks_at_each_other_wait_and_not_at_each_way_to_it():
    """Planted: every way is walked. Here there are 10 ** 30, and none of them leads back."""
    layers = [[Stopped() for _ in range(10)] for _ in range(30)]
    for layer, next_layer in zip(layers, [*layers[1:], []], strict=True):
        for each in layer:
            each.wait = Wait(tuple(next_layer), "ended")

    def enter():
        process = Worker.start()
        me = Wait(tuple(layers[0]), "ended")
        me.me = process
        with me:
            pass
        stop(process)
        return "entered"

    assert aside(enter)() == "entered"


def test_those_who_are_asked_on_the_way_are_not_broken_off(log):
    """The one who closes the circle is not the one who is to end. Planted: it crashes by it."""
    gate = Gate()
    one, two = Helper.start(), Helper.start()
    child = ChildSpec("child", lambda: Careful.start_link(log, name="child"), shutdown=LONG_S)
    _, top = Supervisor.start_link([child], name="top")
    names.whereis("child").tell(
        lambda: (gate.hold(), one.ask(lambda: two.ask(lambda: Supervisor.count_children("top"))))
    )
    assert gate.reached.wait(10)
    ended = aside(Supervisor.terminate_child, top, "child")
    eventually(lambda: top.wait is not None)
    gate.opened.set()
    assert ended() == "ok"
    assert isinstance(log[0], CallingSelf)
    assert log[1:] == ["shutdown"]
    for helper in (one, two):
        assert helper.ask(lambda: "alive", timeout=SOON_S) == "alive"
        stop(helper)
    stop(top)
