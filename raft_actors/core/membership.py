"""Configuration: who votes in a group. It lives in the log and counts from its append on (§6)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from raft_actors.core.quorum import majority_value

__all__ = ["NOBODY", "Address", "Configuration", "in_order"]

Address = tuple[str, str]
"""(peer name, node name)."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of one group.

    members   the voters, sorted; empty before the group is founded
    learners  they get the log and never vote
    old       while a change is under way, the voters before it: a majority of these is needed too
    group     hex id that tells this group's messages from another's; set by the founders
    index     log index of the entry that holds it, 0 for none
    previous  log index of the configuration before it, so that a truncated log finds its way back
    """

    members: tuple[Address, ...] = ()
    learners: tuple[Address, ...] = ()
    old: tuple[Address, ...] = ()
    group: str = ""
    index: int = 0
    previous: int = 0

    @classmethod
    def founding(
        cls, members: Iterable[Address], learners: Iterable[Address] = ()
    ) -> "Configuration":
        """Return the first configuration of a group.

        Its group id follows from the members, so that two of them founding at once found one.
        """
        voters = in_order(members)
        group = sha256(json.dumps(voters).encode()).hexdigest()[:16]
        return cls(members=voters, learners=in_order(set(learners).difference(voters)), group=group)

    def changed(
        self, *, members: Iterable[Address], learners: Iterable[Address]
    ) -> "Configuration":
        """Return what leads from this one to these members: a joint one if the voters differ."""
        voters = in_order(members)
        return replace(
            self,
            members=voters,
            learners=in_order(set(learners).difference(voters)),
            old=() if voters == self.members else self.members,
            previous=self.index,
        )

    def settled(self) -> "Configuration":
        """Return the configuration that ends a joint one."""
        return replace(self, old=(), previous=self.index)

    def encode(self) -> bytes:
        return json.dumps(
            {
                "group": self.group,
                "members": self.members,
                "learners": self.learners,
                "old": self.old,
                "previous": self.previous,
            }
        ).encode()

    @classmethod
    def decode(cls, payload: bytes, index: int) -> "Configuration":
        fields = json.loads(payload)
        return cls(
            members=in_order(map(tuple, fields["members"])),
            learners=in_order(map(tuple, fields["learners"])),
            old=in_order(map(tuple, fields["old"])),
            group=fields["group"],
            index=index,
            previous=fields["previous"],
        )

    @property
    def everyone(self) -> tuple[Address, ...]:
        """All who get the log."""
        return in_order({*self.members, *self.learners, *self.old})

    def votes(self, peer: Address) -> bool:
        return peer in self.members or peer in self.old

    def has_quorum(self, granted: Iterable[Address]) -> bool:
        """Tell whether `granted` holds a majority of the members, and of the old ones (§6)."""
        voters = set(granted)
        return all(2 * len(voters.intersection(part)) > len(part) for part in self.majorities())

    def quorum_value(self, values: Mapping[Address, float]) -> float:
        """Return the largest value that a majority has reached; while joint, both majorities."""
        return min(majority_value([values[peer] for peer in part]) for part in self.majorities())

    def majorities(self) -> list[tuple[Address, ...]]:
        """The sets of voters of which a majority is needed. Nobody is no majority of nobody."""
        return [self.members, self.old] if self.old else [self.members]


def in_order(peers: Iterable[Any]) -> tuple[Address, ...]:
    return tuple(sorted(set(peers)))


NOBODY = Configuration()
