"""Cases of OTP's and Elixir's suites that no other test here plays."""

import pytest

from supervision import (
    ChildSpec,
    DynamicSupervisor,
    Process,
    Supervisor,
    exit_reason,
    kill,
    names,
    stop,
)
from tests.helpers import eventually

from .helpers import Picky, Script, Worker, boom
from .otp import otp

SUITE, EXS = "supervisor_SUITE.erl", "dynamic_supervisor_test.exs"


def dynamic(**options):
    return DynamicSupervisor.start_link(**options)[1]


def active(supervisor):
    return DynamicSupervisor.count_children(supervisor)["active"]


@otp(SUITE, "sup_start_ignore_init", "get_callback_module")
def test_a_supervisor_whose_init_says_ignore_is_not_started():
    class Ignored(Supervisor):
        def init(self):
            from supervision import Ignore

            raise Ignore

    assert Ignored.start_link() == "ignore"

    class Mine(Supervisor):
        def init(self):
            return Supervisor.init([])

    assert Mine.start_link()[1].actor_class is Mine


@otp(SUITE, "sup_start_ignore_temporary_child", "sup_start_ignore_temporary_child_start_child",
     "sup_start_ignore_temporary_child_start_child_simple")  # fmt: skip
def test_a_temporary_child_that_says_ignore_is_forgotten():
    child = ChildSpec("t", lambda: Picky.start_link("ignore"), restart="temporary")
    _, supervisor = Supervisor.start_link([child, Worker])
    assert [each[0] for each in Supervisor.which_children(supervisor)] == ["Worker"]
    assert Supervisor.start_child(supervisor, child) == ("ok", "undefined")
    assert Supervisor.count_children(supervisor)["specs"] == 1
    one = dynamic()
    assert DynamicSupervisor.start_child(one, child) == "ignore"
    assert DynamicSupervisor.count_children(one)["specs"] == 0


@otp(EXS, "start_child/2: transient child is restarted unless normal/shutdown/{shutdown, _}")
@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 1)])
def test_a_transient_dynamic_child_that_ended_as_it_should_is_not_restarted(reason):
    supervisor = dynamic()
    _, ref = DynamicSupervisor.start_child(supervisor, Script().spec(restart="transient"))
    stop(ref, reason)
    assert DynamicSupervisor.count_children(supervisor)["specs"] == 0
    _, ref = DynamicSupervisor.start_child(supervisor, Script().spec(restart="transient"))
    ref.tell(boom)
    eventually(lambda: exit_reason(ref))
    eventually(lambda: active(supervisor) == 1)


@otp(EXS, "start_child/2: child is restarted with different values",
     "start_child/2: restarting on init children counted in max_children",
     "start_child/2: restarting on exit children counted in max_children")  # fmt: skip
def test_a_child_that_restarts_counts_until_it_is_over():
    supervisor = dynamic(max_children=1, max_restarts=10**6, max_seconds=1.0)
    script = Script(None, *[("error", "no")] * 20, "ignore")
    _, ref = DynamicSupervisor.start_child(supervisor, script.spec())
    kill(ref)
    if script.starts < 22:
        answer = DynamicSupervisor.start_child(supervisor, Worker)
        assert answer == ("error", "max_children") or script.starts == 22
    eventually(lambda: script.starts == 22)
    eventually(lambda: DynamicSupervisor.start_child(supervisor, Worker)[0] == "ok")


@otp(EXS, "start_child/2: with valid shutdown",
     "terminate/2: terminates children with brutal kill",
     "terminate/2: terminates children with infinity shutdown",
     "terminate/2: terminates children with infinity shutdown and abnormal reason",
     "terminate/2: terminates children with integer shutdown",
     "terminate/2: terminates children with integer shutdown and abnormal reason",
     "terminate/2: terminates children with permanent restart and normal reason",
     "terminate/2: terminates with mixed children",
     "terminate_child/2: terminates child with brutal kill",
     "terminate_child/2: terminates child with integer shutdown")  # fmt: skip
