"""Supervisor: order, strategies, giving up, and every answer of its calls (as OTP's supervisor).

Planted once to see it go red: children stopped in the order they started; rest_for_one from the
child after the one that ended; failed restarts not counted; `>` for `>=` in RestartIntensity.
"""

from dataclasses import replace
from functools import partial
from unittest.mock import ANY

import pytest
from pykka import messages

from supervision import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Exited,
    Process,
    Supervisor,
    exit_reason,
    kill,
    monitor,
    names,
    stop,
)
from supervision.restarts import Pauses
from supervision.supervisor_base import Request
from tests.helpers import eventually

from .helpers import Collector, Gate, Script, Worker, boom, seen
from .otp import otp

BOOM = ("exception", "ValueError", "boom")


def worker(label, journal=None, **options):
    return ChildSpec(label, lambda: Worker.start_link(label, journal, name=label), **options)


def started(children, **options):
    answer, supervisor = Supervisor.start_link(children, **options)
    assert answer == "ok"
    return supervisor


def refs(supervisor):
    return {name: ref for name, ref, _, _ in Supervisor.which_children(supervisor)}


def crash(supervisor, name):
    """Crash a child, and wait until the supervisor has done something about it."""
    ref = refs(supervisor)[name]
    ref.tell(boom)
    eventually(lambda: not supervisor.is_alive() or refs_or_none(supervisor).get(name) is not ref)


def refs_or_none(supervisor):
    try:
        return refs(supervisor)
    except Exception:
        return {}


# -- start and stop


@otp(
    "supervisor_SUITE.erl",
    "sup_start_normal",
    "order_of_children",
)
def test_children_start_in_order_and_stop_in_reverse(journal):
    supervisor = started([worker(label, journal) for label in "abc"])
    assert Supervisor.stop(supervisor) == "ok"
    assert journal == [
        ("start", "a"), ("start", "b"), ("start", "c"),
        ("stop", "c", "shutdown"), ("stop", "b", "shutdown"), ("stop", "a", "shutdown"),
    ]  # fmt: skip


@otp(
    "supervisor_SUITE.erl",
    "sup_start_fail",
    "sup_start_error_return",
)
def test_a_child_that_fails_first_stops_those_already_up(journal):
    bad = Script(("error", "no luck"))
    answer = Supervisor.start_link(
        [worker("a", journal), worker("b", journal), bad.spec(), worker("c", journal)], name="top"
    )
    assert answer == (
        "error", ("shutdown", ("failed_to_start_child", "scripted", "no luck"))
    )  # fmt: skip
    assert journal[2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]
    assert bad.starts == 1
    assert names.whereis("top") is None


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ValueError("boom"), BOOM),
        ("nonsense", ("bad_return", "nonsense")),
        (("error", BOOM), BOOM),
    ],
)
def test_whatever_is_no_ref_is_a_failed_start(outcome, reason):
    answer = Supervisor.start_link([Script(outcome).spec()])
    assert answer == ("error", ("shutdown", ("failed_to_start_child", "scripted", reason)))


@otp(
    "supervisor_SUITE.erl",
    "sup_start_ignore_child",
)
def test_a_child_that_says_ignore_is_kept_without_a_process():
    supervisor = started(
        [Script("ignore").spec(), Script("ignore", label="t").spec(restart="temporary")]
    )
    assert Supervisor.which_children(supervisor) == [("scripted", "undefined", "worker", ())]
    assert Supervisor.restart_child(supervisor, "scripted")[0] == "ok"


@otp(
    "supervisor_test.exs",
    "start_link/3 with local",
)
def test_a_name_is_taken_once():
    supervisor = started([], name="top")
    assert Supervisor.start_link([], name="top") == ("error", ("already_started", supervisor))
    assert Supervisor.count_children("top")["specs"] == 0


@otp(
    "supervisor_test.exs",
    "start_link/3",
)
def test_a_subclass_says_its_flags_in_init():
    class Named(Supervisor):
        def init(self, arguments):
            return Supervisor.init([(Worker, arguments)], strategy="one_for_all")

    answer, supervisor = Named.start_link(("label",), name="named")
    assert (answer, names.whereis("named")) == ("ok", supervisor)
    assert refs(supervisor)["Worker"].proxy().label.get() == "label"


