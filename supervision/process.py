"""Process: a Pykka actor whose starter waits for its `init`, and whose end is always reported.

This file, `process_base.py`, `ref.py`, `reply_future.py`, `inbox.py`, `listing.py` and
`registry.py` are the only ones that use parts of Pykka that Pykka does not document, and
`tests/supervision/test_pykka_internals.py` names each of these parts. A process keeps Pykka's API:
refs, proxies, futures, `on_receive`, `on_start`, `on_stop`, `on_failure`.

The code that runs on the thread of a process is in `process_base.py`. This file starts a process
and links it to its parent.

When a process ends, its names become free first. Then its monitors and links are notified of the
exit reason.
"""

import logging
from functools import partial
from typing import Any, ClassVar, Self

from pykka import messages
from pykka._envelope import Envelope

from supervision.answers import Started
from supervision.child_spec import ChildSpec
from supervision.class_options import check_spec_options, take_options
from supervision.errors import Ignore, Reason, Stop, reason_for
from supervision.foreign import is_interrupt, is_string, log, text_of
from supervision.inbox import Ahead, reply
from supervision.lifeline import Cancel
from supervision.listing import list_or_hide
from supervision.monitors import Monitor, monitor
from supervision.orphans import end_orphan, register
from supervision.process_base import IGNORED, STARTED, ProcessBase
from supervision.ref import ChildEnded, Exit, ExitSignal, ProcessRef, current, kill, tell_if_alive
from supervision.registry import Registry, names
from supervision.reserved_names import check_names, check_reply_errors
from supervision.waits import here, seconds

__all__ = ["Process"]


