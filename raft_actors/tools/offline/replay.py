"""Replay: a stopped peer's state after any entry, made anew as a replica makes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from raft_actors.core.entry import (
    COMMAND,
    VERSION,
    command_of,
    first_damaged,
    kind_of,
    version_of,
)
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import RaftError, StoreCorrupt, in_text
from raft_actors.machine.command_guard import RUNNING
from raft_actors.machine.contract import Machine, machine_of
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.tools.launch import CannotLaunch, find_module
from raft_actors.tools.offline.history import CannotReplay, History

__all__ = ["Replay", "find_machine", "replay_from"]

Seen = Callable[[int, bytes, bytes], None]
"""Called with index, entry and encoded answer of each entry that was applied."""


def find_machine(path: str) -> type[Machine]:
    """Return the class that `module:Class` names. Raises CannotLaunch."""
    module_name, _, names = path.partition(":")
    if not module_name or not names:
        raise CannotLaunch(f"--machine takes module:Class, not {path!r}", status=2)
    found: Any = find_module(module_name)
    for name in names.split("."):
        found = getattr(found, name, None)
    try:
        return machine_of(found)
    except TypeError as error:
        raise CannotLaunch(f"{path} is no state machine: {error}", status=2) from error


class Replay:
    """A replica that is told what is committed by who looks at it, and tells nobody.

    applied  the state, as a running peer has it
    """

    def __init__(self, history: History, applied: ReplicatedState) -> None:
        self.history = history
        self.applied = applied

    def to(self, index: int, seen: Seen | None = None) -> None:
        """Apply the entries up to `index`. Raises what stops a replica: HostError, UpgradeFailed
        and the like.
        """
        applied = self.applied
        for first, entries in self.history.batches(applied.index + 1, index):
            if damaged := first_damaged(entries, first):
                raise StoreCorrupt(f"entry {damaged} is not what its leader wrote")
            applied.begin_batch()
            RUNNING.machine = type(applied.machine)
            try:
                for entry in entries:
                    answer = self.apply(entry)
                    applied.index += 1
                    if seen is not None:
                        seen(applied.index, entry, answer)
            finally:
                RUNNING.machine = None
            applied.end_batch()

    def apply(self, entry: bytes) -> bytes:
        """Apply one entry, as `raft_actors.replica.applier` does."""
        self.applied.entry = entry
        kind = kind_of(entry)
        if kind == COMMAND:
            return self.applied.write(*command_of(entry))
        if kind == VERSION:
            self.applied.upgrade(version_of(entry))
        return b""


@contextmanager
def replay_from(history: History, machine: type[Machine], start: Snapshot) -> Iterator[Replay]:
    """Begin with the state of a snapshot, or with that before the first entry.

    Raises CannotReplay where the machine can't be made; what `ReplicatedState.restore` raises.
    """
    try:
        applied = ReplicatedState(machine(), history.peer[0], history.scratch / "machine")
    except RaftError:
        raise
    except Exception as error:
        raise CannotReplay(
            f"{machine.__name__} can't be made as its peer makes it: {': '.join(in_text(error))}"
        ) from error
    try:
        if start.index:
            applied.restore(history.snapshots, start)
        yield Replay(history, applied)
    finally:
        applied.close()
