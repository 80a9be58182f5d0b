"""Effects: everything that the events since the last flush ask the peer's owner to do, in lanes.

`Replica.perform` performs the lanes from top to bottom, and nothing else does. Durability rests on
this order: a message or an answer that promises that something is saved leaves after the save.
"""

from dataclasses import dataclass, field
from typing import Any

from raft_actors.core.messages import InstallSnapshot, Message
from raft_actors.core.snapshot import Snapshot
from raft_actors.names import Address

__all__ = ["NOTHING_OWED", "Ballot", "Effects", "LeadNews", "Read", "RoleChange", "Trouble"]

NOTHING_OWED = (0, 0)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a peer must remember besides its log: Figure 2's persistent state.

    `configuration` is the log index of the newest configuration entry, so that a restart finds
    the entry without reading the log. `group` is the id of the group that the peer belongs to for
    good; it is set once the group's first entry is committed. `promise_ms` is the length of the
    longest promise to a leader that may still hold, see `State.promise`.

    `owed` is set if the disk has damaged the log: (term, index) of the log's end before the damage;
    (0, 0) if there is no damage. This peer had acknowledged the entries up to there, and they may
    be committed because of that. So until the log reaches this end again, the peer votes for no
    candidate whose log ends before it, and does not become a candidate: it could be elected
    without entries that are committed (§5.4.1; FAST '18, see `replica.damage`).
    """

    term: int = 0
    voted_for: Address | None = None
    configuration: int = 0
    group: str = ""
    promise_ms: int = 0
    owed: tuple[int, int] = NOTHING_OWED

    def stored(self) -> tuple[Any, ...]:
        """Return the fields as a tuple for the log store; `Ballot(*stored)` reads it back."""
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
    """A change of a peer's role, term or leader, for observers. Each is published once."""

    role: str
    term: int
    leader: Address | None


@dataclass(frozen=True, slots=True)
class LeadNews:
    """News for whoever has a grant of the lead, see `lead_grants`.

    confirmed_at  there was no newer leader at this time, in seconds of `server.now`
    recalled      the grants are to be given back now, because the leader wants to hand over
    """

    confirmed_at: float
    recalled: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem that an operator has to look at. Each kind is reported once; the first two are
    reported again and again. "This peer" is the one that reports.

    what   "no_leader": there has been no leader for long; `detail` says for how long, and which
           members do not answer
           "not_formed": the same for a group that was declared, or is being founded
           "no_group": this peer belongs to no group, and got a request that needs a group

           "other_incarnation": `peer` leads a group that knows this peer with another data
           directory
           "other_group": `peer` belongs to the group `detail`, and this peer does not
           "group_exists": `peer` belongs to a group already, so this peer founds none
           "other_members": `peer` wants to found a group with other members
           "silent": the peers in `detail` did not answer, so this peer has founded no group
           "outsider": `peer` is no member as far as this peer knows, and claims to lead the group
           or asks for votes, while this peer receives messages of a leader
           "impossible_entries": `peer` sends entries that no leader of this group can have written
           "entry_too_large": an entry can't be sent to `peer`, because no frame to its node holds
           it; `detail` says which entry, and its size
           "lost_entries": `peer` has lost entries that it had acknowledged, up to entry `detail`
           "no_state": this peer is to keep the state, but has a witness's data directory
           "damaged_snapshot": the file of this peer's snapshot is damaged; `detail` says how
           "refuses_snapshots": `peer` refuses each snapshot as damaged, although this peer's file
           of it is not
           "damaged_entries": this peer's disk has damaged its log; `detail` says which entries
           "diverged": the state of this peer differs from that of most replicas; `detail` says
           since when
           "digests_differ": the states of the replicas differ, and none is that of most of them;
           `detail` says since when, and which digests they have
           "other_diverged": the states of the replicas in `detail` differ from that of the others
           "damaged_on_the_way": entries from `peer` arrived with a wrong checksum; this peer has
           not written them
    """

    what: str
    peer: Address
    detail: str = ""


@dataclass(slots=True)
class Effects:
    """The effects of one flush."""

    before_save: list[Message] = field(default_factory=list)
    """1 Send these messages, even before the leader's own save (thesis 10.2.1): appends and
    heartbeats."""

    restart: tuple[int, int] | None = None
    """2 Save. If this is set, drop the whole log: it begins after (index, term), the end of a
    snapshot. In the same batch ..."""
    ballot: Ballot | None = None
    """... save the ballot, if it has changed. Everything is one atomic batch with one sync."""
    first: int = 0
    entries: list[bytes] = field(default_factory=list)
    """`entries` replace the log from `first` on, in the same batch. Then step `Written`."""
    compact: tuple[int, int] | None = None
    """Then remove the entries up to (index, term), which a snapshot has replaced."""
    chunks: list[InstallSnapshot] = field(default_factory=list)
    """Then write these parts of a leader's snapshot. After its last part step
    `SnapshotInstalled` or `SnapshotRefused`."""
    doubted: Snapshot | None = None
    """Check the file of this snapshot, while everything else goes on; then step
    `SnapshotChecked`."""

    after_save: list[Message] = field(default_factory=list)
    """3 Send these messages, which promise that something is saved: votes, vote requests, append
    replies."""

    # 4 Apply the log up to `server.commit_index`, which `Written` may have raised.

    reads: list[Read] = field(default_factory=list)
    """5 Answer these reads once their index is applied ..."""
    answers: list[tuple[Any, Any]] = field(default_factory=list)
    """... and give each (ticket, answer) its answer at once."""
    role_change: RoleChange | None = None
    """The change for observers, if there was one."""
    lead: LeadNews | None = None
    """News for the holders of grants, if there are any."""
    troubles: list[Trouble] = field(default_factory=list)

    def needs_own_thread(self) -> bool:
        """Return whether the effects need the disk, the state machine, a client or an observer. If
        not, there are only messages to send, and any thread may do it.
        """
        return bool(
            self.restart or self.ballot or self.entries or self.compact or self.chunks
            or self.doubted or self.reads or self.answers or self.role_change or self.troubles
        )  # fmt: skip
