"""Founding: a group that is being founded, with a configuration that is in no log yet.

A founder asks for votes like anyone. When it wins, its first entry is that configuration.
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
"""How many longest election timeouts a founder waits for a majority before it gives up."""


@dataclass(slots=True)
class Founding:
    """A group that is being founded: it exists once a majority has its first entry.

    heard     the incarnations of those that have answered in this round
    member    who has answered in this round that it is of a group already
    answered  who has answered in any round
    """

    configuration: Configuration
    ticket: Any
    give_up_at: float
    heard: dict[Address, int] = field(default_factory=dict)
    member: Address | None = None
    answered: set[Address] = field(default_factory=set)

    @classmethod
    def of(cls, event: Configure, *, now: float, config: Config) -> "Founding":
        """Begin. Who declares its members never gives up: they may be started days later."""
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
        """Ask all anew: a disk may be another by now, and a group may be gone."""
        self.heard, self.member = {}, None

    def hear(self, reply: Message) -> None:
        """Note who has answered, with which disk, and whether it is of a group."""
        self.heard[reply.source] = reply.source_incarnation
        self.answered.add(reply.source)
        if is_group(reply.group):
            self.member = reply.source

    def has_heard(self, others: Iterable[Address]) -> bool:
        """Tell whether all have answered in this round, and none is of a group."""
        return self.member is None and self.heard.keys() >= set(others)

    def silent(self, others: Iterable[Address]) -> list[Address]:
        """Return who has never answered; nobody where a group is the reason to give up."""
        if self.member is not None:
            return []
        return [other for other in others if other not in self.answered]

    def failure(self) -> Any:
        """Return what is answered when the founder gives up."""
        if self.member is not None:
            return ("error", ("in_another_group", [self.member]))
        return ("error", "peers_not_responding")
