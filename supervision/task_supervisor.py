"""TaskSupervisor: a supervisor of tasks, whose ref is an Executor."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from functools import partial
from typing import Any, ClassVar, Literal, TypeVar, cast

import pykka

from supervision.answers import ChildStarted, Started
from supervision.child_spec import ChildSpec, Restart, Shutdown
from supervision.dynamic_supervisor import DynamicSupervisor
from supervision.errors import Exited
from supervision.foreign import is_a
from supervision.ref import ProcessRef, stop
from supervision.registry import Registry
from supervision.stream import Outcome, Streaming, stream_of
from supervision.task import Task, TaskProcess
from supervision.waits import here

__all__ = ["TaskSupervisor", "TaskSupervisorRef"]

T = TypeVar("T")
P = TypeVar("P", bound=pykka.Actor)


class TaskSupervisorRef(ProcessRef[P], Executor):
    """The ref of a TaskSupervisor: a `concurrent.futures.Executor`.

    `submit`, `map` and `shutdown` work as for every Executor, so
    `loop.run_in_executor(ref, function)` runs a function as a task. No task waits for its turn:
    with `max_children` tasks, `submit` raises StartError.
    """

    _accepts = True
    _open: set[Future[Any]]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Task[T]:
        if not self._accepts:
            raise RuntimeError(f"{self} was shut down, and takes no more tasks")
        task = TaskSupervisor.submit(self, fn, *args, **kwargs)
        self._open = {each for each in getattr(self, "_open", ()) if not each.done()} | {task}
        return task

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks, and end the supervisor when those that were submitted have ended.

        wait             whether to wait for this
        cancel_futures   end the tasks now; each is killed after its shutdown time
        """
        self._accepts = False
        tasks = [] if cancel_futures else list(getattr(self, "_open", ()))
        if wait:
            _wait_and_stop(self, tasks)
        else:
            Task.start(_wait_and_stop, self, tasks).ignore()


def _wait_and_stop(supervisor: ProcessRef[Any], tasks: list[Future[Any]]) -> None:
    wait(tasks)
    try:
        stop(supervisor)
    except Exited:
        return


class TaskSupervisor(DynamicSupervisor):
    """A DynamicSupervisor whose children are tasks.

    >>> from supervision import TaskSupervisor
    >>> ok, tasks = TaskSupervisor.start_link(max_children=100)
    >>> TaskSupervisor.submit(tasks, sum, [1, 2]).result()
    3
    >>> list(tasks.map(abs, [-1, -2]))
    [1, 2]

    In every call `supervisor` is a ref, a proxy, or a name.
    """

    _ref_class: ClassVar[type[ProcessRef[Any]]] = TaskSupervisorRef

    @classmethod
    def start_link(
        cls,
        *args: Any,
        name: Any = None,
        registry: Registry | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Started[TaskSupervisorRef[Any]]:
        """As `DynamicSupervisor.start_link`; the ref is an Executor.

        >>> TaskSupervisor.start_link(max_children=-1)[0]
        'error'
        """
        return cast(
            Started[TaskSupervisorRef[Any]],
            super().start_link(*args, name=name, registry=registry, timeout=timeout, **kwargs),
        )

    @staticmethod
    def start_child(
        supervisor: Any,
        child: Any,
        *args: Any,
        restart: Restart = "temporary",
        shutdown: Shutdown = 5.0,
        **kwargs: Any,
    ) -> ChildStarted | Literal["ignore"]:
        """Run `child(*args, **kwargs)`, whose result nobody needs; again after its end, if
        `restart` says so.

        Returns `("ok", ref)`, or `("error", "max_children")`.

        >>> ok, ref = TaskSupervisor.start_child(tasks, print, end="")
        """
        if not is_a(child, ChildSpec):
            start = partial(TaskProcess.start_link, child, args, kwargs)
            child = ChildSpec("Task", start, restart=restart, shutdown=shutdown, modules=(Task,))
        return DynamicSupervisor.start_child(supervisor, child)

    @staticmethod
    def submit(
        supervisor: Any, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Task[T]:
        """Run a function as a child of the supervisor. If a process calls this, the task is linked
        to it, too.

        Raises StartError if there are `max_children` tasks.

        >>> TaskSupervisor.submit(tasks, abs, -1).result()
        1
        """
        task = TaskSupervisor.submit_nolink(supervisor, function, *args, **kwargs)
        process = getattr(here, "process", None)
        if process is not None and task.ref is not None:
            process._link(task.ref, as_parent=False)
        return task

    @staticmethod
    def submit_nolink(
        supervisor: Any, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Task[T]:
        """As `submit`, without a link: the calling process does not end if the task fails.

        >>> TaskSupervisor.submit_nolink(tasks, abs, -1).result()
        1
        """
        task: Task[T] = Task()
        start = partial(TaskProcess.start_link, function, args, kwargs, task)
        spec = ChildSpec("Task", start, restart="temporary", modules=(Task,))
        task._begin(DynamicSupervisor.start_child(supervisor, spec))
        return task

    @staticmethod
    def stream(
        supervisor: Any,
        function: Callable[..., Any],
        iterable: Iterable[Any],
        *args: Any,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = 5.0,
        on_timeout: Literal["exit", "kill_task"] = "exit",
        zip_input_on_exit: bool = False,
    ) -> Iterator[Outcome]:
        """As `Task.stream`, with tasks that are children of the supervisor. The iterator raises
        StartError if there are `max_children` tasks.

        >>> list(TaskSupervisor.stream(tasks, abs, [-1, 2]))
        [('ok', 1), ('ok', 2)]
        """
        options = Streaming(max_concurrency, ordered, timeout, on_timeout, zip_input_on_exit)
        return stream_of(
            lambda item: TaskSupervisor.submit_nolink(supervisor, function, item, *args),
            iterable,
            options,
        )
