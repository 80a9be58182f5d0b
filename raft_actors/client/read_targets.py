"""ReadTargets: which member to ask for a read that any member may answer."""

from collections.abc import Iterator
from itertools import count

from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.names import Address

__all__ = ["ReadTargets"]


class ReadTargets:
    """The members in turn, those on this node first. All threads of a handle share it."""

    def __init__(self, finder: LeaderFinder) -> None:
        self.finder = finder
        self.turns: count[int] = count()

    def of(self, at: Address | None) -> Iterator[Address]:
        """Yield without end the peer to ask next: always `at`, if it is given."""
        while at is not None:
            yield at
        while True:
            members = self.finder.members
            turn = next(self.turns) % len(members)
            in_turn = members[turn:] + members[:turn]
            here = self.finder.router.node.name
            yield from sorted(in_turn, key=lambda member: member[1] != here)
