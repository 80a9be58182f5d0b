"""What a stranger gets wrong: he is told what, and nothing dies of it or waits for ever."""

import logging
import math
import threading
import time

import pykka
import pytest

from supervision import (
    Backoff,
    CallingSelf,
    ChildSpec,
    DynamicSupervisor,
    Exited,
    OptionError,
    Process,
    StartError,
    Supervisor,
    as_process,
    exit_reason,
    kill,
    monitor,
    names,
    stop,
    timer,
)
from tests.helpers import eventually

from .helpers import Gate, Worker


class Plain(pykka.ThreadingActor):
    use_daemon_thread = True


class Slow(Process):
    def terminate(self, _reason):
        time.sleep(0.05)


@pytest.mark.parametrize("shutdown", [math.inf, 1e12, 10**400], ids=["inf", "big", "no float"])
def test_a_child_may_be_given_all_the_time_there_is(shutdown):
    """Planted: the supervisor's thread dies of the number, and who stops it waits for ever."""
    _, supervisor = Supervisor.start_link([ChildSpec("slow", Slow.start_link, shutdown=shutdown)])
    [(_, slow, _, _)] = Supervisor.which_children(supervisor)
    assert Supervisor.stop(supervisor, timeout=10) == "ok"
    assert exit_reason(slow) == "shutdown"


def test_a_wait_may_be_given_all_the_time_there_is():
    _, worker = Worker.start_link(timeout=math.inf)
    assert stop(worker, timeout=math.inf) == "ok"


def test_a_process_whose_end_goes_wrong_has_ended_all_the_same():
    class Clumsy(Process):
        pass

    Clumsy._wind_down = None  # a defect of the machinery, which no hook can be
    with pytest.raises(Exited) as exited:
        stop(Clumsy.start(), timeout=10)
    assert exited.value.reason[:2] == ("exception", "TypeError")


