"""ProcessRef: how everyone else holds a process; and what one can do to a process by its ref."""

import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pykka
from pykka import ActorDeadError, ActorRegistry, messages
from pykka._envelope import Envelope

from supervision.errors import CallingSelf, Exited, Reason
from supervision.inbox import Inbox, dead_letter, reply
from supervision.lifeline import Cancel, Lifeline, Watcher
from supervision.registry import resolve

if TYPE_CHECKING:
    from supervision.process import Process

__all__ = ["ProcessRef", "current", "exit_reason", "kill", "stop", "tell_if_alive"]

logger = logging.getLogger("supervision")

P = TypeVar("P", bound="Process")

here = threading.local()
"""`here.process` is the process whose thread this is."""


class Signal:
    """A message of the machinery. One that dies unread is no loss, and not reported."""

    __slots__ = ()


@dataclass(slots=True)
class Exit(Signal):
    """Order to end with `reason`, after the messages that came before it."""

    reason: Reason


@dataclass(slots=True)
class ChildEnded(Signal):
    """A linked child ended."""

    ref: "ProcessRef[Any]"
    reason: Reason


class ReplyFuture(pykka.ThreadingFuture[Any]):
    """Knows whom it waits for, so that waiting for oneself is an error and not a deadlock."""

    asked: "ProcessRef[Any] | None" = None

    def get(self, *, timeout: float | None = None) -> Any:
        if self.asked is not None and self._result is None and waits_for_us(self.asked):
            if self.asked is current():
                why = "waits for its own answer; call the method directly"
            else:
                why = f"waits until {current()} has started; tell oneself, and ask after `init`"
            raise CallingSelf(f"{self.asked} {why}")
        return super().get(timeout=timeout)


class ProcessRef(pykka.ActorRef[P], Generic[P]):
    """Reference to a process: Pykka's ActorRef that can be watched.

    `tell` raises ActorDeadError once the process has begun to end; `ask` then gives it to the
    future. Every future of an ask is answered, at the latest when the process ends or is killed.
    """

    name: Any = None
    starter: "ProcessRef[Any] | None" = None
    """The process that waits for this one to start."""
    actor_inbox: Inbox

    def __init__(self, actor: P) -> None:
        super().__init__(actor)
        self._lifeline = Lifeline()
        self.actor_inbox.refuse = self._refuse

    def tell(self, message: Any) -> None:
        inbox = self.actor_inbox
        if inbox.closed:
            raise ActorDeadError(f"{self} has ended")
        inbox.put(Envelope(message))

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        future = super().ask(message, block=False)
        if isinstance(future, ReplyFuture):
            future.asked = self
        return future.get(timeout=timeout) if block else future

    def watch(self, callback: Watcher) -> Cancel:
        """Have `callback(reason)` called once when the process has ended; returns the cancel.

        It runs on the thread that ends the process and must be quick. On a process that has ended
        already it runs here and now with "noproc".
        """
        cancel = self._lifeline.watch(callback)
        if cancel is None:
            callback("noproc")
            return _nothing
        return cancel

    def __str__(self) -> str:
        label = "" if self.name is None else f" {self.name!r}"
        return f"{self.actor_class.__name__}{label} {self.actor_urn[-12:]}"

    def __repr__(self) -> str:
        ended = self._lifeline.ended
        return f"<ProcessRef {self}{f', ended: {ended[0]!r}' if ended else ''}>"

    def _close(self) -> None:
        """Take no more messages, and refuse those that wait."""
        self.actor_stopped.set()
        self.actor_inbox.close()

    def _end(self, reason: Reason, *, fenced: bool = False) -> bool:
        """The one way out, for the process itself and for who kills it. False if it had ended."""
        self._close()
        if not self._lifeline.cut(reason, fenced=fenced):
            return False
        dead_letter(self.actor_inbox.current)  # still without its answer only if it was killed
        ActorRegistry.unregister(self)
        self._lifeline.tell()
        return True

    def _refuse(self, envelopes: list[Envelope[Any]]) -> None:
        """Give each envelope that nobody will handle the end it deserves."""
        told = []
        for envelope in envelopes:
            if type(envelope.message) is messages._ActorStop:
                self._answer_at_end(envelope)
            elif envelope.reply_to is not None:
                dead_letter(envelope)
            elif not isinstance(envelope.message, Signal):
                told.append(envelope.message)
        if told:
            self.actor_class._bury(self, told)

    def _answer_at_end(self, envelope: Envelope[Any]) -> None:
        """Answer Pykka's stop when the process has really ended."""
        if self._lifeline.watch(lambda _reason: reply(envelope, None)) is None:
            reply(envelope, None)


