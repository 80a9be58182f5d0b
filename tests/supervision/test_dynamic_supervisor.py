"""DynamicSupervisor: every answer of its calls, limits, restarts, and the end of many at once."""

import threading
import time
from dataclasses import replace

import pytest

from supervision import ChildSpec, DynamicSupervisor, Process, exit_reason, kill, names, stop
from tests.helpers import eventually

from .helpers import Gate, Picky, Script, Worker, boom
from .otp import otp


def started(**options):
    answer, supervisor = DynamicSupervisor.start_link(**options)
    assert answer == "ok"
    return supervisor


def shown(supervisor):
    return [ref for _, ref, _, _ in DynamicSupervisor.which_children(supervisor)]


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: supports new child spec",
    "start_child/2: supports new child spec as tuple",
    "start_child/2: with invalid child spec",
    "start_child/2: with throw/error/exit",
)
@otp(
    "supervisor_SUITE.erl",
    "sup_start_child_returns_error_simple",
    "sup_start_ignore_permanent_child_start_child_simple",
    "child_adm_simple",
)
def test_start_child_answers():
    supervisor = started()
    answer, ref = DynamicSupervisor.start_child(supervisor, (Worker, "a"))
    assert (answer, shown(supervisor)) == ("ok", [ref])
    start = DynamicSupervisor.start_child
    assert start(supervisor, (Picky, "ignore")) == "ignore"
    assert start(supervisor, (Picky, "stop")) == ("error", "not today")
    assert start(supervisor, Script(("error", "no")).spec()) == ("error", "no")
    assert start(supervisor, 42) == ("error", ("invalid_child_spec", 42))
    assert shown(supervisor) == [ref]
    _, named = start(supervisor, (Worker, {"name": "n"}))
    assert start(supervisor, (Worker, {"name": "n"})) == ("error", ("already_started", named))


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: with max_children",
)
def test_there_are_no_more_than_max_children():
    supervisor = started(max_children=1)
    _, ref = DynamicSupervisor.start_child(supervisor, Worker)
    assert DynamicSupervisor.start_child(supervisor, Worker) == ("error", "max_children")
    assert DynamicSupervisor.terminate_child(supervisor, ref) == "ok"
    assert DynamicSupervisor.start_child(supervisor, Worker)[0] == "ok"


def test_terminate_child_goes_by_ref():
    supervisor = started()
    _, ref = DynamicSupervisor.start_child(supervisor, (Worker, {"name": "a"}))
    stranger = Worker.start()
    assert DynamicSupervisor.terminate_child(supervisor, stranger) == ("error", "not_found")
    assert DynamicSupervisor.terminate_child(supervisor, "nobody") == ("error", "not_found")
    assert DynamicSupervisor.terminate_child(supervisor, "a") == "ok"
    assert exit_reason(ref) == "shutdown"
    assert DynamicSupervisor.terminate_child(supervisor, ref) == ("error", "not_found")


def test_children_may_share_an_id_and_are_shown_and_counted():
    supervisor = started()
    first, second = (DynamicSupervisor.start_child(supervisor, Worker)[1] for _ in range(2))
    children = DynamicSupervisor.which_children(supervisor)
    assert {child[1] for child in children} == {first, second}
    assert {(child[0], *child[2:]) for child in children} == {("undefined", "worker", (Worker,))}
    assert DynamicSupervisor.count_children(supervisor) == {
        "specs": 2, "active": 2, "supervisors": 0, "workers": 2,
    }  # fmt: skip


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: permanent child is restarted regardless of reason",
    "start_child/2: temporary child is not restarted regardless of reason",
)
@otp(
    "supervisor_SUITE.erl",
    "simple_one_for_one",
)
@pytest.mark.parametrize(
    ("restart", "comes_back"), [("permanent", True), ("transient", True), ("temporary", False)]
)
def test_a_crash_restarts_that_child(restart, comes_back):
    supervisor = started()
    spec = Script().spec(restart=restart)
    _, ref = DynamicSupervisor.start_child(supervisor, spec)
    ref.tell(boom)
    eventually(lambda: ref not in shown(supervisor))
    assert len(shown(supervisor)) == comes_back


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: child triggers maximum intensity when trying again",
    "start_child/2: child triggers maximum restarts",
)
@otp(
    "supervisor_SUITE.erl",
    "simple_one_for_one_escalation",
)
def test_failed_restarts_count_until_it_gives_up():
    hopeless = Script(None, *[("error", "no")] * 10)
    supervisor = started()
    _, ref = DynamicSupervisor.start_child(supervisor, hopeless.spec())
    ref.tell(boom)
    assert eventually(lambda: exit_reason(supervisor)) == "shutdown"
    assert hopeless.starts == 1 + 3


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: child is restarted when trying again",
)
def test_a_failed_restart_is_tried_again():
    child = Script(None, ("error", "not yet"), None)
    supervisor = started()
    _, ref = DynamicSupervisor.start_child(supervisor, child.spec())
    kill(ref)
    eventually(lambda: child.starts == 3)
    (again,) = shown(supervisor)
    assert again.is_alive()