def test_a_call_that_a_supervisor_does_not_know_harms_nobody():
    """Planted: it ends the dynamic supervisor, or the worker is told what it can't understand."""
    dynamic, worker = DynamicSupervisor.start(), Worker.start()
    for wrong in (
        lambda: Supervisor.restart_child(dynamic, "a"),
        lambda: Supervisor.which_children(worker),
        lambda: Supervisor.count_children(Plain.start()),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert DynamicSupervisor.count_children(dynamic)["specs"] == 0
    stop(dynamic)
    stop(worker)


@pytest.mark.parametrize(
    ("options", "reason", "said"),
    [
        ({"children": Worker}, ("start_spec", ("invalid_children", Worker)), "list"),
        ({"backoff": 3}, ("supervisor_data", ("invalid_backoff", 3)), "Backoff"),
        ({"children": [5]}, ("start_spec", ("invalid_child_spec", 5)), "5 is no child"),
        ({"strategy": "all"}, ("supervisor_data", ("invalid_strategy", "all")), "one_for_all"),
    ],
)
def test_a_supervisor_that_cant_start_says_why_in_words_too(options, reason, said, caplog):
    with caplog.at_level(logging.ERROR, "supervision"):
        assert Supervisor.start_link(**options) == ("error", reason)
    assert said in caplog.text
    with pytest.raises(StartError) as caught:
        Supervisor.start(**options)
    assert said in str(caught.value.__cause__)


def test_a_period_must_be_a_number_of_seconds():
    _, (kind, (what, _)) = Supervisor.start_link(max_seconds=math.nan)
    assert (kind, what) == ("supervisor_data", "invalid_period")


@pytest.mark.parametrize("pauses", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_a_backoff_must_grow(pauses):
    with pytest.raises(OptionError, match="first_s <= max_s"):
        Backoff(*pauses)


@pytest.mark.parametrize("function", [stop, kill, exit_reason])
def test_what_is_done_to_a_process_is_not_done_to_a_plain_actor(function):
    with pytest.raises(TypeError, match="as_process"):
        function(Plain.start())


def test_a_name_that_could_not_be_freed_again_is_not_given():
    """Planted: it is taken all the same."""
    with pytest.raises(TypeError, match="as_process"):
        names.register("plain", Plain.start())
    assert names.whereis("plain") is None


def test_a_watcher_and_a_receiver_must_be_actors():
    worker = Worker.start()
    with pytest.raises(TypeError, match="no actor is named 'no one'"):
        monitor(worker, "no one")
    with pytest.raises(TypeError, match="and 'no one' is no such ref"):
        timer.send_after(0.0, "no one", "message")
    stop(worker)


def test_a_process_whose_init_forgets_its_parents_is_told_so():
    class Forgetful(Process):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match=r"Forgetful.* super\(\).__init__"):
        Forgetful.start()
    assert "super().__init__()" in Forgetful.start_link()[1][2]


def test_attributes_of_the_machinery_can_be_had_by_a_subclass_too():
    """Planted: a list of one's own where the process keeps its links."""

    class Own(Process):
        def init(self):
            self._children, self._started, self._failure = [], 1.5, "none"

        def start_another(self):
            return Worker.start_link()

        def mine(self):
            return self._children, self._started, self._failure

    own = Own.start()
    _, worker = own.proxy().start_another().get(timeout=10)
    assert own.proxy().mine().get(timeout=10) == ([], 1.5, "none")
    stop(own)
    eventually(lambda: exit_reason(worker) == "shutdown")


def test_a_method_with_a_name_of_the_machinery_is_refused():
    """Planted: it takes the place of ours, and the process does nothing at all."""
    with pytest.raises(TypeError, match=r"Own can't define _run, which Process uses"):

        class Own(Process):
            def _run(self):
                pass

    with pytest.raises(TypeError, match=r"_restart, which Supervisor uses"):

        class Other(Supervisor):
            def _restart(self):
                pass

    class Old(pykka.ThreadingActor):
        def _run(self):
            pass

    with pytest.raises(TypeError, match="_run has a meaning"):
        as_process(Old)


class Curious(Process):
    """Asks in its init what can be answered only after it."""

    def init(self, ask):
        self.children = ask()


def test_who_asks_in_init_those_who_wait_for_it_is_told_so():
    """Planted: all of them wait for ever."""

    def siblings():
        return Supervisor.which_children("curious")

    def below(child):
        return Supervisor.start_link([child], name="curious")

    reason = CallingSelf.__name__
    for child in (
        (Curious, (siblings,)),
        (Curious, (lambda: stop("curious"),)),
        Supervisor.child_spec([(Curious, (siblings,))]),
    ):
        assert reason in str(below(child))
    _, supervisor = Supervisor.start_link(name="curious")
    assert reason in str(Supervisor.start_child(supervisor, (Curious, (siblings,))))
    stop(supervisor)


def test_once_it_has_started_a_child_may_ask_its_supervisor():
    class Patient(Process):
        def init(self):
            self.actor_ref.tell("now")
            self.siblings = None

        def on_receive(self, _message):
            self.siblings = Supervisor.which_children("patient")

    _, supervisor = Supervisor.start_link([Patient], name="patient")
    [(_, patient, _, _)] = Supervisor.which_children(supervisor)
    assert patient.proxy().siblings.get(timeout=10) == [("Patient", patient, "worker", (Patient,))]
    stop(supervisor)


@pytest.mark.parametrize("timeout", ["soon", True, math.nan, object(), [1]])
def test_what_is_no_time_is_refused_before_anything_is_done(timeout):
    """Planted: the order is given, and then the wait fails."""

    class Counting(Process):
        def init(self):
            self.count = 0

        def on_receive(self, _message):
            self.count += 1

    counting = Counting.start()
    for wait in (
        lambda: stop(counting, "normal", timeout),
        lambda: counting.stop(timeout=timeout),
        lambda: counting.ask("count", timeout=timeout),
        lambda: Supervisor.stop(counting, timeout=timeout),
        lambda: Worker.start_link(name="never", timeout=timeout),
        lambda: timer.send_after(timeout, counting, "count"),
    ):
        with pytest.raises((TypeError, ValueError), match="must be a number of seconds"):
            wait()
    assert counting.proxy().count.get(timeout=10) == 0
    with pytest.raises((TypeError, ValueError), match="must be a number of seconds"):
        counting.ask("count", block=False).get(timeout=timeout)
    assert names.whereis("never") is None
    stop(counting)


def test_less_than_no_time_is_none_and_all_the_time_is_allowed_everywhere():
    worker = Worker.start()
    assert worker.ask(1, timeout=math.inf) == 1
    assert worker.ask(1, block=False).get(timeout=1e30) == 1
    assert worker.ask(1, timeout=10**400) == 1  # which no float can hold
    timer.send_after(10**400, worker, "never").cancel()
    gate = Gate()
    worker.tell(gate.hold)
    with pytest.raises(pykka.Timeout):
        worker.ask(1, timeout=-1)
    with pytest.raises(TimeoutError):
        stop(worker, timeout=-0.5)
    gate.opened.set()
    eventually(lambda: exit_reason(worker) == "normal")


def kill_the_child(supervisor):
    """Return what is shown in its place. The supervisor hears of the end before it is asked."""
    [(_, worker, _, _)] = Supervisor.which_children(supervisor)
    kill(worker)
    [(_, shown, _, _)] = Supervisor.which_children(supervisor)
    return shown


def test_a_supervisor_bears_limits_that_no_float_can_hold():
    """Planted: it ends by the number, at its second restart."""
    limits = {"max_restarts": 10**400, "max_seconds": 10**400}
    _, supervisor = Supervisor.start_link([Worker], **limits)
    for _ in range(3):
        assert kill_the_child(supervisor).is_alive()
    assert Supervisor.stop(supervisor, timeout=10) == "ok"


def test_a_supervisor_bears_a_pause_that_no_float_can_hold():
    _, supervisor = Supervisor.start_link([Worker], backoff=Backoff(10**400, 10**400))
    assert kill_the_child(supervisor).is_alive()
    assert kill_the_child(supervisor) == "restarting"
    assert Supervisor.stop(supervisor, timeout=10) == "ok"


def test_a_backoff_is_of_numbers():
    with pytest.raises(OptionError, match="first_s <= max_s"):
        Backoff("2", 30)
    with pytest.raises(OptionError, match="first_s <= max_s"):
        Backoff(True, 30)


@pytest.mark.parametrize(
    "options",
    [
        lambda: Supervisor.init(max_restarts=True),
        lambda: Supervisor.init(max_seconds=True),
        lambda: DynamicSupervisor.init(max_children=True),
    ],
)
def test_true_is_no_number(options):
    with pytest.raises(OptionError, match="not True"):
        options()


@pytest.mark.parametrize("raises", [ValueError, TypeError, SystemExit])
def test_an_id_that_cant_be_hashed_is_refused_whatever_it_raises(raises):
    class Id:
        def __hash__(self):
            raise raises

    with pytest.raises((ValueError, SystemExit)):
        ChildSpec(Id(), Worker.start_link)


@pytest.mark.parametrize("attribute", ["exit", "terminate", "init", "on_batch_end", "_run"])
def test_an_attribute_in_the_place_of_a_method_is_refused_by_name(attribute):
    """Planted: the process starts, and breaks where the method is needed."""

    class Own(Process):
        def init(self):
            setattr(self, attribute, threading.Event())

    answer, (_, name, text) = Own.start_link()
    assert (answer, name) == ("error", "TypeError")
    assert f"attribute {attribute}, " in text


def test_an_attribute_in_the_place_of_ones_own_method_is_ones_own_affair():
    """Planted: whatever the class has that can be called was taken for a method of a Process."""

    class Own(Process):
        kind = dict

        def total(self):
            return 1

        def init(self):
            self.kind, self.total = None, self.total()

    own = Own.start()
    assert own.proxy().total.get(timeout=10) == 1
    stop(own)


@pytest.mark.parametrize("wrong", [[ValueError], (ValueError, "KeyError"), None])
def test_reply_errors_that_no_exception_can_be_tested_for_are_refused_with_the_class(wrong):
    """Planted: found out at the first exception, in whose place the process ends by another."""
    with pytest.raises(TypeError, match="reply_errors of Own must be a tuple"):
        type("Own", (Process,), {"reply_errors": wrong})


def test_a_process_may_have_a_hook_of_its_own():
    idle = threading.Event()

    class Own(Process):
        def init(self):
            self.on_idle = idle.set

    own = Own.start()
    assert idle.wait(10)
    stop(own)
