"""Configuration: who votes in a group. It lives in the log and counts from its append on (§6)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from raft_actors.core.quorum import majority_value

__all__ = ["NOBODY", "Address", "Configuration"]

Address = tuple[str, str]
"""(peer name, node name)."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The voters of one group.

    members   addresses, sorted; empty before the group is founded
    group     hex id that tells this group's messages from another's; set by the founders
    index     log index of the entry that holds it, 0 for none
    previous  log index of the configuration before it, so that a truncated log finds its way back
    """

    members: tuple[Address, ...] = ()
    group: str = ""
    index: int = 0
    previous: int = 0

    @classmethod
    def founding(cls, members: Iterable[Address]) -> "Configuration":
        """Return the first configuration of a group.

        Its group id follows from the members, so that two of them founding at once found one.
        """
        ordered = tuple(sorted(set(members)))
        group = sha256(json.dumps(ordered).encode()).hexdigest()[:16]
        return cls(members=ordered, group=group)

    def at(self, index: int, previous: int) -> "Configuration":
        """Return this configuration as the entry at `index`, with `previous` before it."""
        return replace(self, index=index, previous=previous)

    def encode(self) -> bytes:
        return json.dumps(
            {"group": self.group, "members": self.members, "previous": self.previous}
        ).encode()

    @classmethod
    def decode(cls, payload: bytes, index: int) -> "Configuration":
        fields = json.loads(payload)
        members = tuple((name, node) for name, node in fields["members"])
        return cls(members, fields["group"], index, fields["previous"])

    def votes(self, peer: Address) -> bool:
        return peer in self.members

    def has_quorum(self, granted: Iterable[Address]) -> bool:
        """Tell whether `granted` holds a majority of the members. Nobody is no majority."""
        return 2 * len(set(granted).intersection(self.members)) > len(self.members)

    def quorum_value(self, values: Mapping[Address, float]) -> float:
        """Return the largest value that a majority of the members has reached."""
        return majority_value([values[member] for member in self.members])


NOBODY = Configuration()
