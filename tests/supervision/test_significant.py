"""Significant children, what a dynamic supervisor adds to a start, and the extra of a start."""

import pytest

from supervision import (
    Backoff,
    ChildSpec,
    ChildSpecError,
    DynamicSupervisor,
    OptionError,
    Process,
    Supervisor,
    TaskSupervisor,
    exit_reason,
    kill,
    names,
    stop,
)
from tests.helpers import eventually

from .helpers import Script, Worker, boom
from .otp import otp

SUITE = "supervisor_SUITE.erl"


def child(label, restart="temporary", significant=False):
    return ChildSpec(
        label, lambda: Worker.start_link(label, name=label), restart=restart,
        significant=significant,
    )  # fmt: skip


def tree(auto_shutdown, *children, strategy="one_for_one"):
    ok, supervisor = Supervisor.start_link(
        list(children), auto_shutdown=auto_shutdown, strategy=strategy
    )
    assert ok == "ok"
    return supervisor


@otp(SUITE, "nonsignificant_temporary", "nonsignificant_transient")
@pytest.mark.parametrize("restart", ["temporary", "transient"])
@pytest.mark.parametrize("auto_shutdown", ["never", "any_significant", "all_significant"])
def test_the_end_of_another_child_does_not_end_a_supervisor(restart, auto_shutdown):
    supervisor = tree(auto_shutdown, child("a", restart), child("b", restart))
    for label in "ab":
        stop(label)
    assert Supervisor.count_children(supervisor)["active"] == 0
    assert supervisor.is_alive()


@otp(SUITE, "significant_temporary", "significant_transient")
@pytest.mark.parametrize("restart", ["temporary", "transient"])
def test_the_end_of_any_or_of_the_last_significant_child_ends_a_supervisor(restart):
    def children():
        return [child("a", restart, True), child("b", restart, True), child("c", "permanent")]

    supervisor = tree("any_significant", *children())
    stop("a")
    eventually(lambda: exit_reason(supervisor) == "shutdown")
    supervisor = tree("all_significant", *children())
    stop("a")
    assert Supervisor.count_children(supervisor)["active"] == 2
    stop("b")
    eventually(lambda: exit_reason(supervisor) == "shutdown")
    assert names.names() == []


@otp(SUITE, "significant_transient")
def test_a_significant_child_that_is_restarted_or_stopped_ends_nothing():
    supervisor = tree("any_significant", child("a", "transient", True), child("b"))
    first = names.whereis("a")
    first.tell(boom)
    eventually(lambda: names.whereis("a") not in (None, first))
    Supervisor.terminate_child(supervisor, "a")
    assert Supervisor.restart_child(supervisor, "a")[0] == "ok"
    assert supervisor.is_alive()


@otp(SUITE, "significant_bystander")
def test_a_significant_child_that_goes_with_a_strategy_ends_nothing():
    supervisor = tree(
        "any_significant", child("a", "permanent"), child("b", "temporary", True),
        strategy="one_for_all",
    )  # fmt: skip
    first = names.whereis("a")
    kill("a")
    eventually(lambda: names.whereis("a") not in (None, first))
    assert [each[0] for each in Supervisor.which_children(supervisor)] == ["a"]


@otp(SUITE, "significant_escalation")
def test_the_end_by_a_significant_child_goes_up_a_tree():
    def inner():
        return Supervisor.start_link(
            [child("a", "transient", True)], auto_shutdown="any_significant"
        )

    spec = ChildSpec("in", inner, restart="transient", type="supervisor", significant=True)
    outer = tree("any_significant", spec)
    stop("a")
    eventually(lambda: exit_reason(outer) == "shutdown")


@otp("partition_supervisor_test.exs", "start_link/1: raises with bad auto_shutdown")
@otp(SUITE, "child_specs", "child_specs_map", "sup_flags")
def test_what_does_not_go_together_is_refused():
    with pytest.raises(ChildSpecError, match="permanent"):
        child("a", "permanent", True)
    with pytest.raises(ChildSpecError, match="True or False"):
        child("a", "transient", "yes")
    with pytest.raises(OptionError, match="auto_shutdown"):
        Supervisor.init([], auto_shutdown="sometimes")
    with pytest.raises(OptionError):
        Supervisor.init([], max_restarts=True)
    reason = ("bad_combination", (("auto_shutdown", "never"), ("significant", True)))
    assert Supervisor.check_childspecs([child("a", "transient", True)]) == ("error", reason)
    assert Supervisor.check_childspecs([child("a", "transient", True)], "any_significant") == "ok"
    assert Supervisor.check_childspecs(5) == ("error", ("invalid_children", 5))
    supervisor = tree("never")
    spec = child("a", "transient", True)
    assert Supervisor.start_child(supervisor, spec) == ("error", reason)
    _, dynamic = DynamicSupervisor.start_link()
    refused = ("error", ("invalid_significant", True))
    assert DynamicSupervisor.start_child(dynamic, spec) == refused


