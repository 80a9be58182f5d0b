"""Start, messages, and the one end of a process."""

import queue
import threading
import time

import pykka
import pytest

from supervision import (
    CallingSelf,
    Exited,
    Process,
    StartError,
    current,
    exit_reason,
    kill,
    names,
    stop,
)
from supervision.ref import Exit
from tests.helpers import eventually

from .helpers import Collector, Gate, Picky, Worker, seen
from .otp import otp

BOOM = ("exception", "ValueError", "boom")


# -- start


@otp(
    "gen_server_test.exs",
    "start/2",
)
def test_start_waits_until_init_is_done():
    class Slow(Process):
        def init(self, gate):
            threading.Timer(0.05, gate.opened.set).start()
            gate.hold()
            self.ready = True

    assert Slow.start(Gate()).proxy().ready.get() is True


def test_init_runs_on_the_process_own_thread_and_gets_the_arguments():
    class Where(Process):
        def init(self, *args, **kwargs):
            self.facts = (threading.get_ident(), args, kwargs)

    thread, args, kwargs = Where.start(1, two=2).proxy().facts.get()
    assert thread != threading.get_ident()
    assert (args, kwargs) == ((1,), {"two": 2})


@otp(
    "gen_server_SUITE.erl",
    "undef_init",
)
def test_start_raises_what_made_init_fail():
    with pytest.raises(StartError) as caught:
        Picky.start("raise")
    assert caught.value.reason == ("exception", "ValueError", "picky")
    assert isinstance(caught.value.__cause__, ValueError)


@otp(
    "gen_server_test.exs",
    "start_link/3",
)
@otp(
    "gen_server_SUITE.erl",
    "loop_start_fail",
)
@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ("raise", ("error", ("exception", "ValueError", "picky"))),
        ("exit", ("error", ("exception", "SystemExit", "3"))),
        ("stop", ("error", "not today")),
        ("ignore", "ignore"),
    ],
)
def test_start_link_answers_how_init_went(how, answer):
    assert Picky.start_link(how, name="picky") == answer
    assert names.whereis("picky") is None
    assert pykka.ActorRegistry.get_all() == []


def test_start_raises_for_ignore():
    with pytest.raises(StartError, match="ignore"):
        Picky.start("ignore")


def test_an_on_start_that_raises_is_a_failed_start():
    class Late(Process):
        def on_start(self):
            raise ValueError("boom")

    assert Late.start_link() == ("error", BOOM)


def test_an_init_that_takes_too_long_is_killed():
    gate = Gate()

    class Slow(Process):
        def init(self):
            gate.hold()

    assert Slow.start_link(timeout=0.05, name="slow") == ("error", "timeout")
    assert names.whereis("slow") is None
    gate.opened.set()


def test_a_constructor_that_raises_is_a_failed_start():
    class Odd(Process):
        def __init__(self):
            raise ValueError("boom")

    assert Odd.start_link() == ("error", BOOM)


@otp(
    "gen_server_test.exs",
    "start_link/3 with local",
    "whereis/1",
)
def test_a_name_can_be_had_once():
    answer, ref = Worker.start_link(name="only")
    assert answer == "ok"
    assert Worker.start_link(name="only") == ("error", ("already_started", ref))
    assert names.whereis("only") is ref


@otp(
    "gen_server_SUITE.erl",
    "otp_7669",
)
def test_a_name_is_free_when_the_end_is_told():
    _, ref = Worker.start_link(name="reused")
    held = []
    ref.watch(lambda _: held.append(names.whereis("reused")))
    stop(ref)
    assert held == [None]


@otp(
    "process_test.exs",
    "info/2 with registered name",
)
def test_refs_say_who_and_whether_they_live():
    _, ref = Worker.start_link(name="alice")
    assert repr(ref).startswith("<ProcessRef Worker 'alice' ")
    stop(ref, "shutdown")
    assert repr(ref).endswith("ended: 'shutdown'>")


# -- messages


@otp(
    "gen_server_SUITE.erl",
    "send_request",
)
def test_ask_tell_and_proxies_work_as_in_pykka():
    ref = Worker.start("ada")
    assert ref.ask("hello") == "hello"
    assert ref.ask("later", block=False).get() == "later"
    proxy = ref.proxy()
    assert proxy.label.get() == "ada"
    proxy.label = "grace"
    assert proxy.label.get() == "grace"
    proxy.exit.defer("shutdown")
    assert eventually(lambda: exit_reason(ref)) == "shutdown"


