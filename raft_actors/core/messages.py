"""Messages between peers, and events from a peer's own node. `Server.step` handles both.

Every message carries the sender's current term. A message is made with keywords only, so that two
fields of one type, like an index and a term, can't be swapped by mistake. In the original
Elixir library such a swap lost entries.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from raft_actors.core.entry import RequestId
from raft_actors.core.snapshot import Snapshot
from raft_actors.names import Address

__all__ = [
    "CONSISTENCIES",
    "FOLLOWER",
    "LEASE",
    "LINEARIZABLE",
    "NO_FRAMES",
    "SINCE",
    "STALE",
    "AppendEntries",
    "AppendRejected",
    "AppendReply",
    "Configure",
    "DigestMade",
    "Event",
    "GrantLead",
    "InstallSnapshot",
    "Message",
    "NodeLost",
    "PreVoteReply",
    "Propose",
    "Query",
    "ReadIndex",
    "ReadIndexReply",
    "RequestPreVote",
    "RequestVote",
    "Reseed",
    "ReturnLead",
    "SnapshotChecked",
    "SnapshotInstalled",
    "SnapshotRefused",
    "SnapshotReply",
    "SnapshotTaken",
    "Tick",
    "TimeoutNow",
    "Transfer",
    "VoteReply",
    "Written",
]


SINCE = "since"
"""Key in a field's metadata, see `Message`."""


NO_FRAMES = 1 << 62
"""The size of a frame for a peer to which messages go without frames: there is no bound."""


@dataclass(slots=True, kw_only=True)
class Message:
    """A message from one peer to another.

    group               the sender's group id; empty if it has no group; while it founds a group,
                        the wish, see `configuration.is_group`
    source_incarnation  the sender's data directory; set in `Server.stamp_incarnations`
    target_incarnation  the receiver's data directory as the leader knows it; 0 if the sender knows
                        none, or if any will do
    since               the version of the protocol between nodes that added this kind of message. A
                        field that a later version adds stands at the end, has a default, and names
                        that version: `field(..., metadata={SINCE: 2})`
    """

    since: ClassVar[int] = 1

    source: Address
    target: Address
    group: str
    term: int
    source_incarnation: int = 0
    target_incarnation: int = 0


@dataclass(slots=True, kw_only=True)
class RequestPreVote(Message):
    """Asks whether the receiver would vote for the sender in `term + 1`. The receiver's state does
    not change (thesis 9.6).
    """

    last_index: int
    last_term: int


@dataclass(slots=True, kw_only=True)
class PreVoteReply(Message):
    """The answer to a RequestPreVote.

    `asked` is the term for which the pre-candidate asked: its `term + 1`.
    """

    asked: int
    granted: bool


@dataclass(slots=True, kw_only=True)
class RequestVote(Message):
    """The sender is a candidate in `term` and asks for a vote; its log ends at `last_index` in
    `last_term` (§5.2, §5.4.1).

    `forced`: a leader sent TimeoutNow to the candidate, so the receiver judges the request even if
    it still receives that leader's messages.
    """

    last_index: int
    last_term: int
    forced: bool = False


@dataclass(slots=True, kw_only=True)
class VoteReply(Message):
    granted: bool


@dataclass(slots=True, kw_only=True)
class AppendEntries(Message):
    """The leader extends a log after `prev_index`; without `entries` it is a heartbeat (§5.3).

    The reply has the same `round`. A majority of replies proves that the sender was still the
    leader when the round began.
    """

    prev_index: int
    prev_term: int
    commit: int
    round: int
    entries: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class AppendReply(Message):
    """The sender's log is saved and equal to the leader's up to `match`.

    The sender promises to elect no other leader for `promise_ms` milliseconds, by its own clock,
    from the receipt of the message that it answers. Its state machine can run as the versions up to
    `machine_version_max`.

    `digest` is that of the sender's state after the entry `digest_index`; empty if none is owed,
    see `core.digests`. The sender asks for a snapshot that ends at `needs_state` or later; 0: for
    none, see `core.reseeding`.
    """

    match: int
    round: int
    promise_ms: int = 0
    machine_version_max: int = 1
    digest_index: int = 0
    digest: bytes = b""
    needs_state: int = 0


@dataclass(slots=True, kw_only=True)
class AppendRejected(Message):
    """The sender's log has no entry of `prev_term` at `prev_index`, as the append needs it.

    No entry of the sender after `hint` can match, and its entry at `hint` is of `hint_term`. So one
    reply lets the leader skip all conflicting entries of a term (§5.3, last part).

    `owes_entries`: the sender's disk has damaged entries that the sender had acknowledged, and the
    sender still votes for no log that lacks them; see `Ballot.owed`.
    """

    prev_index: int
    hint: int
    hint_term: int
    round: int
    owes_entries: bool = False


@dataclass(slots=True, kw_only=True)
class TimeoutNow(Message):
    """The receiver is to become a candidate at once: the leader transfers the leadership to it
    (thesis 3.10).

    `released`: the index at which the sender's log ended when nothing ran by a grant of any leader
    any more; 0 if the sender can't say so. See `lead_grants`.
    """

    released: int = field(default=0, metadata={SINCE: 3})


@dataclass(slots=True, kw_only=True)
class ReadIndex(Message):
    """A follower asks for the index that its reads must see. The reply has the same `number`
    (thesis 6.4).
    """

    number: int


