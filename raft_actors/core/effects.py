"""Effects: all that is due since the last flush, lane by lane.

The lanes run from top to bottom, in one place (`Replica.perform`), and that order is the proof of
durability: what promises something to another peer or to a client leaves after the write.
"""

from dataclasses import dataclass, field
from typing import Any

from raft_actors.core.messages import InstallSnapshot, Message
from raft_actors.core.snapshot import Snapshot
from raft_actors.names import Address

__all__ = ["NOTHING_OWED", "Ballot", "Effects", "Read", "RoleChange", "Trouble"]

NOTHING_OWED = (0, 0)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a peer must remember besides its log: Figure 2's persistent state.

    `configuration` is the log index of the newest configuration entry, so that a restart finds
    it without reading the log. `group` is the id of the group that it belongs to for good: the
    group's first entry is committed. `promise_ms` is the longest promise to a leader that may
    still hold, see `State.promise`.

    `owed` is (term, index) of the end of a log that the disk has damaged since; (0, 0) for none.
    What lay up to there was acknowledged, and may be committed by that word. So until the log is as
    far again, this peer votes for nobody whose log ends before that, and does not stand: it would
    elect itself without what it owes (§5.4.1; FAST '18, see `replica.damage`).
    """

    term: int = 0
    voted_for: Address | None = None
    configuration: int = 0
    group: str = ""
    promise_ms: int = 0
    owed: tuple[int, int] = NOTHING_OWED

    def stored(self) -> tuple[Any, ...]:
        """Return the fields as a log store keeps them; `Ballot(*stored)` brings them back."""
        fields = self.term, self.voted_for, self.configuration, self.group
        if self.owed != NOTHING_OWED:
            return (*fields, self.promise_ms, self.owed)
        return (*fields, self.promise_ms) if self.promise_ms else fields


@dataclass(slots=True)
class Read:
    """A read that may be answered once the state machine has applied `index`."""

    index: int
    query: bytes
    ticket: Any


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What observers want to know. Changes are told once, in order."""

    role: str
    term: int
    leader: Address | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a person has to look at; told once, but for the first two.

    what   "no_leader": there has been no leader for long; `detail` says for how long, and who of
           the members does not answer. Told again and again
           "not_formed": the same of a group that was declared, or is being founded
           "no_group": this one is of no group, and is asked for what only a group can do

           "other_incarnation": `peer` leads a group that knows this one by another data directory
           "other_group": `peer` is of the group `detail`, and this one is not
           "group_exists": `peer` is of a group, so this one founds none
           "other_members": `peer` wants to found a group of other members
           "silent": those of `detail` did not answer this one, so it has founded no group
           "outsider": `peer` is not of this group as far as is known here, and claims to lead it,
           or to be elected, while a leader is heard
           "impossible_entries": `peer` sends, as a leader, entries that none of this group has
           "entry_too_large": `peer` can't be sent an entry, for no frame to its node holds it;
           `detail` says which, and how large it is
           "lost_entries": `peer` has lost what it had acknowledged, up to the entry `detail`
           "no_state": this one is to keep a state, and has a witness's data directory
           "damaged_snapshot": the file of this peer's snapshot is damaged; `detail` says how
           "refuses_snapshots": `peer` says of each snapshot that it is damaged; the file
           of this peer is sound
           "damaged_entries": the disk of this peer has damaged its log; `detail` says from where on
           "damaged_on_the_way": `peer` sent entries that came otherwise than their leader wrote
           them, and are not taken
    """

    what: str
    peer: Address
    detail: str = ""


@dataclass(slots=True)
class Effects:
    """One flush's work."""

    before_save: list[Message] = field(default_factory=list)
    """1 Send, even before the leader's own write (thesis 10.2.1): appends and heartbeats."""

    restart: tuple[int, int] | None = None
    """2 Let the log begin after (index, term), where a snapshot ends; with that ..."""
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
    doubted: Snapshot | None = None
    """Read the file of this snapshot, beside all else, and then step `SnapshotChecked`."""

    after_save: list[Message] = field(default_factory=list)
    """3 Send what promises durability: votes, vote requests, append replies."""

    # 4 Apply the log up to `server.commit_index`, as it stands after `Written`.

    reads: list[Read] = field(default_factory=list)
    """5 Answer these reads once their index is applied ..."""
    answers: list[tuple[Any, Any]] = field(default_factory=list)
    """... and these (ticket, answer) now."""
    role_change: RoleChange | None = None
    """What changed for observers, if anything."""
    troubles: list[Trouble] = field(default_factory=list)

    def needs_own_thread(self) -> bool:
        """Tell whether a disk, a machine, a client or an observer is concerned."""
        return bool(
            self.restart or self.ballot or self.entries or self.compact or self.chunks
            or self.doubted or self.reads or self.answers or self.role_change or self.troubles
        )  # fmt: skip
