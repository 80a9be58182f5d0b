"""What Supervisor and DynamicSupervisor have in common: calls, restarts and their limit."""

import logging
import math
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from pykka import ActorDeadError, messages
from pykka._envelope import Envelope

from supervision.child_spec import ChildSpec
from supervision.children import Child, shown, shut_down, start
from supervision.errors import ChildSpecError, OptionError, Reason, Stop
from supervision.foreign import is_a, is_count, is_number, is_string, log, text_of
from supervision.process import Process
from supervision.ref import Signal, process_of, stop, tell_if_alive
from supervision.reserved_names import is_ours
from supervision.restarts import Pauses, RestartIntensity
from supervision.timer import timer

__all__ = ["SupervisorBase", "call", "check_intensity"]


@dataclass(slots=True)
class Request:
    """A call of the public API, as a message: the method `_<verb>` answers it."""

    verb: str
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class Retry(Signal):
    """A message of a supervisor to itself: try the restart again. It is a message, and no loop, so
    that calls and orders to end that wait in the inbox are handled between two attempts.
    """

    child: Child


def call(supervisor: Any, verb: str, *arguments: Any) -> Any:
    """Ask a supervisor and return its answer.

    supervisor   a ref, a proxy, or a name; or the supervisor itself, on its own thread

    Raises ActorDeadError if no process has this name, and TypeError if the process is no
    supervisor, or a supervisor of the other kind, which does not have this call.
    """
    if is_a(supervisor, SupervisorBase):
        return getattr(supervisor, f"_{verb}")(*arguments)
    ref = process_of(supervisor)
    if ref is None:
        raise ActorDeadError(f"there is no process named {text_of(supervisor)}")
    if not hasattr(ref.actor_class, f"_{verb}"):
        raise TypeError(f"{ref} is no supervisor that has {verb}")
    return ref.ask(Request(verb, arguments))


