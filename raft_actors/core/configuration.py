"""Configuration: who votes in a group. It lives in the log and counts from its append on (§6)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import inf
from typing import Any

from raft_actors.core.quorum import majority_value
from raft_actors.names import Address

__all__ = ["NOBODY", "Configuration", "in_order", "is_address", "is_group", "named"]


NAME_MAX = 256
WISH = "?"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members of one group.

    members       the voters, sorted; empty before the group is founded
    learners      they get the log and never vote
    witnesses     voters that keep the log and no state; see docs/decisions/witnesses.md
    old           while a change is under way, the voters before it: a majority of these is needed
                  too
    incarnations  whose data directory each name stands for: see `counts`
    group         hex id that tells this group's messages from another's; before there is a group,
                  a wish: see `is_group`
    index         log index of the entry that holds it, 0 for none
    previous      log index of the configuration before it, so that a truncated log finds its way
                  back
    """

    members: tuple[Address, ...] = ()
    learners: tuple[Address, ...] = ()
    old: tuple[Address, ...] = ()
    witnesses: tuple[Address, ...] = ()
    incarnations: tuple[tuple[Address, int], ...] = ()
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
        """Return what a founder of a group stands with; `founded` makes it the first entry.

        The wish that it has for an id follows from the members: founders that name the same ones
        know each other by it.
        """
        voters = in_order(members)
        return cls(
            members=voters,
            learners=in_order(set(learners).difference(voters)),
            witnesses=in_order(set(witnesses).intersection(voters)),
            group=WISH + digest(voters),
        )

    def founded(self, founder: Address, incarnations: Mapping[Address, int]) -> "Configuration":
        """Return it with the data directories that answered the founder, and an id of its own.

        The founder's incarnation makes the id: a group that is founded after this one, with the
        same members, has another.
        """
        group = digest((self.members, founder, incarnations[founder]))
        return replace(self.bound(incarnations), group=group)

    def bound(self, incarnations: Mapping[Address, int]) -> "Configuration":
        """Return it with the data directories of those that had none yet; no quorum changes."""
        known = dict(self.incarnations)
        for peer in self.everyone:
            if incarnations.get(peer):
                known.setdefault(peer, incarnations[peer])
        return replace(self, incarnations=tuple(sorted(known.items())), previous=self.index)

    def unbound(self, peers: Iterable[Address]) -> "Configuration":
        """Return it with these as if their data directories had never been heard of."""
        kept = tuple(pair for pair in self.incarnations if pair[0] not in set(peers))
        return replace(self, incarnations=kept, previous=self.index)

    def changed(
        self,
        *,
        members: Iterable[Address],
        learners: Iterable[Address],
        witnesses: Iterable[Address] = (),
    ) -> "Configuration":
        """Return what leads from this one to these members: a joint one if the voters differ."""
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
        """Return the configuration that ends a joint one."""
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
            }
        ).encode()

    @classmethod
    def decode(cls, payload: bytes, index: int) -> "Configuration":
        """Return what `encode` made. Raises ValueError for bytes that it can't have made."""
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
        """Tell whether all is what it is to be: addresses of two strs, numbers that count."""
        bound = [peer for peer, _incarnation in self.incarnations]
        addresses = {*self.members, *self.learners, *self.old, *self.witnesses, *bound}
        numbers = [self.previous, *dict(self.incarnations).values()]
        return (
            all(map(is_address, addresses))
            and type(self.group) is str
            and self.group.isascii()
            and all(type(number) is int and number >= 0 for number in numbers)
        )

    @property
    def everyone(self) -> tuple[Address, ...]:
        """All who get the log."""
        return in_order({*self.members, *self.learners, *self.old})

    def is_like(self, other: "Configuration") -> bool:
        """Tell whether both give everybody the same part."""
        return (self.members, self.learners, self.witnesses) == (
            other.members, other.learners, other.witnesses,
        )  # fmt: skip

    def changes_parts(self, before: "Configuration") -> list[Address]:
        """Return who would keep a state and has none, or would keep none and has one to answer
        from. That needs a removal in between.
        """
        witnesses, before_that = set(self.witnesses), set(before.witnesses)
        full = {*self.members, *self.learners} - witnesses
        had_state = set(before.members) - before_that
        return sorted((before_that & full) | (witnesses & had_state))

    def votes(self, peer: Address) -> bool:
        return peer in self.members or peer in self.old

    def incarnation_of(self, peer: Address) -> int:
        """Return the data directory that counts as this member; 0 while it is not known."""
        for known, incarnation in self.incarnations:
            if known == peer:
                return incarnation
        return 0

    def makes_stateless(self, peer: Address, incarnation: int) -> bool:
        """Tell whether this data directory is that of a witness.

        A log tells of witnesses of before, too: of a member that was removed, or of the group that
        this one was restored from. One that has a name of theirs is no witness by that.
        """
        return peer in self.witnesses and self.incarnation_of(peer) == incarnation

    def counts(self, peer: Address, incarnation: int) -> bool:
        """Tell whether a vote or an acknowledgement by this data directory counts for `peer`.

        A member counts once its incarnation is in the log: else a wiped disk could vote again,
        or acknowledge what it has forgotten (Figure 2, persistent state). As one that does not
        count is in no quorum, to learn of it changes none: any two majorities of the same names
        still share a member that both know. A log that names no incarnation at all, made before
        there were any, counts everybody.
        """
        return not self.incarnations or self.incarnation_of(peer) == incarnation != 0

    def has_quorum(self, granted: Iterable[Address]) -> bool:
        """Tell whether `granted` holds a majority of the members, and of the old ones (§6)."""
        voters = set(granted)
        return all(2 * len(voters.intersection(part)) > len(part) for part in self.majorities())

    def quorum_value(self, values: Mapping[Address, float]) -> float:
        """Return the largest value that a majority has reached; while joint, both majorities.

        Who is not among `values` has reached nothing.
        """
        return min(
            majority_value([values.get(peer, -inf) for peer in part]) for part in self.majorities()
        )

    def majorities(self) -> list[tuple[Address, ...]]:
        """The sets of voters of which a majority is needed. Nobody is no majority of nobody."""
        return [self.members, self.old] if self.old else [self.members]


def is_address(value: Any) -> bool:
    """Tell whether this may be an address: two names, of letters that any log holds."""
    return (
        type(value) is tuple
        and tuple(map(type, value)) == (str, str)
        and all(
            0 < len(name) <= NAME_MAX and name.isascii() and name.isprintable() for name in value
        )
    )


def is_group(group: str) -> bool:
    """Tell whether this is the id of a group that was founded, not a founder's wish, or empty."""
    return group[:1] not in {"", WISH}


def named(peers: Iterable[Address]) -> str:
    """Name peers for people: `a on a@one, b on b@two`."""
    return ", ".join(f"{name} on {node}" for name, node in peers)


def digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:16]


def in_order(peers: Iterable[Any]) -> tuple[Address, ...]:
    return tuple(sorted(set(peers)))


NOBODY = Configuration()
