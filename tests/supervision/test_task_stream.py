"""Streams of tasks, and tasks under a supervisor."""

import itertools
import threading
import time

import pytest

from supervision import (
    DynamicSupervisor,
    OptionError,
    Process,
    StartError,
    Supervisor,
    Task,
    TaskSupervisor,
    callers,
    exit_reason,
    kill,
)
from tests.helpers import eventually

from .helpers import Gate
from .otp import otp
from .test_task import BOOM, end, fail, in_process

OF_MANY = "async_stream with max_concurrency #{desc} tasks: "


@pytest.fixture
def tasks():
    return TaskSupervisor.start_link()[1]


@pytest.fixture
def stream(request, tasks):
    """`Task.stream`, or that of a supervisor."""
    if request.param == "Task":
        return Task.stream
    return lambda *args, **options: TaskSupervisor.stream(tasks, *args, **options)


both = pytest.mark.parametrize("stream", ["Task", "TaskSupervisor"], indirect=True)


def live():
    return [
        each for each in threading.enumerate()
        if each.name.startswith("TaskProcess") and each.is_alive()
    ]  # fmt: skip


@otp("task_test.exs", OF_MANY + "streams an enumerable with fun",
     OF_MANY + "streams an enumerable with mfa",
     OF_MANY + "streams an enumerable with slowest first",
     OF_MANY + "streams an enumerable without leaking tasks",
     "async_stream/2: streams an enumerable with infinite timeout",
     "async_stream/2: consuming from another process")  # fmt: skip
@otp("task/supervisor_test.exs", "async_stream: streams an enumerable with fun",
     "async_stream: streams an enumerable with mfa",
     "async_stream: streams an enumerable with slowest first",
     "async_stream: streams an enumerable without leaking tasks",
     "async_stream: consuming from another process",
     "async_stream_nolink: streams an enumerable with fun",
     "async_stream_nolink: streams an enumerable with mfa",
     "async_stream_nolink: streams an enumerable with slowest first",
     "async_stream_nolink: streams an enumerable without leaking tasks")  # fmt: skip
@both
@pytest.mark.parametrize("at_a_time", [1, 4, 100, None])
def test_outcomes_come_in_the_order_of_the_items(stream, at_a_time):
    def slow(number, add):
        time.sleep(0.01 if number == 0 else 0)
        return number + add

    expected = [("ok", number + 1) for number in range(10)]
    assert list(stream(slow, range(10), 1, max_concurrency=at_a_time, timeout=None)) == expected
    _, found = in_process(lambda: list(stream(slow, iter(range(10)), 1, max_concurrency=at_a_time)))
    assert found.get(timeout=10) == expected
    eventually(lambda: not live())


@otp("task_test.exs", "async_stream/2: streams an enumerable with ordered: false")
@both
def test_outcomes_may_come_as_the_tasks_end(stream):
    gate = Gate()

    def held_if_first(number):
        return gate.hold() if number == 0 else number

    found = stream(held_if_first, range(3), max_concurrency=3, ordered=False)
    assert sorted([next(found), next(found)]) == [("ok", 1), ("ok", 2)]
    gate.opened.set()
    assert list(found) == [("ok", "held")]


@otp("task_test.exs", OF_MANY + "streams an enumerable with exits",
     OF_MANY + "with outer halt on failure and :zip_input_on_exit",
     OF_MANY + "is zippable on failure", OF_MANY + "is zippable on success",
     OF_MANY + "is zippable with slowest first")  # fmt: skip
@otp("task/supervisor_test.exs", "async_stream: streams an enumerable with exits",
     "async_stream: with outer halt on failure and :zip_input_on_exit",
     "async_stream_nolink: streams an enumerable with exits")  # fmt: skip
@both
def test_a_task_that_fails_is_one_outcome_of_many(stream):
    assert list(stream(fail, [1, 2])) == [("exit", BOOM)] * 2
    assert list(stream(end, ["a"], zip_input_on_exit=True)) == [("exit", ("a", "a"))]
    assert list(zip("ab", stream(abs, [-1, -2]), strict=True)) == [
        ("a", ("ok", 1)),
        ("b", ("ok", 2)),
    ]
    _, found = in_process(lambda: list(stream(fail, [1])))
    assert found.get(timeout=10) == [("exit", BOOM)]


@otp("task_test.exs", "async_stream/2: timeout", OF_MANY + "with :on_timeout set to :kill_task",
     OF_MANY + "with timeout and :zip_input_on_exit set to true",
     "async_stream/2: streams an enumerable with ordered: false, "
     "on_timeout: :kill_task")  # fmt: skip
