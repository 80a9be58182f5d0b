"""DynamicSupervisor: any number of children, which are added and removed while it runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

from supervision.answers import ChildStarted, Missing
from supervision.child_spec import ChildSpec
from supervision.children import Child, ChildForm, to_spec
from supervision.errors import ChildSpecError, OptionError, Reason
from supervision.foreign import is_a, is_count, is_string, text_of
from supervision.ref import ProcessRef, process_of
from supervision.restarts import Backoff, check_backoff
from supervision.supervisor_base import SupervisorBase, call, check_intensity

__all__ = ["DynamicSupervisor", "DynamicSupervisorFlags"]


@dataclass(frozen=True, slots=True)
class DynamicSupervisorFlags:
    """What the `init` of a dynamic supervisor returns; made by `DynamicSupervisor.init`."""

    max_children: int | Literal["infinity"]
    max_restarts: int
    max_seconds: float
    backoff: Backoff | None
    extra_arguments: tuple[Any, ...]


def dynamic_supervisor_flags(
    strategy: Literal["one_for_one"] = "one_for_one",
    max_children: int | Literal["infinity"] = "infinity",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    backoff: Backoff | None = None,
    extra_arguments: Iterable[Any] = (),
) -> DynamicSupervisorFlags:
    """Check the options of a dynamic supervisor and return them; `DynamicSupervisor.init` is this
    function.

    max_children   how many there may be at a time, with those that wait for their restart
    max_restarts   so many restarts within `max_seconds`, of all children together, are made; when
                   one more is due, the supervisor ends itself and its children
    backoff        pauses between restarts; None: no pauses
    extra_arguments   positional arguments that the start of each child gets before its own

    Raises OptionError.

    >>> DynamicSupervisor.init(max_children=100).max_children
    100
    """
    if not is_string(strategy, "one_for_one"):
        raise OptionError(
            ("invalid_strategy", strategy),
            f"strategy can only be one_for_one, not {text_of(strategy)}",
        )
    if not is_string(max_children, "infinity") and not is_count(max_children):
        raise OptionError(
            ("invalid_max_children", max_children),
            f'max_children must be a whole number >= 0 or "infinity", not {text_of(max_children)}',
        )
    check_intensity(max_restarts, max_seconds)
    check_backoff(backoff)
    if is_a(extra_arguments, (str, bytes)) or not is_a(extra_arguments, Iterable):
        raise OptionError(
            ("invalid_extra_arguments", extra_arguments),
            f"extra_arguments must be a list of arguments, not {text_of(extra_arguments)}",
        )
    extra = tuple(extra_arguments)
    return DynamicSupervisorFlags(max_children, max_restarts, max_seconds, backoff, extra)


class DynamicSupervisor(SupervisorBase):
    """A supervisor without children at its start: `start_child` adds them, of any number.

    Each child is restarted alone. Ids are ignored and may repeat: a child is known by its ref. At
    the supervisor's end all children are asked to end at the same time.

    >>> from supervision import DynamicSupervisor, Process
    >>> class Session(Process, restart="temporary"):
    ...     def init(self, user):
    ...         self.user = user
    ...     def on_receive(self, message):
    ...         return f"{self.user}: {message}"
    >>> ok, sessions = DynamicSupervisor.start_link(max_children=100)

    In every call `supervisor` is a ref, a proxy, or a name in `supervision.names`.
    """

    init: ClassVar[Callable[..., DynamicSupervisorFlags]] = staticmethod(dynamic_supervisor_flags)

    _children_by_ref: dict[ProcessRef[Any], Child]
    """All children by their refs. A child that waits for its restart has its last ref here."""
    _max_children: int | Literal["infinity"]
    _extra_arguments: tuple[Any, ...]

    # -- the public calls: `supervisor` is a ref, a proxy, or a registered name

    @staticmethod
    def start_child(supervisor: Any, child: ChildForm) -> ChildStarted | Literal["ignore"]:
        """Start another child.

        Returns `("ok", ref)`; "ignore" if the start returned "ignore"; or `("error", reason)` with
        "max_children", the reason why the start failed, or the error in the specification.

        >>> ok, session = DynamicSupervisor.start_child(sessions, (Session, "ann"))
        >>> session.ask("hello")
        'ann: hello'
        """
        try:
            spec = to_spec(child)
        except ChildSpecError as error:
            return ("error", error.reason)
        answer: ChildStarted | Literal["ignore"] = call(supervisor, "start_child", spec)
        return answer

    @staticmethod
    def terminate_child(supervisor: Any, child: Any) -> Literal["ok"] | Missing:
        """Stop the child with this ref, proxy or name, and do not start it again.

        A child that waits for its restart is known by the ref that it had last. Returns "ok" or
        `("error", "not_found")`. Raises TypeError if `child` is no process.

        >>> DynamicSupervisor.terminate_child(sessions, session)
        'ok'
        >>> DynamicSupervisor.count_children(sessions)["active"]
        0
        """
        answer: Literal["ok"] | Missing = call(supervisor, "terminate_child", process_of(child))
        return answer

    @staticmethod
    def get_childspec(supervisor: Any, child: Any) -> tuple[Literal["ok"], ChildSpec] | Missing:
        """Return `("ok", spec)` of the child with this ref, proxy or name, or
        `("error", "not_found")`. The arguments of a temporary child are not kept.

        >>> DynamicSupervisor.get_childspec(sessions, session)
        ('error', 'not_found')
        """
        answer: tuple[Literal["ok"], ChildSpec] | Missing
        answer = call(supervisor, "get_childspec", process_of(child))
        return answer

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """As `Supervisor.child_spec`; the id is the name, if one is given.

        >>> DynamicSupervisor.child_spec(name="sessions").id
        'sessions'
        """
        spec = super().child_spec(*args, **kwargs)
        return spec if kwargs.get("name") is None else replace(spec, id=kwargs["name"])

    # -- start, restarts and end

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._children_by_ref = {}
        flags: DynamicSupervisorFlags = self._flags(DynamicSupervisorFlags, args, kwargs)
        self._max_children, self._extra_arguments = flags.max_children, flags.extra_arguments

    def child_ended(self, ref: ProcessRef[Any], reason: Reason) -> None:
        child = self._children_by_ref.get(ref)
        if child is None:
            return
        child.ref = None
        if child.spec.restarts_after(reason):
            self._restart_when_due(child, reason)
        else:
            del self._children_by_ref[ref]

    def _spec_to_start(self, child: Child) -> ChildSpec:
        if not self._extra_arguments:
            return child.spec
        start = child.spec.start
        if is_a(start, partial):
            start = partial(start.func, *self._extra_arguments, *start.args, **start.keywords)
        else:
            start = partial(start, *self._extra_arguments)
        return replace(child.spec, start=start)

    def _restart(self, child: Child) -> None:
        before = next(ref for ref, each in self._children_by_ref.items() if each is child)
        answer, value = self._start(child)
        if answer == "error":
            self._retry_later(child, value)
            return
        del self._children_by_ref[before]
        if answer == "ok":
            self._children_by_ref[value] = child

    def _wind_down(self) -> None:
        self._shut_down(*self._children_by_ref.values())
        super()._wind_down()

    # -- answers

    def _all(self) -> list[Child]:
        return list(self._children_by_ref.values())

    def _which_children(self) -> list[tuple[Any, Any, str, tuple[Any, ...]]]:
        return [("undefined", *shown[1:]) for shown in super()._which_children()]

    def _start_child(self, spec: ChildSpec) -> Any:
        if spec.significant:
            return ("error", ("invalid_significant", True))
        limit = self._max_children
        if is_count(limit) and len(self._children_by_ref) >= limit:
            return ("error", "max_children")
        child = Child(spec)
        answer, value = self._start(child)
        if answer == "ignore":
            return "ignore"
        if answer == "ok":
            self._children_by_ref[value] = child
            if is_string(spec.restart, "temporary"):
                child.spec = replace(spec, start=_forgotten)  # its arguments may be large
        return (answer, value, *child.extra)

    def _get_childspec(self, ref: ProcessRef[Any] | None) -> Any:
        child = None if ref is None else self._children_by_ref.get(ref)
        return ("error", "not_found") if child is None else ("ok", child.spec)

    def _terminate_child(self, ref: ProcessRef[Any] | None) -> Any:
        child = self._children_by_ref.pop(ref, None) if ref is not None else None
        if child is None:
            return ("error", "not_found")
        self._shut_down(child)
        return "ok"


def _forgotten() -> Any:
    raise AssertionError("a temporary child is never started again")