@otp(
    "supervisor_SUITE.erl",
    "sup_start_map_faulty_specs",
)
def test_flags_that_are_none_or_wrong_are_a_failed_start():
    class Bad(Supervisor):
        def init(self):
            return 42

    assert Bad.start_link() == ("error", ("bad_return", ("Bad", "init", 42)))
    assert Supervisor.start_link([], strategy="all") == (
        "error", ("supervisor_data", ("invalid_strategy", "all"))
    )  # fmt: skip
    assert Supervisor.start_link([], max_restarts=-1) == (
        "error", ("supervisor_data", ("invalid_intensity", -1))
    )  # fmt: skip
    assert Supervisor.start_link([], max_seconds=0) == (
        "error", ("supervisor_data", ("invalid_period", 0))
    )  # fmt: skip
    assert Supervisor.start_link([Worker, Worker]) == (
        "error", ("start_spec", ("duplicate_child_name", "Worker"))
    )  # fmt: skip
    assert Supervisor.start_link([3]) == ("error", ("start_spec", ("invalid_child_spec", 3)))


def test_stop_tells_if_it_ended_otherwise():
    supervisor = started([])
    assert Supervisor.stop(supervisor, "shutdown") == "ok"
    with pytest.raises(Exited, match="noproc"):
        Supervisor.stop(supervisor)


def test_a_supervisor_can_stop_itself(journal):
    class Brief(Supervisor):
        def init(self):
            return Supervisor.init([worker("a", journal)])

        def leave(self):
            self.stop()

    _, supervisor = Brief.start_link()
    supervisor.proxy().leave().get()
    assert eventually(lambda: exit_reason(supervisor)) == "normal"
    assert ("stop", "a", "shutdown") in journal


def test_a_supervisor_whose_thread_crashes_stops_its_children(journal):
    class Buggy(Supervisor):
        def init(self):
            return Supervisor.init([worker("a", journal), worker("b", journal)])

        def bug(self):
            raise ValueError("boom")

    _, supervisor = Buggy.start_link()
    supervisor.proxy().bug.defer()
    assert eventually(lambda: exit_reason(supervisor)) == BOOM
    assert journal[2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]


def test_the_children_of_a_killed_supervisor_end():
    supervisor = started([worker("a")])
    child = names.whereis("a")
    kill(supervisor)
    assert eventually(lambda: exit_reason(child)) == "shutdown"


# -- shutdown


def stuck(shutdown):
    """A supervisor whose child is busy, the child, and the gate that frees it."""
    gate = Gate()
    supervisor = started([worker("stuck", shutdown=shutdown)])
    child = names.whereis("stuck")
    child.tell(gate.hold)
    gate.reached.wait()
    return supervisor, child, gate


@otp(
    "supervisor_SUITE.erl",
    "sup_stop_timeout",
)
def test_a_child_that_does_not_end_in_time_is_killed():
    supervisor, child, gate = stuck(0.05)
    Supervisor.stop(supervisor)
    assert exit_reason(child) == "killed"
    gate.opened.set()


@otp(
    "supervisor_SUITE.erl",
    "sup_stop_brutal_kill",
)
def test_brutal_kill_does_not_wait():
    supervisor, child, gate = stuck("brutal_kill")
    Supervisor.stop(supervisor)
    assert exit_reason(child) == "killed"
    gate.opened.set()


@otp(
    "supervisor_SUITE.erl",
    "sup_stop_infinity",
)
def test_infinity_waits():
    supervisor, child, gate = stuck("infinity")
    with pytest.raises(TimeoutError):
        stop(supervisor, "shutdown", timeout=0.05)
    assert exit_reason(child) is None
    gate.opened.set()
    assert eventually(lambda: exit_reason(supervisor)) == "shutdown"
    assert exit_reason(child) == "shutdown"


# -- restarts


