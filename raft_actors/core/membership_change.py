"""Membership change: a change that is going on, and its newcomers (§6; thesis 4.3, 4.2.1). It has
three phases:

catch up    the newcomers get the log before they count as members, so that the change does not
            stop commits. In this phase the change can be called off
joint       the joint configuration was appended: old and new majorities are both needed
settled     the joint configuration has committed, and the new one was appended. When this one
            commits, the change has ended
"""

from collections.abc import Iterable
from typing import Any

from raft_actors.core.configuration import Configuration
from raft_actors.core.progress import Progress
from raft_actors.names import Address

__all__ = ["CATCH_UP_TIMEOUTS", "ROUNDS_MAX", "CatchUp", "MembershipChange"]

CATCH_UP_TIMEOUTS = 10
"""A newcomer without any progress for so many longest election timeouts ends the change."""

ROUNDS_MAX = 10
"""A newcomer that has not caught up after so many rounds ends the change (thesis 4.2.1)."""


class CatchUp:
    """How one newcomer catches up with the growing log, in rounds (thesis 4.2.1).

    A round copies the entries that the log had when the round began. If a round takes less than an
    election timeout, the next one would take even less: the newcomer has caught up. If none of
    ROUNDS_MAX rounds was so short, it never will.

    rounds  how many rounds have ended that took too long
    """

    __slots__ = ("began", "goal", "moved", "position", "rounds")

    def __init__(self, *, goal: int, now: float) -> None:
        self.goal: int = goal
        self.rounds: int = 0
        self.began: float = now
        self.moved: float = now
        self.position: tuple[int, int] = (0, 0)

    def keeps_up(self, progress: Progress, *, last_index: int, now: float, within: float) -> bool:
        """Note how far the newcomer is; return whether it has caught up. `within` is the election
        timeout, seconds.
        """
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
    """The configuration that a client wants, the newcomers that the change waits for (`racing`),
    and whether the configuration is in the log yet (`appended`).
    """

    __slots__ = ("appended", "racing", "target", "ticket")

    def __init__(
        self, target: Configuration, ticket: Any, newcomers: Iterable[Address], *,
        goal: int, now: float,
    ) -> None:  # fmt: skip
        self.target: Configuration = target
        self.ticket: Any = ticket
        self.appended: bool = False
        self.racing: dict[Address, CatchUp] = {
            peer: CatchUp(goal=goal, now=now) for peer in newcomers
        }

    def silent(self, *, now: float, timeout: float) -> list[Address]:
        """Return the newcomers without any progress for `timeout` seconds."""
        return [peer for peer, race in self.racing.items() if now - race.moved > timeout]

    def too_slow(self) -> list[Address]:
        """Return the newcomers that make progress, but don't catch up."""
        return [peer for peer, race in self.racing.items() if race.rounds >= ROUNDS_MAX]
