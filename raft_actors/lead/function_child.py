"""FunctionChild: a function as a child, on a thread of its own."""

import threading
from collections.abc import Callable
from typing import Any

from raft_actors.lead.term import LeadTerm
from supervision import Process, tell_if_alive

__all__ = ["FunctionChild", "Returned"]


class Returned:
    """Message of the function's thread, or of the coroutine's task: it has ended, with this error
    or without one.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error: BaseException | None = error


class FunctionChild(Process):
    """Calls `function(..., term=term)` once, and ends when it returns or raises.

    When the child is to end, `term.lost` is set, and the function is to return. Python can't end a
    thread, so a function that does not look at `term.lost` goes on.
    """

    def init(self, function: Callable[..., Any], args: Any, kwargs: Any, *, term: LeadTerm) -> None:
        term = term._for_child()
        self.term: LeadTerm = term
        self.ending: Any = None

        def run() -> None:
            error = None
            try:
                function(*args, term=term, **kwargs)
            except BaseException as raised:
                error = raised
            tell_if_alive(self.actor_ref, Returned(error))

        name = getattr(function, "__name__", "function")
        threading.Thread(target=run, name=f"lead-{name}", daemon=True).start()

    def on_receive(self, message: Any) -> None:
        if type(message) is not Returned:
            super().on_receive(message)
        elif self.ending is not None:
            self.exit(self.ending)
        elif message.error is not None:
            raise message.error
        else:
            self.exit("normal")

    def asked_to_end(self, reason: Any) -> None:
        self.ending = reason
        self.term._end("its supervisor ends it")
