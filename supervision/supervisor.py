"""Supervisor: starts children in order, restarts them by a strategy, stops them in reverse.

Semantics and answers are those of OTP's supervisor; docs/supervision.md says where not, and why.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Any, ClassVar, Literal

from supervision.answers import ChildStarted, Missing, Stopped
from supervision.child_ref import child_ref
from supervision.child_spec import ChildSpec
from supervision.children import Child, ChildForm, shown, to_spec
from supervision.errors import ChildSpecError, OptionError, Reason, Stop
from supervision.foreign import equal, is_a, is_string, log, text_of
from supervision.named_ref import NamedRef
from supervision.ref import ProcessRef
from supervision.supervisor_base import SupervisorBase, call
from supervision.supervisor_flags import (
    AutoShutdown,
    Strategy,
    SupervisorFlags,
    check_combination,
    supervisor_flags,
)

__all__ = ["Supervisor"]


class Supervisor(SupervisorBase):
    """Starts its children in order, restarts those that end, and stops them in reverse order.

    Start one as it is, or derive a class whose `init` returns `Supervisor.init(...)`:

    >>> from supervision import Process, Supervisor, stop
    >>> class Greeter(Process):
    ...     def on_receive(self, message):
    ...         return f"hello {message}"
    >>> ok, supervisor = Supervisor.start_link([Greeter], strategy="one_for_one")
    >>> id, greeter, kind, modules = Supervisor.which_children(supervisor)[0]
    >>> greeter.ask("Ann")
    'hello Ann'

    If a child can't start at the first start, the children before it are stopped, and `start_link`
    returns `("error", ("shutdown", ("failed_to_start_child", id, reason)))`.

    In every call `supervisor` is a ref, a proxy, or a name in `supervision.names`.
    """

    init: ClassVar[Callable[..., SupervisorFlags]] = staticmethod(supervisor_flags)

    _auto_shutdown: AutoShutdown = "never"
    _children_in_order: list[Child]
    _strategy: Strategy

    # -- the public calls: `supervisor` is a ref, a proxy, or a registered name

    @staticmethod
    def start_child(supervisor: Any, child: ChildForm) -> ChildStarted:
        """Add a child after all others, and start it.

        Returns `("ok", ref)`, or `("ok", "undefined")` if the start returned "ignore", or
        `("ok", ref, extra)` if it returned this. An error is `("error", reason)` with the reason
        `("already_started", ref)`; "already_present" for a
        child that is stopped; `(reason, spec)` if its start failed, and the child is not added;
        or what is wrong with its spec.

        >>> from supervision import ChildSpec
        >>> ok, second = Supervisor.start_child(supervisor, ChildSpec("second", Greeter.start_link))
        >>> second.ask("Bob")
        'hello Bob'
        """
        try:
            spec = to_spec(child)
        except ChildSpecError as error:
            return ("error", error.reason)
        answer: ChildStarted = call(supervisor, "start_child", spec)
        return answer

    @staticmethod
    def terminate_child(supervisor: Any, id: Hashable) -> Literal["ok"] | Missing:  # noqa: A002
        """Stop a child, and do not start it again. Its spec is kept unless it is temporary.

        Returns "ok", also if the child had ended before, or `("error", "not_found")`.

        >>> Supervisor.terminate_child(supervisor, "second")
        'ok'
        """
        answer: Literal["ok"] | Missing = call(supervisor, "terminate_child", id)
        return answer

    @staticmethod
    def restart_child(supervisor: Any, id: Hashable) -> ChildStarted:  # noqa: A002
        """Start a child that is stopped.

        Returns `("ok", ref)`, or `("ok", "undefined")` if the start returned "ignore". An error
        is `("error", reason)` with "not_found", "running", "restarting", or the reason why its
        start failed.

        >>> ok, second = Supervisor.restart_child(supervisor, "second")
        >>> Supervisor.restart_child(supervisor, "second")
        ('error', 'running')
        """
        answer: ChildStarted = call(supervisor, "restart_child", id)
        return answer

    @staticmethod
    def delete_child(supervisor: Any, id: Hashable) -> Literal["ok"] | Stopped:  # noqa: A002
        """Remove a child that is stopped: its specification is dropped.

        Returns "ok", or `("error", reason)` with "not_found", "running", "restarting".

        >>> Supervisor.delete_child(supervisor, "second")
        ('error', 'running')
        """
        answer: Literal["ok"] | Stopped = call(supervisor, "delete_child", id)
        return answer

    @staticmethod
    def get_childspec(
        supervisor: Any,
        id: Hashable,  # noqa: A002
    ) -> tuple[Literal["ok"], ChildSpec] | Missing:
        """Return `("ok", spec)` of a child, or `("error", "not_found")`.

        >>> ok, spec = Supervisor.get_childspec(supervisor, "second")
        >>> spec.restart
        'permanent'
        """
        answer: tuple[Literal["ok"], ChildSpec] | Missing = call(supervisor, "get_childspec", id)
        return answer

    @staticmethod
    def which_child(supervisor: Any, id: Hashable) -> Any:  # noqa: A002
        """Return `("ok", (id, ref, type, modules))` of a child, as `which_children` shows it, or
        `("error", "not_found")`.

        >>> Supervisor.which_child(supervisor, "third")
        ('error', 'not_found')
        """
        return call(supervisor, "which_child", id)

    @staticmethod
    def child(supervisor: Any, id: Hashable) -> NamedRef:  # noqa: A002
        """Return a ref of whichever process is the child with this id when the ref is used: it
        survives the restarts of the child. While a restart is due, a use of the ref waits for it.

        >>> greeting = Supervisor.child(supervisor, "second")
        >>> stop(greeting, "shutdown")
        'ok'
        >>> greeting.ask("Cleo")
        'hello Cleo'
        """

        def ref_of(id: Hashable) -> Any | None:  # noqa: A002
            answer, found = Supervisor.which_child(supervisor, id)
            return found[1] if answer == "ok" and is_a(found[1], ProcessRef) else None

        return child_ref(ref_of, id)

    @staticmethod
    def check_childspecs(
        children: Iterable[ChildForm], auto_shutdown: AutoShutdown = "never"
    ) -> Literal["ok"] | tuple[Literal["error"], Reason]:
        """Return "ok", or `("error", reason)` with what is wrong in this list of children.

        >>> Supervisor.check_childspecs([Greeter, Greeter])
        ('error', ('duplicate_child_name', 'Greeter'))
        """
        try:
            supervisor_flags(children, auto_shutdown=auto_shutdown)
        except (ChildSpecError, OptionError) as error:
            return ("error", error.reason)
        return "ok"

    # -- start, restarts and end

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._children_in_order = []
        flags: SupervisorFlags = self._flags(SupervisorFlags, args, kwargs)
        self._strategy, self._auto_shutdown = flags.strategy, flags.auto_shutdown
        for spec in flags.children:
            if self.fenced:
                return  # killed meanwhile: the running children are linked, and were asked to end
            child = Child(spec)
            self._children_in_order.append(child)
            answer, reason = self._start(child)
            if answer == "error":
                self._stop_in_reverse(self._children_in_order)
                raise Stop(("shutdown", ("failed_to_start_child", spec.id, reason)))
            self._drop_if_over(child)

    def child_ended(self, ref: ProcessRef[Any], reason: Reason) -> None:
        child = next((child for child in self._children_in_order if child.ref is ref), None)
        if child is None:
            return  # the child was shut down meanwhile, or a subclass has linked this process
        child.ref = None
        if child.spec.restarts_after(reason):
            self._restart_when_due(child, reason)
        else:
            self._drop_if_over(child)
            if child.spec.significant:
                self._shut_down_after(child)

    def _shut_down_after(self, child: Child) -> None:
        """End the supervisor if `auto_shutdown` says so, after the end of a significant child."""
        others = [each for each in self._children_in_order if each.spec.significant and each.ref]
        if is_string(self._auto_shutdown, "any_significant") or not others:
            log(
                logging.INFO, "%s ends, because its significant child %s has ended",
                self._actor_ref, text_of(child.spec.id),
            )  # fmt: skip
            self.exit("shutdown")

    def _restart(self, child: Child) -> None:
        affected = self._affected(child)
        self._stop_in_reverse(affected)
        for each in affected:
            if each not in self._children_in_order:
                continue  # a temporary child, which was removed when it was stopped
            answer, reason = self._start(each)
            if answer == "error":
                self._retry_later(each, reason)
                return
            self._drop_if_over(each)

    def _affected(self, child: Child) -> list[Child]:
        """Return the children that are restarted together with this one, in order. This is all
        that a strategy decides.
        """
        if is_string(self._strategy, "one_for_one"):
            return [child]
        if is_string(self._strategy, "rest_for_one"):
            return self._children_in_order[self._children_in_order.index(child) :]
        return list(self._children_in_order)

    def _stop_in_reverse(self, children: list[Child]) -> None:
        for child in list(reversed(children)):
            self._shut_down(child)
            self._drop_if_over(child)

    def _drop_if_over(self, child: Child) -> None:
        """Remove the child if it is temporary and does not run."""
        if child.ref is None and is_string(child.spec.restart, "temporary"):
            self._children_in_order.remove(child)

    def _wind_down(self) -> None:
        self._stop_in_reverse(self._children_in_order)
        super()._wind_down()

    # -- answers

    def _all(self) -> list[Child]:
        return self._children_in_order[::-1]

    def _find(self, id: Hashable) -> Child | None:  # noqa: A002
        return next((child for child in self._children_in_order if equal(child.spec.id, id)), None)

    def _stopped(self, id: Hashable) -> tuple[Child | None, str]:  # noqa: A002
        """Return the child and "" if it is stopped; else None and the error: "not_found",
        "running", or "restarting".
        """
        child = self._find(id)
        if child is None:
            return None, "not_found"
        if child.ref or child.restarting:
            return None, "running" if child.ref else "restarting"
        return child, ""

    def _start_child(self, spec: ChildSpec) -> Any:
        present = self._find(spec.id)
        if present:
            running = present.ref is not None
            return ("error", ("already_started", present.ref) if running else "already_present")
        try:
            check_combination(spec, self._auto_shutdown)
        except ChildSpecError as error:
            return ("error", error.reason)
        child = Child(spec)
        answer, value = self._start(child)
        if answer == "error":
            running_elsewhere = is_a(value, tuple) and value[:1] == ("already_started",)
            return ("error", value if running_elsewhere else (value, spec))
        self._children_in_order.append(child)
        self._drop_if_over(child)
        return ("ok", child.ref or "undefined", *child.extra)

    def _terminate_child(self, id: Hashable) -> Any:  # noqa: A002
        child = self._find(id)
        if child is None:
            return ("error", "not_found")
        self._stop_in_reverse([child])
        return "ok"

    def _restart_child(self, id: Hashable) -> Any:  # noqa: A002
        child, why_not = self._stopped(id)
        if child is None:
            return ("error", why_not)
        answer, value = self._start(child)
        if answer == "error":
            return ("error", value)
        return ("ok", child.ref or "undefined", *child.extra)

    def _delete_child(self, id: Hashable) -> Any:  # noqa: A002
        child, why_not = self._stopped(id)
        if child is None:
            return ("error", why_not)
        self._children_in_order.remove(child)
        return "ok"

    def _which_child(self, id: Hashable) -> Any:  # noqa: A002
        child = self._find(id)
        return ("error", "not_found") if child is None else ("ok", shown(child))

    def _get_childspec(self, id: Hashable) -> Any:  # noqa: A002
        child = self._find(id)
        return ("error", "not_found") if child is None else ("ok", child.spec)
