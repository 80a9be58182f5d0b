"""Configuration: the members of a group and their parts. It is an entry of the log, and is in force
as soon as the entry is in the log, committed or not (§6).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import inf
from typing import Any

from raft_actors.core.quorum import majority_value
from raft_actors.names import Address

__all__ = ["GRANT_MS_MAX", "NOBODY", "Configuration", "in_order", "is_address", "is_group", "named"]


NAME_MAX = 256
GRANT_MS_MAX = 3_600_000
"""An hour. With a longer grant time nobody would wait for a new leader's grant."""
WISH = "?"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of one group.

    members       the voters, sorted; empty before the group is founded
    learners      members that get the log and never vote
    witnesses     voters that keep the log and no state; see docs/decisions/witnesses.md
    old           during a change the voters before it: a majority of these is needed, too
    incarnations  the data directory of each member, see `counts`
    grant_ms      the grant time of the group, milliseconds: a new leader waits for it, see
                  `lead_grants`. 0 as long as no leader has given a grant
    group         id of the group in hex digits, by which its messages differ from another group's;
                  before the group is founded, a wish, see `is_group`
    index         log index of this configuration's entry, 0 for none
    previous      log index of the configuration before this one, which is in force again if this
                  one is cut off the log
    """

    members: tuple[Address, ...] = ()
    learners: tuple[Address, ...] = ()
    old: tuple[Address, ...] = ()
    witnesses: tuple[Address, ...] = ()
    incarnations: tuple[tuple[Address, int], ...] = ()
    grant_ms: int = 0
    group: str = ""
    index: int = 0
    previous: int = 0

    @classmethod
    def founding(
        cls,
        members: Iterable[Address],
        learners: Iterable[Address] = (),
        witnesses: Iterable[Address] = (),
    ) -> "Configuration":
        """Return the configuration with which a founder asks for votes; `founded` makes the group's
        first entry of it.

        Its `group` is a wish, made of the members: founders that name the same members have the
        same wish.
        """
        voters = in_order(members)
        return cls(
            members=voters,
            learners=in_order(set(learners).difference(voters)),
            witnesses=in_order(set(witnesses).intersection(voters)),
            group=WISH + digest(voters),
        )

    def founded(self, founder: Address, incarnations: Mapping[Address, int]) -> "Configuration":
        """Return this configuration with the data directories that have answered the founder, and
        with the id of the new group.

        The id is made of the members and of the founder's incarnation. So a group that is founded
        later with the same members and new data directories has another id.
        """
        group = digest((self.members, founder, incarnations[founder]))
        return replace(self.bound(incarnations), group=group)

    def bound(self, incarnations: Mapping[Address, int]) -> "Configuration":
        """Return this configuration with data directories added for the members that have none in
        it. That changes no quorum, see `counts`.
        """
        known = dict(self.incarnations)
        for peer in self.everyone:
            if incarnations.get(peer):
                known.setdefault(peer, incarnations[peer])
        return replace(self, incarnations=tuple(sorted(known.items())), previous=self.index)

    def unbound(self, peers: Iterable[Address]) -> "Configuration":
        """Return this configuration without the data directories of `peers`."""
        kept = tuple(pair for pair in self.incarnations if pair[0] not in set(peers))
        return replace(self, incarnations=kept, previous=self.index)

    def changed(
        self,
        *,
        members: Iterable[Address],
        learners: Iterable[Address],
        witnesses: Iterable[Address] = (),
    ) -> "Configuration":
        """Return the configuration that follows this one on the way to these members: a joint one
        if the voters differ.
        """
        voters = in_order(members)
        taught = in_order(set(learners).difference(voters))
        old = () if voters == self.members else self.members
        staying = {*voters, *taught, *old}
        return replace(
            self,
            members=voters,
            learners=taught,
            old=old,
            witnesses=in_order(
                {*self.witnesses}.intersection(old).difference(voters)
                | {*witnesses}.intersection(voters)
            ),
            incarnations=tuple(pair for pair in self.incarnations if pair[0] in staying),
            previous=self.index,
        )

    def settled(self) -> "Configuration":
        """Return the configuration that follows this joint one."""
        staying = {*self.members, *self.learners}
        return replace(
            self,
            old=(),
            witnesses=in_order({*self.witnesses}.intersection(self.members)),
            incarnations=tuple(pair for pair in self.incarnations if pair[0] in staying),
            previous=self.index,
        )

    def encode(self) -> bytes:
        return json.dumps(
            {
                "group": self.group,
                "members": self.members,
                "learners": self.learners,
                "old": self.old,
                "witnesses": self.witnesses,
                "incarnations": self.incarnations,
                "previous": self.previous,
                **({"grant_ms": self.grant_ms} if self.grant_ms else {}),
            }
        ).encode()

    @classmethod
    def decode(cls, payload: bytes, index: int) -> "Configuration":
        """Return the configuration that `encode` made `payload` of. Raises ValueError for bytes
        that it can't have made.
        """
        try:
            fields = json.loads(payload)
            configuration = cls(
                members=in_order(map(tuple, fields["members"])),
                learners=in_order(map(tuple, fields["learners"])),
                old=in_order(map(tuple, fields["old"])),
                witnesses=in_order(map(tuple, fields.get("witnesses", ()))),
                incarnations=tuple(
                    ((name, node), number)
                    for (name, node), number in fields.get("incarnations", ())
                ),
                grant_ms=fields.get("grant_ms", 0),
                group=fields["group"],
                index=index,
                previous=fields["previous"],
            )
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"{len(payload)} bytes are no configuration: {error!r}") from error
        if not configuration.is_well_formed():
            raise ValueError("a configuration whose fields are of other types")
        return configuration

    def is_well_formed(self) -> bool:
        """Tell whether the fields have the right types: addresses are two strings, and numbers are
        whole and not negative.
        """
        bound = [peer for peer, _incarnation in self.incarnations]
        addresses = {*self.members, *self.learners, *self.old, *self.witnesses, *bound}
        numbers = [self.previous, *dict(self.incarnations).values()]
        return (
            all(map(is_address, addresses))
            and type(self.group) is str
            and self.group.isascii()
            and all(type(number) is int and number >= 0 for number in numbers)
            and type(self.grant_ms) is int
            and 0 <= self.grant_ms <= GRANT_MS_MAX
        )

    @property
    def everyone(self) -> tuple[Address, ...]:
        """All peers that get the log."""
        return in_order({*self.members, *self.learners, *self.old})

    def is_like(self, other: "Configuration") -> bool:
        """Return whether both have the same voters, learners and witnesses."""
        return (self.members, self.learners, self.witnesses) == (
            other.members, other.learners, other.witnesses,
        )  # fmt: skip

    def changes_parts(self, before: "Configuration") -> list[Address]:
        """Return the witnesses that would become other members, and have no state, and the voters
        with a state that would become witnesses. Such a peer must be removed first.
        """
        witnesses, before_that = set(self.witnesses), set(before.witnesses)
        full = {*self.members, *self.learners} - witnesses
        had_state = set(before.members) - before_that
        return sorted((before_that & full) | (witnesses & had_state))

    def votes(self, peer: Address) -> bool:
        return peer in self.members or peer in self.old

    def incarnation_of(self, peer: Address) -> int:
        """Return the incarnation of this member; 0 while it is not known."""
        for known, incarnation in self.incarnations:
            if known == peer:
                return incarnation
        return 0

    def makes_stateless(self, peer: Address, incarnation: int) -> bool:
        """Return whether this data directory is that of a witness.

        A log may also have configurations with former witnesses: members that were removed, or
        members of the group whose backup was restored. A peer with the same name and another data
        directory is no witness because of these.
        """
        return peer in self.witnesses and self.incarnation_of(peer) == incarnation

    def counts(self, peer: Address, incarnation: int) -> bool:
        """Return whether a vote or an acknowledgement by this data directory counts for `peer`.

        A member counts once its incarnation is in the log. Otherwise a peer with a wiped disk could
        vote a second time in a term, or acknowledge entries that it has lost (Figure 2, persistent
        state). A member that does not count is in no quorum, so to add its incarnation takes no
        quorum away: any two majorities of the same members still share a member that both count.
        A log without any incarnation, of a version before there were any, counts every member.
        """
        return not self.incarnations or self.incarnation_of(peer) == incarnation != 0

    def has_quorum(self, granted: Iterable[Address]) -> bool:
        """Return whether `granted` has a majority of the members, and in a joint configuration also
        of the old ones (§6).
        """
        voters = set(granted)
        return all(2 * len(voters.intersection(part)) > len(part) for part in self.majorities())

    def quorum_value(self, values: Mapping[Address, float]) -> float:
        """Return the largest value that a majority has reached; in a joint configuration, that both
        majorities have reached.

        A member that is not in `values` has reached nothing.
        """
        value = majority_value([values.get(peer, -inf) for peer in self.members])
        if self.old:
            value = min(value, majority_value([values.get(peer, -inf) for peer in self.old]))
        return value

    def majorities(self) -> list[tuple[Address, ...]]:
        """The sets of voters of which a majority is needed. An empty set never has a majority."""
        return [self.members, self.old] if self.old else [self.members]


def is_address(value: Any) -> bool:
    """Return whether this may be an address: two names of printable ASCII characters."""
    return (
        type(value) is tuple
        and tuple(map(type, value)) == (str, str)
        and all(
            0 < len(name) <= NAME_MAX and name.isascii() and name.isprintable() for name in value
        )
    )


def is_group(group: str) -> bool:
    """Tell whether this is the id of a founded group. A founder's wish begins with "?" and is none,
    nor is the empty string.
    """
    return group[:1] not in {"", WISH}


def named(peers: Iterable[Address]) -> str:
    """Return a text with the names of `peers` for messages: `a on a@one, b on b@two`."""
    return ", ".join(f"{name} on {node}" for name, node in peers)


def digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:16]


def in_order(peers: Iterable[Any]) -> tuple[Address, ...]:
    return tuple(sorted(set(peers)))


NOBODY = Configuration()
