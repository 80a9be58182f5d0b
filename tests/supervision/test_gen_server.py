"""Later answers, continuations, idle timeouts, default timeouts of calls, and agents."""

import threading
import time

import pykka
import pytest

from supervision import (
    Agent,
    Caller,
    Continue,
    Exited,
    Process,
    Stop,
    Supervisor,
    abcast,
    call,
    caller,
    cast,
    exit_reason,
    kill,
    multi_call,
    names,
    reply,
    stop,
)
from tests.helpers import eventually

from .helpers import Collector, Gate, Worker, boom, seen
from .otp import otp

ERL = "gen_server_SUITE.erl"


class Later(Process):
    def init(self):
        self.waiting = []

    def on_receive(self, message):
        if message == "crash":
            raise ValueError("boom")
        self.waiting.append(caller())
        return "no answer"

    def by_proxy(self):
        self.waiting.append(caller())


@otp(ERL, "call", "reply_by_alias_with_payload")
def test_an_answer_may_come_later_from_anywhere():
    ref = Later.start()
    first, second = ref.ask(1, block=False), ref.proxy().by_proxy()
    waiting = eventually(lambda: len(found := ref.proxy().waiting.get()) == 2 and found)
    threading.Thread(target=reply, args=(waiting[1], "two")).start()
    assert second.get(timeout=10) == "two"
    reply(waiting[0], "one")
    reply(waiting[0], "late")
    assert first.get(timeout=10) == "one"
    third = ref.ask(3, block=False)
    late = eventually(lambda: len(found := ref.proxy().waiting.get()) == 3 and found[2])
    reply(late, KeyError("three"))
    with pytest.raises(KeyError, match="three"):
        third.get(timeout=10)
    ref.tell(4)
    nobody = eventually(lambda: len(found := ref.proxy().waiting.get()) == 4 and found[3])
    reply(nobody, "nothing happens")
    assert (repr(nobody), repr(late)) == ("<Caller of a tell>", "<Caller that waits>")
    assert isinstance(nobody, Caller)


@pytest.mark.parametrize("end", [kill, stop, lambda ref: ref.tell("crash")])
def test_who_waits_for_a_later_answer_is_told_of_the_end(end):
    ref = Later.start()
    future = ref.ask(1, block=False)
    eventually(lambda: ref.proxy().waiting.get())
    end(ref)
    with pytest.raises(pykka.ActorDeadError, match="before it answered"):
        future.get(timeout=10)
    with pytest.raises(TypeError, match="only a process"):
        caller()


@otp(ERL, "continue")
def test_a_continuation_comes_before_every_message():
    gate = Gate()

    class Loading(Collector):
        def init(self):
            super().init()
            names.whereis("loading").tell("sent by name")
            threading.Thread(target=lambda: names.whereis("loading").tell("other")).start()
            time.sleep(0.01)
            return Continue("load")

        def on_continue(self, argument):
            gate.hold()
            self.seen.append(argument)

    ok, ref = Loading.start_link(name="loading")
    assert ok == "ok", "the starter does not wait for it"
    gate.opened.set()
    assert seen(ref) == ["load", "sent by name", "other"]


@otp(ERL, "undef_handle_continue")
def test_a_continuation_that_fails_is_a_crash():
    class Failing(Worker):
        def init(self):
            return Continue()

        def on_continue(self, argument):
            raise ValueError("boom")

    ref = Failing.start()
    eventually(lambda: exit_reason(ref) == ("exception", "ValueError", "boom"))


@otp(ERL, "handle_event_timeout", "handle_event_timeout_plain", "start_event_timeout")
def test_an_idle_process_is_told_so_again_and_again():
    class Idle(Collector, idle_timeout=0.02):
        def on_idle_timeout(self):
            self.seen.append("idle")
            if len(self.seen) > 2:
                self.exit("enough")

    ref = Idle.start()
    eventually(lambda: exit_reason(ref) == "enough")

    class Failing(Process, idle_timeout=0.01):
        def on_idle_timeout(self):
            raise Stop("bored")

    ref = Failing.start()
    eventually(lambda: exit_reason(ref) == "bored")

    class Never(Idle, idle_timeout=None):
        pass

    ref = Never.start()
    time.sleep(0.05)
    assert seen(ref) == []


