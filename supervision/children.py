"""What every supervisor does with one child: read its spec, start it, shut it down."""

import logging
import queue
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pykka

from supervision.adopt import as_process
from supervision.child_spec import ChildSpec
from supervision.errors import ChildSpecError, Reason, reason_for
from supervision.ref import Exit, ProcessRef, await_end, kill, tell_if_alive

__all__ = ["Child", "ChildForm", "shut_down", "start", "to_spec"]

logger = logging.getLogger("supervision")

ChildForm = ChildSpec | type[Any] | tuple[type[Any], Any]
"""What may stand in a list of children; `to_spec` reads it."""


@dataclass(slots=True, eq=False)
class Child:
    """A spec and what became of it: running, restarting (failed, tried again), or neither."""

    spec: ChildSpec
    ref: ProcessRef[Any] | None = None
    restarting: bool = False

    @property
    def shown(self) -> ProcessRef[Any] | Literal["restarting", "undefined"]:
        return self.ref or ("restarting" if self.restarting else "undefined")


def to_spec(form: Any) -> ChildSpec:
    """The ChildSpec meant by a ChildSpec, a class, or `(class, argument)`.

    A class is asked for `child_spec(...)`, given the argument: the keywords if it is a dict, the
    positions if it is a tuple, else as the only one; to pass a dict itself, wrap it: `({...},)`.
    A plain pykka.ThreadingActor is adopted (see `as_process`).

    Raises ChildSpecError.
    """
    if isinstance(form, ChildSpec):
        return form
    owner, argument = form if isinstance(form, tuple) and len(form) == 2 else (form, ())
    make = getattr(owner, "child_spec", None)
    if make is None and isinstance(owner, type) and issubclass(owner, pykka.ThreadingActor):
        make = as_process(owner).child_spec
    if not callable(make):
        raise ChildSpecError(
            ("invalid_child_spec", form),
            f"{form!r} is no child: give a ChildSpec, a class that is a Process or a "
            "pykka.ThreadingActor or has a classmethod child_spec, or (class, argument)",
        )
    if isinstance(argument, dict):
        spec = make(**argument)
    else:
        spec = make(*argument) if isinstance(argument, tuple) else make(argument)
    if not isinstance(spec, ChildSpec):
        raise ChildSpecError(
            ("invalid_child_spec", spec), f"child_spec of {owner!r} returned {spec!r}, no ChildSpec"
        )
    return spec


def start(spec: ChildSpec) -> tuple[Literal["ok", "ignore", "error"], Any]:
    """Call `spec.start`: `("ok", ref)`, `("ignore", None)`, or `("error", reason)`."""
    try:
        answer = spec.start()
    except BaseException as error:
        logger.exception("start of child %r raised", spec.id)
        return ("error", reason_for(error))
    match answer:
        case ("ok", ref) | ("ok", ref, _):
            pass
        case "ignore":
            return ("ignore", None)
        case ("error", reason):
            return ("error", reason)
        case ref:
            pass
    if isinstance(ref, ProcessRef):
        return ("ok", ref)
    if isinstance(ref, pykka.ActorRef):
        logger.error("child %r is no process: use (%s, args)", spec.id, ref.actor_class.__name__)
        ref.stop(block=False)
    return ("error", ("bad_return", answer))


def shut_down(children: Iterable[Child]) -> None:
    """End these children with reason "shutdown", all at once, each within its own time.

    One that has not ended when its `shutdown` seconds are over is killed. Unlink them first.
    """
    began = time.monotonic()
    waiting: list[tuple[Child, ProcessRef[Any], queue.SimpleQueue[Reason]]] = []
    for child in children:
        ref, child.ref, child.restarting = child.ref, None, False
        if ref is None:
            continue
        if child.spec.shutdown == "brutal_kill":
            kill(ref)
            continue
        ended: queue.SimpleQueue[Reason] = queue.SimpleQueue()
        ref.watch(ended.put)
        tell_if_alive(ref, Exit("shutdown"))
        waiting.append((child, ref, ended))
    for child, ref, ended in waiting:
        budget_s = child.spec.shutdown
        try:
            if isinstance(budget_s, int | float):
                await_end(ended, max(0.0, began + budget_s - time.monotonic()))
            else:
                await_end(ended, None)
        except queue.Empty:
            logger.warning("%s did not end within %s s: killed", ref, budget_s)
            kill(ref)
