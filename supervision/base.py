"""What a Supervisor and a DynamicSupervisor have in common: calls, restarts counted, giving up."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from pykka import ActorDeadError
from pykka._envelope import Envelope

from supervision.children import Child, shut_down, start
from supervision.errors import ChildSpecError, OptionError, Reason, Stop
from supervision.process import Process
from supervision.ref import Signal, process_of, stop, tell_if_alive
from supervision.restarts import Pauses, RestartIntensity
from supervision.timer import timer

__all__ = ["SupervisorBase", "call", "check_intensity"]

logger = logging.getLogger("supervision")


@dataclass(slots=True)
class Request:
    """A call of the public API: the method `_<verb>` answers it."""

    verb: str
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class Retry(Signal):
    """Sent to oneself after a failed restart, so that calls and orders get in between."""

    child: Child


def call(supervisor: Any, verb: str, *arguments: Any) -> Any:
    """Ask a supervisor, given as ref, proxy or name.

    Raises ActorDeadError if there is none, and TypeError if it is none, or one of the other kind.
    """
    ref = process_of(supervisor)
    if ref is None:
        raise ActorDeadError(f"there is no process named {supervisor!r}")
    if not hasattr(ref.actor_class, f"_{verb}"):
        raise TypeError(f"{ref} is no supervisor that has {verb}")
    return ref.ask(Request(verb, arguments))


class SupervisorBase(Process, type="supervisor"):
    """A process that starts children, watches them by link, and ends them before itself."""

    clock: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)
    """What restarts are timed by, in seconds."""

    _intensity: RestartIntensity
    _pauses: Pauses

    # -- the public calls

    @staticmethod
    def which_children(
        supervisor: Any,
    ) -> list[tuple[Hashable, Any, str, tuple[Any, ...]]]:
        """`(id, ref | "restarting" | "undefined", type, modules)` of each, last started first."""
        return cast(list[Any], call(supervisor, "which_children"))

    @staticmethod
    def count_children(supervisor: Any) -> dict[str, int]:
        """How many `specs`, of them `active` (alive now), `supervisors` and `workers`."""
        return cast(dict[str, int], call(supervisor, "count_children"))

    def stop(self: Any, reason: Reason = "normal", timeout: float | None = None) -> Any:
        """`Supervisor.stop(supervisor)`: as `supervision.stop`. A supervisor says `self.stop()`."""
        if isinstance(self, Process):
            return Process.stop(self)
        return stop(self, reason, timeout)

    # -- for the two kinds

    def _all(self) -> list[Child]:
        """The children, in the order in which they are shown."""
        raise NotImplementedError

    def _ended(self, child: Child, reason: Reason) -> None:
        raise NotImplementedError

    def _restart(self, child: Child) -> None:
        """Make one attempt, already allowed."""
        raise NotImplementedError

    def _flags(self, kind: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `init`, and end as OTP does if it returns no flags or wrong ones."""
        try:
            flags = self.init(*args, **kwargs)
        except (ChildSpecError, OptionError) as error:
            logger.error("%s can't start: %s", self, error)  # noqa: TRY400 - it says what to do
            kind_of_error = "start_spec" if isinstance(error, ChildSpecError) else "supervisor_data"
            raise Stop((kind_of_error, error.reason)) from error
        if not isinstance(flags, kind):
            raise Stop(("bad_return", (type(self).__name__, "init", flags)))
        clock = type(self).clock
        self._intensity = RestartIntensity(flags.max_restarts, flags.max_seconds, clock)
        self._pauses = Pauses(getattr(flags, "backoff", None), clock)
        return flags

    def _start(self, child: Child) -> tuple[str, Any]:
        """Start and link; the answer of `children.start`."""
        answer, value = start(child.spec)
        child.restarting = False
        if answer == "ok":
            child.ref = value
            self._link(value)
        return answer, value

    def _shut_down(self, *children: Child) -> None:
        for child in children:
            if child.ref:
                self._unlink(child.ref)
        shut_down(children)

    def _restart_when_due(self, child: Child, why: Reason) -> None:
        """Restart at once, or after the pause that the backoff asks for."""
        pause_s = self._pauses.pause_s()
        if pause_s:
            logger.info("%s restarts child %r in %g s: %r", self, child.spec.id, pause_s, why)
            child.restarting = True
            timer.send_after(pause_s, self.actor_ref, Retry(child))
        else:
            self._try_restart(child, why)

    def _try_restart(self, child: Child, why: Reason) -> None:
        if self._intensity.allow():
            logger.info("%s restarts child %r after: %r", self, child.spec.id, why)
            self._restart(child)
            return
        logger.error(
            "%s gives up: reached max_restart_intensity, %d in %s s, with child %r",
            self,
            self._intensity.max_restarts,
            self._intensity.max_seconds,
            child.spec.id,
        )
        self.exit("shutdown")

    def _retry_later(self, child: Child, why: Reason) -> None:
        """Only the log hears of a failed restart; of a failed start whoever asked for it does."""
        logger.error("%s could not restart child %r: %r", self, child.spec.id, why)
        child.restarting = True
        pause_s = self._pauses.pause_s()
        if pause_s:
            timer.send_after(pause_s, self.actor_ref, Retry(child))
        else:
            tell_if_alive(self.actor_ref, Retry(child))

    def _which_children(self) -> list[tuple[Hashable, Any, str, tuple[Any, ...]]]:
        return [
            (child.spec.id, child.shown, child.spec.type, child.spec.modules)
            for child in self._all()
        ]

    def _count_children(self) -> dict[str, int]:
        children = self._all()
        supervisors = sum(child.spec.type == "supervisor" for child in children)
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
        if envelope.message.child.restarting:
            self._try_restart(envelope.message.child, "an attempt that failed, or a pause")

    _special: ClassVar[dict[type, Any]] = {
        **Process._special,
        Request: _receive_request,
        Retry: _receive_retry,
    }


def check_intensity(max_restarts: Any, max_seconds: Any) -> None:
    """Raise OptionError unless these limit restarts."""
    if not isinstance(max_restarts, int) or max_restarts < 0:
        raise OptionError(
            ("invalid_intensity", max_restarts),
            f"max_restarts must be a whole number >= 0, not {max_restarts!r}",
        )
    if not isinstance(max_seconds, int | float) or not max_seconds > 0:  # nor nan
        raise OptionError(
            ("invalid_period", max_seconds), f"max_seconds must be above 0, not {max_seconds!r}"
        )
