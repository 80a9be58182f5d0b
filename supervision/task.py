"""Task: a function that runs in a process of its own, as a future."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, InvalidStateError, wait
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Literal, TypeVar

from supervision.answers import Started
from supervision.child_spec import ChildSpec
from supervision.errors import (
    Exited,
    Ignore,
    OptionError,
    Reason,
    StartError,
    Stop,
    reason_for,
)
from supervision.foreign import is_a, is_count, is_string, text_of
from supervision.process import Process
from supervision.ref import Exit, ProcessRef, exit_reason, kill, tell_if_alive
from supervision.stream import Outcome, Streaming, stream_of
from supervision.waits import here, seconds

__all__ = ["Task", "TaskProcess", "callers"]

T = TypeVar("T")
RUN = object()


class Task(Future[T]):
    """A function that runs in a process of its own: a `concurrent.futures.Future`.

    ref   the ref of the process; None for `Task.completed`

    `result`, `exception`, `add_done_callback`, `concurrent.futures.wait` and `asyncio.wrap_future`
    work as for every such future. `result` raises what the function raised, and Exited with the
    exit reason if the process ended in another way: by `kill`, or because the function raised Stop.

    A task that a process starts is linked to this process: it ends with it, and the process ends
    with a task that fails, unless it overrides `child_ended`.

    >>> from supervision import Task
    >>> task = Task.start(sum, [1, 2, 3])
    >>> task.result(timeout=5.0)
    6
    """

    ref: ProcessRef[Any] | None = None
    _left: threading.Event

    def __init__(self) -> None:
        super().__init__()
        self._left = threading.Event()

    @classmethod
    def start(cls, function: Callable[..., T], *args: Any, **kwargs: Any) -> "Task[T]":
        """Run `function(*args, **kwargs)` in a new process. Raises StartError if there is no thread
        left for it.

        >>> Task.start(max, 1, 2).result()
        2
        """
        task: Task[T] = cls()
        task._begin(TaskProcess.start_link(function, args, kwargs, task))
        return task

    @staticmethod
    def start_link(
        function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Started[ProcessRef[Any]]:
        """Run a function whose result nobody needs, in a process that is linked to the caller's.

        >>> ok, ref = Task.start_link(print, end="")
        """
        return TaskProcess.start_link(function, args, kwargs)

    @staticmethod
    def child_spec(function: Callable[..., Any], *args: Any, **kwargs: Any) -> ChildSpec:
        """Return the spec of a child that runs the function once, and is not restarted.

        >>> Task.child_spec(print, 1).restart
        'temporary'
        """
        start = partial(TaskProcess.start_link, function, args, kwargs)
        return ChildSpec("Task", start, restart="temporary", modules=(Task,))

    @classmethod
    def completed(cls, value: T) -> "Task[T]":
        """Return a task that has this result already, and no process.

        >>> Task.completed(5).result()
        5
        """
        task: Task[T] = cls()
        task._left.set()
        task.set_result(value)
        return task

    def outcome(self) -> Outcome | None:
        """Return `("ok", result)`, `("exit", reason)`, or None while the function runs.

        >>> Task.completed(5).outcome()
        ('ok', 5)
        """
        if not self.done():
            return None
        try:
            error = self.exception()
        except CancelledError:
            return ("exit", "shutdown")
        if error is None:
            return ("ok", self.result())
        return ("exit", error.reason if is_a(error, Exited) else reason_for(error))

    def is_given_up(self) -> bool:
        """Return whether the task was killed while its function ran, and the function runs still:
        Python can't end a thread.

        >>> task.is_given_up()
        False
        """
        return self.done() and not self._left.is_set() and not self.cancelled()

    def shutdown(self, timeout: float | Literal["brutal_kill"] = 5.0) -> Outcome | None:
        """End the task, and return its outcome; None if it had none and was ended by this call.

        timeout   seconds to wait for the end of the function; then the task is killed.
                  "brutal_kill": it is killed at once

        A killed task has no result any more, though its function may run on; see `is_given_up`.

        >>> task.shutdown()
        ('ok', 6)
        """
        self.ignore()
        if self.ref is not None and not self.done():
            self.cancel()
            if not is_string(timeout, "brutal_kill"):
                tell_if_alive(self.ref, Exit("shutdown"))
                wait([self], seconds(timeout))
            if not self.done():
                kill(self.ref)
                return None
        return None if self.cancelled() else self.outcome()

    def ignore(self) -> Outcome | None:
        """Unlink the task from the calling process, which no longer needs its result. Returns its
        outcome if it has one.

        >>> Task.completed(5).ignore()
        ('ok', 5)
        """
        process = getattr(here, "process", None)
        if process is not None and self.ref is not None:
            process._unlink(self.ref)
        return self.outcome()

    @staticmethod
    def await_many(tasks: "Iterable[Task[T]]", timeout: float | None = 5.0) -> list[T]:
        """Return the results of all tasks, in the order of the tasks.

        Raises what the first that fails has raised, at once; and TimeoutError after `timeout`
        seconds: the tasks run on then.

        >>> Task.await_many([Task.start(abs, -1), Task.start(abs, -2)])
        [1, 2]
        """
        every = list(tasks)
        timeout_s = None if timeout is None else seconds(timeout)
        done, missing = wait(every, timeout_s, FIRST_EXCEPTION)
        for task in every:
            if task in done:
                task.result()
        if missing:
            raise TimeoutError(f"{len(missing)} of {len(every)} tasks run after {timeout} s")
        return [task.result() for task in every]

    @staticmethod
    def yield_many(
        tasks: "Iterable[Task[T]]",
        timeout: float | None = 5.0,
        *,
        limit: int | None = None,
        on_timeout: Literal["nothing", "ignore", "kill_task"] = "nothing",
    ) -> "list[tuple[Task[T], Outcome | None]]":
        """Wait until all tasks, or `limit` of them, have an outcome, for `timeout` seconds at most.
        Returns each task with its outcome, or with None if it runs still.

        on_timeout   what is done to those that run still: "ignore" unlinks them from the calling
                     process, "kill_task" kills them

        >>> Task.yield_many([task, Task.completed(7)])[1][1]
        ('ok', 7)
        """
        if not any(is_string(on_timeout, known) for known in ("nothing", "ignore", "kill_task")):
            raise OptionError(
                ("invalid_on_timeout", on_timeout),
                f"on_timeout must be nothing, ignore or kill_task, not {text_of(on_timeout)}",
            )
        if limit is not None and not is_count(limit):
            raise OptionError(
                ("invalid_limit", limit),
                f"limit must be a whole number of tasks, not {text_of(limit)}",
            )
        every, ended = list(tasks), SimpleQueue[Future[T]]()
        for task in every:
            task.add_done_callback(ended.put)
        until = None if timeout is None else monotonic() + seconds(timeout)
        with suppress(Empty):
            for _ in range(len(every) if limit is None else min(limit, len(every))):
                ended.get(timeout=None if until is None else max(0.0, until - monotonic()))
        found = [(task, task.outcome()) for task in every]
        for task, outcome in found:
            if outcome is None and is_string(on_timeout, "kill_task"):
                task.shutdown("brutal_kill")
            elif outcome is None and is_string(on_timeout, "ignore"):
                task.ignore()
        return found

    @staticmethod
    def stream(
        function: Callable[..., Any],
        iterable: Iterable[Any],
        *args: Any,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = 5.0,
        on_timeout: Literal["exit", "kill_task"] = "exit",
        zip_input_on_exit: bool = False,
    ) -> Iterator[Outcome]:
        """Run `function(item, *args)` for each item of the iterable, each in a task of its own, and
        yield the outcomes: `("ok", result)` or `("exit", reason)`.

        max_concurrency     so many tasks, at most, run or wait for their outcome to be read; items
                            are taken out of the iterable only then. None: one for each processor
        ordered             whether outcomes come in the order of the items, or as the tasks end
        timeout             seconds that each task may take; None: without a bound
        on_timeout          "exit": the stream raises TimeoutError; "kill_task": the task is killed,
                            and its outcome is `("exit", "timeout")`
        zip_input_on_exit   `("exit", (item, reason))` instead of `("exit", reason)`

        When the iterator is closed, or raises, the tasks that run are killed.

        >>> list(Task.stream(abs, [-1, 2], max_concurrency=2))
        [('ok', 1), ('ok', 2)]
        """
        options = Streaming(max_concurrency, ordered, timeout, on_timeout, zip_input_on_exit)
        return stream_of(lambda item: _unlinked(function, item, *args), iterable, options)

    def _begin(self, answer: Any) -> None:
        if answer[0] != "ok":
            raise StartError(answer[1])
        self.ref = answer[1]
        answer[1].watch(self._ended)

    def _ended(self, _reason: Reason) -> None:
        """The process has ended. Called after `_settle`, unless it was killed."""
        with suppress(InvalidStateError):
            self.set_exception(Exited(exit_reason(self.ref)))

    def _settle(self, result: Any, error: BaseException | None = None) -> None:
        with suppress(InvalidStateError):  # it was killed meanwhile, and has an outcome
            if error is None:
                self.set_result(result)
            elif is_a(error, Exception) and not is_a(error, (Stop, Ignore)):
                self.set_exception(error)
            else:
                self.set_exception(Exited(reason_for(error)))


def _unlinked(function: Callable[..., Any], *args: Any) -> Task[Any]:
    """Start a task that ends with the calling process, which does not end with it."""
    task: Task[Any] = Task.start(function, *args)
    task.ignore()
    process = getattr(here, "process", None)
    if process is not None and task.ref is not None:
        ref = task.ref
        task.add_done_callback(lambda _: cancel())
        cancel = process._actor_ref.watch(lambda _: kill(ref))
    return task


class TaskProcess(Process, restart="temporary"):
    """The process of a task: it calls the function when its start is done, and ends."""

    def init(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        task: Task[Any] | None = None,
    ) -> None:
        self._call = partial(function, *args, **kwargs)
        self._task = task
        self.actor_ref.tell(RUN)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        process = getattr(here, "process", None)
        self._callers: tuple[ProcessRef[Any], ...] = ()
        if process is not None:
            self._callers = (process._actor_ref, *getattr(process, "_callers", ()))

    def on_receive(self, message: Any) -> Any:
        if message is not RUN:
            return super().on_receive(message)
        task, call = self._task, self._call
        del self._task, self._call
        if task is None:
            call()
        elif task.set_running_or_notify_cancel():
            result, error = None, None
            try:
                result = call()
            except BaseException as raised:
                error = raised
                raise
            finally:
                task._left.set()
                task._settle(result, error)
        self.exit("normal")
        return None


def callers() -> tuple[ProcessRef[Any], ...]:
    """Return the processes for which this code runs, if it runs in a task: the process that started
    the task first, then the one for which this process ran, and so on.

    >>> from supervision import callers
    >>> callers()
    ()
    """
    return getattr(getattr(here, "process", None), "_callers", ())
