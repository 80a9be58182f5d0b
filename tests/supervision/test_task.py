"""Tasks: futures of functions that run in processes of their own."""

import asyncio
import concurrent.futures
import threading

import pytest

from supervision import (
    Exited,
    OptionError,
    Process,
    Stop,
    Supervisor,
    Task,
    callers,
    exit_reason,
    kill,
    monitor,
    stop,
)
from supervision.task import TaskProcess
from tests.helpers import eventually

from .helpers import Collector, Gate, Worker, boom, seen
from .otp import otp

BOOM = ("exception", "ValueError", "boom")


def fail(*_):
    raise ValueError("boom")


def end(reason):
    raise Stop(reason)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


class Owner(Process):
    """Runs a function in a process."""

    def run(self, function, *args):
        return function(*args)


def in_process(function, *args):
    owner = Owner.start()
    return owner, owner.proxy().run(function, *args)


@otp("task_test.exs", "async/1", "async/3", "start/1", "start/3", "completed/1")
def test_a_task_is_a_future_with_a_process():
    task = Task.start(lambda a, b=0: (a, b), 1, b=2)
    assert isinstance(task, concurrent.futures.Future)
    assert task.result(10) == (1, 2)
    eventually(lambda: exit_reason(task.ref) == "normal")
    assert list(concurrent.futures.as_completed([task], 10)) == [task]
    done = Task.completed(5)
    assert (done.result(), done.ref, done.outcome()) == (5, None, ("ok", 5))

    async def wrapped():
        return await asyncio.wrap_future(Task.start(abs, -3))

    assert asyncio.run(wrapped()) == 3


@otp("task_test.exs", "start_link/1", "start_link/3", "can be supervised directly",
     "generates child_spec/1")  # fmt: skip
def test_a_task_can_be_a_child(journal):
    _, supervisor = Supervisor.start_link([(Task, (journal.append, "ran"))])
    eventually(lambda: Supervisor.count_children(supervisor)["specs"] == 0)
    assert journal == ["ran"]
    spec = Task.child_spec(journal.append, 1)
    assert (spec.id, spec.restart, spec.shutdown, spec.type) == ("Task", "temporary", 5.0, "worker")
    ok, _ref = Task.start_link(journal.append, "linked")
    assert ok == "ok"
    eventually(lambda: journal == ["ran", "linked"])


@otp("task_test.exs", "async with $callers", "start_link with $callers",
     "async_stream/2: with $callers")  # fmt: skip
def test_a_task_knows_for_whom_it_runs():
    def nested():
        return callers(), Task.start(callers).result(10)

    owner, found = in_process(lambda: Task.start(nested).result(10))
    outer, inner = found.get(timeout=10)
    assert outer == (owner,)
    assert inner[1:] == (owner,)
    assert inner[0].actor_class is TaskProcess
    owner, found = in_process(lambda: list(Task.stream(lambda _: callers(), [1])))
    assert found.get(timeout=10) == [("ok", (owner,))]
    assert callers() == ()


@otp("task_test.exs", "await/2: exits on task throw", "await/2: exits on task error",
     "await/2: exits on task undef module error", "await/2: exits on task undef function error",
     "await/2: exits on task exit", "await/2: exits on normal exit",
     "default :logger reporter: logs a terminated task")  # fmt: skip
@pytest.mark.parametrize(
    ("function", "raised", "reason"),
    [
        (fail, ValueError, BOOM),
        (lambda: __import__("no_such_module"), ImportError, None),
        (lambda: threading.no_such, AttributeError, None),
        (lambda: end("unknown"), Exited, "unknown"),
        (lambda: end("normal"), Exited, "normal"),
        (lambda: exit(3), Exited, ("exception", "SystemExit", "3")),
    ],
)
def test_a_task_that_fails_gives_what_it_raised(function, raised, reason, caplog):
    task = Task.start(function)
    with pytest.raises(raised):
        task.result(10)
    outcome, why = task.outcome()
    assert outcome == "exit"
    assert why == (reason or why)
    eventually(lambda: exit_reason(task.ref) == why)
    assert ("crashed" in caplog.text) == (reason not in ("normal",))


@otp("task_test.exs", "await/2: exits on timeout", "await/2: demonitors and unalias on timeout",
     "yield/2: returns nil on timeout",
     "yield/2: returns {:ok, result} when reply and :DOWN in message queue",
     "yield/2: return exit on normal exit")  # fmt: skip