@otp(ERL, "start_event_timeout_zero", "handle_event_timeout_zero")
def test_an_idle_timeout_of_zero_comes_after_the_messages_that_wait():
    class Idle(Collector, idle_timeout=0.0):
        def init(self):
            super().init()
            self.actor_ref.tell("first")

        def on_idle_timeout(self):
            self.seen.append("idle")
            raise Stop(tuple(self.seen))

    ref = Idle.start()
    eventually(lambda: exit_reason(ref) == ("first", "idle"))


def test_asks_of_a_class_may_have_a_timeout():
    class Bounded(Worker, call_timeout=0.02):
        pass

    gate, ref = Gate(), Bounded.start()
    ref.tell(gate.hold)
    with pytest.raises(pykka.Timeout):
        ref.ask(1)
    gate.opened.set()
    assert ref.ask(2, timeout=10) == 2
    with pytest.raises(TypeError, match="call_timeout of Wrong"):

        class Wrong(Process, call_timeout="long"):
            pass


@otp("gen_server_test.exs", "start_link/2, call/2 and cast/2", "call/3 exit messages", "abcast/3",
     "multi_call/4")  # fmt: skip
@otp(ERL, "cast", "abcast", "multicall", "multicall_down", "multicall_recv_opt_success",
     "multicall_recv_opt_timeout", "multicall_recv_opt_noconnection")  # fmt: skip
def test_calls_and_casts_go_by_name_to_one_or_many():
    ref, collector = Worker.start_link(name="w")[1], Collector.start_link(name="c")[1]
    assert call("w", 1) == call(ref.proxy(), 1) == call((names, "w"), 1) == 1
    cast("c", "cast")
    cast("nobody", "cast")
    abcast(["c", "nobody"], "abcast")
    assert seen(collector) == ["cast", "abcast"]
    with pytest.raises(ValueError, match="boom"):
        call("w", boom)
    eventually(lambda: exit_reason(ref))
    for gone, reason in ((ref, ("exception", "ValueError", "boom")), ("w", "noproc")):
        with pytest.raises(Exited) as exited:
            call(gone, 1)
        assert exited.value.reason == reason
        cast(gone, 1)
    gate, slow = Gate(), Worker.start_link(name="slow")[1]
    slow.tell(gate.hold)
    with pytest.raises(pykka.Timeout):
        call("slow", 1, timeout=0.01)
    Worker.start_link(name="w")
    answered = multi_call(["w", "nobody", "slow"], 2, timeout=0.05)
    assert answered == ([("w", 2)], ["nobody", "slow"])
    gate.opened.set()
    assert multi_call(["slow"], 3) == ([("slow", 3)], [])
    stop("slow")
    with pytest.raises(Exited, match="noproc"):
        call("slow", 1)


@otp("agent_test.exs", "start_link/2 workflow with unregistered name and anonymous functions",
     "start/2 workflow with registered name and module functions", "generates child_spec/1",
     "can be supervised directly")  # fmt: skip
def test_an_agent_keeps_a_value():
    _ok, agent = Agent.start_link(dict)
    Agent.update(agent, lambda value: {**value, "hello": "world"})
    assert Agent.get(agent, dict.get, "hello") == "world"
    assert Agent.get_and_update(agent, lambda value: (value.pop("hello"), value)) == "world"
    Agent.cast(agent, lambda value, key: {key: 1}, "cast")
    assert Agent.get(agent, lambda value: value) == {"cast": 1}
    assert stop(agent) == "ok"
    spec = Agent.child_spec(dict)
    assert (spec.id, spec.restart, spec.type) == ("Agent", "permanent", "worker")
    _, supervisor = Supervisor.start_link([(Agent, {"function": list, "name": "agent"})])
    assert Agent.get("agent", len) == 0
    with pytest.raises(ZeroDivisionError):
        Agent.get("agent", lambda _: 1 / 0)
    with pytest.raises(Exited):
        Agent.get("nobody", len)
    Supervisor.stop(supervisor)
