"""Digests: what tells the members of a group that the state of one of them differs.

    1  the leader appends an entry that asks for digests
    2  each replica that applies it makes a digest of its state there, and has it in its append
       replies ...
    3  ... until the leader has written the digests of all into a second entry, a comparison
    4  each replica that applies that entry looks whether its own digest is that of the others

Both entries are empty ones, of kind NOOP, with an extension. So a peer of a release that does not
know the extensions applies them as empty entries.

The comparison is an entry so that every replica judges alike, also one that was away or was
restarted meanwhile. docs/divergence.md says what an operator sees and does.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from raft_actors.core.configuration import is_address
from raft_actors.core.entry import extension, extensions_of
from raft_actors.names import Address

__all__ = ["ASKING", "DIGEST_BYTES_MAX", "Comparison", "Difference", "Digests", "asks_for_digests",
           "comparison_in", "differ", "told_of_digests"]  # fmt: skip

ASKED, COMPARED = 1, 2
"""The tags of the two extensions."""
ASKING = extension(ASKED, b"")
"""The extension of an entry that asks for digests."""
FORM_DIGITS = 10
DIGEST_BYTES_MAX = 64
"""A digest in a message has at most so many bytes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The digests of the states after the entry `index`, as a leader has written them into the log.

    replicas  how many replicas the group had, without its witnesses
    digests   the replicas whose digests the leader knew, sorted, with the digests in hex digits.
              The first FORM_DIGITS say of which form a digest is; two digests of different forms
              can't be compared
    equal_at  the last entry before `index` after which all replicas had equal digests; 0: not known
    """

    index: int = 0
    replicas: int = 0
    digests: tuple[tuple[Address, str], ...] = ()
    equal_at: int = 0

    @property
    def right(self) -> str | None:
        """The digest of more than half of the group's replicas, known or not; None if there is
        none.
        """
        for digest, count in Counter(digest for _peer, digest in self.digests).items():
            if count * 2 > self.replicas:
                return digest
        return None

    @property
    def last_equal(self) -> int:
        """The last entry up to `index` after which all replicas had equal digests; 0: not known."""
        known = {digest for _peer, digest in self.digests}
        is_complete = len(self.digests) >= max(self.replicas, 1)
        return self.index if is_complete and len(known) == 1 else self.equal_at

    def wrong(self) -> list[Address]:
        """Return the replicas that differ from more than half of the replicas."""
        right = self.right
        if right is None:
            return []
        return [peer for peer, digest in self.digests if differ(digest, right)]

    def is_disputed(self, digest: str) -> bool:
        """Return whether another digest differs from this one, and neither is right."""
        return self.right is None and any(differ(other, digest) for _p, other in self.digests)

    def encode(self) -> bytes:
        """Return the extension of an entry with this comparison."""
        parts = [self.index, self.replicas, self.digests, self.equal_at]
        return extension(COMPARED, json.dumps(parts, separators=(",", ":")).encode())

    @classmethod
    def decode(cls, data: bytes) -> "Comparison":
        """Return the comparison in an extension's value. Raises ValueError if there is none."""
        try:
            parts = json.loads(data)
        except RecursionError:
            parts = None
        match parts:
            case [int(index), int(replicas), list(rows), int(equal_at)]:
                digests = tuple(((row[0][0], row[0][1]), row[1]) for row in rows if is_row(row))
                if len(digests) == len(rows) and 0 <= equal_at < index and replicas >= 0:
                    return cls(index, replicas, digests, equal_at)
        raise ValueError("a comparison of digests that is none")


def asks_for_digests(entry: bytes) -> bool:
    """Return whether an empty entry asks for digests."""
    return any(tag == ASKED for tag, _value in extensions_of(entry))


def comparison_in(entry: bytes) -> Comparison | None:
    """Return the comparison in an empty entry. Raises ValueError for a malformed one."""
    found = [Comparison.decode(value) for tag, value in extensions_of(entry) if tag == COMPARED]
    return found[0] if found else None


def told_of_digests(entry: bytes) -> dict[str, Any] | None:
    """Return what an empty entry asks or tells of digests, for people; None for nothing."""
    comparison = comparison_in(entry)
    if comparison is not None:
        return {
            "state_after": comparison.index, "replicas": comparison.replicas,
            "digests": [*comparison.digests], "equal_at": comparison.equal_at,
        }  # fmt: skip
    return {"asked": True} if asks_for_digests(entry) else None


def differ(one: str, other: str) -> bool:
    """Return whether two digests are of one form, and differ."""
    return one != other and one[:FORM_DIGITS] == other[:FORM_DIGITS]


def is_row(row: object) -> bool:
    match row:
        case [[str(name), str(node)], str(digest)]:
            return is_address((name, node)) and digest.isalnum()
    return False


NOT_COMPARED = Comparison()


@dataclass(frozen=True, slots=True)
class Difference:
    """The state of a peer differs from that of others after the entry `index`. After the entry
    `after` it did not; 0: not known.

    decided  whether the others are right, as they are more than half of all replicas
    """

    after: int
    index: int
    decided: bool


class Digests:
    """What one peer knows of digests.

    asked     the newest entry that asks for digests and was applied here
    making    the entry at which a digest is being made here; 0 for none
    own       (index, digest): the newest digest that was made here
    owed      the same, while it has to be in the append replies; (0, b"") otherwise
    compared  the newest comparison that was applied here
    seeded    the state comes from another replica's snapshot, which ends at this entry; 0: not that
              is known. Comparisons at earlier entries are about a state that is gone
    equal_at  the last entry after which this peer's digest was the right one
    differs   how this peer's state differs, as far as is known
    """

    __slots__ = ("asked", "compared", "differs", "equal_at", "making", "owed", "own", "seeded")

    def __init__(self) -> None:
        self.asked: int = 0
        self.making: int = 0
        self.seeded: int = 0
        self.equal_at: int = 0
        self.own: tuple[int, bytes] = (0, b"")
        self.owed: tuple[int, bytes] = (0, b"")
        self.compared: Comparison = NOT_COMPARED
        self.differs: Difference | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether this peer's state is not that of more than half of the replicas: so it must not
        be shown to anybody.
        """
        return self.differs is not None and self.differs.decided

    def made(self, index: int, digest: bytes) -> None:
        """Note a digest of this peer's state; an empty one if it could not be made."""
        self.making = 0
        if digest:
            self.own = self.owed = index, digest

    def known_as(self, peer: Address) -> str | None:
        """Return the digest of this peer in the newest comparison; None if it is not known, or is
        being made, or was of a state that is gone.
        """
        compared = self.compared
        if self.making == compared.index or compared.index <= self.seeded:
            return None
        index, digest = self.own
        return digest.hex() if index == compared.index else dict(compared.digests).get(peer)

    def settle(self, peer: Address) -> None:
        """Stop sending a digest that is in a comparison, or that a newer comparison has left
        behind.
        """
        index, digest = self.owed
        newest = self.compared.index
        if newest > index or (newest == index and (peer, digest.hex()) in self.compared.digests):
            self.owed = (0, b"")

    def replaced(self, index: int) -> None:
        """Note that the state is that of another replica's snapshot now."""
        self.seeded = index
        self.own = self.owed = (0, b"")
        self.making = 0
        self.differs = None