@dataclass(slots=True, kw_only=True)
class ReadIndexReply(Message):
    """The sender was the leader when the question came, and everything that was committed at that
    time is at or before `index`.
    """

    number: int
    index: int


@dataclass(slots=True, kw_only=True)
class InstallSnapshot(Message):
    """A part of the leader's snapshot, from the byte `offset` on (§7, Figure 13).

    The snapshot ends with entry `index` of `last_term`, and has `size` bytes with the CRC-32
    `checksum`.
    """

    index: int
    last_term: int
    size: int
    checksum: int
    offset: int
    data: bytes
    round: int


@dataclass(slots=True, kw_only=True)
class SnapshotReply(Message):
    """The sender has the first `offset` bytes of the snapshot that ends with `index`; the next
    chunk is to begin there.

    `accepted`: whether the chunk that this answers was the next one, and was written.
    """

    index: int
    offset: int
    accepted: bool
    round: int


# Events from the peer's own node.


@dataclass(slots=True)
class Tick:
    """The time of `server.alarm` has come. `server.now` was set before."""


@dataclass(slots=True)
class Propose:
    """A client's command, encoded. `ticket` receives the answer; the core never looks into it."""

    command: bytes
    ticket: Any
    request: RequestId = (0, 0)


LINEARIZABLE, LEASE, FOLLOWER, STALE = CONSISTENCIES = (
    "linearizable", "lease", "follower", "stale",
)  # fmt: skip


@dataclass(slots=True)
class Query:
    """A client's read, encoded.

    consistency    LINEARIZABLE: the leader answers, after a majority has confirmed that it still
                   leads. LEASE: the leader answers, and needs no confirmation while it has a
                   majority's promise. FOLLOWER: the peer that is asked answers, after the leader
                   has sent it the index. STALE: the peer that is asked answers from its own state
    staleness_s    only for STALE: how old the answer may be, in seconds of the peer's clock; None:
                   any age
    after          only for STALE: the answer must include the entries up to this index
    """

    query: bytes
    ticket: Any
    consistency: str = LINEARIZABLE
    staleness_s: float | None = None
    after: int = 0


@dataclass(slots=True)
class Configure:
    """A client's request that the group have these members.

    expected  index of the configuration that the client has seen: with another one in force the
              request is refused. None: any configuration
    dry_run   change nothing, only answer what the result would be
    witnesses the members that are to keep no state
    declared  the request comes from the peer's own declaration of its members, not from a client:
              see `Follower.found`
    """

    members: tuple[Address, ...]
    ticket: Any
    learners: tuple[Address, ...] = ()
    expected: int | None = None
    dry_run: bool = False
    witnesses: tuple[Address, ...] = ()
    declared: bool = False


@dataclass(slots=True)
class Transfer:
    """A client's request that the leader transfer the leadership to `target`; None: to a follower
    that the leader chooses.
    """

    target: Address | None
    ticket: Any


@dataclass(slots=True)
class Reseed:
    """A client's request that this peer get the state of its leader in place of its own."""

    ticket: Any


@dataclass(slots=True)
class GrantLead:
    """A request of the peer's own node: it wants to run something only while this peer leads. See
    `lead_grants`.

    grant_ms     how long it may run on after the newest proof that this peer led, milliseconds
    hand_over_s  how long the leader waits for the return of the grant before it hands over
    ticket       receives ("ok", ...) when the entry of the grant is applied, or why there is none
    index        index of this entry: the leader sets it, before the ticket is answered
    """

    grant_ms: int
    hand_over_s: float
    ticket: Any
    index: int = 0


@dataclass(slots=True, kw_only=True)
class ReturnLead:
    """The peer's own node gives the grant `index` back. `ended`: nothing runs by it any more; else
    something may run on, until the time of the grant is over.
    """

    index: int
    ended: bool


@dataclass(slots=True, kw_only=True)
class Written:
    """The log is saved up to `last_index`, whose entry is of `last_term`.

    took_s   how long the save took, during which the peer could do nothing else
    """

    last_index: int
    last_term: int
    took_s: float = 0.0


@dataclass(slots=True)
class NodeLost:
    """The connection to `node` broke: its process has probably ended."""

    node: str


@dataclass(slots=True)
class SnapshotTaken:
    """A snapshot of this peer's own state is durable."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotChecked:
    """The check of this peer's snapshot file has ended. `reason` says what is wrong with the file;
    it is empty if nothing is."""

    snapshot: Snapshot
    reason: str


@dataclass(slots=True)
class SnapshotInstalled:
    """A leader's snapshot is complete and saved, and the state machine has loaded it."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotRefused:
    """The received bytes of the snapshot that ends with `index` are damaged: the leader must send
    the snapshot again.
    """

    index: int


@dataclass(slots=True)
class DigestMade:
    """The making of a digest of this peer's state after the entry `index` has ended.

    digest  empty if it could not be made
    took_s  how many seconds of a processor it took
    """

    index: int
    digest: bytes
    took_s: float


Event = (
    Message | Tick | Propose | Query | Configure | Transfer | Reseed | GrantLead | ReturnLead
    | Written | NodeLost | SnapshotTaken | SnapshotInstalled | SnapshotRefused | SnapshotChecked
    | DigestMade
)  # fmt: skip
"""Everything that `Server.step` takes."""
