"""Contract: what the library asks of a user's state machine, and how it takes what that returns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

__all__ = [
    "RAISED",
    "DiskState",
    "Machine",
    "by_default",
    "check_version",
    "is_by_default",
    "is_machine",
    "pair_of",
    "reply_of",
]

VERSION_MAX = 1 << 31
RAISED = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)
"""What a machine's method may raise and its peer goes on: all that Python has."""
SHORT = 60
"""Characters, or parts, of a command that is named whole."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Machine(Protocol):
    """A replicated state machine; `raft_actors.StateMachine` is the class that users derive from,
    and says there what each method may do.

    state_is_on_disk  whether `init` returns a DiskState, kept in `directory`
    """

    version: int
    current_version: int
    state_is_on_disk: bool
    directory: Path

    def init(self, name: str) -> Any: ...
    def handle_write(self, command: Any, state: Any) -> tuple[Any, Any]: ...
    def handle_read(self, query: Any, state: Any) -> Any: ...
    def snapshot(self, state: Any) -> Any: ...
    def restore(self, data: Any) -> Any: ...
    def upgrade(self, state: Any, from_version: int) -> Any: ...


class DiskState(Protocol):
    """A state that is on a disk: after `index` entries of the log, with what it has flushed."""

    index: int

    def belong_to(self, incarnation: int) -> None:
        """Note whose data directory it stands in, or raise StoreError where it is another's."""

    def sync(self) -> None:
        """Make durable what has been flushed: the log is cut behind it."""

    def flush(self, index: int) -> None:
        """Write what was committed, as the state after `index` entries."""

    def commit(self) -> None:
        """Keep what was changed since the last commit; `flush` writes it."""

    def rollback(self) -> None:
        """Take back what was changed since the last commit."""

    def close(self) -> None: ...


def by_default(method: Method) -> Method:
    """Mark a method that a machine has when its class does not define one."""
    method.is_by_default = True  # type: ignore[attr-defined]
    return method


def is_by_default(method: Any) -> bool:
    return getattr(method, "is_by_default", False) is True


def is_machine(kind: Any) -> bool:
    """Tell whether `kind` is a class with all that the contract names."""
    return isinstance(kind, type) and all(
        hasattr(kind, name)
        for name in ("version", "init", "handle_write", "handle_read", "snapshot", "restore",
                     "upgrade", "state_is_on_disk")
    )  # fmt: skip


def check_version(machine: Machine) -> None:
    """Raises ValueError for a `version` that is none, or one that no state can be moved on to:
    found at the switch, that would stop every replica.
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


def pair_of(result: Any, command: Any) -> tuple[Any, Any]:
    if type(result) is tuple and len(result) == 2:
        return result
    if result is None:
        what = f"None; is {in_short(command)} a command that it knows?"
    else:
        size = f" of {len(result)}" if type(result) is tuple else ""
        what = f"a {type(result).__name__}{size}"
    raise TypeError(f"handle_write must return (reply, state), not {what}")


def in_short(command: Any, depth: int = 3) -> str:
    """Describe a command in the same words on every replica: sets have no order, and what is a
    printable character depends on Python's version.
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
    """Tell a bare reply from (reply, state); see StateMachine.handle_read."""
    if type(result) is tuple and len(result) == 2 and result[1] is state:
        reply = result[0]
        if reply not in ("ok", "error"):
            return reply
    return result
