"""Examined: a user's state machine under examination, for what no peer could notice by itself.

That replicas differ is found by the checker, which compares their replies and their states after
every command. Here is found what one replica does wrong: to change its state before it raises, to
reply what can't be encoded, to change the state in a read.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from raft_actors import terms
from raft_actors.simulation.checker import Broken
from raft_actors.state_machine import StateMachine

__all__ = ["Fault", "Findings", "examined", "picture"]


class Fault(Broken):
    """The machine broke its contract."""


class Findings:
    """How often commands succeeded, and how the first that did not went wrong."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.raised = 0
        self.first_error = ""


class Picture:
    """A state as it was, whatever becomes of it. Equal pictures show equal states."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and bool(self.value == other.value)

    def __hash__(self) -> int:
        raise TypeError("pictures are compared, not looked up")

    def __repr__(self) -> str:
        return repr(self.value)


def picture(state: Any) -> Picture:
    return Picture(frozen(state))


def frozen(value: Any) -> Any:
    """Return a copy that shares nothing with `value`, and is equal if the contents are."""
    if isinstance(value, dict):
        return {deepcopy(key): frozen(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [frozen(each) for each in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    kind: Any = type(value)
    if kind.__eq__ is not object.__eq__:
        return deepcopy(value)
    slots = [name for cls in kind.__mro__ for name in getattr(cls, "__slots__", ())]
    fields = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    fields.update(getattr(value, "__dict__", {}))
    return (kind.__name__, {name: frozen(each) for name, each in fields.items()})


def examined(machine: type[StateMachine], findings: Findings) -> type[StateMachine]:
    """Return a machine that runs `machine`, and has a `fault` where that breaks its contract."""

    class Examined(StateMachine):
        fault: Fault | None = None
        """What was found; whoever runs the machine looks, since what it raises is a reply."""

        def __init__(self) -> None:
            self.inner = machine()

        def init(self, name: str) -> Any:
            return self.inner.init(name)

        def handle_write(self, command: Any, state: Any) -> Any:
            before = picture(state)
            call = f"handle_write({command!r})"
            try:
                result = self.inner.handle_write(command, state)
            except BaseException as error:
                findings.raised += 1
                findings.first_error = findings.first_error or f"{command!r} raised {error!r}"
                undo(state)
                if picture(state) != before:
                    self.fault = Fault(
                        f"{call} changed the state before it raised {error!r}: it was {before!r} "
                        f"and is {picture(state)!r}. Raise before the first change, return a new "
                        "state, or keep the state in an UndoDict"
                    )
                raise
            findings.succeeded += 1
            if type(result) is not tuple or len(result) != 2:
                self.fault = Fault(f"{call} must return (reply, state), not {result!r}")
            else:
                self.fault = unencodable(result[0], call) or another_type(state, result[1], call)
            return result

        def handle_read(self, query: Any, state: Any) -> Any:
            before = picture(state)
            call = f"handle_read({query!r})"
            result = self.inner.handle_read(query, state)
            # A pair may be (reply, state), and a state need not be encodable.
            reply = result[0] if type(result) is tuple and len(result) == 2 else result
            self.fault = unencodable(reply, call)
            if picture(state) != before:
                self.fault = Fault(
                    f"{call} changed the state from {before!r} to {picture(state)!r}: a read runs "
                    "on one replica alone, so they differ now"
                )
            return result

    Examined.__name__ = Examined.__qualname__ = machine.__name__
    return Examined


def undo(state: Any) -> None:
    rollback: Callable[[], None] | None = getattr(state, "rollback", None)
    if rollback is not None:
        rollback()


def another_type(before: Any, after: Any, call: str) -> Fault | None:
    """Find a state that was lost on the way: None for it, or the reply."""
    if before is None or type(after) is type(before):
        return None
    return Fault(
        f"{call} returned {after!r} as the state, which was a {type(before).__name__}: return "
        "(reply, state). state.update(...), state.append(...) and the like return None"
    )


def unencodable(reply: Any, call: str) -> Fault | None:
    try:
        terms.dumps(reply, "reply")
    except TypeError as error:
        return Fault(f"the reply of {call} can't be encoded: {error}")
    return None
