"""Knowledge: what a peer knows, whatever its role, and what follows from that.

No method here changes what the peer knows; `election_deadline` draws from `random`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration, is_group
from raft_actors.core.digests import Digests
from raft_actors.core.effects import NOTHING_OWED, Ballot, Effects, Trouble
from raft_actors.core.entry import payload_of
from raft_actors.core.founding import Founding
from raft_actors.core.log import Log
from raft_actors.core.messages import (
    NO_FRAMES,
    Message,
    PreVoteReply,
    RequestPreVote,
    VoteReply,
)
from raft_actors.core.snapshot import NO_SNAPSHOT, Snapshot, SnapshotReader, SnapshotReceipt
from raft_actors.names import Address

if TYPE_CHECKING:
    from random import Random

__all__ = ["LEADERLESS_TIMEOUTS", "Knowledge", "Reseeding"]

LEADERLESS_TIMEOUTS = 5
"""After so many longest election timeouts without a leader a peer reports it. An election takes one
or two."""


@dataclass(slots=True)
class Reseeding:
    """A peer asks for another state, see `core.reseeding`.

    least    the first entry at which the snapshot may end
    tickets  receive the result
    led_at   when this peer last had another peer as its leader, or when it began to ask
    """

    least: int
    tickets: list[Any]
    led_at: float


class Knowledge:
    """What a peer knows, whatever its role.

    `ballot`, `log`, `incarnation`, `snapshot` and `incoming` have at first the values that were
    read from the store. All random numbers come from `random`, so the same seed and the same events
    give the same run.

    now             seconds since any moment; never falls
    wall_ms         milliseconds since 1970; no rule of Raft depends on it

    machine_version_max  the newest version that this peer's state machine can run as
    machine_version  the version of the group's state machines, by the entries that this peer has
                    applied
    read_floor      (when, index): everything that was committed at the time `when` is at or before
                    `index`. A leader has answered so; it stays true in every role
    promised_until  until then this peer votes for no other leader, in whatever role: a leader's
                    lease may depend on this promise (thesis 6.4.1)
    settled_at      when the promises have ended that this peer gave before it was restarted
    snapshot        replaces the log up to its index; the log itself may begin earlier
    snapshots       from here a leader reads the parts of a snapshot that it sends
    frame_bytes_max  returns how many bytes one frame to a peer's node holds
    doubted         `snapshot` while its file is being checked; meanwhile it is sent to nobody
    damaged         `snapshot` if its file is known to be damaged, until there is another snapshot
    incoming        the leader's snapshot that is being received, and how much of it is here
    wanted          a follower needs a snapshot that ends at this entry or later; 0: none does
    reseeding       how this peer asks for another state than its own, if it does
    commit_index    the last entry that is known to be committed; at first the last entry that the
                    state machine has applied
    digests         what this peer knows of the digests of its and of the others' states
    has_witness_directory  whether the data directory is a witness's
    troubles        the problems that an operator has to look at and that were reported once
    leaderless_at   when the leader that this peer knows has changed last; if it knows none now, the
                    time since which it knows none
    tell_at         when to report that
    """

    __slots__ = ("ballot", "commit_index", "config", "configuration", "damaged", "digests",
                 "doubted", "effects", "founding", "frame_bytes_max", "has_witness_directory",
                 "incarnation", "incoming", "leaderless_at", "log", "machine_version",
                 "machine_version_max", "now", "peer", "promise_ms", "promised_until", "random",
                 "read_floor", "reseeding", "settled_at", "snapshot", "snapshots", "tell_at",
                 "troubles", "wall_ms", "wanted")  # fmt: skip

    def __init__(
        self,
        peer: Address,
        *,
        config: Config,
        random: "Random",
        ballot: Ballot,
        log: Log,
        incarnation: int,
        now: float,
        snapshots: SnapshotReader,
        snapshot: Snapshot = NO_SNAPSHOT,
        incoming: SnapshotReceipt | None = None,
        commit_index: int = 0,
        machine_version_max: int = 1,
        frame_bytes_max: Callable[[Address], int] = lambda _peer: NO_FRAMES,
    ) -> None:
        self.peer: Address = peer
        self.config: Config = config
        self.random: Random = random
        self.ballot: Ballot = ballot
        self.log: Log = log
        self.incarnation: int = incarnation
        self.now: float = now
        self.wall_ms: int = 0
        self.snapshots: SnapshotReader = snapshots
        self.snapshot: Snapshot = snapshot
        self.incoming: SnapshotReceipt | None = incoming
        self.wanted: int = 0
        self.reseeding: Reseeding | None = None
        self.doubted: Snapshot | None = None
        self.damaged: Snapshot | None = None
        self.commit_index: int = max(snapshot.index, commit_index)
        self.machine_version_max: int = machine_version_max
        self.frame_bytes_max: Callable[[Address], int] = frame_bytes_max
        self.machine_version: int = 1
        self.configuration: Configuration = self.configuration_at(ballot.configuration)
        self.founding: Founding | None = None
        self.effects: Effects = Effects()
        self.digests: Digests = Digests()
        self.has_witness_directory: bool = False
        self.troubles: dict[str, Trouble] = {}
        self.leaderless_at: float = now
        self.tell_at: float = now + LEADERLESS_TIMEOUTS * config.max_election_timeout
        self.read_floor: tuple[float, int] = (-inf, 0)
        leases = config.lease_clock_drift_max is not None
        self.promise_ms: int = int(config.min_election_timeout * 1000) if leases else 0
        self.promised_until: float = -inf
        longest_ms = max(self.promise_ms, ballot.promise_ms)
        if ballot.term and longest_ms:
            # Only the length of a promise is on disk, not the time when it was given: after a
            # restart assume that this peer has given a promise just before.
            self.promised_until = now + longest_ms / 1000
        self.settled_at: float = self.promised_until
        self.begin()

    def begin(self) -> None:
        """Begin the first role. `Server` defines this method."""
        raise NotImplementedError

    @property
    def term(self) -> int:
        return self.ballot.term

    @property
    def voted_for(self) -> Address | None:
        return self.ballot.voted_for

    @property
    def group(self) -> str:
        """Return the id of the peer's group: the one in the ballot, to which the peer belongs for
        good, or else the one in the configuration. The ballot comes first, because the log of a
        newcomer to a restored group may begin with entries of the group that was backed up.
        """
        return self.ballot.group or self.voters.group

    @property
    def voters(self) -> Configuration:
        """Return the configuration for elections and commits: that of the log, or while this peer
        founds a group that of the new group.
        """
        return self.founding.configuration if self.founding else self.configuration

    @property
    def is_witness(self) -> bool:
        """Return whether this peer is a witness. It votes; if it is elected, it leads only until it
        can hand over the leadership.
        """
        return self.has_witness_directory or self.peer in self.voters.witnesses

    @property
    def has_no_state(self) -> bool:
        """Return whether this peer has no state that it may answer from: it is a witness, or its
        state is wrong, or about to be replaced. Then it does what a witness does.
        """
        differs = self.digests.differs  # not `is_wrong`: each command asks this
        return (
            self.has_witness_directory
            or self.reseeding is not None
            or (differs is not None and differs.decided)
            or self.peer in self.voters.witnesses
        )

    def others(self) -> list[Address]:
        """Return the voters besides this peer."""
        voters = {*self.voters.members, *self.voters.old}
        return sorted(voters - {self.peer})

    def is_electable(self) -> bool:
        """Return whether this peer may ask for votes.

        A peer that its newest configuration leaves out may still do so, until this configuration is
        known to be committed: the peer may have entries that the new members lack, and then only
        this peer can win (thesis 4.2.2). If this peer's group is a restored one, the configurations
        of the group that was backed up give no right to votes.
        """
        voters = self.voters
        if not voters.votes(self.peer) and voters.index > self.commit_index:
            voters = self.configuration_at(voters.previous)
        return (
            voters.votes(self.peer)
            and voters.counts(self.peer, self.incarnation)
            and self.ballot.group in ("", voters.group)
            and not self.owes_entries()
        )

    def owes_entries(self) -> bool:
        """Return whether this peer's disk has lost entries that the peer had acknowledged; see
        `Ballot.owed`.
        """
        return self.ballot.owed != NOTHING_OWED

    def would_elect(self, *, last_index: int, last_term: int) -> bool:
        """Return whether a log with this end has every entry that this peer has acknowledged
        (§5.4.1), also the entries that this peer's disk has damaged since.
        """
        return (last_term, last_index) >= self.ballot.owed and self.log.is_no_newer_than(
            last_index=last_index, last_term=last_term
        )

    def election_deadline(self) -> float:
        """Return the end of a random timeout from now; random, so that two peers seldom become
        candidates at once (§5.2).

        A single voter does not wait. A peer without a state waits longer, so that the others try
        first.
        """
        config = self.config
        if len(self.voters.members) < 2 and not self.others() and self.is_electable():
            return self.now
        delay = config.max_election_timeout if self.has_no_state else 0.0
        return (
            self.now
            + delay
            + self.random.uniform(config.min_election_timeout, config.max_election_timeout)
        )

    def group_for(self, request: Message) -> str:
        """Return the group id for the reply to `request`: that of the request, if it has one.

        If this peer's log has another group id, then the group of the log was never founded.
        """
        return request.group if is_group(request.group) else self.group

    def reply_vote(self, request: Message, *, granted: bool) -> VoteReply:
        return VoteReply(
            source=self.peer, target=request.source, group=self.group_for(request), term=self.term,
            granted=granted,
        )  # fmt: skip

    def reply_pre_vote(self, request: RequestPreVote, *, granted: bool) -> PreVoteReply:
        return PreVoteReply(
            source=self.peer, target=request.source, group=self.group_for(request), term=self.term,
            asked=request.term + 1, granted=granted,
            target_incarnation=0 if is_group(request.group)
            else self.configuration.incarnation_of(request.source),
        )  # fmt: skip

    def configuration_at(self, index: int) -> Configuration:
        if index <= self.snapshot.index:
            return self.snapshot.configuration  # the newest one up to the snapshot is enough
        return Configuration.decode(payload_of(self.log.between(index, index)[0]), index)

    def has_doubtful_snapshot(self) -> bool:
        return self.doubted is not None or self.damaged is not None