@otp(
    "supervisor_SUITE.erl",
    "simple_one_for_one_restart_ignore",
)
def test_a_restart_that_says_ignore_forgets_the_child():
    supervisor = started()
    _, ref = DynamicSupervisor.start_child(supervisor, Script(None, "ignore").spec())
    kill(ref)
    eventually(lambda: shown(supervisor) == [])


@otp(
    "supervisor_SUITE.erl",
    "simple_one_for_one_shutdown",
)
def test_all_children_are_told_to_end_at_once():
    class Slow(Process):
        def terminate(self, reason):
            ends.append(time.monotonic())
            eventually(lambda: len(ends) == 3)

    ends = []
    supervisor = started()
    children = [DynamicSupervisor.start_child(supervisor, Slow)[1] for _ in range(3)]
    assert stop(supervisor, "shutdown") == "ok"
    assert [exit_reason(child) for child in children] == ["shutdown"] * 3


@otp(
    "dynamic_supervisor_test.exs",
    "terminate/2: terminates children with expired integer shutdown",
)
@otp(
    "supervisor_SUITE.erl",
    "sup_stop_timeout_dynamic",
)
def test_a_child_is_killed_in_its_own_time_however_long_those_before_it_take():
    """Planted: waited for in the order of their starts, the first for ever."""

    class Patient(Process):
        def terminate(self, _reason):
            assert killed.wait(10)

    gate, killed = Gate(), threading.Event()
    supervisor = started()
    spec = replace(Patient.child_spec(), shutdown="infinity")
    _, patient = DynamicSupervisor.start_child(supervisor, spec)
    spec = replace(Worker.child_spec(), shutdown=0.01)
    _, stuck = DynamicSupervisor.start_child(supervisor, spec)
    stuck.watch(lambda _reason: killed.set())
    stuck.tell(gate.hold)
    assert stop(supervisor, "shutdown", timeout=10) == "ok"
    assert (exit_reason(patient), exit_reason(stuck)) == ("shutdown", "killed")
    gate.opened.set()


@otp(
    "dynamic_supervisor_test.exs",
    "start_link/3: with registered process",
)
def test_a_subclass_says_its_flags_in_init():
    class Limited(DynamicSupervisor):
        def init(self, limit):
            return DynamicSupervisor.init(max_children=limit)

    Limited.start_link(0, name="limited")
    assert DynamicSupervisor.start_child("limited", Worker) == ("error", "max_children")
    spec = Limited.child_spec(0)
    assert (spec.type, spec.shutdown) == ("supervisor", "infinity")


@otp(
    "dynamic_supervisor_test.exs",
    "start_link/3: with non-ok init",
)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"strategy": "one_for_all"}, ("invalid_strategy", "one_for_all")),
        ({"max_children": -1}, ("invalid_max_children", -1)),
        ({"max_restarts": "x"}, ("invalid_intensity", "x")),
    ],
)
def test_wrong_flags_are_a_failed_start(options, reason):
    assert DynamicSupervisor.start_link(**options) == ("error", ("supervisor_data", reason))
    assert names.names() == []


def test_a_spec_with_an_id_of_its_own_is_fine():
    supervisor = started()
    spec = ChildSpec("x", Worker.start_link)
    for _ in range(2):
        assert DynamicSupervisor.start_child(supervisor, spec)[0] == "ok"


@otp(
    "dynamic_supervisor_test.exs",
    "terminate_child/2: terminates restarting child",
)
@otp(
    "supervisor_SUITE.erl",
    "hanging_restart_loop_simple",
)
def test_a_child_that_restarts_goes_by_its_last_ref_and_can_be_terminated():
    """Planted: not found, and the attempts never end."""
    failing = Script(None, *[("error", "not now")] * 100_000)
    _, supervisor = DynamicSupervisor.start_link(max_restarts=10**9)
    _, ref = DynamicSupervisor.start_child(supervisor, failing.spec())
    kill(ref)
    eventually(lambda: failing.starts > 3)
    assert DynamicSupervisor.count_children(supervisor)["specs"] == 1
    assert DynamicSupervisor.terminate_child(supervisor, ref) == "ok"
    starts = failing.starts
    assert DynamicSupervisor.terminate_child(supervisor, ref) == ("error", "not_found")
    assert DynamicSupervisor.count_children(supervisor)["specs"] == 0
    assert failing.starts == starts
    DynamicSupervisor.stop(supervisor)


def test_a_child_that_restarted_goes_by_its_new_ref_alone():
    _, supervisor = DynamicSupervisor.start_link()
    _, ref = DynamicSupervisor.start_child(supervisor, Worker)
    kill(ref)
    eventually(lambda: DynamicSupervisor.count_children(supervisor)["active"] == 1)
    [(_, again, _, _)] = DynamicSupervisor.which_children(supervisor)
    assert DynamicSupervisor.terminate_child(supervisor, ref) == ("error", "not_found")
    assert DynamicSupervisor.terminate_child(supervisor, again) == "ok"
    DynamicSupervisor.stop(supervisor)
