"""SwitchedSupervisor: a supervisor whose children run only while it is switched on."""

import logging
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pykka._envelope import Envelope

from supervision.child_spec import ChildSpec
from supervision.children import Child
from supervision.errors import Reason
from supervision.foreign import log
from supervision.ref import Signal
from supervision.supervisor import Supervisor
from supervision.supervisor_flags import SupervisorFlags

__all__ = ["Switch", "SwitchedFlags", "SwitchedSupervisor", "Turn"]


class Switch(Protocol):
    """What switches one supervisor on and off: by telling it a Turn. The methods are called on the
    supervisor's thread.
    """

    def prepared(self, spec: ChildSpec) -> ChildSpec:
        """Return the spec by which a child is started now."""

    def may_restart(self) -> bool:
        """Return whether a child that has ended may be started again. False: all are to end."""

    def time_to_end_s(self) -> float:
        """Switch no more, because the supervisor ends. Return how many seconds its children have
        to end.
        """

    def children_ended(self, *, all_have: bool) -> None:
        """Note the end of the children as the supervisor ends; see `switch_off`."""

    def killed(self) -> None:
        """Switch no more, because the supervisor was killed. Its children may run on."""


@dataclass(frozen=True, slots=True)
class SwitchedFlags(SupervisorFlags):
    """What the `init` of a switched supervisor returns. `switch` makes its Switch."""

    switch: Callable[["SwitchedSupervisor"], Switch]


@dataclass(frozen=True, slots=True)
class Turn(Signal):
    """A message of a Switch to its supervisor, whose thread calls `do`: it may call `_switch_on`
    and `_switch_off`.
    """

    do: Callable[[], None]


class SwitchedSupervisor(Supervisor):
    """Starts its children when it is switched on, and stops them when it is switched off, as often
    as that happens. In between it is a Supervisor.

    While it is off, a child that is added is not started, and none is restarted. A temporary or
    transient child that has ended starts again with the others at the next switch; a child that was
    stopped by `terminate_child` does not.
    """

    _on = False
    _switch: Switch
    _put_away: list[Child]
    """The children that `terminate_child` has stopped."""

    def _switch_on(self) -> None:
        """Start the children in their order. One that does not start is tried again later, like a
        restart that failed.
        """
        self._on = True
        for child in list(self._children_in_order):
            if child.ref or child.restarting or child in self._put_away:
                continue
            answer, reason = self._start(child)
            if answer == "error":
                self._retry_later(child, reason)

    def _switch_off(self, within_s: float = math.inf) -> bool:
        """Stop the children, the last first, all together within this time. Each has the shutdown
        time of its spec at most.

        Returns whether all have ended. The thread of one that was killed may run on.
        """
        self._on = False
        until = type(self).clock() + within_s
        all_ended = True
        for child in reversed(self._children_in_order):
            left_s = until - type(self).clock()
            all_ended &= self._shut_down(child, at_most_s=max(0.0, left_s))
        return all_ended

    # -- start, restarts and end

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._put_away = []
        flags: SwitchedFlags = self._flags(SwitchedFlags, args, kwargs)
        self._strategy = flags.strategy
        self._children_in_order = [Child(spec) for spec in flags.children]
        self._switch = flags.switch(self)

    def _spec_to_start(self, child: Child) -> ChildSpec:
        return self._switch.prepared(child.spec)

    def _restart(self, child: Child) -> None:
        if self._on and self._switch.may_restart():
            super()._restart(child)

    def _drop_if_over(self, child: Child) -> None:
        """Keep the child: it starts again at the next switch."""

    def child_ended(self, ref: Any, reason: Reason) -> None:
        if self._switch.may_restart():
            super().child_ended(ref, reason)
            return
        for child in self._children_in_order:
            if child.ref is ref:
                child.ref = None

    def _wind_down(self) -> None:
        if not self.fenced:
            all_have = self._switch_off(self._switch.time_to_end_s())
            try:
                self._switch.children_ended(all_have=all_have)
            except BaseException as error:
                log(logging.ERROR, "%s failed as it ended", self._actor_ref, error=error)
        super()._wind_down()

    def _release(self) -> None:
        self._switch.killed()
        super()._release()

    # -- answers

    def _start_child(self, spec: ChildSpec) -> Any:
        if self._on or self._find(spec.id):
            return super()._start_child(spec)
        self._children_in_order.append(Child(spec))
        return ("ok", "undefined")

    def _terminate_child(self, id: Hashable) -> Any:  # noqa: A002
        child = self._find(id)
        if child is not None and child not in self._put_away:
            self._put_away.append(child)
        return super()._terminate_child(id)

    def _restart_child(self, id: Hashable) -> Any:  # noqa: A002
        child, why_not = self._stopped(id)
        if child is None:
            return ("error", why_not)
        if child in self._put_away:
            self._put_away.remove(child)
        return super()._restart_child(id) if self._on else ("ok", "undefined")

    def _delete_child(self, id: Hashable) -> Any:  # noqa: A002
        child = self._find(id)
        answer = super()._delete_child(id)
        if answer == "ok" and child in self._put_away:
            self._put_away.remove(child)
        return answer

    def _receive_turn(self, envelope: Envelope[Turn]) -> None:
        envelope.message.do()

    _special: ClassVar[dict[type, Any]] = {**Supervisor._special, Turn: _receive_turn}
