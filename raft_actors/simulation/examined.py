"""Examined: a user's state machine under examination, for what no peer could notice by itself.

That replicas differ is found by the checker, which compares their replies and their states after
every command. Here is found what one replica does wrong: to change its state before it raises, to
reply what can't be encoded, to change the state in a read.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from raft_actors import terms
from raft_actors.state_machine import StateMachine

__all__ = ["Fault", "Findings", "examined", "picture"]


class Fault(BaseException):
    """The machine broke its contract. No Exception, since those are replies."""


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
    """Return a machine that runs `machine`, and raises Fault where it breaks its contract."""

    class Examined(StateMachine):
        def __init__(self) -> None:
            self.inner = machine()

        def init(self, name: str) -> Any:
            return self.inner.init(name)

        def handle_write(self, command: Any, state: Any) -> Any:
            before = picture(state)
            try:
                result = self.inner.handle_write(command, state)
            except Exception as error:
                findings.raised += 1
                findings.first_error = findings.first_error or f"{command!r} raised {error!r}"
                undo(state)
                if picture(state) != before:
                    raise Fault(
                        f"handle_write({command!r}) changed the state before it raised {error!r}: "
                        f"it was {before!r} and is {picture(state)!r}. Raise before the first "
                        "change, return a new state, or keep the state in an UndoDict"
                    ) from error
                raise
            if type(result) is not tuple or len(result) != 2:
                raise Fault(f"handle_write({command!r}) must return (reply, state), not {result!r}")
            encodable(result[0], f"handle_write({command!r})")
            findings.succeeded += 1
            return result

        def handle_read(self, query: Any, state: Any) -> Any:
            before = picture(state)
            result = self.inner.handle_read(query, state)
            if picture(state) != before:
                raise Fault(
                    f"handle_read({query!r}) changed the state from {before!r} to "
                    f"{picture(state)!r}: a read runs on one replica alone, so they differ now"
                )
            # A pair may be (reply, state), and a state need not be encodable.
            reply = result[0] if type(result) is tuple and len(result) == 2 else result
            encodable(reply, f"handle_read({query!r})")
            return result

    Examined.__name__ = Examined.__qualname__ = machine.__name__
    return Examined


def undo(state: Any) -> None:
    rollback: Callable[[], None] | None = getattr(state, "rollback", None)
    if rollback is not None:
        rollback()


def encodable(reply: Any, call: str) -> None:
    try:
        terms.dumps(reply, "reply")
    except TypeError as error:
        raise Fault(f"the reply of {call} can't be encoded: {error}") from None
