"""Contract: what the library expects of a user's state machine, and checks of its results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from raft_actors.machine.meta import Place

__all__ = [
    "RAISED",
    "DiskState",
    "Machine",
    "Replicable",
    "by_default",
    "check_version",
    "disk_state_of",
    "in_short",
    "is_by_default",
    "is_machine",
    "machine_of",
    "reply_of",
    "triple_of",
]

VERSION_MAX = 1 << 31
RAISED = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)
"""The exceptions of a state machine's method after which its peer goes on: all that Python has."""
SHORT = 60
"""A command with at most so many characters or parts is shown whole in messages."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Machine(Protocol):
    """A replicated state machine. Users derive their class from `raft_actors.StateMachine`, which
    says what each method may do.

    state_is_on_disk  whether the state that `init` returns is on a disk, in `directory`
    _raft_place       gives the place in the log, for `StateMachine.meta`
    """

    version: int
    current_version: int
    state_is_on_disk: bool
    directory: Path
    _raft_place: Place

    def init(self, name: str) -> Any: ...
    def handle_write(self, command: Any, state: Any) -> tuple[Any, Any] | tuple[Any, Any, Any]: ...
    def handle_read(self, query: Any, state: Any) -> Any: ...
    def snapshot(self, state: Any) -> Any: ...
    def restore(self, data: Any) -> Any: ...
    def upgrade(self, state: Any, from_version: int) -> Any: ...
    def on_leader(self, state: Any) -> Any: ...
    def on_follower(self) -> None: ...


class DiskState(Protocol):
    """A state that is on a disk. What it has flushed is the state after the entry `index`."""

    index: int

    def belong_to(self, incarnation: int) -> None:
        """Note the incarnation of the data directory that the state is in. Raise StoreError if the
        state belongs to another one.
        """

    def sync(self) -> None:
        """Make everything durable that was flushed, because the log is compacted after this."""

    def flush(self, index: int) -> None:
        """Write the committed changes, as the state after the entry `index`."""

    def commit(self) -> None:
        """Keep the changes since the last commit; `flush` writes them."""

    def rollback(self) -> None:
        """Take back the changes since the last commit."""

    def forget(self) -> None:
        """Remove everything, durably. After a restart `index` is 0."""

    def close(self) -> None: ...


def disk_state_of(state: Any) -> DiskState:
    """Return the DiskState behind a state on disk: the table of a DiskDict. A state that has no
    table is a DiskState itself.
    """
    found: DiskState = getattr(state, "_raft_table", state)
    return found


class Replicable(Protocol):
    """A class that is no state machine itself, and gives the one that runs it: `Replicated`."""

    @classmethod
    def raft_machine(cls) -> type[Machine]: ...


def machine_of(kind: Any) -> type[Machine]:
    """Return the class of a state machine that `kind` is, or that it gives. Raises TypeError."""
    if isinstance(kind, type) and hasattr(kind, "raft_machine"):
        kind = kind.raft_machine()
    if not is_machine(kind):
        raise TypeError(
            f"a machine is given as a class derived from StateMachine or Replicated, not {kind!r}"
        )
    return kind  # type: ignore[no-any-return]


def by_default(method: Method) -> Method:
    """Mark a method as the default of a state machine whose class does not define it."""
    method.is_by_default = True  # type: ignore[attr-defined]
    return method


def is_by_default(method: Any) -> bool:
    return getattr(method, "is_by_default", False) is True


def is_machine(kind: Any) -> bool:
    """Return whether `kind` is a class with all attributes of `Machine` that a class must have."""
    return isinstance(kind, type) and all(
        hasattr(kind, name)
        for name in ("version", "init", "handle_write", "handle_read", "snapshot", "restore",
                     "upgrade", "on_leader", "on_follower", "state_is_on_disk")
    )  # fmt: skip


def check_version(machine: Machine) -> None:
    """Raise ValueError if `version` is no valid version, or if there is no `upgrade` to it. If that
    were noticed only when the group moves to the version, every replica would stop.
    """
    version = machine.version
    if type(version) is not int or not 1 <= version < VERSION_MAX:
        raise ValueError(
            f"{type(machine).__name__}.version must be a whole number from 1 on, not {version!r}"
        )
    if version > 1 and is_by_default(type(machine).upgrade):
        raise ValueError(
            f"{type(machine).__name__} has version {version} and no upgrade(self, state, "
            "from_version): write one, which may return the state as it is"
        )


def triple_of(result: Any, command: Any) -> tuple[Any, Any, Any]:
    """Return (reply, state, effects), if `handle_write` has returned that. Raises TypeError."""
    if type(result) is tuple and len(result) == 3:
        return result
    if result is None:
        what = f"None; is {in_short(command)} a command that it knows?"
    else:
        size = f" of {len(result)}" if type(result) is tuple else ""
        what = f"a {type(result).__name__}{size}"
    raise TypeError(f"handle_write must return (reply, state), not {what}")


def in_short(command: Any, depth: int = 3) -> str:
    """Return a short text for a command, which is the same on every replica. So it shows no items
    of sets, which have no order, and only ASCII characters, because Python's versions differ in
    which other characters are printable.
    """
    kind = type(command)
    if kind in (str, bytes) and len(command) <= SHORT:
        return ascii(command)
    if kind in (bool, float, type(None)) or (kind is int and -(1 << 64) < command < 1 << 64):
        return repr(command)
    if kind in (tuple, list) and depth and len(command) <= SHORT:
        parts = ", ".join(in_short(part, depth - 1) for part in command)
        return f"[{parts}]" if kind is list else f"({parts}{',' * (len(command) == 1)})"
    if kind is dict and depth and len(command) <= SHORT:
        items = (f"{in_short(k, 0)}: {in_short(v, depth - 1)}" for k, v in command.items())
        return f"{{{', '.join(items)}}}"
    return f"<{kind.__name__}>"


def reply_of(result: Any, state: Any) -> Any:
    """Return the reply of `handle_read`, which may return the reply or (reply, state)."""
    if type(result) is tuple and len(result) == 2 and result[1] is state:
        reply = result[0]
        if reply not in ("ok", "error"):
            return reply
    return result