class SupervisorBase(Process, type="supervisor"):
    """A process that starts children, is linked to them, and ends them before it ends itself.

    An exception in an ask, or in a call by proxy, goes to the asker only: the supervisor and its
    children run on.
    """

    reply_errors: ClassVar[tuple[type[Exception], ...]] = (Exception,)

    clock: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)
    """The clock by which restarts are counted, in seconds."""

    _intensity: RestartIntensity
    _pauses: Pauses

    # -- the public calls: by proxy, too, as in `supervisor.proxy().which_children()`

    @staticmethod
    def which_children(
        supervisor: Any,
    ) -> list[tuple[Hashable, Any, str, tuple[Any, ...]]]:
        """Return `(id, ref, type, modules)` of each child, the last started first.

        The ref is replaced by "restarting" for a child that waits for its restart, and by
        "undefined" for a child that is stopped. The id of a dynamic supervisor's child is
        "undefined".
        """
        return cast(list[Any], call(supervisor, "which_children"))

    @staticmethod
    def count_children(supervisor: Any) -> dict[str, int]:
        """Return how many `specs` there are, and how many of them are `active` (they run now),
        `supervisors` and `workers`.
        """
        return cast(dict[str, int], call(supervisor, "count_children"))

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """As `Process.child_spec`. Children that are given as an iterator are read here, once."""
        if is_ours(cls):
            args = tuple(tuple(each) if is_a(each, Iterator) else each for each in args)
            kwargs = {
                name: tuple(each) if is_a(each, Iterator) else each for name, each in kwargs.items()
            }
        return super().child_spec(*args, **kwargs)

    def stop(self: Any, reason: Reason = "normal", timeout: float | None = None) -> Any:
        """`Supervisor.stop(supervisor)` is `supervision.stop(supervisor)`.

        In a supervisor's own method `self.stop()` ends it, as in every Pykka actor.
        """
        if isinstance(self, Process):
            return Process.stop(self)
        return stop(self, reason, timeout)

    # -- for the two subclasses

    def _all(self) -> list[Child]:
        """The children, in the order in which they are shown."""
        raise NotImplementedError

    def _ended(self, child: Child, reason: Reason) -> None:
        raise NotImplementedError

    def _restart(self, child: Child) -> None:
        """Try the restart once. The restart intensity has allowed it already."""
        raise NotImplementedError

    def _flags(self, kind: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `init` and return its flags. If it returns none or wrong ones, the supervisor ends
        with the same reason as in OTP.
        """
        try:
            flags = self.init(*args, **kwargs)
        except (ChildSpecError, OptionError) as error:
            log(logging.ERROR, "%s can't start: %s", self._actor_ref, text_of(error, str))
            kind_of_error = "start_spec" if isinstance(error, ChildSpecError) else "supervisor_data"
            raise Stop((kind_of_error, error.reason)) from error
        if not is_a(flags, kind):
            raise Stop(("bad_return", (type(self).__name__, "init", flags)))
        clock = type(self).clock
        self._intensity = RestartIntensity(flags.max_restarts, flags.max_seconds, clock)
        self._pauses = Pauses(getattr(flags, "backoff", None), clock)
        return flags

    def _start(self, child: Child) -> tuple[str, Any]:
        """Start and link a child. Returns the answer of `children.start`."""
        spec = self._spec_to_start(child)
        self._lists = spec.listed
        try:
            answer, value, *extra = start(spec)
        finally:
            self._lists = None
        child.retry = None
        if value is self._actor_ref:
            return "error", ("bad_return", ("ok", value))
        if answer == "ok":
            child.ref, child.extra = value, tuple(extra)
            if spec.listed is not None:
                value.listed = spec.listed
            self._link(value)
        return answer, value

    def _spec_to_start(self, child: Child) -> ChildSpec:
        """Return the spec by which a child is started; a subclass may add something to it."""
        return child.spec

    def _shut_down(self, *children: Child, at_most_s: float = math.inf) -> bool:
        """Stop children; see `children.shut_down`."""
        for child in children:
            if child.ref:
                self._unlink(child.ref)
        return shut_down(children, at_most_s)

    def _restart_when_due(self, child: Child, why: Reason) -> None:
        """Restart at once, or after the pause that the backoff asks for."""
        pause_s = self._pauses.pause_s()
        if pause_s:
            log(
                logging.INFO, "%s restarts child %s in %g s: %s",
                self._actor_ref, text_of(child.spec.id), pause_s, text_of(why),
            )  # fmt: skip
            self._retry_in(pause_s, child)
        else:
            self._try_restart(child, why)

    def _try_restart(self, child: Child, why: Reason) -> None:
        me, name = self._actor_ref, text_of(child.spec.id)
        if self._intensity.allow():
            log(logging.INFO, "%s restarts child %s after: %s", me, name, text_of(why))
            self._restart(child)
            return
        log(
            logging.ERROR,
            "%s gives up: reached max_restart_intensity, %d in %s s, with child %s",
            me, self._intensity.max_restarts, self._intensity.max_seconds, name,
        )  # fmt: skip
        self.exit("shutdown")

    def _retry_later(self, child: Child, why: Reason) -> None:
        """Log a failed restart, and try it again later. A restart has no caller that could get the
        error; a failed `start_child` returns it.
        """
        name = text_of(child.spec.id)
        log(
            logging.ERROR, "%s could not restart child %s: %s",
            self._actor_ref, name, text_of(why),
        )  # fmt: skip
        self._retry_in(self._pauses.pause_s(), child)

    def _retry_in(self, pause_s: float, child: Child) -> None:
        child.retry = Retry(child)
        if pause_s:
            timer.send_after(pause_s, self._actor_ref, child.retry)
        else:
            tell_if_alive(self._actor_ref, child.retry)

    def _which_children(self) -> list[tuple[Hashable, Any, str, tuple[Any, ...]]]:
        return [shown(child) for child in self._all()]

    def _count_children(self) -> dict[str, int]:
        children = self._all()
        supervisors = sum(is_string(child.spec.type, "supervisor") for child in children)
        return {
            "specs": len(children),
            "active": sum(child.ref is not None and child.ref.is_alive() for child in children),
            "supervisors": supervisors,
            "workers": len(children) - supervisors,
        }

    def _receive_request(self, envelope: Envelope[Request]) -> Any:
        request = envelope.message
        return getattr(self, "_" + request.verb)(*request.arguments)

    def _receive_retry(self, envelope: Envelope[Retry]) -> None:
        child = envelope.message.child
        if child.retry is envelope.message:  # otherwise the child was started or stopped meanwhile
            self._try_restart(child, "an attempt that failed, or a pause")

    def _receive_proxy(self, envelope: Envelope[Any]) -> Any:
        """Do what a proxy asks. An exception goes to the asker; if none waits, it is logged."""
        message: Any = envelope.message
        if self._is_of_subclass(*message.attr_path[:1]):
            return self._handle_receive(message)
        try:
            return self._proxied(message)
        except Exception as error:
            if envelope.reply_to is not None:
                raise
            what = text_of(message.attr_path)
            log(logging.ERROR, "%s: the call of %s failed", self._actor_ref, what, error=error)
            return None

    def _is_of_subclass(self, name: Any = "") -> bool:
        """Return whether a user's subclass, or the instance, defines this attribute itself."""
        if not is_a(name, str) or name.startswith("_"):
            return False
        owner = next((base for base in type(self).__mro__ if name in vars(base)), None)
        if owner is None:
            return name in vars(self)
        return not is_ours(owner) and owner not in Process.__mro__

    def _proxied(self, message: Any) -> Any:
        name = message.attr_path[0]
        is_set = type(message) is messages.ProxySetAttr
        if name.startswith("_") or (is_set and hasattr(type(self), name)):
            raise AttributeError(f"{name} of {self._actor_ref} is private or can't be replaced")
        if type(message) is messages.ProxyCall and hasattr(type(self), f"_{name}"):
            return getattr(self, name)(self, *message.args, **message.kwargs)  # a public call
        return self._handle_receive(message)

    _special: ClassVar[dict[type, Any]] = {
        **Process._special,
        messages.ProxyCall: _receive_proxy,
        messages.ProxyGetAttr: _receive_proxy,
        messages.ProxySetAttr: _receive_proxy,
        Request: _receive_request,
        Retry: _receive_retry,
    }


def check_intensity(max_restarts: Any, max_seconds: Any) -> None:
    """Raise OptionError unless these are valid limits of restarts."""
    if not is_count(max_restarts):
        raise OptionError(
            ("invalid_intensity", max_restarts),
            f"max_restarts must be a whole number >= 0, not {text_of(max_restarts)}",
        )
    if not is_number(max_seconds) or not max_seconds > 0:  # `not >` refuses nan too
        raise OptionError(
            ("invalid_period", max_seconds),
            f"max_seconds must be above 0, not {text_of(max_seconds)}",
        )
