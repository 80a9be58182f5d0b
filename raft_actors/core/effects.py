"""Effects: all that is due since the last flush, lane by lane.

The lanes run from top to bottom, in one place (`Peer.run`), and that order is the proof of
durability: what promises something to another peer or to a client leaves after the write.
"""

from dataclasses import dataclass, field
from typing import Any

from raft_actors.core.membership import Address
from raft_actors.core.messages import InstallSnapshot, Message

__all__ = ["Ballot", "Effects", "News", "Read"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a peer must remember besides its log: Figure 2's persistent state.

    `configuration` is the log index of the newest configuration entry, so that a restart finds
    it without reading the log.
    """

    term: int = 0
    voted_for: Address | None = None
    configuration: int = 0

    def stored(self) -> tuple[int, Address | None, int]:
        """Return the fields as a log store keeps them; `Ballot(*stored)` brings them back."""
        return self.term, self.voted_for, self.configuration


@dataclass(slots=True)
class Read:
    """A read that may be answered once the state machine has applied `index`."""

    index: int
    query: bytes
    ticket: Any


@dataclass(frozen=True, slots=True)
class News:
    """What observers want to know. Changes are told once, in order."""

    role: str
    term: int
    leader: Address | None


@dataclass(slots=True)
class Effects:
    """One flush's work."""

    early: list[Message] = field(default_factory=list)
    """1 Send, even before the leader's own write (thesis 10.2.1): appends and heartbeats."""

    restart: tuple[int, int] | None = None
    """2 Let the log be empty after (index, term), where a snapshot ends, with the ballot ..."""
    ballot: Ballot | None = None
    """... persist ballot and log in one atomic batch, with one sync ..."""
    first: int = 0
    entries: list[bytes] = field(default_factory=list)
    """... `entries` replace the log from `first` on. Then step `Written`."""
    compact: tuple[int, int] | None = None
    """Then forget the entries up to (index, term), which a snapshot stands for."""
    chunks: list[InstallSnapshot] = field(default_factory=list)
    """Then write these parts of a leader's snapshot. After the last of it, step
    `SnapshotInstalled` or `SnapshotRefused`."""

    send: list[Message] = field(default_factory=list)
    """3 Send what promises durability: votes, vote requests, append replies."""

    # 4 Apply the log up to `server.commit_index`, as it stands after `Written`.

    reads: list[Read] = field(default_factory=list)
    """5 Answer these reads once their index is applied ..."""
    answers: list[tuple[Any, Any]] = field(default_factory=list)
    """... and these (ticket, answer) now."""
    news: News | None = None
    """What changed for observers, if anything."""
