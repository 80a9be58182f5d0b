"""ChildSpec: how a supervisor starts, restarts and stops one child."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from supervision.errors import ChildSpecError, Reason, is_abnormal
from supervision.foreign import class_name, is_a, is_number, is_string, text_of

__all__ = ["ChildSpec", "Restart", "Shutdown", "check_listed", "check_options"]

Restart = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["brutal_kill", "infinity"]

RESTARTS = ("permanent", "transient", "temporary")
TYPES = ("worker", "supervisor")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How a supervisor starts, restarts and stops one child.

    id        names the child among its siblings; a DynamicSupervisor ignores it
    start     called without arguments on the supervisor's thread; returns `("ok", ref)` or a ref,
              `"ignore"`, or `("error", reason)`. An exception is an error too. The ref is linked
              to the supervisor. It is called again for each restart: objects among its arguments
              are shared by the child before and the child after
    restart   "permanent": always; "transient": only after an abnormal end; "temporary": never
    shutdown  seconds to wait for the child's end before it is killed; "brutal_kill": kill it at
              once; "infinity": wait without a bound. None: 5.0 for a worker, "infinity" for a
              supervisor
    type      "worker" or "supervisor"
    modules   the classes the child is made of, shown by `which_children`
    significant   whether the end of this child, if it is not restarted, ends its supervisor; see
              `auto_shutdown` of Supervisor. Not for permanent children
    listed    whether the child is in Pykka's ActorRegistry, which has roots of trees otherwise;
              None: as its class says

    Raises ChildSpecError, whose `reason` is OTP's term, e.g. `("invalid_shutdown", -1)`.

    >>> from dataclasses import replace
    >>> from supervision import ChildSpec, Process
    >>> spec = ChildSpec("cache", Process.start_link, restart="transient")
    >>> replace(spec, id="second_cache", shutdown="brutal_kill")
    ChildSpec('second_cache', Process.start_link, transient, shutdown='brutal_kill', worker)
    """

    id: Hashable
    start: Callable[[], Any]
    restart: Restart = "permanent"
    shutdown: Shutdown | None = None
    type: Literal["worker", "supervisor"] = "worker"
    modules: tuple[Any, ...] = ()
    listed: bool | None = None
    significant: bool = False

    def __post_init__(self) -> None:
        if self.id is None:
            raise ChildSpecError("missing_id", "a child spec needs an id that names the child")
        try:
            hash(self.id)
        except Exception:
            raise ChildSpecError(
                ("invalid_id", self.id),
                f"the id of a child must be hashable, not {text_of(self.id)}",
            ) from None
        if not callable(self.start):
            raise ChildSpecError(
                ("invalid_start", self.start),
                f"start of child {text_of(self.id)} must be callable without arguments, "
                f"not {text_of(self.start)}; functools.partial keeps arguments",
            )
        if self.shutdown is None:
            is_worker = is_string(self.type, "worker")
            object.__setattr__(self, "shutdown", 5.0 if is_worker else "infinity")
        of = f"child {text_of(self.id)}"
        check_options(self.restart, self.shutdown, self.type, of=of)
        check_listed(self.listed, of=of)
        check_significant(self.significant, self.restart, of=of)

    def restarts_after(self, reason: Reason) -> bool:
        """Return whether the child is started again after it has ended for this reason.

        >>> spec.restarts_after("normal"), spec.restarts_after("killed")
        (False, True)
        """
        if is_string(self.restart, "transient"):
            return is_abnormal(reason)
        return is_string(self.restart, "permanent")

    def __repr__(self) -> str:
        return (
            f"ChildSpec({text_of(self.id)}, {_call(self.start)}, {self.restart}, "
            f"shutdown={self.shutdown!r}, {self.type})"
        )


def check_options(restart: Any, shutdown: Any, type: Any, *, of: str) -> None:  # noqa: A002
    """Raise ChildSpecError unless these are valid values for `of`."""
    if not any(is_string(restart, known) for known in RESTARTS):
        raise ChildSpecError(
            ("invalid_restart_type", restart),
            f"restart of {of} must be one of {', '.join(RESTARTS)}, not {text_of(restart)}",
        )
    if not any(is_string(type, known) for known in TYPES):
        raise ChildSpecError(
            ("invalid_child_type", type),
            f"type of {of} must be worker or supervisor, not {text_of(type)}",
        )
    if is_number(shutdown):
        valid = shutdown >= 0  # False for nan
    else:
        valid = is_string(shutdown, "brutal_kill") or is_string(shutdown, "infinity")
    if not valid:
        raise ChildSpecError(
            ("invalid_shutdown", shutdown),
            f'shutdown of {of} must be seconds >= 0, "brutal_kill" or "infinity", '
            f"not {text_of(shutdown)}",
        )


def check_listed(listed: Any, *, of: str) -> None:
    """Raise ChildSpecError unless this is a valid value for `of`."""
    if listed is not None and not is_a(listed, bool):
        raise ChildSpecError(
            ("invalid_listed", listed),
            f"listed of {of} must be True, False or None, not {text_of(listed)}",
        )


def check_significant(significant: Any, restart: Restart, *, of: str) -> None:
    """Raise ChildSpecError unless these are valid values for `of`."""
    if not is_a(significant, bool):
        raise ChildSpecError(
            ("invalid_significant", significant),
            f"significant of {of} must be True or False, not {text_of(significant)}",
        )
    if significant and is_string(restart, "permanent"):
        raise ChildSpecError(
            ("bad_combination", (("restart", "permanent"), ("significant", True))),
            f"{of} can't be significant, because a permanent child is always restarted",
        )


def _call(start: Callable[[], Any]) -> str:
    if not isinstance(start, partial):
        return getattr(start, "__qualname__", class_name(start))
    arguments = [text_of(value) for value in start.args]
    arguments += [f"{name}={text_of(value)}" for name, value in start.keywords.items()]
    owner = getattr(getattr(start.func, "__self__", None), "__name__", "")
    name = getattr(start.func, "__name__", class_name(start.func))
    return f"{owner}{'.' if owner else ''}{name}({', '.join(arguments)})"