@otp("task/supervisor_test.exs", "async_stream: with timeout and :zip_input_on_exit set to true")
@both
@pytest.mark.parametrize("ordered", [True, False])
def test_a_task_has_its_time(stream, ordered):
    gate = Gate()
    options = {"timeout": 0.02, "ordered": ordered, "max_concurrency": 2}
    with pytest.raises(TimeoutError, match=r"0\.02 s"):
        list(stream(lambda _: gate.hold(), [1], **options))
    found = stream(
        lambda number: gate.hold() if number == 1 else number, [1, 2], on_timeout="kill_task",
        zip_input_on_exit=True, **options,
    )  # fmt: skip
    assert sorted(found) == [("exit", (1, "timeout")), ("ok", 2)]
    gate.opened.set()


@otp("task_test.exs", "async_stream/2: does not allow streaming with max_concurrency = 0",
     "async_stream/2: does not allow streaming with invalid :on_timeout",
     "async_stream/2: does not allow streaming with invalid :timeout")  # fmt: skip
@both
def test_wrong_options_are_refused_before_a_task_starts(stream):
    for wrong in ({"max_concurrency": 0}, {"max_concurrency": True}, {"on_timeout": "explode"}):
        with pytest.raises(OptionError):
            stream(abs, [1], **wrong)
    with pytest.raises(TypeError):
        stream(abs, [1], timeout="long")
    with pytest.raises(TypeError):
        next(stream(abs, 1))


@otp("task_test.exs", OF_MANY + "shuts down unused tasks",
     OF_MANY + "shuts down unused tasks without leaking messages",
     OF_MANY + "with inner halt on success", OF_MANY + "with inner halt on failure",
     OF_MANY + "with inner halt and slowest first", OF_MANY + "with outer halt on success",
     OF_MANY + "with outer halt on failure", OF_MANY + "with outer halt and slowest first",
     OF_MANY + "terminates inner effect", OF_MANY + "terminates outer effect",
     "async_stream/2: wrapping a flat_map/concat with a haltable stream")  # fmt: skip
@otp("task/supervisor_test.exs", "async_stream: shuts down unused tasks",
     "async_stream: shuts down unused tasks without leaking messages",
     "async_stream_nolink: shuts down unused tasks",
     "async_stream_nolink: shuts down unused tasks without leaking messages")  # fmt: skip
@both
def test_a_stream_that_is_left_kills_its_tasks_and_closes_its_source(stream):
    gate, closed = Gate(), []

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    found = stream(lambda number: number and gate.hold(), source(), max_concurrency=3)
    assert next(found) == ("ok", 0)
    found.close()
    assert closed == [True]
    gate.opened.set()
    eventually(lambda: not live())
    every = (
        each
        for part in ([1], [2])
        for each in stream(abs, itertools.chain(part, itertools.count()))
    )
    assert list(itertools.islice(every, 2)) == [("ok", 1), ("ok", 0)]
    every.close()


@both
def test_no_more_items_are_taken_than_may_run(stream):
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    found = stream(abs, items(), max_concurrency=2)
    next(found)
    assert len(taken) == 2
    list(found)


@otp("task/supervisor_test.exs",
     "async_stream: raises an error if :max_children is reached with clean stream shutdown",
     "async_stream_nolink: raises an error if :max_children is reached with clean stream shutdown",
     "async/1: raises when :max_children is reached",
     "async_nolink/1: raises when :max_children is reached")  # fmt: skip
def test_too_many_tasks_are_refused():
    gate = Gate()
    _, few = TaskSupervisor.start_link(max_children=1)
    with pytest.raises(StartError, match="max_children"):
        list(TaskSupervisor.stream(few, lambda _: gate.hold(), [1, 2], max_concurrency=2))
    eventually(lambda: TaskSupervisor.count_children(few)["specs"] == 0)
    held = TaskSupervisor.submit(few, gate.hold)
    for submit in (TaskSupervisor.submit, TaskSupervisor.submit_nolink):
        with pytest.raises(StartError, match="max_children"):
            submit(few, abs, 1)
    assert TaskSupervisor.start_child(few, abs, 1) == ("error", "max_children")
    gate.opened.set()
    assert held.result(10) == "held"


