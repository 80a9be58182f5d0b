"""Process base: the thread of a process, from `init` to the last hook.

All of it on the process' own thread, after `__init__`:

    init, on_start | (take, on_receive ..., on_batch_end) ... | terminate, on_stop/on_failure | end

While it waits for messages, other threads may handle messages for it: `handle_inline`.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Self

import pykka
from pykka._envelope import Envelope

from supervision.errors import Ignore, Reason, StartError, Stop, is_abnormal, reason_for
from supervision.foreign import exc_info, is_a, is_interrupt, log, part, text_of
from supervision.inbox import Inbox, fail, reply
from supervision.lifeline import Watcher
from supervision.ref import Condition, ProcessRef, ReplyFuture, kill
from supervision.reserved_names import check_attributes
from supervision.threads import start_thread
from supervision.waits import Wait, await_end, here

__all__ = ["IGNORED", "STARTED", "ProcessBase"]

STARTED = object()
IGNORED = object()


class ProcessBase(pykka.ThreadingActor):
    """An actor whose starter waits for its start, and that ends once, for one reason."""

    use_daemon_thread = True
    reply_errors: ClassVar[tuple[type[Exception], ...]] = ()

    _actor_ref: ProcessRef[Any]
    _special: ClassVar[dict[type, Any]]
    """Messages of the machinery, and what handles them."""
    __exiting: tuple[Reason] | None = None
    __failure: BaseException | None = None  # that ended it
    __why: BaseException | None = None  # that it did not start
    __started = False
    __on_started: "queue.SimpleQueue[Any]"

    # -- what a subclass overrides

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Begin the life, given what `start` was given. The starter waits for the return.

        Raising makes the start fail; Ignore and Stop are the polite ways. What it tells itself here
        comes before what others send meanwhile: for work that the starter need not wait for.
        """

    def on_receive(self, message: Any) -> Any:
        """Handle a message. Not overridden, it is logged."""
        log(logging.WARNING, "%s was told %s, and does nothing", self._actor_ref, text_of(message))

    def on_batch_end(self) -> None:
        """Everything that waited in the inbox has been handled: do what is due once for it all."""

    def on_idle(self) -> None:
        """Nothing waits in the inbox: other work may be done, until something does.

        Whoever waits for other things here gives `inbox.waker` a function that wakes it.
        """

    def on_inline(self, message: Any) -> None:
        """Handle `message` on the thread that brought it: be quick, and wait for nothing.

        What takes longer may be kept until `finish_inline`, once it has told itself something.
        """
        self.on_receive(message)
        self.on_batch_end()

    def finish_inline(self) -> None:
        """Messages wait, none of them handled yet: first do what `on_inline` has left to do."""

    def terminate(self, reason: Reason) -> None:
        """End the life. Called once for every process that got through its start, unless killed.

        Pykka's `on_stop` or, after an exception, `on_failure` comes right after.
        """

    def abandoned(self) -> None:
        """Let go of what only this process holds, a file lock say: `terminate` of the killed.

        Called on its own thread, once that has come to its end; by then a successor may wait.
        """

    # -- what other threads may call

    def handle_inline(self, message: Any) -> bool:
        """Have `on_inline` handle `message` on this thread, and no other thread woken for it.

        Only where the process waits for messages and has none. Else nothing is done, and False
        returned: tell it.
        """
        inbox, turn = self._actor_ref.actor_inbox, self.__turn
        if not inbox.idle or inbox.waiting() or turn._is_owned():
            return False
        host = getattr(here, "process", None)
        try:  # and then acquire: a Ctrl-C in between would leave it held
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
            try:  # with nothing in between that a Ctrl-C could end
                turn.release()
            except RuntimeError:  # another thread has it
                here.process = host

    # -- what a process may call on its own thread

    def exit(self, reason: Reason = "normal") -> None:
        """End with `reason` after the message at hand; those behind it are refused from now on.

        For the process itself. Others call `supervision.stop(ref, reason)`.
        """
        if self.__exiting is None:
            self.__exiting = (reason,)
            self.actor_ref._close()

    @property
    def fenced(self) -> bool:
        """True once this process was killed: others take it for dead, so do nothing more."""
        return self._actor_ref._lifeline.fenced

    # -- its parts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__turn: Any = threading.RLock()  # held by the thread that handles messages
        self.__handled_inline = False  # since `finish_inline` was called
        super().__init__(*args, **kwargs)
        self.actor_stopped._cond = Condition()  # type: ignore[attr-defined]

    def __str__(self) -> str:
        return str(self.actor_ref)

    @property
    def actor_ref(self) -> ProcessRef[Self]:
        """Pykka makes a plain ref in `Actor.__init__`; ours takes its place."""
        return self._actor_ref

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        inbox = Inbox()
        inbox.starting = threading.get_ident()
        return inbox

    @staticmethod
    def _create_future() -> ReplyFuture:
        return ReplyFuture()

    # -- the start

    def _launch(self, args: Any, kwargs: Any, timeout: float | None) -> Any:
        """Start the thread and wait. Returns STARTED, IGNORED, or the reason it ended for.

        Whatever ends the process during its start ends the wait.
        """
        self.__arguments = (args, kwargs)
        self.__on_started = queue.SimpleQueue()
        ref = self.actor_ref
        if ref._lifeline.ended:
            return ref._lifeline.ended[0]  # with who starts it
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
        """The error that tells a starter what `_launch` returned."""
        error = StartError("ignore" if outcome is IGNORED else outcome)
        error.__cause__ = self.__why
        return error

    def _start_actor_loop(self) -> None:
        name, daemon = str(self.actor_ref), self.use_daemon_thread
        start_thread(threading.Thread(target=self._thread_main, name=name, daemon=daemon))

    def _thread_main(self) -> None:
        """The thread's whole life."""
        here.process = self
        try:
            if self._get_started():
                for stage in (self._run, self._wind_down):
                    try:
                        stage()
                    except BaseException as error:
                        self._crash(error)  # a defect of ours
        finally:  # whatever happened: that somebody waits for the end for ever is worse
            here.process = None  # who hears of the end starts no child of the dead
            self._actor_ref._end(self.__exiting[0] if self.__exiting else "killed")

    def _get_started(self) -> bool:
        """Run `init` and `on_start`, and tell the starter what came of it."""
        inbox: Inbox = self._actor_ref.actor_inbox
        inbox.starting = threading.get_ident()
        args, kwargs = self.__arguments
        del self.__arguments
        try:
            self._begin(args, kwargs)
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
        finally:
            inbox.starting = None
        return self.__started

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.init(*args, **kwargs)

    # -- the messages

    def _run(self) -> None:
        """Handle messages until the inbox is closed: by `exit`, by a crash, or by a kill."""
        inbox: Inbox = self.actor_ref.actor_inbox
        while not inbox.closed:
            if inbox.empty():
                self._guarded(self.on_idle)
            inbox.take()
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
                break  # killed, and refused, between these two lines
            inbox.current = envelope
            if inbox.closed:
                inbox.refuse([envelope])
                break
            message = envelope.message
            try:
                handler = special.get(type(message))
            except Exception:
                handler = None  # a class that can't be hashed is none of ours
            try:
                answer = on_receive(message) if handler is None else handler(self, envelope)
            except BaseException as error:
                self._failed(envelope, error)
            else:
                if envelope.reply_to is not None:
                    reply(envelope, answer)
        self._guarded(self.on_batch_end)

    def _guarded(self, hook: Callable[[], None]) -> None:
        """Call a hook that has no asker, unless the process has failed or was killed."""
        if self.__failure is None and not self.fenced:
            try:
                hook()
            except BaseException as error:
                self._crash(error)

    def _failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        only_told = envelope.reply_to is not None and is_a(error, self.reply_errors)
        if not only_told or is_a(error, (Stop, Ignore)):
            self._crash(error)
        fail(envelope, error)

    def _crash(self, error: BaseException) -> None:
        """End by this exception, whatever end was under way."""
        reason = reason_for(error, starting=not self.__started)
        if not is_a(error, Stop):
            self.__failure = error
        self.__exiting = (reason,)
        me = self._actor_ref
        if is_abnormal(reason) and not self.fenced:
            if self.__started:
                log(logging.ERROR, "%s crashed: %s", me, text_of(error), error=error)
            else:  # its starter is told, and says so if it matters
                log(logging.DEBUG, "%s did not start: %s", me, text_of(error), error=error)
        me._close()

    # -- the end

    def _wind_down(self) -> None:
        """Run the hooks of the end. One that raises gives the reason, if there was none worse."""
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