@otp(SUITE, "sup_stop_brutal_kill_dynamic", "sup_stop_non_shutdown_exit_dynamic", "sup_stop_race")
def test_children_end_as_their_shutdown_says():
    class Ends(Process):
        def init(self, reason):
            self.reason = reason

        def asked_to_end(self, _reason):
            self.exit(self.reason)

    supervisor, refs = dynamic(), {}
    for shutdown in ("brutal_kill", "infinity", 5.0, 0.0):
        for reason in ("shutdown", "normal", "abnormal"):
            spec = ChildSpec("x", lambda reason=reason: Ends.start_link(reason), shutdown=shutdown)
            refs[shutdown, reason] = DynamicSupervisor.start_child(supervisor, spec)[1]
    for key in (("brutal_kill", "normal"), (5.0, "normal")):
        assert DynamicSupervisor.terminate_child(supervisor, refs[key]) == "ok"
        assert exit_reason(refs[key]) == ("killed" if key[0] == "brutal_kill" else key[1])
    assert stop(supervisor) == "ok"
    for (shutdown, reason), ref in refs.items():
        if shutdown == "brutal_kill":
            assert exit_reason(ref) == "killed"
        elif shutdown != 0.0:
            assert exit_reason(ref) == reason
        else:
            assert exit_reason(ref) in (reason, "killed")


@otp(SUITE, "simple_one_for_one_scale_many_temporary_children", "scale_start_stop_many_children")
def test_many_children_come_and_go():
    supervisor = dynamic()
    child = Script().spec(restart="temporary")
    refs = [DynamicSupervisor.start_child(supervisor, child)[1] for _ in range(100)]
    for ref in refs[:50]:
        stop(ref)
    assert DynamicSupervisor.count_children(supervisor)["specs"] == 50
    assert stop(supervisor) == "ok"
    assert not any(ref.is_alive() for ref in refs)


@otp(SUITE, "hanging_restart_loop_rest_for_one")
def test_a_supervisor_answers_while_a_child_can_not_restart():
    script = Script(None, *[("error", "no")] * 1000)
    _, supervisor = Supervisor.start_link(
        [script.spec(), (Worker, {"name": "second"})], strategy="rest_for_one",
        max_restarts=10**6, max_seconds=1.0,
    )  # fmt: skip
    kill(Supervisor.which_children(supervisor)[-1][1])
    eventually(lambda: script.starts > 3)
    assert Supervisor.terminate_child(supervisor, "scripted") == "ok"
    assert Supervisor.delete_child(supervisor, "scripted") == "ok"
    assert names.whereis("second") is None


@otp(EXS, "init/1: set default options")
@otp("gen_server_test.exs", "nil name")
def test_defaults_of_a_dynamic_supervisor_and_no_name():
    flags = DynamicSupervisor.init()
    assert (flags.max_children, flags.max_restarts, flags.max_seconds) == ("infinity", 3, 5.0)
    assert (flags.backoff, flags.extra_arguments) == (None, ())
    ref = Worker.start_link(name=None)[1]
    assert (ref.name, names.names()) == (None, [])


@otp("gen_server_SUITE.erl", "call_with_huge_message_queue", "undef_handle_info",
     "undef_in_handle_info")  # fmt: skip
def test_a_process_with_many_messages_answers_and_one_without_a_handler_warns(caplog):
    ref = Worker.start()
    for _ in range(10_000):
        ref.tell(None)
    assert ref.ask("last", timeout=30) == "last"
    plain = Process.start()
    plain.tell("nobody understands this")
    assert plain.ask("nor this") is None
    assert "has no on_receive" in caplog.text
    ref.tell(lambda _: __import__("no_such_module"))
    eventually(lambda: exit_reason(ref))
    assert exit_reason(ref)[1] == "ModuleNotFoundError"
