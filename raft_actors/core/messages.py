"""Messages between peers, and events from a peer's own node. Both are stepped by the server.

Every message carries the sender's current term. Fields of one type stand beside each other only
as keywords: the swapped index and term that cost the original its entries can't be written.
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
    "Event",
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
"""Key in a field's metadata: see Message."""


NO_FRAMES = 1 << 62
"""The bytes that a frame holds, for a peer to which messages go without."""


@dataclass(slots=True, kw_only=True)
class Message:
    """From one peer to another.

    group               the sender's group id; empty before it has one, a founder's wish while it
                        is being founded
    source_incarnation  the sender's data directory; set in `Server.stamp_incarnations`
    target_incarnation  the one that a leader knows the receiver by; 0 for none, or no matter which
    since               the protocol version between nodes that brought this kind. A field that a
                        later version adds stands at the end, has a default, and names the version:
                        `field(..., metadata={SINCE: 2})`
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
    """Would you vote for me in `term + 1`? Changes nothing at the one asked (thesis 9.6)."""

    last_index: int
    last_term: int


@dataclass(slots=True, kw_only=True)
class PreVoteReply(Message):
    """`asked` is the term that the candidate would stand in."""

    asked: int
    granted: bool


@dataclass(slots=True, kw_only=True)
class RequestVote(Message):
    """I stand in `term`; my log ends at `last_index` in `last_term` (§5.2, §5.4.1).

    `forced`: the leader of the last term told me to, so hear me although you hear it.
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

    `round` comes back in the reply: it proves that the sender still led when the round began.
    """

    prev_index: int
    prev_term: int
    commit: int
    round: int
    entries: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class AppendReply(Message):
    """My log is durable and equal to yours up to `match`.

    For `promise_ms` milliseconds from when I heard you, by my clock, I elect nobody else. My
    machine runs as versions up to `machine_version_max`.
    """

    match: int
    round: int
    promise_ms: int = 0
    machine_version_max: int = 1


@dataclass(slots=True, kw_only=True)
class AppendRejected(Message):
    """My log has no entry of your term at `prev_index`.

    Nothing of mine after `hint` can match, and my entry at `hint` is of `hint_term`: one reply
    skips a whole term of conflicts (§5.3, last part).
    """

    prev_index: int
    hint: int
    hint_term: int
    round: int


@dataclass(slots=True, kw_only=True)
class TimeoutNow(Message):
    """Stand at once: the leader hands its office over (thesis 3.10)."""


@dataclass(slots=True, kw_only=True)
class ReadIndex(Message):
    """A follower asks what its reads must see; `number` comes back in the reply (thesis 6.4)."""

    number: int


@dataclass(slots=True, kw_only=True)
class ReadIndexReply(Message):
    """I led when you asked, and all that was committed then is at or before `index`."""

    number: int
    index: int


@dataclass(slots=True, kw_only=True)
class InstallSnapshot(Message):
    """A part of the leader's snapshot, from the byte `offset` on (§7, Figure 13).

    It ends with entry `index` of `last_term`, and has `size` bytes with the CRC-32 `checksum`.
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
    """Of the snapshot that ends with `index` I have the first `offset` bytes; go on from there.

    `accepted`: the chunk that this answers fitted.
    """

    index: int
    offset: int
    accepted: bool
    round: int


# Events from the peer's own node.


@dataclass(slots=True)
class Tick:
    """The alarm that `server.alarm` asked for is due; `server.now` has been set."""


@dataclass(slots=True)
class Propose:
    """A client's command, encoded. `ticket` is opaque here; the answer goes to it."""

    command: bytes
    ticket: Any
    request: RequestId = (0, 0)


LINEARIZABLE, LEASE, FOLLOWER, STALE = CONSISTENCIES = (
    "linearizable", "lease", "follower", "stale",
)  # fmt: skip


@dataclass(slots=True)
class Query:
    """A client's read, encoded.

    consistency    LINEARIZABLE: the leader answers, once a majority has confirmed it; LEASE: it
                   need not ask while it has a majority's promise; FOLLOWER: whoever is asked
                   answers, once the leader has told the index; STALE: whoever is asked answers
    staleness_s    STALE alone: how old the answer may be, in seconds of the peer's clock; None:
                   of any age
    after          STALE alone: the index that the answer must have seen at least
    """

    query: bytes
    ticket: Any
    consistency: str = LINEARIZABLE
    staleness_s: float | None = None
    after: int = 0


@dataclass(slots=True)
class Configure:
    """A client's wish for the group's members.

    expected  index of the configuration that the client has seen; None: whatever it is
    dry_run   only say what would be
    witnesses those of the members that are to keep no state
    declared  no client's, but the peer's own declaration: see `Follower.found`
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
    """A client's wish that the leader hand over to `target`; None for whom it likes."""

    target: Address | None
    ticket: Any


@dataclass(slots=True, kw_only=True)
class Written:
    """The log is durable up to `last_index`, whose entry is of `last_term`.

    took_s   how long this save kept the peer from everything else
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
    """The file of this peer's snapshot was read to its end. `reason`: what is wrong with it, if
    anything is."""

    snapshot: Snapshot
    reason: str


@dataclass(slots=True)
class SnapshotInstalled:
    """A leader's snapshot is whole and durable, and the state machine has its state."""

    snapshot: Snapshot


@dataclass(slots=True)
class SnapshotRefused:
    """What came of the snapshot that ends with `index` is damaged: it must be sent again."""

    index: int


Event = (
    Message | Tick | Propose | Query | Configure | Transfer | Written | NodeLost
    | SnapshotTaken | SnapshotInstalled | SnapshotRefused | SnapshotChecked
)  # fmt: skip
"""What a peer's `Server` steps."""
