"""Tally: the state machine of simulations that test the library and no state machine."""

from typing import Any
from zlib import crc32

from raft_actors.state_machine import OnDiskStateMachine, StateMachine

__all__ = ["DiskTally", "Tally"]


KEYS = 7


def seen(command: int, machine: StateMachine) -> bytes:
    """Return everything that a command may depend on besides the state."""
    meta = machine.meta
    place = b"%d in term %d at %d ms, %d/%d" % (
        meta.index, meta.term, meta.time_ms, *(meta.request or (0, 0))
    )  # fmt: skip
    return b"%d of %d, entry %b" % (command, machine.current_version, place)


class Tally(StateMachine):
    """Counts the commands, and has a checksum over all commands in their order.

    If two replicas differ in one command, in the order of two commands, in what `meta` said to a
    command, in the version that ran a command, or in the entry at which the state was upgraded, all
    their later replies differ.
    """

    def init(self, name: str) -> tuple[int, int]:  # noqa: ARG002
        return (0, 0)

    def handle_write(self, command: Any, state: tuple[int, int]) -> Any:
        count, checksum = state
        after = (count + 1, crc32(seen(command, self), checksum))
        return after, after

    def upgrade(self, state: tuple[int, int], from_version: int) -> tuple[int, int]:
        count, checksum = state
        return count, crc32(b"upgraded from %d" % from_version, checksum)

    def handle_read(self, query: Any, state: tuple[int, int]) -> Any:  # noqa: ARG002
        return state

    def on_leader(self, state: tuple[int, int]) -> None:
        """Do nothing: the simulation checks when this is called."""

    def on_follower(self) -> None:
        """Do nothing, too."""


class DiskTally(OnDiskStateMachine):
    """A tally on disk. For each of a few keys it also has the count at the last command with this
    key.
    """

    def handle_write(self, command: Any, state: Any) -> Any:
        count, checksum = state.get("tally", (0, 0))
        after = (count + 1, crc32(seen(command, self), checksum))
        state["tally"] = after
        key = f"last {command % KEYS}"
        if key in state and count % KEYS == 0:
            del state[key]
        else:
            state[key] = count
        return after, state

    def upgrade(self, state: Any, from_version: int) -> Any:
        count, checksum = state.get("tally", (0, 0))
        state["tally"] = count, crc32(b"upgraded from %d" % from_version, checksum)
        return state

    def handle_read(self, query: Any, state: Any) -> Any:  # noqa: ARG002
        return state.get("tally", (0, 0))