class Process(ProcessBase):
    """A Pykka actor whose starter waits for its `init`, and whose end has a reason.

    Override `init`, which gets the arguments of the start; `on_receive`, or methods that a proxy
    calls; and `terminate`, which gets the exit reason. Defaults for the child specification are
    given in the class statement, as in `class Cache(Process, restart="transient", shutdown=1.0)`;
    see ChildSpec.

    An exception while a message is handled ends the process, whether the message came by `tell` or
    by `ask`; an asker gets the original exception. Exceptions of the types in `reply_errors` do not
    end the process: they only go to the asker.

    >>> from supervision import Process, stop
    >>> class Adder(Process):
    ...     def init(self, start):
    ...         self.sum = start
    ...     def on_receive(self, number):
    ...         self.sum += number
    ...         return self.sum
    >>> ok, adder = Adder.start_link(40)
    >>> adder.ask(2)
    42
    >>> stop(adder)
    'ok'
    """

    _ref_class: ClassVar[type[ProcessRef[Any]]] = ProcessRef
    _spec_options: ClassVar[dict[str, Any]] = {"restart": "permanent", "type": "worker"}

    def __init_subclass__(cls, **options: Any) -> None:
        """Child spec defaults: `id`, `restart`, `shutdown`, `type`, `listed`. Options of each
        process of the class, not of its successors alone:

        trap_exit      whether ExitSignals are received as messages
        idle_timeout   seconds without a message after which `on_idle_timeout` is called
        inbox          Bounded: how many messages may wait; None: without a bound
        call_timeout   seconds that an `ask` without a timeout waits; None: without a bound
        """
        check_names(cls)
        options = take_options(cls, options)
        check_reply_errors(cls)
        cls._spec_options = {**cls._spec_options, **options}
        check_spec_options(cls, cls._spec_options)
        super().__init_subclass__()

    # -- what a subclass overrides

    @staticmethod
    def undelivered(message: Any) -> None:
        """Called with each message that was sent by `tell` and not read before the process ended.

        It may be called on any thread, so it must be quick and thread safe. Unless it is
        overridden, one warning is logged for all unread messages of a process.
        """

    @classmethod
    def _report_unread(cls, ref: ProcessRef[Any], unread: list[Any]) -> None:
        if cls.undelivered is Process.undelivered:
            first = text_of(unread[0])
            log(logging.WARNING, "%s ended; %d unread, the first: %s", ref, len(unread), first)
            return
        for message in unread:
            try:
                cls.undelivered(message)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                log(logging.ERROR, "%s.undelivered failed", cls.__name__, error=error)

    def asked_to_end(self, reason: Reason) -> None:
        """End this process. Another process, most often its supervisor, has asked for it.

        An override may finish something first: it stores the reason, and calls `self.exit(reason)`
        within the shutdown time of the child specification. After that time the process is killed.
        """
        self.exit(reason)

    def child_ended(self, ref: ProcessRef[Any], reason: Reason) -> None:
        """Called when a process that this one started by `start_link` has ended.

        Unless it is overridden, this process ends too, for any reason but "normal"; or it receives
        an ExitSignal, with the class option `trap_exit`.
        """
        if self._traps_exit:
            self.on_receive(ExitSignal(ref, reason))
        elif not is_string(reason, "normal"):
            self.exit(reason)

    # -- starting

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ProcessRef[Self]:
        """Start without a link, and wait until `init` and `on_start` are done.

        The arguments go to `__init__` (on this thread, as always in Pykka) and to `init`.

        Raises StartError, with the exception that made `init` fail as its cause.

        >>> Adder.start(1).ask(1)
        2
        """
        process = cls._made(args, kwargs)
        ref = process.actor_ref
        try:
            outcome = process._launch(args, kwargs, timeout=None)
            if outcome is STARTED:
                list_or_hide(ref)
                return ref
        except BaseException:  # Ctrl-C: the caller gets no ref, so nobody could stop the process
            kill(ref)
            raise
        raise process._start_error(outcome)

    @classmethod
    def start_link(
        cls,
        *args: Any,
        name: Any = None,
        registry: Registry | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Started[ProcessRef[Self]]:
        """Start, linked to the calling process if there is one, and wait as `start` does.

        name      registered before `init` runs, in `registry` or else in `supervision.names`
        timeout   seconds to wait for `init`; then the process is killed. None: without a bound

        If the calling process ends meanwhile, the one that starts is killed.

        Returns `("ok", ref)`; `"ignore"` if `init` raised Ignore; or `("error", reason)`: the exit
        reason of the failed start, `("already_started", ref)` if the name is taken, or
        `"timeout"`. If the process that has the name is about to end, because its parent has ended,
        the start waits for its end, up to 5 seconds.

        >>> ok, adder = Adder.start_link(1, name="adder")
        >>> Adder.start_link(1, name="adder") == ("error", ("already_started", adder))
        True
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
                ref.parent = parent._actor_ref
                if parent._lists is not None:
                    ref.listed = parent._lists
                unbind = parent._actor_ref.watch_first(lambda _reason: kill(ref))
            if name is not None:
                ref.name = name
                book = names if registry is None else registry
                answer, holder = register(book, name, ref, timeout)
                if answer == "error":
                    ref._end("normal")
                    return ("error", ("already_started", holder[1]))
            outcome = process._launch(args, kwargs, timeout)
            if outcome is IGNORED:
                return "ignore"
            if outcome is not STARTED:
                return ("error", outcome)
            if parent is None:
                list_or_hide(ref)
            else:
                parent._link(ref)
        except BaseException:  # Ctrl-C: the caller gets no ref, so nobody could stop the process
            kill(ref)
            raise
        else:
            return ("ok", ref)
        finally:
            if unbind is not None:
                unbind()

    @classmethod
    def start_monitor(
        cls, *args: Any, watcher: Any = None, **kwargs: Any
    ) -> Started[tuple[ProcessRef[Self], Monitor]]:
        """Start without a link, and monitor the process. Returns `("ok", (ref, monitor))`, or what
        `start_link` returns. `watcher` is as for `monitor`; the other arguments are as for
        `start_link`.

        >>> class Watcher(Process):
        ...     def on_receive(self, message):
        ...         print(message.reason)
        >>> watcher = Watcher.start()
        >>> ok, (ref, seen) = Adder.start_monitor(1, watcher=watcher)
        >>> stop(ref), stop(watcher)
        normal
        ('ok', 'ok')
        """
        watcher, host = current() if watcher is None else watcher, getattr(here, "process", None)
        try:
            here.process = None
            answer = cls.start_link(*args, **kwargs)
        finally:
            here.process = host
        if answer != "ignore" and answer[0] == "ok":
            return ("ok", (answer[1], monitor(answer[1], watcher)))
        return answer

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """Return the specification of a child that is started by `start_link` with these arguments.

        Every restart gets the very same objects: if a process changes one of them, its successor
        gets the changed object.

        >>> Adder.child_spec(1)
        ChildSpec('Adder', Adder.start_link(1), permanent, shutdown=5.0, worker)
        """
        options = {"id": cls.__name__, **cls._spec_options}
        return ChildSpec(start=partial(cls.start_link, *args, **kwargs), modules=(cls,), **options)

    # -- private parts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__children: dict[ProcessRef[Any], Cancel] = {}
        super().__init__(*args, **kwargs)
        self._actor_ref = self._ref_class(self, self._report_unread)
        self._actor_ref.listed = bool(self._spec_options.get("listed"))

    @classmethod
    def _made(cls, args: Any, kwargs: Any) -> Self:
        process = cls(*args, **kwargs)
        if not hasattr(process, "_actor_ref"):
            raise TypeError(f"{cls.__name__}.__init__ must call super().__init__()")
        return process

    def _link(self, child: ProcessRef[Any], *, as_parent: bool = True) -> None:
        """Link the child to this process: when this process ends, the child is asked to end, and
        when the child ends, this process receives ChildEnded. Called on this process's thread. A
        second call for the same child does nothing. The child is asked to end before the supervisor
        of this process is notified, so that the successor finds the child marked as an orphan.
        With `as_parent` this process becomes the child's parent.

        A linked process is not in Pykka's ActorRegistry, unless it is `listed`. Only the root of
        its tree is, so that `ActorRegistry.stop_all` ends a tree from the top (docs/decisions/
        only_roots_are_in_pykkas_registry.md).
        """
        if child in self.__children:
            return
        me = self.actor_ref
        if as_parent:
            child.parent = me
            list_or_hide(child)
        cancel = me._lifeline.watch(lambda _: end_orphan(child), first=True)
        if cancel is None:
            end_orphan(child)
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

    def _receive_ahead(self, _mark: Envelope[Any]) -> None:
        """Handle the oldest urgent message, if it is not handled already."""
        inbox = self.actor_ref.actor_inbox
        try:
            envelope = inbox.urgent.popleft()
        except IndexError:
            return
        inbox.current, message = envelope, envelope.message
        handler = self._special.get(type(message))
        try:
            answer = self.on_receive(message) if handler is None else handler(self, envelope)
        except BaseException as error:
            self._failed(envelope, error)
        else:
            reply(envelope, answer)

    def _receive_pykka(self, envelope: Envelope[Any]) -> Any:
        return self._handle_receive(envelope.message)

    def _receive_stop(self, envelope: Envelope[Any]) -> None:
        self.actor_ref._answer_at_end(Envelope(None, envelope.reply_to))
        envelope.reply_to = None
        self.exit("normal")

    def _receive_exit(self, envelope: Envelope[Exit]) -> None:
        self.asked_to_end(envelope.message.reason)

    def _receive_signal(self, envelope: Envelope[ExitSignal]) -> None:
        signal = envelope.message
        if self._traps_exit:
            self.on_receive(signal)
        elif signal.ref is self._actor_ref or not is_string(signal.reason, "normal"):
            self.asked_to_end(signal.reason)

    def _receive_child_ended(self, envelope: Envelope[ChildEnded]) -> None:
        self.__children.pop(envelope.message.ref, None)
        self.child_ended(envelope.message.ref, envelope.message.reason)

    _special: ClassVar[dict[type, Any]] = {
        messages.ProxyCall: _receive_pykka,
        messages.ProxyGetAttr: _receive_pykka,
        messages.ProxySetAttr: _receive_pykka,
        messages._ActorStop: _receive_stop,
        Exit: _receive_exit,
        Ahead: _receive_ahead,
        ExitSignal: _receive_signal,
        ChildEnded: _receive_child_ended,
    }
