"""ProcessBase: what the thread of a process does, from `init` to the last hook.

After `__init__`, all of this runs on the process's own thread:

    init, on_start | (take, on_receive ..., on_batch_end) ... | terminate, on_stop/on_failure | end

While this thread waits for messages, another thread may handle a message: `handle_inline`.
"""

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from reprlib import repr as shortened
from typing import Any, ClassVar, Self

import pykka
from pykka._envelope import Envelope

from supervision.bounded_inbox import Bounded, BoundedInbox
from supervision.errors import Continue, Ignore, Reason, StartError, Stop, is_abnormal, reason_for
from supervision.foreign import exc_info, is_a, is_interrupt, log, part, text_of
from supervision.inbox import Inbox, fail, reply
from supervision.lifeline import Watcher
from supervision.ref import ProcessRef, kill
from supervision.reply_future import Condition, ReplyFuture
from supervision.reserved_names import check_attributes
from supervision.threads import start_thread
from supervision.waits import Wait, await_end, here

__all__ = ["IGNORED", "STARTED", "ProcessBase"]

STARTED = object()
IGNORED = object()


class ProcessBase(pykka.ThreadingActor):
    """An actor whose starter waits for its `init`, and which ends once, with one exit reason."""

    use_daemon_thread = True
    reply_errors: ClassVar[tuple[type[Exception], ...]] = ()

    _actor_ref: ProcessRef[Any]
    _special: ClassVar[dict[type, Any]]
    """The types of messages that this package itself sends, and the method that handles each."""
    _traps_exit = False
    _bound: ClassVar[Bounded | None] = None
    _idle_s: float | None = None
    _call_s: float | None = None
    _lists: bool | None = None
    """Whether the child that this process starts now is listed; None: as the child's class says."""
    __exiting: tuple[Reason] | None = None
    __failure: BaseException | None = None  # the exception that ended the process
    __why: BaseException | None = None  # the exception for which the start failed
    __started = False
    __on_started: "queue.SimpleQueue[Any]"

    # -- what a subclass overrides

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Begin the work of the process. `init` gets the arguments of the start, and the starter
        waits until it returns.

        An exception makes the start fail. Raise Ignore if the process is not needed, and Stop to
        give the exit reason. For work that the starter need not wait for, send a message to the
        own ref: it is handled before all messages that others send during the start; or return
        `Continue(argument)`: then `on_continue(argument)` is called before any message is handled.
        """

    def on_continue(self, argument: Any) -> None:
        """Go on with the start, for which the starter no longer waits; see `init`."""

    def on_idle_timeout(self) -> None:
        """Called when no message has come for as long as the class option `idle_timeout` says, in
        seconds, and again after each such time.
        """

    def on_receive(self, message: Any) -> Any:
        """Handle a message. Unless this is overridden, the message is only logged."""
        log(
            logging.WARNING,
            "%s received %s, and has no on_receive for it",
            self._actor_ref,
            text_of(message, shortened),
        )

    def on_batch_end(self) -> None:
        """Called after all messages that waited in the inbox have been handled. Override it for
        work that is done once for the whole batch.
        """

    def on_idle(self) -> None:
        """Called when no message waits in the inbox: other work may be done here, until there is a
        message. If an override waits for something else, it sets `inbox.waker` to a function that
        ends this wait.
        """

    def on_inline(self, message: Any) -> None:
        """Handle `message` on the thread that delivers it. An override must be quick, and not wait.

        Work that takes longer may be left to `finish_inline`. Then send a message to the own ref,
        which wakes the process's own thread.
        """
        self.on_receive(message)
        self.on_batch_end()

    def finish_inline(self) -> None:
        """Do the work that `on_inline` has left. Called on the process's own thread, when messages
        wait and before the first of them is handled.
        """

    def terminate(self, reason: Reason) -> None:
        """Clean up. Called once at the end of every process whose start succeeded, unless it was
        killed. Pykka's `on_stop` or, after an exception, `on_failure` is called right after it.
        """

    def abandoned(self) -> None:
        """Release what only one process can have, a file lock for example. This is called instead
        of `terminate` for a process that was killed, on the process's own thread, when this thread
        ends. A successor may already run then, and may wait for the release.
        """

    # -- what other threads may call

    def handle_inline(self, message: Any) -> bool:
        """Call `on_inline` with `message` on this thread, so that no other thread must be woken.

        This is done only while the process waits and its inbox is empty; then True is returned.
        Otherwise nothing is done and False is returned: the caller sends the message by `tell`.
        """
        inbox, turn = self._actor_ref.actor_inbox, self.__turn
        if not inbox.idle or inbox.waiting() or turn._is_owned():
            return False
        host = getattr(here, "process", None)
        try:  # acquire inside of `try`: a Ctrl-C between the two would leave the lock held
            if not turn.acquire(blocking=False) or not inbox.idle or inbox.closed:
                return False
            here.process = self
            self.__handled_inline = True
            try:
                self.on_inline(message)
            except BaseException as error:
                self._crash(error)
                if is_interrupt(error):
                    raise
            return True
        finally:
            here.process = host
            try:  # no `if` before the release: a Ctrl-C between the two would leave the lock held
                turn.release()
            except RuntimeError:  # this thread has not got the lock
                here.process = host

    # -- what a process may call on its own thread

    def exit(self, reason: Reason = "normal") -> None:
        """End with `reason` after the present message. The messages behind it are refused.

        Only the process itself calls it. Others call `supervision.stop(ref, reason)`.
        """
        if self.__exiting is None:
            self.__exiting = (reason,)
            self.actor_ref._close()

    @property
    def fenced(self) -> bool:
        """True after this process was killed. Other processes treat it as ended, and a successor
        may run: a fenced process must not change anything that both use.
        """
        return self._actor_ref._lifeline.fenced

    # -- fields

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__turn: Any = threading.RLock()  # held by the thread that handles messages
        self.__handled_inline = False  # whether `on_inline` has run since the last `finish_inline`
        super().__init__(*args, **kwargs)
        self.actor_stopped._cond = Condition()  # type: ignore[attr-defined]

    def __str__(self) -> str:
        return str(self.actor_ref)

    @property
    def actor_ref(self) -> ProcessRef[Self]:
        """The ProcessRef, in place of the ActorRef that Pykka makes in `Actor.__init__`."""
        return self._actor_ref

    @classmethod
    def _create_actor_inbox(cls) -> Inbox:
        inbox = Inbox() if cls._bound is None else BoundedInbox(cls._bound)
        inbox.starting = threading.get_ident()
        return inbox

    @staticmethod
    def _create_future() -> ReplyFuture:
        return ReplyFuture()

    # -- the start

    def _launch(self, args: Any, kwargs: Any, timeout: float | None) -> Any:
        """Start the thread, and wait for the start of the process. Returns STARTED, IGNORED, or the
        exit reason. If the process ends during its start, for example by `kill`, the wait ends.
        """
        self.__arguments = (args, kwargs)
        self._actor_ref.call_timeout_s = self._call_s
        self.__on_started = queue.SimpleQueue()
        ref = self.actor_ref
        if ref._lifeline.ended:
            return ref._lifeline.ended[0]  # its parent has ended, and killed it
        cancel = ref.watch(self.__on_started.put)
        try:
            with Wait((ref,), "started"):
                self._start_actor_loop()
                outcome = await_end(self.__on_started, timeout)
        except queue.Empty:
            kill(ref)
            outcome = "timeout"
        except RuntimeError as error:  # the system has no thread left
            ref._end(reason_for(error))
            outcome = reason_for(error)
        except BaseException:  # Ctrl-C while waiting
            kill(ref)
            raise
        cancel()
        return outcome

    def _start_error(self, outcome: Any) -> StartError:
        """Return the StartError for what `_launch` returned."""
        error = StartError("ignore" if outcome is IGNORED else outcome)
        error.__cause__ = self.__why
        return error

    def _start_actor_loop(self) -> None:
        name, daemon = str(self.actor_ref), self.use_daemon_thread
        start_thread(threading.Thread(target=self._thread_main, name=name, daemon=daemon))

    def _thread_main(self) -> None:
        """The function that the thread runs, from its first line to its last."""
        here.process = self
        try:
            if self._get_started():
                for stage in (self._run, self._wind_down):
                    try:
                        stage()
                    except BaseException as error:
                        self._crash(error)  # a bug of this package, as hooks are guarded
        finally:  # in every case: otherwise a thread that waits for the end would wait for ever
            # The watchers of the end run on this thread: a process that one of them starts must not
            # be linked to this process, which has ended.
            here.process = None
            self._actor_ref._end(self.__exiting[0] if self.__exiting else "killed")

    def _get_started(self) -> bool:
        """Run `init` and `on_start`, and report the outcome to the starter."""
        inbox: Inbox = self._actor_ref.actor_inbox
        inbox.starting = threading.get_ident()
        args, kwargs = self.__arguments
        del self.__arguments
        try:
            begun = self._begin(args, kwargs)
            self.on_start()
            check_attributes(self)
        except Ignore:
            self.__exiting = ("normal",)
            self.__on_started.put(IGNORED)
        except BaseException as error:
            self.__why = part(error, "__cause__") if is_a(error, Stop) else error
            self._crash(error)
        else:
            self.__started = self._actor_ref.started = True
            self.__on_started.put(STARTED)
            if type(begun) is Continue:
                with self.__turn:
                    self._guarded(partial(self.on_continue, begun.argument))
        finally:
            inbox.starting = None
        return self.__started

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.init(*args, **kwargs)

    # -- the messages

    def _run(self) -> None:
        """Handle messages until the inbox is closed: by `exit`, by a crash, or by a kill."""
        inbox: Inbox = self._actor_ref.actor_inbox
        while not inbox.closed:
            if inbox.empty():
                self._guarded(self.on_idle)
            inbox.idle_s = self._idle_s
            try:
                inbox.take()
            except queue.Empty:
                with self.__turn:
                    self._guarded(self.on_idle_timeout)
                continue
            with self.__turn:
                self._handle_taken(inbox)

    def _handle_taken(self, inbox: Inbox) -> None:
        taken, special, on_receive = inbox.taken, self._special, self.on_receive
        if self.__handled_inline:
            self.__handled_inline = False
            self._guarded(self.finish_inline)
        while taken:
            try:
                envelope = taken.popleft()
            except IndexError:
                break  # between these two lines a `kill` has refused the messages
            inbox.current = envelope
            if inbox.closed:
                inbox.refuse([envelope])
                break
            message = envelope.message
            try:
                handler = special.get(type(message))
            except Exception:
                handler = None  # the class can't be hashed, so it is not a class of this package
            try:
                answer = on_receive(message) if handler is None else handler(self, envelope)
            except BaseException as error:
                self._failed(envelope, error)
            else:
                if envelope.reply_to is not None:
                    reply(envelope, answer)
        self._guarded(self.on_batch_end)

    def _guarded(self, hook: Callable[[], None]) -> None:
        """Call a hook for which no asker waits, unless the process has failed or was killed."""
        if self.__failure is None and not self._actor_ref._lifeline.fenced:
            try:
                hook()
            except BaseException as error:
                self._crash(error)

    def _failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        only_for_asker = envelope.reply_to is not None and is_a(error, self.reply_errors)
        if not only_for_asker or is_a(error, (Stop, Ignore)):
            self._crash(error)
        fail(envelope, error)

    def _crash(self, error: BaseException) -> None:
        """End because of this exception. Its exit reason replaces that of an `exit` before it."""
        reason = reason_for(error, starting=not self.__started)
        if not is_a(error, Stop):
            self.__failure = error
        self.__exiting = (reason,)
        me = self._actor_ref
        if is_abnormal(reason) and not self.fenced:
            if self.__started:
                self._log_crash(error)
            else:  # the starter gets the exit reason, and logs it if it matters
                log(logging.DEBUG, "%s did not start: %s", me, text_of(error), error=error)
        me._close()

    def _log_crash(self, error: BaseException) -> None:
        log(logging.ERROR, "%s crashed: %s", self._actor_ref, text_of(error), error=error)

    # -- the end

    def _wind_down(self) -> None:
        """Run the hooks of the end. An exception in one becomes the exit reason, unless the reason
        so far is abnormal.
        """
        error = self.__failure
        if self.fenced:
            self._release()
            return
        self._run_last(self.terminate)
        if error is None:
            self._run_last(lambda _: self.on_stop())
        else:
            self._run_last(lambda _: self.on_failure(*exc_info(error)))

    def _release(self) -> None:
        try:
            self.abandoned()
        except BaseException as error:
            log(logging.ERROR, "%s failed as its thread ended", self._actor_ref, error=error)

    def _run_last(self, hook: Watcher) -> None:
        if self.fenced:
            return
        reason = self.__exiting[0] if self.__exiting else "normal"
        try:
            hook(reason)
        except BaseException as error:
            log(logging.ERROR, "%s failed as it ended", self._actor_ref, error=error)
            if not is_abnormal(reason):
                self.__exiting = (reason_for(error),)