@otp(
    "supervisor_SUITE.erl",
    "permanent_normal",
    "transient_normal",
    "temporary_normal",
    "permanent_shutdown",
    "transient_shutdown",
    "temporary_shutdown",
    "permanent_abnormal",
    "transient_abnormal",
    "temporary_abnormal",
)
@pytest.mark.parametrize(
    ("restart", "reason", "comes_back"),
    [
        ("permanent", "normal", True),
        ("permanent", BOOM, True),
        ("permanent", "killed", True),
        ("transient", "normal", False),
        ("transient", "shutdown", False),
        ("transient", ("shutdown", "tired"), False),
        ("transient", BOOM, True),
        ("transient", "killed", True),
        ("temporary", BOOM, False),
    ],
)
def test_who_is_restarted_after_what(restart, reason, comes_back):
    supervisor = started([worker("a", restart=restart)])
    ref = names.whereis("a")
    if reason == BOOM:
        ref.tell(boom)
    elif reason == "killed":
        kill(ref)
    else:
        stop(ref, reason)
    eventually(lambda: exit_reason(ref))
    eventually(lambda: refs(supervisor).get("a") is not ref)
    after = refs(supervisor)
    if comes_back:
        assert after["a"].is_alive()
    elif restart == "temporary":
        assert after == {}
    else:
        assert after == {"a": "undefined"}


STRATEGIES = {
    # strategy: what happens when b of a, b, c crashes
    "one_for_one": [("start", "b")],
    "rest_for_one": [("stop", "c", "shutdown"), ("start", "b"), ("start", "c")],
    "one_for_all": [
        ("stop", "c", "shutdown"), ("stop", "a", "shutdown"),
        ("start", "a"), ("start", "b"), ("start", "c"),
    ],
}  # fmt: skip


