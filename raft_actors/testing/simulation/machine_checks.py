"""Machine checks: checks a user's state machine for faults that no peer could notice by itself.

The checker finds replicas that differ: it compares their replies and states after every command.
This file finds the faults of one replica: it changes its state before it raises, replies with a
value that can't be encoded, loses the state, changes the state in a read, answers a read from
something else than the state, or is another one after it was restored from a snapshot.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

from raft_actors import encoding
from raft_actors.errors import StoreError
from raft_actors.machine.contract import check_version, machine_of, reply_of
from raft_actors.machine.state_image import pieces_of, put_together
from raft_actors.state_machine import OnDiskStateMachine, StateMachine
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.replica_differences import clocks_off, shifted_names, stir
from supervision.foreign import text_of

__all__ = ["Fault", "Findings", "examined", "picture"]

HOURS_APART = 11
"""The clocks of two processes of replicas differ by so many hours at least."""
OWN_TROUBLE = (MemoryError, StoreError, Broken)
"""Exceptions of a handler that are no result of its command."""
TOLD = ("version", "current_version", "directory", "_raft_place")
"""The attributes that a peer sets on its machine."""
NUMBERS: set[type] = {int, float}


class Fault(Broken):
    """The machine broke its contract."""


class Findings:
    """How often commands succeeded, and how the first failed one failed, for each version.

    lives   how many machines were made: each has other clocks
    """

    def __init__(self) -> None:
        self.succeeded: dict[int, int] = {}
        self.raised: dict[int, int] = {}
        self.first_error: dict[int, str] = {}
        self.lives = 0

    def note(self, version: int, error: str = "") -> None:
        counts = self.raised if error else self.succeeded
        counts[version] = counts.get(version, 0) + 1
        if error:
            self.first_error.setdefault(version, error)

    def never_works(self, newest: int) -> str:
        """Say that no command ever succeeds, at all or as the newest version; "" if any does."""
        if self.raised and not self.succeeded:
            return f"no command ever succeeds; the first: {next(iter(self.first_error.values()))}"
        if newest in self.raised and newest not in self.succeeded:
            first = self.first_error[newest]
            return f"no command ever succeeds as version {newest}; the first: {first}"
        return ""


class Picture:
    """A copy of a state, which stays when the state changes. Pictures of equal states are equal."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Any = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and bool(self.value == other.value)

    def __hash__(self) -> int:
        raise TypeError("pictures are compared, not looked up")

    def __repr__(self) -> str:
        return text_of(self.value)


def picture(state: Any) -> Picture:
    return Picture(frozen(state))


