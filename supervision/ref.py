"""ProcessRef: the reference by which other code uses a process; and what can be done with it."""

import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import pykka
from pykka import ActorDeadError, ActorRegistry, messages
from pykka._envelope import Envelope

from supervision.errors import CallingSelf, Exited, Reason
from supervision.foreign import equal, is_a, text_of
from supervision.inbox import Inbox, dead_letter, reply
from supervision.lifeline import Cancel, Lifeline, Watcher
from supervision.registry import resolve
from supervision.reply_future import ReplyFuture
from supervision.waits import Broken, Wait, await_end, here, seconds

__all__ = ["ExitSignal", "ProcessRef", "current", "exit_reason", "kill", "stop", "tell_if_alive"]

P = TypeVar("P", bound=pykka.Actor)
Unread = Callable[["ProcessRef[Any]", list[Any]], None]


class Signal:
    """A message that this package itself sends. An unread one is no loss, and is not reported."""

    __slots__ = ()


@dataclass(slots=True)
class Exit(Signal):
    """The order to end with `reason`, after the messages that were sent before."""

    reason: Reason


@dataclass(slots=True)
class ExitSignal(Signal):
    """An exit signal: from a linked process that has ended, or sent by `exit`.

    A process with the class option `trap_exit=True` receives it as a message. For others, a signal
    with the reason "normal" is nothing, and any other ends the process.

    ref      the process that has ended, or that called `exit`; None: code outside of any process
    reason   the exit reason
    """

    ref: "ProcessRef[Any] | None"
    reason: Reason


@dataclass(slots=True)
class ChildEnded(Signal):
    """A linked child has ended: its ref and its exit reason."""

    ref: "ProcessRef[Any]"
    reason: Reason


class ProcessRef(pykka.ActorRef[P], Generic[P]):
    """Reference to a process: Pykka's ActorRef that can be watched.

    `tell` raises ActorDeadError once the process has begun to end; `ask` then gives it to the
    future. Every future of an ask is answered, at the latest when the process ends or is killed.
    """

    name: Any = None
    wait: Wait | None = None
    """What the thread of the process waits for now; None: nothing."""
    started = False
    orphaned = False
    """Whether its parent has ended. Then it was asked to end, too."""
    parent: "ProcessRef[Any] | None" = None
    """The process that started it by `start_link`, and is linked to it."""
    call_timeout_s: float | None = None
    """How long an `ask` without a timeout waits, in seconds."""
    listed = False
    """Whether it is in Pykka's ActorRegistry although it has a parent."""
    actor_inbox: Inbox
    actor_class: type[P]
    actor_stopped: threading.Event

    def __init__(self, actor: P, report_unread: Unread) -> None:
        """`report_unread` is called with the messages that were sent by `tell` and never read."""
        super().__init__(actor)
        self.actor_class = type(actor)
        self._report_unread = report_unread
        self._lifeline = Lifeline()
        self.actor_inbox.refuse = self._refuse
        _made.add(self)

    def tell(self, message: Any, *, priority: bool = False) -> None:
        """Send a message, and don't wait; with `priority` it is handled before all that wait."""
        inbox = self.actor_inbox
        if inbox.closed:
            raise ActorDeadError(f"{self} has ended")
        if priority:
            inbox.put_ahead(Envelope(message))
            return
        inbox.put(Envelope(message))

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        timeout = self.call_timeout_s if timeout is None else seconds(timeout)
        future = super().ask(message, block=False)
        if isinstance(future, ReplyFuture):
            future.asked = self
        return future.get(timeout=timeout) if block else future

    def watch(self, callback: Watcher) -> Cancel:
        """Call `callback(reason)` once, when the process has ended. Returns a function that cancels
        this.

        The callback runs on the thread that ends the process, and must be quick. If the process has
        ended already, it is called at once with "noproc".
        """
        return self._watch(callback)

    def watch_first(self, callback: Watcher) -> Cancel:
        """As `watch`, but `callback` runs before those of `watch`. It is for a callback that frees
        something, a name for example, which must be free when the others run.
        """
        return self._watch(callback, first=True)

    def _watch(self, callback: Watcher, *, first: bool = False) -> Cancel:
        cancel = self._lifeline.watch(callback, first=first)
        if cancel is None:
            callback("noproc")
            return _nothing
        return cancel

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        if timeout is not None:
            timeout = seconds(timeout)
        stopped = super().stop(block=False)
        return stopped.get(timeout=timeout) if block else stopped

    def __str__(self) -> str:
        label = "" if self.name is None else f" {text_of(self.name)}"
        return f"{self.actor_class.__name__}{label} {self.actor_urn[-12:]}"

    def __repr__(self) -> str:
        ended = self._lifeline.ended
        return f"<ProcessRef {self}{f', ended: {text_of(ended[0])}' if ended else ''}>"

    def _forget_thread(self) -> None:
        """Mark the process as ended, in a forked child: its thread runs in the parent only."""
        self._lifeline = Lifeline()
        self._lifeline.cut(("noproc",))
        self.actor_inbox.closed = True
        self.actor_stopped = threading.Event()
        self.actor_stopped.set()

    def _close(self) -> None:
        """Accept no more messages, and refuse those that wait."""
        self.actor_stopped.set()
        self.actor_inbox.close()

    def _end(self, reason: Reason, *, fenced: bool = False) -> bool:
        """End the process. The process itself calls this method, and so does `kill`. Returns False
        if the process had ended before.
        """
        mine = (reason,)
        try:
            self._settle(mine, fenced)
        except BaseException:  # Ctrl-C: no other thread would call the watchers, so do the rest now
            self._settle(mine, fenced)
            raise
        return self._lifeline.ended is mine

    def _settle(self, mine: tuple[Reason], fenced: bool) -> None:
        """Do all steps of the end. A second call does the steps that an interrupted one left."""
        try:
            self._close()
        finally:
            self._lifeline.cut(mine, fenced=fenced)
            if self._lifeline.ended is mine:
                dead_letter(self.actor_inbox.current)  # it has no answer only after a `kill`
                ActorRegistry.unregister(self)
                self._lifeline.notify()

    def _refuse(self, envelopes: list[Envelope[Any]]) -> None:
        """Answer the asks among the envelopes that the process will not handle, and report the
        messages that were sent by `tell`.
        """
        unread = []
        for envelope in envelopes:
            if type(envelope.message) is messages._ActorStop:
                self._answer_at_end(envelope)
            elif envelope.reply_to is not None:
                dead_letter(envelope)
            elif not is_a(envelope.message, Signal):
                unread.append(envelope.message)
        if unread:
            self._report_unread(self, unread)

    def _answer_at_end(self, envelope: Envelope[Any]) -> None:
        """Answer Pykka's `stop` when the process has ended, not when it begins to end."""
        if self._lifeline.watch(lambda _reason: reply(envelope, None)) is None:
            reply(envelope, None)