@otp(
    "supervisor_SUITE.erl",
    "one_for_one",
    "one_for_all",
    "rest_for_one",
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_stops_in_reverse_and_starts_in_order(strategy, journal):
    supervisor = started([worker(label, journal) for label in "abc"], strategy=strategy)
    del journal[:]
    crash(supervisor, "b")
    assert journal == [("stop", "b", BOOM), *STRATEGIES[strategy]]
    assert [name for name, *_ in Supervisor.which_children(supervisor)] == ["c", "b", "a"]


@otp(
    "supervisor_SUITE.erl",
    "temporary_bystander",
    "do_not_save_child_specs_for_temporary_children",
)
def test_temporary_siblings_go_with_a_strategy_and_do_not_come_back(journal):
    children = [worker("a", journal), worker("t", journal, restart="temporary")]
    supervisor = started(children, strategy="one_for_all")
    crash(supervisor, "a")
    assert list(refs(supervisor)) == ["a"]


def test_a_child_added_later_comes_last(journal):
    supervisor = started([worker("a", journal)], strategy="rest_for_one")
    Supervisor.start_child(supervisor, worker("b", journal))
    del journal[:]
    crash(supervisor, "a")
    assert journal == [
        ("stop", "a", BOOM),
        ("stop", "b", "shutdown"),
        ("start", "a"),
        ("start", "b"),
    ]


@otp(
    "supervisor_SUITE.erl",
    "one_for_all_other_child_fails_restart",
    "rest_for_one_other_child_fails_restart",
)
def test_a_strategy_that_fails_midway_goes_on_from_there(journal):
    """OTP: those before stay up, the failed is tried again, those after wait for it."""
    middle = Script(None, ("error", "not yet"), None)
    supervisor = started(
        [worker("a", journal), middle.spec(), worker("c", journal)], strategy="rest_for_one"
    )
    del journal[:]
    crash(supervisor, "a")
    eventually(lambda: middle.starts == 3 and refs(supervisor)["c"] != "undefined")
    assert journal == [
        ("stop", "a", BOOM),
        ("stop", "c", "shutdown"),
        ("start", "a"),
        ("start", "c"),
    ]


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@otp(
    "supervisor_SUITE.erl",
    "one_for_one_escalation",
    "one_for_all_escalation",
    "rest_for_one_escalation",
)
def test_too_many_restarts_end_the_supervisor_with_shutdown():
    clock = Clock()

    class Timed(Supervisor):
        pass

    Timed.clock = clock
    _, supervisor = Timed.start_link([worker("a")], max_restarts=2, max_seconds=5.0)
    crash(supervisor, "a")
    crash(supervisor, "a")
    clock.now += 5.5
    crash(supervisor, "a")
    crash(supervisor, "a")
    assert supervisor.is_alive()
    crash(supervisor, "a")
    assert eventually(lambda: exit_reason(supervisor)) == "shutdown"
    assert names.whereis("a") is None


@otp(
    "supervisor_SUITE.erl",
    "multiple_restarts",
)
def test_restarts_count_for_all_children_together():
    supervisor = started([worker("a"), worker("b")], max_restarts=1)
    crash(supervisor, "a")
    crash(supervisor, "b")
    assert eventually(lambda: exit_reason(supervisor)) == "shutdown"


def test_failed_restarts_count_and_are_tried_again():
    child = Script(None, ("error", 1), ("error", 2), None)
    supervisor = started([child.spec()])
    crash(supervisor, "scripted")
    eventually(lambda: child.starts == 4)
    assert eventually(lambda: refs(supervisor)["scripted"].is_alive())

    hopeless = Script(None, *[("error", "no")] * 10)
    supervisor = started([hopeless.spec()])
    refs(supervisor)["scripted"].tell(boom)
    assert eventually(lambda: exit_reason(supervisor)) == "shutdown"
    assert hopeless.starts == 1 + 3


@otp(
    "supervisor_SUITE.erl",
    "hanging_restart_loop",
    "count_restarting_children",
)
def test_calls_get_in_between_failed_restarts():
    gate, starts = Gate(), []

    def start():
        starts.append(True)
        if len(starts) == 1:
            return Worker.start_link("a")
        gate.hold()
        return ("error", "no")

    supervisor = started([ChildSpec("a", start)])
    refs(supervisor)["a"].tell(boom)
    gate.reached.wait()
    asked = [
        supervisor.ask(Request(verb, arguments), block=False)
        for verb, *arguments in (
            ("restart_child", "a"), ("delete_child", "a"), ("which_children",),
            ("terminate_child", "a"),
        )
    ]  # fmt: skip
    gate.opened.set()
    assert [future.get(timeout=10) for future in asked] == [
        ("error", "restarting"), ("error", "restarting"), [("a", "restarting", "worker", ())],
        "ok",
    ]  # fmt: skip
    assert Supervisor.which_children(supervisor) == [("a", "undefined", "worker", ())]
    assert len(starts) == 2


@otp(
    "supervisor_SUITE.erl",
    "tree",
)
def test_a_parent_hears_that_a_supervisor_gave_up():
    hopeless = Script(None, *[("error", "no")] * 10)
    inner = ChildSpec(
        "inner",
        lambda: Supervisor.start_link([hopeless.spec()]),
        restart="transient",
        type="supervisor",
    )
    outer = started([inner])
    inner_ref = refs(outer)["inner"]
    refs(inner_ref)["scripted"].tell(boom)
    eventually(lambda: refs(outer)["inner"] == "undefined")
    assert exit_reason(inner_ref) == "shutdown"
    assert outer.is_alive()


def test_a_restarted_child_hears_its_new_monitor_and_the_old_one_heard_the_crash():
    supervisor = started([worker("a")])
    collector = Collector.start()
    watch = monitor("a", collector)
    crash(supervisor, "a")
    (down,) = eventually(lambda: seen(collector))
    assert (down.ref, down.reason) == (watch.ref, BOOM)


# -- answers


@otp(
    "supervisor_SUITE.erl",
    "child_adm",
    "sup_start_child_returns_error",
)
@otp(
    "supervisor_test.exs",
    "start_child/2: supports new child spec",
    "start_child/2: supports new child spec as tuple",
    "start_child/2: with invalid child spec",
    "start_child/2: with valid child spec",
)
def test_start_child_answers():
    supervisor = started([])
    answer, ref = Supervisor.start_child(supervisor, worker("a"))
    assert answer == "ok"
    assert Supervisor.start_child(supervisor, worker("a")) == ("error", ("already_started", ref))
    assert Supervisor.terminate_child(supervisor, "a") == "ok"
    assert Supervisor.start_child(supervisor, worker("a")) == ("error", "already_present")
    assert Supervisor.start_child(supervisor, Script("ignore", label="i").spec()) == (
        "ok", "undefined"
    )  # fmt: skip
    spec = Script(("error", "no"), label="bad").spec()
    assert Supervisor.start_child(supervisor, spec) == ("error", ("no", spec))
    assert Supervisor.get_childspec(supervisor, "bad") == ("error", "not_found")
    assert Supervisor.start_child(supervisor, "junk") == ("error", ("invalid_child_spec", "junk"))
    assert Supervisor.start_child(supervisor, (Worker, "label"))[0] == "ok"


@otp(
    "supervisor_test.exs",
    "child life cycle",
)
def test_terminate_restart_and_delete_child_answers():
    supervisor = started([worker("a"), worker("t", restart="temporary")])
    ref = names.whereis("a")
    assert Supervisor.restart_child(supervisor, "a") == ("error", "running")
    assert Supervisor.delete_child(supervisor, "a") == ("error", "running")
    assert Supervisor.terminate_child(supervisor, "a") == "ok"
    assert exit_reason(ref) == "shutdown"
    assert Supervisor.terminate_child(supervisor, "a") == "ok"
    assert refs(supervisor)["a"] == "undefined"
    answer, again = Supervisor.restart_child(supervisor, "a")
    assert (answer, again) == ("ok", names.whereis("a"))
    Supervisor.terminate_child(supervisor, "a")
    assert Supervisor.delete_child(supervisor, "a") == "ok"
    assert Supervisor.terminate_child(supervisor, "t") == "ok"
    for call in (Supervisor.terminate_child, Supervisor.restart_child, Supervisor.delete_child):
        assert call(supervisor, "a") == ("error", "not_found")
        assert call(supervisor, "t") == ("error", "not_found")


@otp(
    "supervisor_SUITE.erl",
    "sup_start_restart_child_returns_error",
)
def test_restart_child_answers_why_it_failed():
    supervisor = started([Script(None, ("error", "no"), "ignore").spec()])
    Supervisor.terminate_child(supervisor, "scripted")
    assert Supervisor.restart_child(supervisor, "scripted") == ("error", "no")
    assert Supervisor.restart_child(supervisor, "scripted") == ("ok", "undefined")


@otp(
    "supervisor_SUITE.erl",
    "count_children",
    "count_children_supervisor",
)
def test_children_are_shown_last_started_first_and_counted():
    inner = ChildSpec("s", lambda: Supervisor.start_link([]), type="supervisor")
    supervisor = started([worker("a"), (Worker, "b"), inner])
    Supervisor.terminate_child(supervisor, "a")
    shown = Supervisor.which_children(supervisor)
    assert [(name, kind, modules) for name, _, kind, modules in shown] == [
        ("s", "supervisor", ()), ("Worker", "worker", (Worker,)), ("a", "worker", ())
    ]  # fmt: skip
    assert shown[2][1] == "undefined"
    assert Supervisor.count_children(supervisor) == {
        "specs": 3, "active": 2, "supervisors": 1, "workers": 2,
    }  # fmt: skip


def test_get_childspec_answers_the_spec():
    spec = worker("a")
    assert Supervisor.get_childspec(started([spec]), "a") == ("ok", spec)


def test_a_supervisor_may_be_given_as_ref_proxy_or_name():
    supervisor = started([], name="top")
    for target in (supervisor, supervisor.proxy(), "top"):
        assert Supervisor.which_children(target) == []
    with pytest.raises(Exception, match="nobody"):
        Supervisor.which_children("nobody")


# -- links


class Parent(Process):
    def begin(self, cls, *args):
        return cls.start_link(*args)


def test_a_child_ends_with_its_parent():
    parent = Parent.start()
    _, child = parent.proxy().begin(Worker).get()
    stop(parent)
    assert eventually(lambda: exit_reason(child)) == "shutdown"


def test_an_abnormal_end_of_a_child_ends_its_parent():
    parent = Parent.start()
    _, child = parent.proxy().begin(Worker).get()
    child.tell(boom)
    assert eventually(lambda: exit_reason(parent)) == BOOM


def test_a_normal_end_of_a_child_does_not_end_its_parent():
    parent = Parent.start()
    _, child = parent.proxy().begin(Worker).get()
    stop(child)
    assert parent.ask(1) is None
    assert exit_reason(parent) is None


def test_a_parent_may_take_it_otherwise():
    class Stoic(Parent):
        def init(self):
            self.heard = []

        def child_ended(self, ref, reason):
            self.heard.append((ref, reason))

    parent = Stoic.start()
    _, child = parent.proxy().begin(Worker).get()
    child.tell(boom)
    assert eventually(lambda: parent.proxy().heard.get()) == [(child, BOOM)]


def test_links_that_ended_leave_nothing_behind():
    parent = Parent.start()
    watchers = len(parent._lifeline._watchers)
    for _ in range(3):
        _, child = parent.proxy().begin(Worker).get()
        stop(child)
    eventually(lambda: len(parent._lifeline._watchers) == watchers)
    process = parent._actor_weakref()
    eventually(lambda: not process._Process__children)


# -- pauses between restarts


def test_pauses_begin_at_none_double_and_begin_anew_after_a_quiet_time():
    now = [0.0]
    pauses = Pauses(Backoff(first_s=2.0, max_s=5.0), lambda: now[0])
    seen = []
    for _ in range(5):
        seen.append(pauses.pause_s())
        now[0] += seen[-1]
    assert seen == [0.0, 2.0, 4.0, 5.0, 5.0]
    now[0] += 10.1
    assert pauses.pause_s() == 0.0
    assert Pauses(None).pause_s() == 0.0


def test_with_a_backoff_a_child_that_breaks_again_is_restarted_later_and_calls_get_in_between():
    supervisor = started([worker("a")], backoff=Backoff(first_s=0.2, max_s=0.4))
    crash(supervisor, "a")
    eventually(lambda: refs(supervisor)["a"] != "restarting")
    crash(supervisor, "a")
    assert refs(supervisor)["a"] == "restarting"
    eventually(lambda: refs(supervisor)["a"] != "restarting")
    assert Supervisor.stop(supervisor) == "ok"


def test_a_child_that_waits_for_its_restart_can_be_terminated():
    supervisor = started([worker("a")], backoff=Backoff(first_s=0.1, max_s=0.1))
    crash(supervisor, "a")
    eventually(lambda: refs(supervisor)["a"] != "restarting")
    crash(supervisor, "a")
    assert Supervisor.terminate_child(supervisor, "a") == "ok"
    assert refs(supervisor)["a"] == "undefined"
    ok, _ref = Supervisor.restart_child(supervisor, "a")
    assert ok == "ok"
    assert Supervisor.stop(supervisor) == "ok"


def test_one_that_is_killed_during_its_start_starts_no_more_children():
    """Ctrl-C in `start_link`, say. Planted: every other child still runs its `init`."""
    begun = []

    class Deadly(Process):
        def init(self, label):
            begun.append(label)
            kill("top")

    children = [ChildSpec(label, partial(Deadly.start_link, label)) for label in "abc"]
    assert Supervisor.start_link(children, name="top") == ("error", "killed")
    assert begun == ["a"]


def test_a_parent_ends_with_a_tree_that_gave_up():
    """Planted: "shutdown" is taken for a normal end, and the parent lives with nothing below it."""
    parent = Parent.start()
    _, supervisor = parent.proxy().begin(Supervisor, [(Worker, {})]).get()
    stop(supervisor, "shutdown")
    assert eventually(lambda: exit_reason(parent)) == "shutdown"
    parent = Parent.start()
    _, child = parent.proxy().begin(Worker).get()
    stop(child, ("shutdown", "detail"))
    assert eventually(lambda: exit_reason(parent)) == ("shutdown", "detail")


class Slow(Process):
    def init(self, gate):
        gate.hold()


@pytest.mark.parametrize("end", [kill, lambda ref: ref._end("shutdown")])
def test_a_child_that_starts_ends_with_its_parent(end):
    """Planted: bound only after `init`, it holds its name until that returns."""
    gate = Gate()
    starter = Worker.start()
    starter.tell(lambda _: Slow.start_link(gate, name="slow"))
    assert gate.reached.wait(10)
    child = names.whereis("slow")
    end(starter)
    assert names.whereis("slow") is None
    assert exit_reason(child) == "killed"
    gate.opened.set()


def test_a_tree_that_starts_ends_with_who_starts_it():
    gate = Gate()
    inner = Supervisor.child_spec([(Slow, {"gate": gate, "name": "slow"})], name="inner")
    starter = Worker.start()
    starter.tell(lambda _: Supervisor.start_link([inner], name="outer"))
    assert gate.reached.wait(10)
    kill(starter)
    eventually(lambda: not names.names())
    gate.opened.set()


BAD_CALLS = {
    "too many": lambda proxy: proxy.which_children(proxy),
    "too few": lambda proxy: proxy.terminate_child(),
    "no child": lambda proxy: proxy.start_child(),
    "init": lambda proxy: proxy.init(5),
    "child_ended": lambda proxy: proxy.child_ended(),
}


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_calls_by_proxy_are_answered_or_refused_and_end_nothing(kind):
    """Planted: run without the supervisor, they end the whole tree."""
    _, supervisor = kind.start_link()
    kind.start_child(supervisor, (Worker, {"name": "worker"}))
    worker, proxy = names.whereis("worker"), supervisor.proxy()
    assert proxy.which_children().get() == kind.which_children(supervisor)
    assert proxy.count_children().get() == kind.count_children(supervisor)
    spec = replace(Worker.child_spec(name="another"), id="another")
    answer, another = proxy.start_child(spec).get()
    assert answer == "ok"
    child = another if kind is DynamicSupervisor else "another"
    assert proxy.terminate_child(child).get() == "ok"
    assert proxy.start_child(5).get() == ("error", ("invalid_child_spec", 5))
    for call in BAD_CALLS.values():
        with pytest.raises((TypeError, ValueError)):
            call(proxy).get(timeout=10)
    proxy.which_children.defer("too", "many")
    for name in ("child_ended", "exit"):
        with pytest.raises(AttributeError):
            setattr(proxy, name, None)
    assert (ANY, worker, "worker", (Worker,)) in proxy.which_children().get()
    assert kind.stop(supervisor, timeout=10) == "ok"


def test_a_supervisor_may_call_itself_on_its_own_thread():
    class Own(Supervisor):
        def mine(self):
            return Supervisor.which_children(self)

    _, own = Own.start_link([Worker])
    assert own.proxy().mine().get(timeout=10) == Supervisor.which_children(own)
    Supervisor.stop(own)


@pytest.mark.parametrize("make", [iter, lambda specs: (spec for spec in specs)])
def test_an_iterator_of_children_is_read_once_for_all_lives(make):
    """Planted: used up by the first life, so that the second has no children."""
    specs = [replace(Worker.child_spec(), id=name) for name in "abc"]
    for child in (
        Supervisor.child_spec(make(specs), name="inner"),
        Supervisor.child_spec(children=make(specs), name="inner"),
        (Supervisor, {"children": make(specs), "name": "inner"}),
    ):
        _, outer = Supervisor.start_link([child])
        first = names.whereis("inner")
        kill(first)
        eventually(lambda first=first: names.whereis("inner") not in (None, first))
        assert eventually(lambda: Supervisor.count_children("inner")["active"] == 3)
        Supervisor.stop(outer)


def test_an_attempt_that_was_overtaken_is_not_made():
    """A restart that waits is void once its child was started otherwise."""
    script = Script(None, ("error", "once"), None, ("error", "later"))
    spec = script.spec()
    _, supervisor = Supervisor.start_link([spec], max_restarts=100, backoff=Backoff(30.0, 30.0))
    [(_, ref, _, _)] = Supervisor.which_children(supervisor)
    kill(ref)
    eventually(lambda: Supervisor.which_children(supervisor)[0][1] == "restarting")
    child = supervisor._actor_weakref()._children_in_order[0]
    overtaken = child.retry
    assert Supervisor.terminate_child(supervisor, "scripted") == "ok"
    assert Supervisor.restart_child(supervisor, "scripted")[0] == "ok"
    starts = script.starts
    supervisor.tell(overtaken)
    assert Supervisor.count_children(supervisor)["active"] == 1
    assert script.starts == starts
    Supervisor.stop(supervisor)


@pytest.mark.parametrize(
    "path", [(), ("nobody",), ("on_failure",), ("__init__",), (5,), ("a", "b")]
)
def test_no_proxy_message_that_makes_no_sense_ends_a_supervisor(path):
    _, supervisor = Supervisor.start_link([Worker])
    for message in (messages.ProxyCall(path, (1,), {}), messages.ProxyGetAttr(path)):
        supervisor.tell(message)
        supervisor.ask(message, block=False)
    assert Supervisor.count_children(supervisor)["active"] == 1
    Supervisor.stop(supervisor)
