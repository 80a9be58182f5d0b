"""Script: the commands and queries of a simulation's clients, and the state machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raft_actors.machine.contract import Machine
from raft_actors.testing.simulation.tally import DiskTally, Tally

__all__ = ["TALLY", "TALLY_ON_DISK", "Script"]

VERSION_MAX = 3
"""The newest version of the machine at the end."""


@dataclass(frozen=True, slots=True)
class Script:
    """The requests of clients, the state machine, and how its states are compared.

    command   makes a command from its number and a random number from 0 to 1
    query     makes a query from a random number from 0 to 1
    reads     whether clients read
    users     whether the machine is a user's
    picture   makes a picture of a state: pictures are equal if the states are, and a picture does
              not change when the state changes
    oldest    the oldest version of the machine that programs have at first; they are upgraded to
              `newest`
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
        """Return the version with which a group begins. Half of a user's groups begin with the
        newest version, as most real groups do.
        """
        return self.newest if self.users and seed % 2 == 0 else self.oldest


TALLY = Script()
TALLY_ON_DISK = Script(machine=DiskTally, picture=lambda state: dict(state.items()))
