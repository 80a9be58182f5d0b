"""Process: a Pykka actor that starts in step with its starter and whose end is always told.

This file, `ref.py`, `inbox.py` and `registry.py` are the only ones that touch what Pykka does not
document; `tests/supervision/test_pykka_internals.py` names each such thing. A process keeps Pykka's
API: refs, proxies, futures, `on_receive`, `on_start`, `on_stop`, `on_failure`.

Life of a process, all of it on its own thread after `__init__`:

    init, on_start | (take, on_receive ..., on_drained) ... | terminate, on_stop or on_failure | end

While it waits for messages, other threads may `visit` it.

At the end its names are freed, then monitors, links and the registry hear its exit reason.
"""

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import pykka
from pykka import ActorRegistry, messages
from pykka._envelope import Envelope

from supervision.child_spec import ChildSpec, check_options
from supervision.errors import Ignore, Reason, StartError, Stop, is_abnormal, reason_for
from supervision.foreign import exc_info, is_a, is_interrupt, log, part, says, text_of
from supervision.inbox import Inbox, fail, reply
from supervision.lifeline import Cancel, Watcher
from supervision.ref import (
    ChildEnded,
    Condition,
    Exit,
    ProcessRef,
    ReplyFuture,
    kill,
    tell_if_alive,
)
from supervision.registry import Registry, names
from supervision.reserved import check_attributes, check_names, check_reply_errors
from supervision.waits import Wait, await_end, here, seconds

__all__ = ["Process"]

STARTED = object()
IGNORED = object()


