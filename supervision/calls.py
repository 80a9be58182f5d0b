"""Calls of a server as OTP's GenServer has them, and answers that are given later."""

from collections.abc import Iterable
from contextlib import suppress
from queue import Full
from time import monotonic
from typing import Any

import pykka
from pykka import ActorDeadError

from supervision.errors import Exited
from supervision.inbox import fail_future
from supervision.lifeline import Cancel
from supervision.ref import current, exit_reason, tell_if_alive
from supervision.registry import resolve
from supervision.waits import seconds

__all__ = ["Caller", "abcast", "call", "caller", "cast", "multi_call", "reply"]

CALL_S = 5.0


def call(target: Any, message: Any, timeout: float | None = CALL_S) -> Any:
    """Ask an actor, and return its answer.

    target    a ref, a proxy, a name, or `(registry, name)`
    timeout   seconds to wait; None: without a bound

    Raises what the actor raised; Exited with the exit reason, or "noproc", if it ended before it
    answered; and pykka.Timeout.

    >>> from supervision import Process, abcast, call, cast, multi_call
    >>> class Echo(Process):
    ...     def on_receive(self, message):
    ...         return message
    >>> ok, echo = Echo.start_link(name="echo")
    >>> call("echo", "hello")
    'hello'
    """
    timeout_s = None if timeout is None else seconds(timeout)
    ref = resolve(target)
    if ref is None:
        raise Exited("noproc")
    try:
        return ref.ask(message, block=False).get(timeout=timeout_s)
    except ActorDeadError as error:
        ended = hasattr(ref, "_lifeline") and exit_reason(ref)
        raise Exited(ended or "noproc") from error


def cast(target: Any, message: Any) -> None:
    """Send a message to a ref, a proxy, or a name, and don't wait. If there is no such actor,
    nothing happens.

    >>> cast("nobody", "hello")
    """
    ref = resolve(target)
    if ref is not None:
        tell_if_alive(ref, message)


def abcast(targets: Iterable[Any], message: Any) -> None:
    """`cast` to each of the targets.

    >>> abcast(["echo", "nobody"], "hello")
    """
    for target in targets:
        cast(target, message)


def multi_call(
    targets: Iterable[Any], message: Any, timeout: float | None = CALL_S
) -> tuple[list[tuple[Any, Any]], list[Any]]:
    """Ask several actors at the same time. Returns `(target, answer)` of each that has answered
    within `timeout` seconds, and a list of the others: they have ended, raised an exception, or
    were too slow.

    >>> multi_call(["echo", "nobody"], "hello")
    ([('echo', 'hello')], ['nobody'])
    """
    until = None if timeout is None else monotonic() + seconds(timeout)
    asked = []
    for target in targets:
        ref = resolve(target)
        asked.append((target, None if ref is None else ref.ask(message, block=False)))
    answers, silent = [], []
    for target, future in asked:
        left_s = None if until is None else max(0.0, until - monotonic())
        if future is None:
            silent.append(target)
            continue
        try:
            answers.append((target, future.get(timeout=left_s)))
        except Exception:
            silent.append(target)
    return answers, silent


class Caller:
    """Who waits for the answer to a message; made by `caller`."""

    __slots__ = ("_cancel", "_future")

    def __init__(self, future: Any, cancel: Cancel) -> None:
        self._future = future
        self._cancel = cancel

    def __repr__(self) -> str:
        return "<Caller of a tell>" if self._future is None else "<Caller that waits>"


def caller() -> Caller:
    """Take over the answer to the message that the calling process handles now. What its method
    returns is then no answer: `reply` gives it, in any process or thread.

    If the process ends before, the caller gets ActorDeadError. Raises TypeError outside of any
    process.

    >>> from supervision import caller, reply
    >>> class Slow(Process):
    ...     def on_receive(self, message):
    ...         if message == "question":
    ...             self.later = caller()
    ...         else:
    ...             reply(self.later, message)
    >>> slow = Slow.start()
    >>> future = slow.ask("question", block=False)
    >>> slow.tell("answer")
    >>> future.get()
    'answer'
    """
    me = current()
    if me is None:
        raise TypeError("only a process has a caller: call caller() while it handles a message")
    envelope = me.actor_inbox.current
    future, envelope.reply_to = envelope.reply_to, None
    if future is None:
        return Caller(None, lambda: None)
    dead = ActorDeadError(f"{me} ended before it answered")
    return Caller(future, me.watch(lambda _: fail_future(future, dead)))


def reply(caller: Caller, answer: Any) -> None:
    """Answer a message whose `caller()` was taken over; an exception as the answer is raised there.
    If the caller has its answer already, or does not wait for one, nothing happens.

    >>> future = slow.ask("question", block=False)
    >>> slow.tell(ValueError("no answer"))
    >>> future.get()
    Traceback (most recent call last):
    ValueError: no answer
    """
    caller._cancel()
    future: pykka.Future[Any] | None = caller._future
    if future is None:
        return
    if isinstance(answer, Exception):
        fail_future(future, answer)
    else:
        with suppress(Full):
            future.set(answer)