def frozen(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return a copy that shares nothing with `value`, and is equal if the contents are.

    above   ids of the parts that this one is a part of; it may lead back to one of them
    """
    if isinstance(value, float) and value != value:
        return "nan"  # of which no two are equal
    if id(value) in above:
        return ("above", len(above) - above.index(id(value)))
    above = (*above, id(value))
    if isinstance(value, dict):
        return {deepcopy(key): frozen(each, above) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [frozen(each, above) for each in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    kind: Any = type(value)
    if hasattr(kind, "_raft_table"):  # a DiskDict
        return frozen(dict(value.items()))
    if kind.__eq__ is not object.__eq__:
        with suppress(Exception):  # what can't be copied, a lock say, may be a part of it
            return deepcopy(value)
    slots = [name for cls in kind.__mro__ for name in getattr(cls, "__slots__", ())]
    fields = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    fields.update(getattr(value, "__dict__", {}))
    return (kind.__name__, {name: frozen(each, above) for name, each in fields.items()})


def examined(machine: type[StateMachine], findings: Findings) -> type[StateMachine]:
    """Return a machine that runs `machine`, and has a `fault` where that breaks its contract.

    Raises Fault if no machine can be made of it at all.
    """
    made(machine)
    on_disk = issubclass(machine, OnDiskStateMachine)
    base: Any = OnDiskStateMachine if on_disk else StateMachine
    written = getattr(machine, "kind", machine)
    clocks = shifted_names(*(sys.modules[cls.__module__] for cls in written.__mro__[:-1]
                             if cls.__module__ in sys.modules
                             and not cls.__module__.startswith("raft_actors.")))  # fmt: skip

    class Examined(base):  # type: ignore[misc]
        fault: Fault | None = None
        """What was found; whoever runs the machine looks, since what it raises is a reply."""
        version = machine.version

        def __init__(self) -> None:
            findings.lives += 1
            self.life = findings.lives
            self.name = ""
            self.kind: type | None = None
            self.has_snapshots = machine.snapshot is not StateMachine.snapshot
            self.inner = made(machine)

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name in TOLD:
                setattr(self.inner, name, value)

        def found(self, text: str) -> None:
            self.fault = self.fault or Fault(text)

        def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
            """Call the machine as it would be called on another replica, at another time."""
            for each in arguments:
                stir(each, self.life)
            with clocks_off(clocks, self.life * HOURS_APART * 3_601):
                return function(*arguments)

        # What a peer calls.

        def init(self, name: str) -> Any:
            self.name = name
            try:
                state = self.run(self.inner.init, name)
            except OWN_TROUBLE:
                raise
            except Exception as error:
                raise Fault(f"init({name!r}) raised {text_of(error)}") from error
            if on_disk and not hasattr(state, "_raft_table"):
                raise Fault(f"init({name!r}) must return the DiskDict of super().init(name), not "
                            f"{text_of(state)}")  # fmt: skip
            self.kind = type(state)
            return state

        def handle_write(self, command: Any, state: Any) -> Any:
            before = picture(state)
            call = f"handle_write({text_of(command)})"
            try:
                result = self.run(self.inner.handle_write, command, state)
            except OWN_TROUBLE:
                raise
            except BaseException as error:
                findings.note(self.current_version, f"{text_of(command)} raised {text_of(error)}")
                undo(state)
                if picture(state) != before:
                    self.found(
                        f"{call} changed the state before it raised {text_of(error)}: it was "
                        f"{before!r} and is {picture(state)!r}. Raise before the first change, "
                        "return a new state, or keep the state in an UndoDict"
                    )
                raise
            findings.note(self.current_version)
            if type(result) is not tuple or len(result) not in (2, 3):
                self.found(f"{call} must return (reply, state), not {text_of(result)}")
            else:
                self.look_at_reply(result[0], call)
                self.look_at_state(result[1], state, before, call)
            return result

        def handle_read(self, query: Any, state: Any) -> Any:
            before = picture(state)
            call = f"handle_read({text_of(query)})"
            asked = deepcopy(query)
            try:
                result = self.run(self.inner.handle_read, query, state)
            finally:
                if picture(state) != before:
                    self.found(
                        f"{call} changed the state from {before!r} to {picture(state)!r}: a read "
                        "runs on one replica alone, so they differ now"
                    )
            reply = reply_of(result, state)
            self.look_at_reply(reply, call)
            if self.fault is None:
                self.look_at_answer(reply, asked, state, call)
            return result

        def snapshot(self, state: Any) -> Any:
            before = picture(state)
            data = self.inner.snapshot(state)
            if picture(state) != before:
                self.found(
                    f"snapshot(state) changed the state from {before!r} to {picture(state)!r}: "
                    "a snapshot is taken on one replica alone, so they differ now"
                )
            elif not on_disk:
                self.twin(state)
            return data

        def restore(self, data: Any) -> Any:
            try:
                state = self.run(self.inner.restore, data)
            except OWN_TROUBLE:
                raise
            except Exception as error:
                self.found(f"restore(data) raised {text_of(error)}, with data that snapshot gave")
                raise
            return state

        def upgrade(self, state: Any, from_version: int) -> Any:
            before = picture(state)
            call = f"upgrade(state, {from_version})"
            try:
                after = self.run(self.inner.upgrade, state, from_version)
            except OWN_TROUBLE:
                raise
            except Exception as error:
                self.found(f"{call} raised {text_of(error)} with the state {before!r}: every "
                           "replica would stop there")  # fmt: skip
                raise
            if after is None and state is not None:
                self.found(f"{call} returned None, and the state {before!r} is lost: return the "
                           "new state")  # fmt: skip
            self.kind = type(after)
            return after

        def on_leader(self, state: Any) -> None:
            before = picture(state)
            try:
                self.run(self.inner.on_leader, state)
            finally:
                undo(state)
                if picture(state) != before:
                    self.found(
                        f"on_leader(state) changed the state from {before!r} to "
                        f"{picture(state)!r}: it runs on one replica alone, so they differ now"
                    )

        def on_follower(self) -> None:
            self.run(self.inner.on_follower)

        # What is found.

        def look_at_reply(self, reply: Any, call: str) -> None:
            try:
                encoding.dumps(reply, "reply")
            except Exception as error:
                self.found(f"the reply of {call} can't be encoded: {error}")

        def look_at_state(self, after: Any, state: Any, before: Picture, call: str) -> None:
            """A state that began as None may be None at times, and a number of either kind."""
            if self.kind is type(None) or type(after) is type(state):
                return
            if {type(after), type(state)} == NUMBERS:
                return
            self.found(
                f"{call} returned {text_of(after)} as the state, which was a "
                f"{type(state).__name__}, {before!r}: return (reply, state). state.update(...), "
                "state.append(...) and the like return None. Another type is for `upgrade` to make"
            )

        def look_at_answer(self, reply: Any, asked: Any, state: Any, call: str) -> None:
            """A read answers from the state it is given, and from nothing else."""
            first = outcome(lambda: reply)
            again = outcome(
                lambda: reply_of(self.run(self.inner.handle_read, deepcopy(asked), state), state)
            )
            if again != first:
                self.found(
                    f"{call} answers {first}, and asked once more of the same state {again}: it "
                    "looks at a clock, at chance or at something else outside the state"
                )
                return
            twin = self.twin(state) if not on_disk else None
            if twin is None or self.fault is not None:
                return
            other, restored = twin
            there = outcome(
                lambda: reply_of(self.run(other.handle_read, deepcopy(asked), restored), restored)
            )
            if there != first:
                self.found(
                    f"{call} answers {first} of the state {picture(state)!r}, and a replica that "
                    f"has the state from a snapshot answers {there}: it looks at something outside "
                    "the state"
                )

        def twin(self, state: Any) -> tuple[StateMachine, Any] | None:
            """Return a new machine that has this state from a snapshot, as a restarted peer has.

            None where there is no snapshot, which may be a fault.
            """
            try:
                kind, pieces = pieces_of(self.inner.snapshot(state))
                sent = [encoding.dumps_stored(piece) for piece in pieces]
                self.has_snapshots = True
            except Exception as error:
                if self.has_snapshots:
                    self.found(f"snapshot(state) gives what can't be saved: {text_of(error)}; the "
                               f"state is {picture(state)!r}")  # fmt: skip
                return None
            other = made(machine)
            for name in TOLD:
                with suppress(AttributeError):
                    setattr(other, name, getattr(self, name))
            try:
                other.init(self.name)
                restored = self.run(
                    other.restore, put_together(kind, iter(map(encoding.loads_stored, sent)))
                )
            except Exception as error:
                self.found(f"restore(data) raised {text_of(error)}, with data that snapshot gave "
                           f"of the state {picture(state)!r}")  # fmt: skip
                return None
            if picture(restored) != picture(state):
                self.found(
                    f"restore made the state {picture(restored)!r} of the snapshot of "
                    f"{picture(state)!r}: snapshot and restore must agree"
                )
                return None
            return other, restored

    Examined.__name__ = Examined.__qualname__ = machine.__name__
    for name in ("handle_write", "handle_read", "snapshot"):
        getattr(Examined, name).__wrapped__ = getattr(machine, name)
    return Examined


def state_machine_of(machine: Any) -> type[StateMachine]:
    """Return the state machine that a user's class is, or that runs it. Raises Fault."""
    try:
        found: Any = machine_of(machine)
    except TypeError as error:
        raise Fault(str(error)) from error
    if not issubclass(found, StateMachine):
        raise Fault(f"give the class of a machine, a StateMachine, not {text_of(machine)}")
    return found  # type: ignore[no-any-return]


def made(machine: type[StateMachine]) -> StateMachine:
    """Return a machine. Raises Fault if that is none."""
    try:
        new = machine()
        check_version(new)
    except OWN_TROUBLE:
        raise
    except Exception as error:
        raise Fault(f"{machine.__name__}() raised {text_of(error)}" if type(error) is not ValueError
                    else str(error)) from error  # fmt: skip
    return new


def outcome(ask: Callable[[], Any]) -> str:
    """Return what a read comes to, as it is told and compared."""
    try:
        answer = encoding.dumps(ask())
        try:
            return repr(encoding.loads(answer))
        except ValueError:  # an int of more digits than Python shows
            return repr(answer)
    except OWN_TROUBLE:
        raise
    except BaseException as error:
        return f"by raising {text_of(error)}"


def undo(state: Any) -> None:
    rollback: Callable[[], None] | None = getattr(state, "rollback", None)
    if rollback is not None:
        rollback()
