"""Exit signals, links, and monitors that are flushed."""

import pytest

import supervision
from supervision import (
    Down,
    ExitSignal,
    OptionError,
    Process,
    Stop,
    demonitor,
    exit_reason,
    kill,
    link,
    monitor,
    stop,
    trap_exit,
    unlink,
)
from tests.helpers import eventually

from .helpers import Collector, Gate, Worker, boom, seen
from .otp import otp


class Linked(Process):
    def on_receive(self, message):
        return message(self)


class Trapping(Collector, trap_exit=True):
    def run(self, function, *args):
        return function(*args)

    def starts(self, kind):
        return kind.start_link()[1]


@otp("process_test.exs", "exit(pid, :normal) does not cause the target process to exit",
     "exit(self(), :normal) causes the calling process to exit")  # fmt: skip
def test_a_normal_exit_signal_ends_only_who_sends_it():
    ref = Linked.start()
    supervision.exit(ref, "normal")
    assert ref.ask(lambda _: "alive") == "alive"
    ref.ask(lambda me: supervision.exit(me.actor_ref, "normal"))
    eventually(lambda: exit_reason(ref) == "normal")


def test_an_exit_signal_ends_a_process_in_its_turn_and_kill_at_once():
    gate, ref = Gate(), Worker.start()
    ref.tell(gate.hold)
    supervision.exit(ref, "enough")
    assert exit_reason(ref) is None
    gate.opened.set()
    eventually(lambda: exit_reason(ref) == "enough")
    gate, ref = Gate(), Worker.start()
    ref.tell(gate.hold)
    supervision.exit(ref, "kill")
    assert exit_reason(ref) == "killed"
    gate.opened.set()
    supervision.exit(ref, "too late")
    supervision.exit("nobody", "normal")


def test_who_traps_exits_receives_them():
    ref = Trapping.start()
    supervision.exit(ref, "normal")
    supervision.exit(ref, "enough")
    assert seen(ref) == [ExitSignal(None, "normal"), ExitSignal(None, "enough")]
    child = ref.proxy().starts(Worker).get()
    stop(child, "gone")
    eventually(lambda: len(seen(ref)) == 3)
    assert seen(ref)[2] == ExitSignal(child, "gone")
    assert ref.proxy().run(trap_exit, False).get() is True
    supervision.exit(ref, "now")
    eventually(lambda: exit_reason(ref) == "now")


@pytest.mark.parametrize("first", [0, 1])
def test_a_link_ends_either_side_with_the_reason_as_it_is(first):
    refs = [Linked.start(), Linked.start()]
    refs[0].ask(lambda _: link(refs[1]))
    refs[0].ask(lambda _: link(refs[1]))
    stop(refs[first], ("odd", 1))
    eventually(lambda: exit_reason(refs[1 - first]) == ("odd", 1))
    assert supervision.links._links == {}


def test_a_normal_end_goes_through_no_link_and_an_unlinked_process_lives():
    a, b, c = Linked.start(), Linked.start(), Linked.start()
    a.ask(lambda _: [link(b), link(c)])
    stop(b)
    c.ask(lambda _: unlink(a))
    kill(a)
    assert c.ask(lambda _: "alive") == "alive"
    c.ask(lambda _: unlink("nobody"))
    assert supervision.links._links == {}


def test_a_link_to_the_dead_is_noproc():
    dead, trapping = Worker.start(), Trapping.start()
    stop(dead)
    trapping.proxy().run(link, dead).get()
    trapping.proxy().run(link, "nobody").get()
    eventually(lambda: len(seen(trapping)) == 2)
    assert seen(trapping) == [ExitSignal(dead, "noproc"), ExitSignal("nobody", "noproc")]
    other = Linked.start()
    other.ask(lambda _: link(dead))
    eventually(lambda: exit_reason(other) == "noproc")


@otp("supervisor_SUITE.erl", "child_unlink")
def test_a_child_that_is_unlinked_is_a_root():
    import pykka

    parent = Trapping.start()
    child = parent.proxy().starts(Worker).get()
    parent.proxy().run(link, child).get()
    assert supervision.links._links == {}, "they are linked already"
    parent.proxy().run(unlink, child).get()
    kill(parent)
    assert child.ask(1) == 1
    assert pykka.ActorRegistry.get_all() == [child]


def test_a_kill_goes_through_a_link():
    a, b = Linked.start(), Linked.start()
    a.ask(lambda _: link(b))
    kill(a)
    eventually(lambda: exit_reason(b) == "killed")
    with pytest.raises(TypeError, match="in a process"):
        link(a)
    with pytest.raises(OptionError, match="trap_exit"):

        class Wrong(Process, trap_exit="yes"):
            pass


class Watching(Collector):
    def watch_until_gone(self, target, flush):
        seen_end = monitor(target)
        stop(target)
        self.actor_ref.tell("other")
        demonitor(seen_end, flush=flush)
        return seen_end.ref


@pytest.mark.parametrize("flush", [True, False])
def test_a_flushed_monitor_has_no_down_in_the_mailbox(flush):
    watching, target = Watching.start(), Worker.start()
    number = watching.proxy().watch_until_gone(target, flush).get()
    assert seen(watching) == [*([] if flush else [Down(number, target, "normal")]), "other"]


@otp("gen_server_SUITE.erl", "start")
def test_a_process_may_be_started_with_a_monitor_and_no_link():
    collector = Collector.start()
    ok, (ref, seen_end) = Worker.start_monitor("label", watcher=collector, name="w")
    assert (ok, ref.parent) == ("ok", None)
    ref.tell(boom)
    eventually(lambda: seen(collector))
    assert seen(collector) == [Down(seen_end.ref, ref, ("exception", "ValueError", "boom"))]

    class Host(Collector):
        def start_another(self):
            return Worker.start_monitor()

    host = Host.start()
    ok, (ref, _) = host.proxy().start_another().get()
    kill(host)
    assert ref.ask(1) == 1

    class Failing(Process):
        def init(self):
            raise Stop("no")

    assert Failing.start_monitor(watcher=collector) == ("error", "no")
