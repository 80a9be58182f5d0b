"""Membership change: one that is under way, and its newcomers (§6; thesis 4.3, 4.2.1).

catch up    newcomers get the log before they count, so that the change can't stall commits
            until it is appended, the change can be called off
joint       old and new majorities are both needed, from the append on
settled     appended when the joint one is committed; the change is over when this commits
"""

from collections.abc import Iterable
from typing import Any

from raft_actors.core.configuration import Configuration
from raft_actors.core.progress import Progress
from raft_actors.names import Address

__all__ = ["CATCH_UP_TIMEOUTS", "ROUNDS_MAX", "CatchUp", "MembershipChange"]

CATCH_UP_TIMEOUTS = 10
"""How many longest election timeouts a newcomer may stay without any progress."""

ROUNDS_MAX = 10
"""How many rounds a newcomer's race may have (thesis 4.2.1)."""


class CatchUp:
    """One newcomer's race after the end of the log, in rounds (thesis 4.2.1).

    A round copies what the log held when it began. When one takes less than an election timeout,
    the next would take less still: the newcomer keeps up. When none of ROUNDS_MAX did, it never
    will.

    rounds  how many have ended, each too late
    """

    __slots__ = ("began", "goal", "moved", "position", "rounds")

    def __init__(self, *, goal: int, now: float) -> None:
        self.goal = goal
        self.rounds = 0
        self.began = self.moved = now
        self.position = (0, 0)

    def keeps_up(self, progress: Progress, *, last_index: int, now: float, within: float) -> bool:
        """Look at how far it is. `within` is the election timeout, seconds."""
        if progress.position > self.position:
            self.position, self.moved = progress.position, now
        if progress.match < self.goal:
            return False
        if now - self.began <= within:
            return True
        self.goal, self.began = last_index, now
        self.rounds += 1
        return False


class MembershipChange:
    """What the client wants, which newcomers it waits for, and whether it is in the log yet."""

    __slots__ = ("appended", "racing", "target", "ticket")

    def __init__(
        self, target: Configuration, ticket: Any, newcomers: Iterable[Address], *,
        goal: int, now: float,
    ) -> None:  # fmt: skip
        self.target = target
        self.ticket = ticket
        self.appended = False
        self.racing = {peer: CatchUp(goal=goal, now=now) for peer in newcomers}

    def silent(self, *, now: float, timeout: float) -> list[Address]:
        """Return the newcomers that have not moved for `timeout` seconds."""
        return [peer for peer, race in self.racing.items() if now - race.moved > timeout]

    def too_slow(self) -> list[Address]:
        """Return the newcomers that move, and don't catch up."""
        return [peer for peer, race in self.racing.items() if race.rounds >= ROUNDS_MAX]
