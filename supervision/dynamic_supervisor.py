"""DynamicSupervisor: any number of children, which are added and removed while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from supervision.answers import ChildStarted, Missing
from supervision.child_spec import ChildSpec
from supervision.children import Child, ChildForm, to_spec
from supervision.errors import ChildSpecError, OptionError, Reason
from supervision.foreign import is_count, is_string, text_of
from supervision.ref import ProcessRef, process_of
from supervision.supervisor_base import SupervisorBase, call, check_intensity

__all__ = ["DynamicSupervisor", "DynamicSupervisorFlags"]


@dataclass(frozen=True, slots=True)
class DynamicSupervisorFlags:
    """What the `init` of a dynamic supervisor returns; made by `DynamicSupervisor.init`."""

    max_children: int | Literal["infinity"]
    max_restarts: int
    max_seconds: float


def dynamic_supervisor_flags(
    strategy: Literal["one_for_one"] = "one_for_one",
    max_children: int | Literal["infinity"] = "infinity",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
) -> DynamicSupervisorFlags:
    """Check the options of a dynamic supervisor and return them; `DynamicSupervisor.init` is this
    function.

    max_children   how many there may be at a time, with those that wait for their restart
    max_restarts   so many restarts within `max_seconds`, of all children together, are made; when
                   one more is due, the supervisor ends itself and its children

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
    return DynamicSupervisorFlags(max_children, max_restarts, max_seconds)


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

    # -- start, restarts and end

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._children_by_ref = {}
        flags: DynamicSupervisorFlags = self._flags(DynamicSupervisorFlags, args, kwargs)
        self._max_children = flags.max_children

    def child_ended(self, ref: ProcessRef[Any], reason: Reason) -> None:
        child = self._children_by_ref.get(ref)
        if child is None:
            return
        child.ref = None
        if child.spec.restarts_after(reason):
            self._try_restart(child, reason)
        else:
            del self._children_by_ref[ref]

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
        limit = self._max_children
        if is_count(limit) and len(self._children_by_ref) >= limit:
            return ("error", "max_children")
        child = Child(spec)
        answer, value = self._start(child)
        if answer == "ignore":
            return "ignore"
        if answer == "ok":
            self._children_by_ref[value] = child
        return (answer, value)

    def _terminate_child(self, ref: ProcessRef[Any] | None) -> Any:
        child = self._children_by_ref.pop(ref, None) if ref is not None else None
        if child is None:
            return ("error", "not_found")
        self._shut_down(child)
        return "ok"