class Process(pykka.ThreadingActor):
    """An actor with an exit reason. Override `init`, `on_receive` or methods, and `terminate`.

    Defaults for the child spec go to the class statement, as in
    `class Cache(Process, restart="transient", shutdown=1.0)`; see ChildSpec.

    An exception in a message ends the process, whether it was told or asked; an asker is given
    the original exception. Types in `reply_errors` are only given to the asker.
    """

    use_daemon_thread = True
    reply_errors: ClassVar[tuple[type[Exception], ...]] = ()

    _spec_options: ClassVar[dict[str, Any]] = {"restart": "permanent", "type": "worker"}
    __exiting: tuple[Reason] | None = None
    __failure: BaseException | None = None  # that ended it
    __why: BaseException | None = None  # that it did not start
    __started = False
    __on_started: "queue.SimpleQueue[Any]"

    def __init_subclass__(cls, **options: Any) -> None:
        """Child spec defaults: `id`, `restart`, `shutdown`, `type`."""
        unknown = options.keys() - {"id", "restart", "shutdown", "type"}
        if unknown:
            raise TypeError(f"{cls.__name__} has unknown class options: {', '.join(unknown)}")
        check_names(cls)
        check_reply_errors(cls)
        cls._spec_options = {**cls._spec_options, **options}
        merged = {"shutdown": 5.0, **cls._spec_options}
        check_options(merged["restart"], merged["shutdown"], merged["type"], of=cls.__name__)
        super().__init_subclass__()

    # -- what a subclass overrides

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Begin the life, given what `start` was given. The starter waits for the return.

        Raising makes the start fail; Ignore and Stop are the polite ways. What it tells itself here
        comes before what others send meanwhile: for work that the starter need not wait for.
        """

    def on_receive(self, message: Any) -> Any:
        """Handle a message. Not overridden, it is logged."""
        log(logging.WARNING, "%s was told %s, and does nothing", self._actor_ref, text_of(message))

    def on_drained(self) -> None:
        """Everything that waited in the inbox has been handled: do what is due once for it all."""

    def on_idle(self) -> None:
        """Nothing waits in the inbox: other work may be done, until something does.

        Whoever waits for other things here gives `inbox.waker` a function that wakes it.
        """

    def on_visit(self, message: Any) -> None:
        """Handle `message` on the thread that brought it: be quick, and wait for nothing.

        What takes longer may be kept until `after_visits`, once it has told itself something.
        """
        self.on_receive(message)
        self.on_drained()

    def after_visits(self) -> None:
        """Messages wait, none of them handled yet: first do what visits have left to do."""

    def terminate(self, reason: Reason) -> None:
        """End the life. Called once for every process that got through its start, unless killed.

        Pykka's `on_stop` or, after an exception, `on_failure` comes right after.
        """

    def abandoned(self) -> None:
        """Let go of what only this process holds, a file lock say: `terminate` of the killed.

        Called on its own thread, once that has come to its end; by then a successor may wait.
        """

    @staticmethod
    def undelivered(message: Any) -> None:
        """Take a told message that died unread. On any thread, so be quick and thread safe.

        Not overridden, one warning is logged for all that died together.
        """

    @classmethod
    def _bury(cls, ref: ProcessRef[Any], told: list[Any]) -> None:
        if cls.undelivered is Process.undelivered:
            first = text_of(told[0])
            log(logging.WARNING, "%s ended; %d unread, the first: %s", ref, len(told), first)
            return
        for message in told:
            try:
                cls.undelivered(message)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                log(logging.ERROR, "%s.undelivered failed", cls.__name__, error=error)

    def asked_to_end(self, reason: Reason) -> None:
        """Someone, a supervisor most often, wants this process to end: do so.

        Overridden, it may finish something first: keep the reason and call `self.exit(reason)`
        within the child spec's shutdown time, or be killed.
        """
        self.exit(reason)

    def child_ended(self, ref: ProcessRef[Any], reason: Reason) -> None:  # noqa: ARG002
        """A process that this one started by `start_link` has ended: end too, unless "normal"."""
        if not says(reason, "normal"):
            self.exit(reason)

    # -- what other threads may call

    def visit(self, message: Any) -> bool:
        """Have `on_visit` handle `message` on this thread, and no other thread woken for it.

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
            self.__visited = True
            try:
                self.on_visit(message)
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

    # -- starting

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ProcessRef[Self]:
        """Start without a link, and wait until `init` and `on_start` are done.

        The arguments go to `__init__` (on this thread, as always in Pykka) and to `init`.

        Raises StartError, with the exception that made `init` fail as its cause.
        """
        process = cls._made(args, kwargs)
        ref = process.actor_ref
        try:
            outcome = process._launch(args, kwargs, timeout=None)
            if outcome is STARTED:
                ActorRegistry.register(ref)
                _unregister_if_dead(ref)
                return ref
        except BaseException:  # Ctrl-C: nobody would know of it
            kill(ref)
            raise
        raise StartError("ignore" if outcome is IGNORED else outcome) from process.__why

    @classmethod
    def start_link(
        cls,
        *args: Any,
        name: Any = None,
        registry: Registry | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Start, linked to the calling process if there is one, and wait as `start` does.

        name      registered before `init` runs, in `registry` or else `supervision.names`
        timeout   seconds to wait for `init`; then the process is killed. None: for ever

        If the calling process ends meanwhile, the one that starts is killed.

        Returns `("ok", ref)`, `"ignore"`, or `("error", reason)`: the exit reason of the failed
        start, `("already_started", ref)` if the name is taken, or `"timeout"`.
        """
        parent: Process | None = getattr(here, "process", None)
        timeout = None if timeout is None else seconds(timeout)
        try:
            process = cls._made(args, kwargs)
        except Stop as stopped:
            return ("error", stopped.reason)
        except Ignore:
            return "ignore"
        except Exception as error:
            log(logging.ERROR, "%s could not be made", cls.__name__, error=error)
            return ("error", reason_for(error, starting=True))
        ref = process.actor_ref
        unbind: Cancel | None = None
        try:
            if parent is not None:
                unbind = parent._actor_ref.watch(lambda _reason: kill(ref))
            if name is not None:
                ref.name = name
                answer, holder = (names if registry is None else registry).register(name, ref)
                if answer == "error":
                    ref._end("normal")
                    return ("error", ("already_started", holder[1]))
            outcome = process._launch(args, kwargs, timeout)
            if outcome is IGNORED:
                return "ignore"
            if outcome is not STARTED:
                return ("error", outcome)
            if parent is None:
                ActorRegistry.register(ref)
                _unregister_if_dead(ref)
            else:
                parent._link(ref)
        except BaseException:  # Ctrl-C: nobody would know of it
            kill(ref)
            raise
        else:
            return ("ok", ref)
        finally:
            if unbind is not None:
                unbind()

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """The spec of a child started by `start_link` with these arguments, the same for each life.

        What one life changes in them, the next one finds changed.
        """
        options = {"id": cls.__name__, **cls._spec_options}
        return ChildSpec(start=partial(cls.start_link, *args, **kwargs), modules=(cls,), **options)

    # -- how it works

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__children: dict[ProcessRef[Any], Cancel] = {}
        self.__turn: Any = threading.RLock()  # held by the thread that handles messages
        self.__visited = False  # since `after_visits` was called
        super().__init__(*args, **kwargs)
        self.actor_stopped._cond = Condition()  # type: ignore[attr-defined]
        self._actor_ref: ProcessRef[Any] = ProcessRef(self)

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

    @classmethod
    def _made(cls, args: Any, kwargs: Any) -> Self:
        process = cls(*args, **kwargs)
        if not hasattr(process, "_actor_ref"):
            raise TypeError(f"{cls.__name__}.__init__ must call super().__init__()")
        return process

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

    def _start_actor_loop(self) -> None:
        threading.Thread(
            target=self._live, name=str(self.actor_ref), daemon=self.use_daemon_thread
        ).start()

    def _live(self) -> None:
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
        if self.__visited:
            self.__visited = False
            self._guarded(self.after_visits)
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
        self._guarded(self.on_drained)

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

    def _wind_down(self) -> None:
        """Run the hooks of the end. One that raises gives the reason, if there was none worse."""
        error = self.__failure
        if self.fenced:
            self._let_go()
            return
        self._run_last(self.terminate)
        if error is None:
            self._run_last(lambda _: self.on_stop())
        else:
            self._run_last(lambda _: self.on_failure(*exc_info(error)))

    def _let_go(self) -> None:
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

    def _link(self, child: ProcessRef[Any]) -> None:
        """Bind the child's life to this one. Once is enough; only on this process's thread.

        A linked process leaves Pykka's ActorRegistry: its root answers for it, so that
        `ActorRegistry.stop_all` ends a tree from the top (docs/decisions/0001).
        """
        if child in self.__children:
            return
        ActorRegistry.unregister(child)
        me = self.actor_ref
        cancel = me._lifeline.watch(lambda _: tell_if_alive(child, Exit("shutdown")))
        if cancel is None:
            tell_if_alive(child, Exit("shutdown"))
            return

        def ended(reason: Reason) -> None:
            cancel()
            tell_if_alive(me, ChildEnded(child, reason))

        unwatch = child._lifeline.watch(ended)

        def unlink() -> None:
            cancel()
            if unwatch:
                unwatch()

        self.__children[child] = unlink
        if unwatch is None:
            assert child._lifeline.ended
            ended(child._lifeline.ended[0])

    def _unlink(self, child: ProcessRef[Any]) -> None:
        unlink = self.__children.pop(child, None)
        if unlink:
            unlink()

    def _receive_pykka(self, envelope: Envelope[Any]) -> Any:
        return self._handle_receive(envelope.message)

    def _receive_stop(self, envelope: Envelope[Any]) -> None:
        self.actor_ref._answer_at_end(Envelope(None, envelope.reply_to))
        envelope.reply_to = None
        self.exit("normal")

    def _receive_exit(self, envelope: Envelope[Exit]) -> None:
        self.asked_to_end(envelope.message.reason)

    def _receive_child_ended(self, envelope: Envelope[ChildEnded]) -> None:
        self.__children.pop(envelope.message.ref, None)
        self.child_ended(envelope.message.ref, envelope.message.reason)

    _special: ClassVar[dict[type, Any]] = {
        messages.ProxyCall: _receive_pykka,
        messages.ProxyGetAttr: _receive_pykka,
        messages.ProxySetAttr: _receive_pykka,
        messages._ActorStop: _receive_stop,
        Exit: _receive_exit,
        ChildEnded: _receive_child_ended,
    }


def _unregister_if_dead(ref: ProcessRef[Any]) -> None:
    """Undo a registration that came after the end."""
    if ref._lifeline.ended:
        ActorRegistry.unregister(ref)