class Label(Process):
    def init(self, *labels):
        self.labels = labels

    def on_receive(self, message):
        return boom(self) if message == "boom" else self.labels


@otp("dynamic_supervisor_test.exs", "start_child/2: supports extra arguments",
     "start_child/2: restarting a child with extra_arguments "
     "successfully restarts child")  # fmt: skip
def test_extra_arguments_come_before_those_of_each_child():
    _, supervisor = DynamicSupervisor.start_link(extra_arguments=["x", "y"])
    _, ref = DynamicSupervisor.start_child(supervisor, (Label, "own"))
    assert ref.ask("labels") == ("x", "y", "own")
    with pytest.raises(ValueError, match="boom"):
        ref.ask("boom")

    def again():
        shown = DynamicSupervisor.which_children(supervisor)[0][1]
        return shown if shown is not ref and shown != "restarting" else None

    assert eventually(again).ask("labels") == ("x", "y", "own")
    spec = ChildSpec("p", Label.start_link)
    assert DynamicSupervisor.start_child(supervisor, spec)[1].ask("labels") == ("x", "y")
    wrong = ("supervisor_data", ("invalid_extra_arguments", "xy"))
    assert DynamicSupervisor.start_link(extra_arguments="xy") == ("error", wrong)


def test_a_dynamic_supervisor_may_pause_between_restarts():
    _, supervisor = DynamicSupervisor.start_link(backoff=Backoff(0.05, 0.05))
    script = Script(None, None, None)
    _, first = DynamicSupervisor.start_child(supervisor, script.spec())
    kill(first)
    second = eventually(lambda: DynamicSupervisor.which_children(supervisor)[0][1])
    kill(second)
    shown = eventually(
        lambda: (
            DynamicSupervisor.which_children(supervisor)[0][1] == "restarting" or script.starts == 3
        )
    )
    assert shown
    eventually(lambda: script.starts == 3)
    assert DynamicSupervisor.start_link(backoff=1)[0] == "error"


@otp(SUITE, "sup_start_map_simple", "do_not_save_start_parameters_for_temporary_children",
     "simple_one_for_one_corruption")  # fmt: skip
def test_a_dynamic_child_has_a_spec_without_what_it_no_longer_needs():
    _, supervisor = DynamicSupervisor.start_link()
    kept, forgotten = child("a", "transient"), child("b")
    refs = [DynamicSupervisor.start_child(supervisor, each)[1] for each in (kept, forgotten)]
    assert DynamicSupervisor.get_childspec(supervisor, "a") == ("ok", kept)
    ok, spec = DynamicSupervisor.get_childspec(supervisor, refs[1])
    assert (ok, spec.id, spec.restart) == ("ok", "b", "temporary")
    assert spec.start is not forgotten.start
    with pytest.raises(AssertionError):
        spec.start()
    assert DynamicSupervisor.get_childspec(supervisor, "nobody") == ("error", "not_found")


@otp(SUITE, "extra_return", "simple_one_for_one_extra")
@otp("dynamic_supervisor_test.exs", "start_child/2: with different returns")
def test_what_a_start_returns_behind_the_ref_goes_to_the_caller():
    def start():
        return (*Worker.start_link(), "extra")

    _, supervisor = Supervisor.start_link([ChildSpec("first", start)])
    ok, ref, extra = Supervisor.start_child(supervisor, ChildSpec("x", start))
    assert (ok, ref.is_alive(), extra) == ("ok", True, "extra")
    Supervisor.terminate_child(supervisor, "x")
    assert Supervisor.restart_child(supervisor, "x")[2] == "extra"
    _, dynamic = DynamicSupervisor.start_link()
    assert DynamicSupervisor.start_child(dynamic, ChildSpec("x", start))[2] == "extra"


@otp(SUITE, "already_started_outside_supervisor")
def test_a_child_that_runs_elsewhere_is_told_as_it_is():
    elsewhere = Worker.start_link(name="w")[1]
    _, supervisor = Supervisor.start_link([])
    answer = Supervisor.start_child(supervisor, (Worker, {"name": "w"}))
    assert answer == ("error", ("already_started", elsewhere))


@otp("dynamic_supervisor_test.exs",
     "multiple supervisors can be supervised and identified with simple child spec",
     "can be supervised directly")  # fmt: skip
@otp("task/supervisor_test.exs",
     "multiple supervisors can be supervised and identified with simple child spec")  # fmt: skip
@pytest.mark.parametrize("kind", [DynamicSupervisor, TaskSupervisor])
def test_dynamic_supervisors_are_told_apart_by_their_names(kind):
    children = [(kind, {"name": "a"}), (kind, {"name": "b"}), kind]
    _, supervisor = Supervisor.start_link(children)
    shown = [each[0] for each in Supervisor.which_children(supervisor)]
    assert shown == [kind.__name__, "b", "a"]
