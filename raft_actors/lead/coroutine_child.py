"""CoroutineChild: a coroutine function as a child, run as a task on a loop of its supervisor."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from raft_actors.lead.function_child import Returned
from raft_actors.lead.term import LeadTerm
from supervision import Process, tell_if_alive

__all__ = ["CoroutineChild", "LoopThread"]


class LoopThread:
    """The event loop of a supervisor's coroutines: a given one, or one on a thread of its own,
    which starts with the first coroutine.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.given = loop
        self.own: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        if self.given is not None:
            return self.given
        if self.own is None:
            self.own = asyncio.new_event_loop()
            threading.Thread(target=run, args=(self.own,), name="lead-loop", daemon=True).start()
        return self.own

    def close(self) -> None:
        """End the own thread."""
        if self.own is not None:
            self.own.call_soon_threadsafe(self.own.stop)
            self.own = None


def run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped. A task that does not end although it was cancelled ends
    here, in the middle.
    """
    try:
        loop.run_forever()
    finally:
        loop.close()


class CoroutineChild(Process):
    """Runs `function(..., term=term)` as a task, which is cancelled when the child is to end."""

    def init(
        self, function: Callable[..., Any], args: Any, kwargs: Any, loops: LoopThread, *,
        term: LeadTerm,
    ) -> None:  # fmt: skip
        self.loop: asyncio.AbstractEventLoop = loops.loop()
        self.task: asyncio.Task[Any] | None = None
        self.ending: Any = None
        self.cancelled: bool = False
        me = self.actor_ref

        def ended(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            tell_if_alive(me, Returned(error))

        def begin() -> None:
            self.task = self.loop.create_task(function(*args, term=term, **kwargs))
            self.task.add_done_callback(ended)
            if self.cancelled:
                self.task.cancel()

        self.loop.call_soon_threadsafe(begin)

    def on_receive(self, message: Any) -> None:
        if type(message) is not Returned:
            super().on_receive(message)
        elif self.ending is not None:
            self.exit(self.ending)
        elif isinstance(message.error, asyncio.CancelledError):
            self.exit("cancelled")
        elif message.error is not None:
            raise message.error
        else:
            self.exit("normal")

    def asked_to_end(self, reason: Any) -> None:
        self.ending = reason
        self.loop.call_soon_threadsafe(self.cancel)

    def cancel(self) -> None:
        """Cancel the task, on the loop."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()
