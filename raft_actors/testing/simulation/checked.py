"""Checked: what the checkers look at, of a world and of its peers."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from raft_actors.core.server import Server
from raft_actors.machine.contract import Machine
from raft_actors.machine.duties import Duties
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.topics import Topics
from raft_actors.names import Address
from raft_actors.testing.simulation.disk import PretendDisk

__all__ = ["CheckedPeer", "CheckedState", "CheckedWorld"]


class CheckedPeer(Protocol):
    """A peer.

    seen   commit index up to which a checker has looked
    count  commands that the peer has applied
    """

    name: str
    address: Address
    core: Server
    seen: int
    count: int

    @property
    def applied(self) -> "CheckedState": ...


class CheckedState(Protocol):
    """The state of a peer."""

    state: Any
    index: int
    machine: Machine
    sessions: Sessions
    duties: Duties
    topics: Topics

    @property
    def version(self) -> int: ...

    def seen_by(self, answer: bytes | None) -> list[int]:
        """Return the entries that an answer may have seen; none if it is no reply."""


class CheckedWorld(Protocol):
    """The world; see `World`."""

    disks: dict[str, PretendDisk]
    former: dict[tuple[str, int], tuple[int, list[bytes]]]
    rotted: dict[str, dict[int, bytes]]
    witnesses: set[str]
    picture: Callable[[Any], Any]

    @property
    def peers(self) -> Mapping[str, CheckedPeer]: ...