_made: WeakSet[ProcessRef[Any]] = WeakSet()


def _after_fork() -> None:
    me = current()  # the forking thread runs in the child, too, and with it its process
    for ref in tuple(_made):
        if ref is not me:
            ref._forget_thread()


os.register_at_fork(after_in_child=_after_fork)


def current() -> ProcessRef[Any] | None:
    """Return the ref of the process that runs this code, or None outside of any.

    >>> from supervision import current
    >>> current() is None
    True
    """
    process = getattr(here, "process", None)
    return None if process is None else process.actor_ref


def stop(
    target: Any,
    reason: Reason = "normal",
    timeout: float | None = None,
    *,
    ahead: bool = False,
) -> str:
    """End a process after the messages in its mailbox, and return "ok" when it has ended.

    target    a ProcessRef, a proxy, or a name in `supervision.names`
    reason    the exit reason
    timeout   seconds to wait; None: without a bound
    ahead     the process ends before the messages in its mailbox are handled: they are refused

    Raises Exited with "noproc" if there is no such process, or with the exit reason if the process
    ended for another reason than `reason`; TimeoutError if it has not ended in time (it will end
    later); CallingSelf if a process would stop itself, or a process that waits for its start or
    end; TypeError if `target` is no process or `timeout` is no number.

    >>> from supervision import Process, stop
    >>> ok, ref = Process.start_link()
    >>> stop(ref)
    'ok'
    """
    timeout_s = None if timeout is None else seconds(timeout)
    ref = process_of(target)
    if ref is None:
        raise Exited("noproc")
    if ref is current():
        raise CallingSelf(f"{ref} can't wait for its own end; call self.exit(reason)")
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    cancel = ref.watch(ended.put)
    try:
        with Wait((ref,), "ended", lambda error: ended.put(Broken(error))):
            with suppress(ActorDeadError):
                ref.tell(Exit(reason), priority=ahead)
            actual = await_end(ended, timeout_s)
    except queue.Empty:
        raise TimeoutError(f"{ref} has not ended within {timeout} s") from None
    finally:
        cancel()
    if not equal(actual, reason):
        raise Exited(actual)
    return "ok"


def kill(target: Any) -> None:
    """Give up a process: from now on it counts as ended, with the reason "killed".

    Python can't end a thread. The code that the process runs at this moment continues until the
    process next reads its mailbox; its attribute `fenced` is True meanwhile, and `terminate` is not
    called. Before `kill` returns, the waiting messages are refused, the names of the process are
    free, and its links and monitors have been notified.

    Raises TypeError if `target` is no process.

    >>> from supervision import exit_reason, kill
    >>> ok, ref = Process.start_link()
    >>> kill(ref)
    >>> exit_reason(ref)
    'killed'
    """
    ref = process_of(target)
    if ref is not None:
        ref._end("killed", fenced=True)


def exit_reason(target: Any) -> Reason | None:
    """Return why this process ended, or None while it runs. Raises TypeError if `target` is no
    process.

    >>> exit_reason(ref)
    'killed'
    """
    ref = process_of(target)
    if ref is None:
        return "noproc"
    ended: tuple[Reason] | None = ref._lifeline.ended
    return ended[0] if ended else None


def process_of(target: Any) -> ProcessRef[Any] | None:
    """Return the ref that `resolve` finds. Raises TypeError if it is not the ref of a process."""
    ref = resolve(target)
    if ref is None or isinstance(ref, ProcessRef):
        return ref
    raise TypeError(
        f"{text_of(ref, str)} is no process of this program: start a plain actor as a process by "
        "supervision.as_process(cls).start(); other objects have their own stop()"
    )


def tell_if_alive(ref: Any, message: Any) -> None:
    """Send a message to an actor. If the actor has ended, do nothing.

    >>> from supervision import tell_if_alive
    >>> tell_if_alive(ref, "hello")
    """
    try:  # not `with suppress`, which would take as long as the rest of this function
        ref.tell(message)
    except ActorDeadError:
        return


def _nothing() -> None:
    pass
