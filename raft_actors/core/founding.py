"""Founding: a group that is being founded, with a configuration that is in no log yet.

A founder asks for votes like every candidate. If it wins, it appends that configuration as the
first entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration, is_group
from raft_actors.core.messages import Configure, Message
from raft_actors.names import Address

__all__ = ["FOUNDING_TIMEOUTS", "Founding"]

FOUNDING_TIMEOUTS = 5
"""A founder without a majority gives up after so many longest election timeouts."""


@dataclass(slots=True)
class Founding:
    """A group that is being founded: it exists once a majority has its first entry.

    heard     the peers that have answered in this round, and their incarnations
    member    a peer that has answered in this round and belongs to a group already, or None
    answered  the peers that have answered in any round
    """

    configuration: Configuration
    ticket: Any
    give_up_at: float
    heard: dict[Address, int] = field(default_factory=dict)
    member: Address | None = None
    answered: set[Address] = field(default_factory=set)

    @classmethod
    def of(cls, event: Configure, *, now: float, config: Config) -> "Founding":
        """Begin to found a group. A peer that declares its members never gives up, because the
        other members may be started days later.
        """
        configuration = Configuration.founding(event.members, event.learners, event.witnesses)
        give_up_at = now + FOUNDING_TIMEOUTS * config.max_election_timeout
        return cls(configuration, event.ticket, inf if event.declared else give_up_at)

    @staticmethod
    def objection(event: Configure, peer: Address) -> str | None:
        """Return why `peer` can't found a group of these members, or None."""
        if peer not in event.members:
            return "must_be_in_consensus_group"
        if set(event.members) <= set(event.witnesses):
            return "no_members"
        return None

    def begin_round(self) -> None:
        """Forget the answers, and ask all members again: a member may have another data directory
        by now, and the group of a member may be gone.
        """
        self.heard, self.member = {}, None

    def hear(self, reply: Message) -> None:
        """Note the sender of an answer, its incarnation, and whether it belongs to a group."""
        self.heard[reply.source] = reply.source_incarnation
        self.answered.add(reply.source)
        if is_group(reply.group):
            self.member = reply.source

    def has_heard(self, others: Iterable[Address]) -> bool:
        """Tell whether all of `others` have answered in this round, and none belongs to a group."""
        return self.member is None and self.heard.keys() >= set(others)

    def silent(self, others: Iterable[Address]) -> list[Address]:
        """Return the peers that have never answered; none if the founder gives up for another
        reason, a peer that belongs to a group.
        """
        if self.member is not None:
            return []
        return [other for other in others if other not in self.answered]

    def failure(self) -> Any:
        """Return the answer to the client if the founder gives up."""
        if self.member is not None:
            return ("error", ("in_another_group", [self.member]))
        return ("error", "peers_not_responding")