@otp(
    "gen_server_SUITE.erl",
    "info",
)
def test_messages_of_one_sender_come_in_order():
    ref = Collector.start()
    for number in range(1000):
        ref.tell(number)
    assert seen(ref) == list(range(1000))


def test_on_batch_end_comes_once_for_everything_that_waited():
    class Batcher(Process):
        def init(self):
            self.batches, self.batch = [], []

        def on_receive(self, message):
            if callable(message):
                message()
            else:
                self.batch.append(message)

        def on_batch_end(self):
            self.batches.append(self.batch)
            self.batch = []

    gate = Gate()
    ref = Batcher.start()
    ref.tell(gate.hold)
    gate.reached.wait()
    for number in range(5):
        ref.tell(number)
    gate.opened.set()
    eventually(lambda: [0, 1, 2, 3, 4] in ref.proxy().batches.get())


def test_an_on_batch_end_that_raises_is_a_crash():
    class Bad(Process):
        def on_receive(self, message):
            pass

        def on_batch_end(self):
            raise ValueError("boom")

    ref = Bad.start()
    ref.tell("anything")
    assert eventually(lambda: exit_reason(ref)) == BOOM


def test_a_batch_that_a_stop_cuts_short_has_its_end_too():
    drained = []

    class Batcher(Process):
        def on_receive(self, message):
            message()

        def on_batch_end(self):
            drained.append(True)

        def terminate(self, reason):
            drained.append(reason)

    stop(Batcher.start())
    assert drained == [True, "normal"]


@otp(
    "gen_server_SUITE.erl",
    "calling_self",
)
def test_asking_oneself_is_an_error_and_no_deadlock():
    ref = Worker.start()
    with pytest.raises(CallingSelf):
        ref.ask(lambda self: self.actor_ref.ask("me"))


def test_waiting_for_ones_own_proxy_is_an_error_and_no_deadlock():
    ref = Worker.start()
    with pytest.raises(CallingSelf):
        ref.ask(lambda self: self.actor_ref.proxy().label.get())


def test_a_process_cant_wait_for_its_own_end():
    ref = Worker.start()
    with pytest.raises(CallingSelf):
        ref.ask(lambda self: stop(self.actor_ref))


def test_current_is_the_process_on_whose_thread_we_are():
    ref = Worker.start()
    assert current() is None
    assert ref.ask(lambda _: current()) is ref


# -- the end


def ending(how):
    """A process that ended in this way, its watchers' reasons, and whether terminate ran."""
    journal, reasons = [], []
    ref = Worker.start("w", journal)
    ref.watch(reasons.append)
    how(ref)
    eventually(lambda: reasons)
    return ref, reasons, [entry[2] for entry in journal if entry[0] == "stop"]


def asked_to_raise(ref):
    with pytest.raises(ValueError, match="boom"):
        ref.ask(ValueError("boom"))


@otp(
    "gen_server_SUITE.erl",
    "undef_terminate1",
    "undef_terminate2",
)
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda ref: stop(ref), "normal"),
        (lambda ref: stop(ref, ("shutdown", "tired")), ("shutdown", "tired")),
        (lambda ref: ref.stop(), "normal"),
        (lambda ref: ref.tell(lambda self: self.stop()), "normal"),
        (lambda ref: ref.tell(lambda self: self.exit("done")), "done"),
        (lambda ref: ref.tell(ValueError("boom")), BOOM),
        (asked_to_raise, BOOM),
        (lambda ref: ref.tell(SystemExit(1)), ("exception", "SystemExit", "1")),
        (lambda ref: ref.tell(KeyboardInterrupt()), ("exception", "KeyboardInterrupt", "")),
    ],
)
def test_every_end_is_told_once_and_terminate_runs(how, reason):
    ref, reasons, terminated = ending(how)
    assert reasons == [reason]
    assert terminated == [reason]
    assert exit_reason(ref) == reason
    assert not ref.is_alive()
    assert pykka.ActorRegistry.get_all() == []


def test_a_kill_is_told_once_and_terminate_does_not_run():
    _, reasons, terminated = ending(kill)
    assert reasons == ["killed"]
    assert terminated == []


def test_an_exception_in_an_ask_goes_to_the_asker_and_ends_the_process():
    ref = Worker.start()
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as caught:
        ref.ask(error)
    assert caught.value is error
    assert not ref.is_alive()


def test_reply_errors_only_go_to_the_asker():
    class Tolerant(Worker):
        reply_errors = (ValueError,)

    ref = Tolerant.start()
    with pytest.raises(ValueError, match="boom"):
        ref.ask(ValueError("boom"))
    assert ref.ask("still here") == "still here"
    with pytest.raises(KeyError):
        ref.ask(KeyError("other"))
    assert not ref.is_alive()