def test_a_wait_has_a_bound_and_the_task_runs_on(gate):
    task = Task.start(gate.hold)
    with pytest.raises(TimeoutError):
        task.result(0.01)
    assert task.outcome() is None
    assert Task.yield_many([task], 0.01) == [(task, None)]
    gate.opened.set()
    assert Task.yield_many([task], 10) == [(task, ("ok", "held"))]
    ended = Task.start(end, "normal")
    assert Task.yield_many([ended], 10) == [(ended, ("exit", "normal"))]


def test_a_process_ends_with_its_task_and_a_task_with_its_process(gate):
    owner, found = in_process(Task.start, fail)
    task = found.get(timeout=10)
    eventually(lambda: exit_reason(owner) == BOOM)
    assert task.outcome() == ("exit", BOOM)
    owner, found = in_process(Task.start, gate.hold)
    task = found.get(timeout=10)
    stop(owner)
    gate.opened.set()
    eventually(lambda: exit_reason(task.ref))


@otp("task_test.exs", "ignore/1: discards on time replies", "ignore/1: discards late replies",
     "ignore/1: discards on-time failures", "ignore/1: discards late failures",
     "ignore/1: can ignore completed tasks")  # fmt: skip
def test_a_process_does_not_end_with_a_task_that_it_ignores(gate):
    def hold_and_fail():
        gate.hold()
        fail()

    def ignored():
        late, soon = Task.start(hold_and_fail), Task.start(abs, -1)
        soon.result(10)
        return late, late.ignore(), soon.ignore(), Task.completed(1).ignore()

    owner, found = in_process(ignored)
    late, *outcomes = found.get(timeout=10)
    assert outcomes == [None, ("ok", 1), ("ok", 1)]
    gate.opened.set()
    eventually(late.done)
    assert owner.proxy().run(abs, -2).get(timeout=10) == 2


@otp("task_test.exs", "await_many/2: returns list of replies",
     "await_many/2: returns replies in input order ignoring response order",
     "await_many/2: returns an empty list immediately",
     "await_many/2: ignores messages from other processes",
     "await_many/2: ignores additional messages after reply")  # fmt: skip
def test_await_many_gives_results_in_the_order_of_the_tasks(gate):
    late = Task.start(gate.hold)
    soon = Task.start(abs, -1)
    soon.result(10)
    gate.opened.set()
    assert Task.await_many([late, soon, late]) == ["held", 1, "held"]
    assert Task.await_many([]) == []


@otp("task_test.exs", "await_many/2: exits with same reason when task exits",
     "await_many/2: exits immediately when any task exits",
     "await_many/2: exits immediately when any task crashes",
     "await_many/2: exits immediately when any task throws",
     "await_many/2: exits immediately on any task error",
     "await_many/2: exits on timeout")  # fmt: skip
def test_await_many_ends_with_the_first_that_fails(gate):
    held = Task.start(gate.hold)
    for function, raised in ((fail, ValueError), (lambda: end("no"), Exited)):
        with pytest.raises(raised):
            Task.await_many([held, Task.start(function)], timeout=None)
    with pytest.raises(TimeoutError, match="1 of 2 tasks"):
        Task.await_many([held, Task.completed(1)], timeout=0.01)


@otp("task_test.exs",
     "yield_many/2: returns {:ok, result} when reply and :DOWN in message queue",
     "yield_many/2: returns nil on timeout by default",
     "yield_many/2: shuts down on timeout when configured",
     "yield_many/2: ignores on timeout when configured",
     "yield_many/2: return exit on normal exit",
     "yield_many/2: returns results from multiple tasks",
     "yield_many/2: returns results on infinity timeout")  # fmt: skip
def test_yield_many_gives_what_has_come_in_time(gate):
    held, done, failed, ended = (
        Task.start(gate.hold), Task.completed(1), Task.start(fail), Task.start(end, "normal")
    )  # fmt: skip
    for task in (failed, ended):
        eventually(task.done)
    expected = [("ok", 1), ("exit", BOOM), ("exit", "normal")]
    every = [done, failed, ended]
    assert [each for _, each in Task.yield_many([held, *every], 0.01)] == [None, *expected]
    assert Task.yield_many(every, None) == list(zip(every, expected, strict=True))
    Task.yield_many([held], 0.0, on_timeout="ignore")
    assert not held.done()
    assert Task.yield_many([held], 0.0, on_timeout="kill_task") == [(held, None)]
    assert held.outcome() == ("exit", "killed")
    assert held.is_given_up()
    gate.opened.set()
    eventually(lambda: not held.is_given_up())
    assert held.outcome() == ("exit", "killed"), "what came later is no result"


