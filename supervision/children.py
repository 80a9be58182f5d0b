"""What every supervisor does with one child: read the spec, start the child, shut it down."""

import logging
import math
import queue
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pykka

from supervision.child_spec import ChildSpec
from supervision.errors import CallingSelf, ChildSpecError, reason_for
from supervision.foreign import is_a, is_string, log, text_of
from supervision.plain_actors import as_process
from supervision.ref import Exit, ProcessRef, kill, tell_if_alive
from supervision.waits import Wait, await_end, seconds

__all__ = ["Child", "ChildForm", "shown", "shut_down", "start", "to_spec"]

ChildForm = ChildSpec | type[Any] | tuple[type[Any], Any]
"""The allowed items in a list of children; `to_spec` converts them."""


@dataclass(slots=True, eq=False)
class Child:
    """A child of a supervisor: its spec and its state, which is one of three. It runs (`ref`), it
    waits for its next attempt to restart (`retry`), or it is stopped (neither).

    retry   the message to the supervisor that will start the next attempt
    extra   what the start function returned behind the ref: a tuple of one value, or of none
    """

    spec: ChildSpec
    ref: ProcessRef[Any] | None = None
    retry: Any = None
    extra: tuple[Any, ...] = ()

    @property
    def restarting(self) -> bool:
        return self.retry is not None

    @property
    def shown(self) -> ProcessRef[Any] | Literal["restarting", "undefined"]:
        return self.ref or ("restarting" if self.restarting else "undefined")


def shown(child: Child) -> tuple[Hashable, Any, str, tuple[Any, ...]]:
    """Return a child as `which_children` shows it: `(id, ref, type, modules)`."""
    return (child.spec.id, child.shown, child.spec.type, child.spec.modules)


def to_spec(form: Any) -> ChildSpec:
    """Return the ChildSpec of a ChildSpec, a class, or `(class, argument)`.

    For a class its method `child_spec` is called. A dict as the argument becomes its keyword
    arguments, a tuple becomes its positional arguments, and anything else its only argument; to
    pass a dict itself, put it into a tuple: `({...},)`. A plain pykka.ThreadingActor becomes a
    process (see `as_process`).

    Raises ChildSpecError.
    """
    if is_a(form, ChildSpec):
        return form
    owner, argument = form if is_a(form, tuple) and len(form) == 2 else (form, ())
    make = getattr(owner, "child_spec", None)
    if make is None and is_a(owner, type) and issubclass(owner, pykka.ThreadingActor):
        make = as_process(owner).child_spec
    if not callable(make):
        raise ChildSpecError(
            ("invalid_child_spec", form),
            f"{text_of(form)} is no child: give a ChildSpec, a subclass of Process or of "
            "pykka.ThreadingActor, a class with a classmethod child_spec, or (class, argument)",
        )
    if is_a(argument, dict):
        spec = make(**argument)
    else:
        spec = make(*argument) if is_a(argument, tuple) else make(argument)
    if not is_a(spec, ChildSpec):
        raise ChildSpecError(
            ("invalid_child_spec", spec),
            f"child_spec of {text_of(owner)} returned {text_of(spec)}, which is no ChildSpec",
        )
    return spec


def start(spec: ChildSpec) -> Any:
    """Call `spec.start`. Returns `("ok", ref)`, `("ok", ref, extra)`, `("ignore", None)`, or
    `("error", reason)`.
    """
    try:
        return _read(spec.start(), spec)
    except BaseException as error:
        log(logging.ERROR, "start of child %s raised", text_of(spec.id), error=error)
        return ("error", reason_for(error, starting=True))


def _read(answer: Any, spec: ChildSpec) -> Any:
    if is_string(answer, "ignore"):
        return ("ignore", None)
    ref, extra = answer, ()
    if is_a(answer, tuple) and len(answer) in (2, 3):
        word, value = answer[:2]
        if is_string(word, "error") and len(answer) == 2:
            return ("error", value)
        if is_string(word, "ok"):
            ref, extra = value, answer[2:]
    if is_a(ref, ProcessRef):
        return ("ok", ref, *extra)
    if is_a(ref, pykka.ActorRef):
        log(
            logging.ERROR, "child %s is no process: use (%s, args)",
            text_of(spec.id), ref.actor_class.__name__,
        )  # fmt: skip
        ref.stop(block=False)
    return ("error", ("bad_return", answer))


def shut_down(children: Iterable[Child], at_most_s: float = math.inf) -> bool:
    """End these children with the reason "shutdown", all at the same time. Returns whether all have
    ended, without a kill.

    A child that has not ended after the `shutdown` seconds of its spec, or after `at_most_s`, is
    killed. If a child waits
    for the calling process, and its wait can't be broken off (see `waits.py`), neither would end:
    then the children are killed. The caller unlinks the children first.
    """
    began, all_ended = time.monotonic(), True
    waiting: list[tuple[Child, ProcessRef[Any], queue.SimpleQueue[Any]]] = []
    for child in children:
        ref, child.ref, child.retry = child.ref, None, None
        if ref is None:
            continue
        if is_string(child.spec.shutdown, "brutal_kill"):
            kill(ref)
            all_ended = False
            continue
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ref.watch(ended.put)
        tell_if_alive(ref, Exit("shutdown"))
        waiting.append((child, ref, ended))
    waiting.sort(key=lambda each: _budget_s(each[0], at_most_s))
    try:
        with Wait(tuple(ref for _, ref, _ in waiting), "ended"):
            for child, ref, ended in waiting:
                all_ended &= _await_or_kill(_budget_s(child, at_most_s), ref, ended, began)
    except CallingSelf as error:
        for _, ref, _ in waiting:
            log(logging.WARNING, "%s is killed: %s", ref, error)
            kill(ref)
        return False
    return all_ended


def _budget_s(child: Child, at_most_s: float) -> float:
    shutdown: Any = child.spec.shutdown
    return min(at_most_s, math.inf if is_string(shutdown, "infinity") else seconds(shutdown))


def _await_or_kill(
    budget_s: float, ref: ProcessRef[Any], ended: "queue.SimpleQueue[Any]", began: float
) -> bool:
    """Wait for the end of a child; return False if it had to be killed."""
    left_s = None if budget_s == math.inf else seconds(began + budget_s - time.monotonic())
    try:
        await_end(ended, left_s)
    except queue.Empty:
        log(logging.WARNING, "%s did not end within %g s: killed", ref, budget_s)
        kill(ref)
        return False
    return True