def current() -> ProcessRef[Any] | None:
    """The process that runs this code, or None outside of any."""
    process = getattr(here, "process", None)
    return None if process is None else process.actor_ref


def waits_for_us(ref: ProcessRef[Any]) -> bool:
    """Tell whether this process does nothing before the calling one has gone on: it is that one
    itself, or waits for it to start, as a supervisor does.
    """
    waiting = current()
    while waiting is not None and waiting is not ref:
        waiting = waiting.starter
    return waiting is not None


def stop(target: Any, reason: Reason = "normal", timeout: float | None = None) -> str:
    """End a process after the messages that wait, and return "ok" when it has ended.

    target    a ProcessRef, a proxy, or a name in `supervision.names`
    timeout   seconds to wait; None: for ever

    Raises Exited with "noproc" if there is none, or with the reason if it ended for another;
    TimeoutError if it has not ended in time (the order stays); CallingSelf on oneself; TypeError
    for what is no process.
    """
    ref = process_of(target)
    if ref is None:
        raise Exited("noproc")
    if ref is current():
        raise CallingSelf(f"{ref} can't wait for its own end; call self.exit(reason)")
    if waits_for_us(ref):
        raise CallingSelf(f"{ref} waits until {current()} has started; raise Stop in `init`")
    ended: queue.SimpleQueue[Reason] = queue.SimpleQueue()
    cancel = ref.watch(ended.put)
    tell_if_alive(ref, Exit(reason))
    try:
        actual = await_end(ended, timeout)
    except queue.Empty:
        raise TimeoutError(f"{ref} has not ended within {timeout} s") from None
    finally:
        cancel()
    if actual != reason:
        raise Exited(actual)
    return "ok"


def kill(target: Any) -> None:
    """Give a process up: it counts as dead with reason "killed" from now on.

    Python can't end a thread. What the process does at the moment goes on until it next looks
    at its inbox; `fenced` is True meanwhile, and `terminate` is not called. Waiting messages are
    refused, its names are free, and its links and monitors have heard, all before this returns.

    Raises TypeError for what is no process.
    """
    ref = process_of(target)
    if ref is not None:
        ref._end("killed", fenced=True)


def exit_reason(target: Any) -> Reason | None:
    """Why this process ended; None while it lives. Raises TypeError for what is no process."""
    ref = process_of(target)
    if ref is None:
        return "noproc"
    ended: tuple[Reason] | None = ref._lifeline.ended
    return ended[0] if ended else None


def process_of(target: Any) -> ProcessRef[Any] | None:
    """The ref of a process, as `resolve` finds it. Raises TypeError for that of anything else."""
    ref = resolve(target)
    if ref is None or isinstance(ref, ProcessRef):
        return ref
    raise TypeError(
        f"{ref} is no process of this program: a plain actor becomes one by "
        "supervision.as_process(cls).start(), and others have a stop() of their own"
    )


def await_end(ended: "queue.SimpleQueue[Any]", timeout_s: float | None) -> Any:
    """Get what comes, which may take any time if none is given. Raises queue.Empty."""
    return ended.get(timeout=None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))


def tell_if_alive(ref: Any, message: Any) -> None:
    """Tell, and leave it at that if nobody is there."""
    try:  # `suppress` costs as much as the rest
        ref.tell(message)
    except ActorDeadError:
        return


def _nothing() -> None:
    pass
