"""Script: what the clients of a simulation ask, of which state machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raft_actors.machine.contract import Machine
from raft_actors.testing.simulation.tally import DiskTally, Tally

__all__ = ["TALLY", "TALLY_ON_DISK", "Script"]

VERSION_MAX = 3
"""Versions of the machine that are there in the end."""


@dataclass(frozen=True, slots=True)
class Script:
    """What clients ask, of which machine, and how its states are compared.

    command   of its number and a draw, 0 to 1; `query` of a draw; `reads` tells whether to ask any
    users     whether the machine is a user's
    picture   of a state: what is equal where states are, and stays when the state changes
    oldest    version of the machine that programs may have at first; each is upgraded to `newest`
    """

    machine: type[Machine] = Tally
    command: Callable[[int, float], Any] = lambda number, _draw: number
    query: Callable[[float], Any] = lambda _draw: None
    picture: Callable[[Any], Any] = lambda state: state
    reads: bool = True
    oldest: int = 1
    newest: int = VERSION_MAX
    users: bool = False

    def first_version(self, seed: int) -> int:
        """Half of a user's groups are founded at the newest version, as most are in life."""
        return self.newest if self.users and seed % 2 == 0 else self.oldest


TALLY = Script()
TALLY_ON_DISK = Script(machine=DiskTally, picture=lambda state: dict(state.items()))
