"""Tally: the state machine of a simulation that has no machine of its own to test."""

from typing import Any
from zlib import crc32

from raft_actors.state_machine import StateMachine

__all__ = ["Tally"]


class Tally(StateMachine):
    """Counts the commands, and knows their order by a running checksum.

    Two replicas that differ in one command, or in the order of two, answer everything
    differently from there on; also two that ran one command as different versions, or moved their
    states on at different places.
    """

    def init(self, name: str) -> tuple[int, int]:  # noqa: ARG002
        return (0, 0)

    def handle_write(self, command: Any, state: tuple[int, int]) -> Any:
        count, checksum = state
        after = (count + 1, crc32(b"%d of %d" % (command, self.current_version), checksum))
        return after, after

    def upgrade(self, state: tuple[int, int], from_version: int) -> tuple[int, int]:
        count, checksum = state
        return count, crc32(b"upgraded from %d" % from_version, checksum)

    def handle_read(self, query: Any, state: tuple[int, int]) -> Any:  # noqa: ARG002
        return state