@otp("task/supervisor_test.exs", "async/1: spawns tasks under the supervisor", "async/3",
     "async_nolink/1: spawns a task under the supervisor without linking to the caller",
     "async_nolink/3", "counts and returns children", "await/1: exits on task throw",
     "await/1: exits on task error", "await/1: exits on task exit",
     "await/1: demonitors and unalias on timeout", "terminate_child/2")  # fmt: skip
def test_tasks_are_children_of_the_supervisor(tasks):
    gate = Gate()
    held = TaskSupervisor.submit_nolink(tasks, gate.hold)
    assert TaskSupervisor.which_children(tasks) == [("undefined", held.ref, "worker", (Task,))]
    assert TaskSupervisor.count_children(tasks)["active"] == 1
    with pytest.raises(TimeoutError):
        held.result(0.01)
    gate.opened.set()
    assert held.result(10) == "held"
    with pytest.raises(ValueError, match="boom"):
        TaskSupervisor.submit(tasks, fail).result(10)
    ended = TaskSupervisor.submit(tasks, end, "over")
    eventually(ended.done)
    assert ended.outcome() == ("exit", "over")
    gate = Gate()
    held = TaskSupervisor.submit_nolink(tasks, gate.hold)
    threading.Timer(0.01, gate.opened.set).start()
    assert TaskSupervisor.terminate_child(tasks, held.ref) == "ok"
    assert TaskSupervisor.terminate_child(tasks, held.ref) == ("error", "not_found")


@otp("task/supervisor_test.exs", "async/1: with $callers", "async_stream: with $callers",
     "start_child/1 with $callers")  # fmt: skip
def test_a_supervised_task_that_fails_ends_who_submitted_it_unless_not_linked(tasks):
    owner, found = in_process(TaskSupervisor.submit_nolink, tasks, fail)
    eventually(found.get(timeout=10).done)
    assert owner.is_alive()
    owner, found = in_process(TaskSupervisor.submit, tasks, fail)
    found.get(timeout=10)
    eventually(lambda: exit_reason(owner) == BOOM)
    gate = Gate()
    owner, found = in_process(TaskSupervisor.submit, tasks, gate.hold)
    task = found.get(timeout=10)
    kill(owner)
    gate.opened.set()
    eventually(lambda: exit_reason(task.ref))
    assert TaskSupervisor.submit(tasks, callers).result(10) == (tasks,)


@otp("task/supervisor_test.exs", "start_child/1", "start_child/3",
     "start_child/1 with custom restart", "start_child/1 with custom shutdown",
     "can be supervised directly")  # fmt: skip
def test_a_task_without_a_result_may_be_restarted(journal):
    _, root = Supervisor.start_link([(TaskSupervisor, {"name": "tasks", "max_restarts": 1})])
    ok, ref = TaskSupervisor.start_child("tasks", journal.append, 1)
    eventually(lambda: exit_reason(ref))
    assert (ok, journal) == ("ok", [1])
    runs = []

    def once_more():
        runs.append(1)
        assert len(runs) > 1

    TaskSupervisor.start_child("tasks", once_more, restart="transient", shutdown="brutal_kill")
    eventually(lambda: len(runs) == 2)
    Supervisor.stop(root)


def test_the_ref_of_a_task_supervisor_is_an_executor(tasks):
    import asyncio

    async def run():
        return await asyncio.get_running_loop().run_in_executor(tasks, abs, -1)

    assert asyncio.run(run()) == 1
    with TaskSupervisor.start_link()[1] as pool:
        task = pool.submit(abs, -1)
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert task.result() == 1
    assert not pool.is_alive()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, 1)
    gate = Gate()
    task = tasks.submit(gate.hold)
    tasks.shutdown(wait=False)
    assert tasks.is_alive()
    gate.opened.set()
    eventually(lambda: not tasks.is_alive())
    assert task.result() == "held"
    tasks.shutdown()


def test_a_task_that_is_cancelled_before_it_runs_does_not_run(journal, monkeypatch):
    real = Task.set_running_or_notify_cancel

    def cancelled(self):
        self.cancel()
        return real(self)

    monkeypatch.setattr(Task, "set_running_or_notify_cancel", cancelled)
    task = Task.start(journal.append, 1)
    eventually(lambda: exit_reason(task.ref) == "normal")
    assert task.cancelled()
    assert task.outcome() == ("exit", "shutdown")
    assert journal == []


def test_a_task_supervisor_is_a_dynamic_supervisor(tasks):
    class Child(Process):
        pass

    _ok, ref = TaskSupervisor.start_child(tasks, Child.child_spec())
    assert DynamicSupervisor.which_children(tasks)[0][1] is ref