def test_reply_errors_end_the_process_when_told():
    class Tolerant(Worker):
        reply_errors = (ValueError,)

    ref = Tolerant.start()
    ref.tell(ValueError("boom"))
    assert eventually(lambda: exit_reason(ref)) == BOOM


def test_system_exit_ends_no_other_process():
    other, plain = Worker.start(), pykka.ThreadingActor.start()
    ref = Worker.start()
    ref.tell(SystemExit(1))
    eventually(lambda: exit_reason(ref))
    assert other.is_alive()
    assert plain.is_alive()


def test_messages_behind_a_stop_are_refused():
    gate = Gate()
    ref = Collector.start()
    ref.proxy().on_start  # the proxy is made while there is someone to look at
    worker = Worker.start()
    worker.tell(gate.hold)
    gate.reached.wait()
    before = worker.ask("before", block=False)
    worker.stop(block=False)
    behind = worker.ask("behind", block=False)
    again = worker.stop(block=False)
    gate.opened.set()
    assert before.get() == "before"
    with pytest.raises(pykka.ActorDeadError):
        behind.get()
    assert again.get() is True
    with pytest.raises(pykka.ActorDeadError):
        worker.tell("too late")
    assert worker.stop() is False


def test_told_messages_that_die_unread_are_handed_to_undelivered():
    lost, gate = [], Gate()

    class Careful(Worker):
        @staticmethod
        def undelivered(message):
            lost.append(message)

    ref = Careful.start()
    ref.tell(gate.hold)
    gate.reached.wait()
    ref.stop(block=False)
    for number in range(3):
        ref.tell(number)
    gate.opened.set()
    eventually(lambda: exit_reason(ref))
    assert lost == [0, 1, 2]


def test_unread_messages_are_one_warning(caplog):
    gate = Gate()
    ref = Worker.start()
    ref.tell(gate.hold)
    gate.reached.wait()
    for number in range(100):
        ref.tell(number)
    kill(ref)
    gate.opened.set()
    warnings = [record for record in caplog.records if record.name == "supervision"]
    assert len(warnings) == 1
    assert "100 unread" in warnings[0].getMessage()


def test_a_crash_is_one_line_with_the_exception(caplog):
    ref = Worker.start()
    ref.tell(ValueError("boom"))
    eventually(lambda: exit_reason(ref))
    records = [record for record in caplog.records if record.name == "supervision"]
    assert len(records) == 1
    assert "ValueError('boom')" in records[0].getMessage()
    assert records[0].exc_info


@otp(
    "gen_server_SUITE.erl",
    "undef_in_terminate",
)
def test_a_terminate_that_raises_gives_the_reason():
    class Bad(Process):
        def terminate(self, reason):
            raise ValueError("boom")

    with pytest.raises(Exited) as caught:
        stop(Bad.start())
    assert caught.value.reason == BOOM


def test_pykkas_hooks_run_at_the_end():
    calls = []

    class Hooked(Worker):
        def on_stop(self):
            calls.append("on_stop")

        def on_failure(self, exception_type, exception_value, traceback):
            calls.append(exception_type)

    stop(Hooked.start())
    ref = Hooked.start()
    ref.tell(ValueError("boom"))
    eventually(lambda: exit_reason(ref))
    assert calls == ["on_stop", ValueError]


@otp(
    "gen_server_SUITE.erl",
    "stop1",
    "stop2",
    "stop4",
)
@otp(
    "gen_server_test.exs",
    "stop/3",
)
def test_stop_says_if_there_was_nobody_or_it_ended_otherwise():
    ref = Worker.start()
    assert stop(ref) == "ok"
    for target in (ref, "nobody"):
        with pytest.raises(Exited) as caught:
            stop(target)
        assert caught.value.reason == "noproc"
    gate = Gate()
    ref = Worker.start()
    ref.tell(gate.hold)
    with pytest.raises(TimeoutError):
        stop(ref, timeout=0.01)
    gate.opened.set()


def test_pykkas_stop_returns_when_the_process_has_ended():
    class Slow(Process):
        def terminate(self, reason):
            time.sleep(0.05)

    ref = Slow.start()
    assert ref.stop() is True
    assert exit_reason(ref) == "normal"


# -- kill