@otp("task_test.exs", "yield_many/2: returns results from multiple tasks with limit",
     "yield_many/2: returns once all tasks have replied below limit",
     "yield_many/2: returns results from multiple tasks with limit and on timeout")  # fmt: skip
def test_yield_many_may_wait_for_some_of_the_tasks(gate):
    held = Task.start(gate.hold)
    every = [held, Task.completed(1), Task.completed(2)]
    found = Task.yield_many(every, None, limit=2, on_timeout="kill_task")
    assert [each for _, each in found] == [None, ("ok", 1), ("ok", 2)]
    assert exit_reason(held.ref) == "killed"
    assert len(Task.yield_many(every, None, limit=7)) == 3
    for wrong in ({"limit": -1}, {"on_timeout": "explode"}):
        with pytest.raises(OptionError):
            Task.yield_many([], **wrong)


@otp("task_test.exs",
     "shutdown/2: returns {:ok, result} when reply and abnormal :DOWN in message queue",
     "shutdown/2: returns {:ok, result} when reply and normal :DOWN in message queue",
     "shutdown/2: returns {:ok, result} when reply and shut down :DOWN in message queue",
     "shutdown/2: returns exit on abnormal :DOWN in message queue",
     "shutdown/2: returns exit on normal :DOWN in message queue",
     "shutdown/2: returns exit on killed :DOWN in message queue",
     "shutdown/2: ignores if task PID is nil",
     "shutdown/2 with :brutal_kill: returns {:ok, result} when "
     "reply and abnormal :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns {:ok, result} when "
     "reply and normal :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns {:ok, result} when "
     "reply and shut down :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns exit on abnormal :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns exit on normal :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns exit on shutdown :DOWN in message queue")  # fmt: skip
@pytest.mark.parametrize("timeout", [5.0, "brutal_kill"])
def test_a_shutdown_of_what_has_ended_gives_its_outcome(timeout, gate):
    def outcome(task):
        eventually(task.done)
        return task.shutdown(timeout)

    killed = Task.start(gate.hold)
    kill(killed.ref)
    assert outcome(killed) == ("exit", "killed")
    assert outcome(Task.start(abs, -1)) == ("ok", 1)
    assert outcome(Task.start(fail)) == ("exit", BOOM)
    for reason in ("normal", "shutdown", "abnormal"):
        assert outcome(Task.start(end, reason)) == ("exit", reason)
    assert Task.completed(1).shutdown(timeout) == ("ok", 1)


@otp("task_test.exs", "shutdown/2: returns nil on shutting down task",
     "shutdown/2: returns nil on killing task",
     "shutdown/2 with :brutal_kill: returns nil on killed :DOWN in message queue",
     "shutdown/2 with :brutal_kill: returns exit on killing task "
     "after shutdown timeout")  # fmt: skip
def test_a_shutdown_gives_up_what_does_not_end_in_time(gate):
    for timeout in (0.01, "brutal_kill"):
        gate.reached.clear()
        task = Task.start(gate.hold)
        assert gate.reached.wait(10)
        assert task.shutdown(timeout) is None
        assert eventually(lambda task=task: exit_reason(task.ref)) == "killed"
        assert task.is_given_up()
    task = Task.start(gate.hold)
    gate.opened.set()
    assert task.shutdown(10) in (("ok", "held"), None), "it may end before it has begun"


def test_a_monitor_sees_the_end_of_a_task(gate):
    collector = Collector.start()
    task = Task.start(gate.hold)
    monitor(task.ref, collector)
    gate.opened.set()
    (down,) = eventually(lambda: seen(collector))
    assert (down.actor, down.reason) == (task.ref, "normal")


def test_a_crash_elsewhere_is_no_matter_of_a_task():
    worker = Worker.start()
    task = Task.start(worker.ask, boom)
    with pytest.raises(ValueError, match="boom"):
        task.result(10)