def test_a_stuck_process_can_be_given_up():
    journal, gate = [], Gate()
    _, ref = Worker.start_link("stuck", journal, name="stuck")
    process = ref.ask(lambda self: self)
    being_handled = ref.ask(gate.hold, block=False)
    gate.reached.wait()
    waiting = ref.ask("waiting", block=False)
    kill(ref)
    for future in (being_handled, waiting):
        with pytest.raises(pykka.ActorDeadError):
            future.get(timeout=10)
    assert process.fenced
    assert names.whereis("stuck") is None
    assert pykka.ActorRegistry.get_all() == []
    assert exit_reason(ref) == "killed"
    gate.opened.set()
    assert journal == [("start", "stuck")]


def test_the_thread_of_a_killed_idle_process_ends(process_threads):
    """Those of others, of tests before too, may end meanwhile."""
    before = set(process_threads())
    ref = Worker.start()
    (own,) = set(process_threads()) - before
    kill(ref)
    eventually(lambda: own not in process_threads())


def test_a_crash_after_a_kill_is_silent(caplog):
    gate = Gate()

    def late(process):
        gate.hold()
        raise ValueError("boom")

    ref = Worker.start()
    ref.tell(late)
    gate.reached.wait()
    kill(ref)
    gate.opened.set()
    eventually(lambda: not ref.is_alive())
    assert exit_reason(ref) == "killed"
    assert not caplog.records


def test_a_process_may_finish_something_before_it_ends_as_asked():
    class Careful(Process):
        def init(self):
            self.asked = None

        def asked_to_end(self, reason):
            self.asked = reason

        def on_receive(self, message):
            if message == "finished":
                self.exit(self.asked)
            return self.asked

    ref = Careful.start()
    ref.tell(Exit("shutdown"))
    assert ref.ask("still there") == "shutdown"
    ref.tell("finished")
    eventually(lambda: exit_reason(ref) == "shutdown")


class Continuing(Process):
    """Tells itself what to do after its start."""

    def __init__(self, log, gate):
        super().__init__()
        self.log, self.gate = log, gate
        self.actor_ref.tell("__init__")

    def init(self, _log, _gate):
        self.gate.hold()
        self.actor_ref.tell("init")
        self.actor_ref.proxy().note.defer("proxy")

    def on_start(self):
        self.actor_ref.tell("on_start")

    def note(self, what):
        self.log.append(what)

    def on_receive(self, message):
        self.log.append(message)

    def on_batch_end(self):
        self.log.append("drained")


def test_what_a_process_tells_itself_in_its_start_comes_before_all_else():
    """Planted: behind what others sent to its name meanwhile."""
    log, gate = [], Gate()
    starter = Worker.start()
    starter.tell(lambda _: Continuing.start_link(log, gate, name="continuing"))
    assert gate.reached.wait(10)
    ref = names.whereis("continuing")
    ref.tell("other")
    asked = ref.ask("asked", block=False)
    gate.opened.set()
    asked.get(timeout=10)
    assert stop(ref) == "ok"
    own = ["__init__", "init", "proxy", "on_start"]
    assert log[:7] == [*own, "other", "asked", "drained"]
    stop(starter)


def test_what_a_process_told_itself_in_a_start_that_failed_is_undelivered():
    unread = []

    class Failing(Process):
        def init(self):
            self.actor_ref.tell("unread")
            raise ValueError("no")

        @staticmethod
        def undelivered(message):
            unread.append(message)

    assert Failing.start_link()[0] == "error"
    assert unread == ["unread"]


def test_a_process_that_crashes_for_a_reason_of_ours_ends_in_order():
    ended = []

    class Clumsy(Worker):
        def terminate(self, reason):
            ended.append(reason)

    Clumsy._handle_taken = None  # a defect of the machinery
    clumsy = Clumsy.start()
    clumsy.tell(1)
    eventually(lambda: ended and ended == [exit_reason(clumsy)])


def test_a_future_that_another_thread_waits_for_keeps_ones_own_timeout():
    """Planted: one waits for the lock as long as the other waits for the answer."""
    gate, worker, waits, calls = Gate(), Worker.start(), threading.Event(), []
    answer = worker.ask(gate.hold, block=False)
    hook = answer.get

    def get(*, timeout):
        waits.set()
        return hook(timeout=timeout)

    answer.get = get
    mapped = answer.map(lambda held: calls.append(held) or len(calls))
    other = threading.Thread(target=mapped.get, daemon=True)
    other.start()
    assert waits.wait(10)
    got = queue.SimpleQueue()

    def impatient():
        with pytest.raises(pykka.Timeout):
            mapped.get(timeout=0.01)
        got.put("timeout")

    threading.Thread(target=impatient, daemon=True).start()
    try:
        assert got.get(timeout=5) == "timeout"
    finally:
        gate.opened.set()
    other.join(10)
    assert (mapped.get(timeout=10), calls) == (1, ["held"])
