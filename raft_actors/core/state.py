"""State: the part of a peer's protocol state that is the same in every role.

The roles read and change it, and call `become_...` to change the peer's role. Only `Server` knows
the classes of the roles.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration, is_group
from raft_actors.core.digests import Digests
from raft_actors.core.effects import NOTHING_OWED, Ballot, Effects, Trouble
from raft_actors.core.entry import CONFIG, kind_of, payload_of
from raft_actors.core.founding import Founding
from raft_actors.core.log import Log
from raft_actors.core.messages import (
    NO_FRAMES,
    Event,
    Message,
    PreVoteReply,
    RequestPreVote,
    VoteReply,
)
from raft_actors.core.replies import redirect
from raft_actors.core.snapshot import NO_SNAPSHOT, Snapshot, SnapshotReader, SnapshotReceipt
from raft_actors.names import Address

if TYPE_CHECKING:
    from random import Random

__all__ = ["Reseeding", "State"]

LASTING = {"damaged_snapshot", "damaged_entries", "diverged", "digests_differ", "other_diverged"}
"""The problems that no change of members ends."""
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


class State:
    """One peer's protocol state, and what every role does with it.

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
    leaderless_at   the time since which this peer has known no leader, if it knows none
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
        self.peer = peer
        self.config = config
        self.random = random
        self.ballot = ballot
        self.log = log
        self.incarnation = incarnation
        self.now = now
        self.wall_ms = 0
        self.snapshots, self.snapshot, self.incoming = snapshots, snapshot, incoming
        self.wanted = 0
        self.reseeding: Reseeding | None = None
        self.doubted: Snapshot | None = None
        self.damaged: Snapshot | None = None
        self.commit_index = max(snapshot.index, commit_index)
        self.machine_version_max = machine_version_max
        self.frame_bytes_max = frame_bytes_max
        self.machine_version = 1
        self.configuration = self.configuration_at(ballot.configuration)
        self.founding: Founding | None = None
        self.effects = Effects()
        self.digests = Digests()
        self.has_witness_directory = False
        self.troubles: dict[str, Trouble] = {}
        self.leaderless_at = now
        self.tell_at = now + LEADERLESS_TIMEOUTS * config.max_election_timeout
        self.read_floor = (-inf, 0)
        leases = config.lease_clock_drift_max is not None
        self.promise_ms = int(config.min_election_timeout * 1000) if leases else 0
        self.promised_until = -inf
        longest_ms = max(self.promise_ms, ballot.promise_ms)
        if ballot.term and longest_ms:
            # Only the length of a promise is on disk, not the time when it was given: after a
            # restart assume that this peer has given a promise just before.
            self.promised_until = now + longest_ms / 1000
        self.settled_at = self.promised_until
        if ballot.owed != NOTHING_OWED:
            detail = f"from {log.last_index + 1} to {ballot.owed[1]}"
            self.report(Trouble("damaged_entries", peer, detail))
        self.begin()

    # Knowledge.

    @property
    def term(self) -> int:
        return self.ballot.term

    @property
    def voted_for(self) -> Address | None:
        return self.ballot.voted_for

    @property
    def group(self) -> str:
        """The id of the peer's group: the one in the ballot, to which it belongs for good, or else
        the one in the configuration. The ballot comes first, because the log of a newcomer to a
        restored group may begin with entries of the group that was backed up.
        """
        return self.ballot.group or self.voters.group

    @property
    def voters(self) -> Configuration:
        """The configuration for elections and commits: that of the log, or while this peer founds a
        group that of the new group.
        """
        return self.founding.configuration if self.founding else self.configuration

    @property
    def is_witness(self) -> bool:
        """Tell whether this peer is a witness. It votes; if it is elected, it leads only until it
        can hand over the leadership.
        """
        return self.has_witness_directory or self.peer in self.voters.witnesses

    @property
    def has_no_state(self) -> bool:
        """Tell whether this peer has no state that it may answer from: it is a witness, or its
        state is wrong, or about to be replaced. Then it does what a witness does.
        """
        return self.is_witness or self.digests.is_wrong or self.reseeding is not None

    def others(self) -> list[Address]:
        """The voters besides this peer."""
        voters = {*self.voters.members, *self.voters.old}
        return sorted(voters - {self.peer})

    def is_electable(self) -> bool:
        """Tell whether this peer may ask for votes.

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
        """Tell whether this peer's disk has lost entries that the peer had acknowledged; see
        `Ballot.owed`.
        """
        return self.ballot.owed != NOTHING_OWED

    def would_elect(self, *, last_index: int, last_term: int) -> bool:
        """Tell whether a log with this end has every entry that this peer has acknowledged
        (§5.4.1), also the entries that this peer's disk has damaged since.
        """
        return (last_term, last_index) >= self.ballot.owed and self.log.is_no_newer_than(
            last_index=last_index, last_term=last_term
        )

    def promise(self) -> int:
        """Promise to elect no other leader for a while, if leases are on; return how many ms.

        The length of the promise is on disk before the leader receives it. So a peer that is
        restarted with a shorter setting, or without leases, still keeps the promise that it gave
        before. When that promise has ended, the new setting replaces its length on disk.
        """
        promise_ms = self.promise_ms
        if promise_ms != self.ballot.promise_ms and (
            promise_ms > self.ballot.promise_ms or self.now >= self.settled_at
        ):
            self.ballot = replace(self.ballot, promise_ms=promise_ms)
        if promise_ms:
            self.promised_until = max(self.promised_until, self.now + promise_ms / 1000)
        return promise_ms

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

    # Messages and answers.

    def send(self, message: Message) -> None:
        self.effects.after_save.append(message)

    def answer(self, ticket: Any, answer: Any) -> None:
        self.effects.answers.append((ticket, answer))

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

    # The role. `Server` defines these methods, because only it knows the classes of the roles.

    def begin(self) -> None:
        """Begin the first role."""
        raise NotImplementedError

    def become_follower(self, *, leader: Address | None, term: int | None = None) -> None:
        raise NotImplementedError

    def become_pre_candidate(self) -> None:
        raise NotImplementedError

    def become_candidate(self, *, forced: bool = False) -> None:
        """Become a candidate in a new term. `forced`: because of a leader's TimeoutNow."""
        raise NotImplementedError

    def become_leader(self) -> None:
        raise NotImplementedError

    def handle(self, event: Event) -> None:
        """Have the present role handle the event."""
        raise NotImplementedError

    # The log.

    def append(self, entries: list[bytes]) -> None:
        first = self.log.last_index + 1
        self.log.append(entries)
        self.note_configurations(first, entries)

    def extend(self, leader: Address, prev_index: int, entries: list[bytes]) -> None:
        """Write the leader's entries into the log; see `Log.extend`."""
        changed = self.log.extend(prev_index, entries)
        if changed > prev_index + len(entries):
            return
        while self.configuration.index >= changed:
            self.configuration = self.configuration_at(self.configuration.previous)
            self.ballot = self.with_configuration(self.configuration.index)
        self.note_configurations(changed, entries[changed - prev_index - 1 :])
        self.settle_debt()
        if self.founding is not None and self.configuration.members:
            self.give_up_founding(redirect(leader))  # another founder has won

    def settle_debt(self) -> None:
        """Clear `Ballot.owed` once the log reaches as far as before the damage. If a leader has
        sent other entries in the place of the lost ones, then the lost ones were not committed: the
        leader would have them otherwise (§5.4.3).
        """
        if self.owes_entries() and self.ballot.owed <= (self.log.last_term, self.log.last_index):
            self.ballot = replace(self.ballot, owed=NOTHING_OWED)
            self.troubles.pop("damaged_entries", None)

    def note_configurations(self, first: int, entries: list[bytes]) -> None:
        """A configuration counts from the moment it is in the log (§6)."""
        for index, entry in enumerate(entries, first):
            if kind_of(entry) == CONFIG:
                self.configuration = Configuration.decode(payload_of(entry), index)
                self.ballot = self.with_configuration(index)
                known = self.configuration.incarnation_of(self.peer)
                if self.peer in self.configuration.everyone and known in (0, self.incarnation):
                    self.forget_troubles()

    def configuration_at(self, index: int) -> Configuration:
        if index <= self.snapshot.index:
            return self.snapshot.configuration  # the newest one up to the snapshot is enough
        return Configuration.decode(payload_of(self.log.between(index, index)[0]), index)

    def commit_to(self, index: int) -> None:
        """Raise the commit index to `index`. A lower index, of a late message, is ignored."""
        if index > self.commit_index:
            self.commit_index = index

    def bind_group(self, group: str) -> None:
        """Belong to this group for good, because its first entry is committed: this peer knows it
        itself, or a leader's message says so.

        `group` is the id in the leader's messages, not the one in its entries or its snapshot: in a
        restored or forced group these begin with configurations of another group.
        """
        if not self.ballot.group and is_group(group):
            self.ballot = replace(self.ballot, group=group)

    def give_up_founding(self, answer: Any) -> None:
        founding, self.founding = self.founding, None
        if founding is not None:
            self.answer(founding.ticket, answer)

    # Snapshots.

    def doubt(self, snapshot: Snapshot) -> None:
        """Have the file of `snapshot` checked before it is sent again. An older snapshot is not
        checked: the newest one is sent in its place."""
        if snapshot is self.snapshot and not self.has_doubtful_snapshot():
            self.doubted = self.effects.doubted = snapshot

    def has_doubtful_snapshot(self) -> bool:
        return self.doubted is not None or self.damaged is not None

    def end_doubts(self) -> None:
        """Forget the doubt about a snapshot's file, because there is a new snapshot."""
        self.doubted = self.damaged = None
        self.troubles.pop("damaged_snapshot", None)

    def snapshot_taken(self, snapshot: Snapshot, keep_from: int) -> None:
        """Remove the entries before `keep_from` from the log: the snapshot replaces them.

        keep_from  at most `snapshot.index` + 1. If the log begins later already, nothing is removed
        """
        self.snapshot = snapshot
        self.end_doubts()
        if keep_from - 1 > self.log.base:
            self.log.compact(keep_from - 1)
            self.effects.compact = self.log.base, self.log.base_term

    def needs_state(self) -> int:
        """Return the first entry at which a snapshot may end for which this peer asks; 0 if it asks
        for none. Its log must continue the snapshot.
        """
        reseeding = self.reseeding
        return max(reseeding.least, self.snapshot.index + 1) if reseeding is not None else 0

    def takes(self, index: int) -> bool:
        """Tell whether this peer continues from a leader's snapshot that ends at `index`: it knows
        less, or it asks for it.
        """
        return index > self.commit_index or 0 < self.needs_state() <= index

    def snapshot_installed(self, snapshot: Snapshot) -> None:
        """Continue from a leader's snapshot. The state machine has its state already.

        If the log has the snapshot's last entry, the entries after it stay: this peer may have
        acknowledged them, and the leader may have counted that. If the log does not have it, all of
        the log is dropped, as it is not the leader's (Figure 13, InstallSnapshot 6 and 7).
        """
        if not self.takes(snapshot.index):
            raise AssertionError("a snapshot of what is known already would take entries away")
        log = self.log
        self.incoming = None
        if snapshot.index <= self.commit_index:  # the log is right, and continues the snapshot
            self.snapshot_taken(snapshot, snapshot.index + 1 - self.config.snapshot_trailing)
            self.state_replaced(snapshot)
            return
        kept = log.term_at(snapshot.index) == snapshot.term
        self.snapshot = snapshot
        self.end_doubts()
        self.state_replaced(snapshot)
        if kept:
            log.compact(snapshot.index)
            self.effects.compact = log.base, log.base_term
        else:
            log.restart(snapshot.index, snapshot.term)
            self.configuration = snapshot.configuration
            self.ballot = self.with_configuration(self.configuration.index)
            self.effects.restart = snapshot.index, snapshot.term
        self.settle_debt()
        self.commit_to(snapshot.index)

    def state_replaced(self, snapshot: Snapshot) -> None:
        """Note that this peer's state is that of a leader's snapshot now."""
        self.digests.replaced(snapshot.index)
        reseeding, self.reseeding = self.reseeding, None
        for ticket in reseeding.tickets if reseeding is not None else ():
            self.answer(ticket, ("ok", snapshot.index))
        for what in ("diverged", "digests_differ"):
            self.troubles.pop(what, None)

    # The ballot is immutable. `flush` sees that it was replaced and puts it into the save lane.

    def vote(self, candidate: Address) -> None:
        self.ballot = replace(self.ballot, voted_for=candidate)

    def with_configuration(self, index: int) -> Ballot:
        return replace(self.ballot, configuration=index)

    def enter_term(self, term: int, voted_for: Address | None) -> None:
        if term <= self.term:
            raise AssertionError("a term never falls, and gives one vote")
        self.ballot = replace(self.ballot, term=term, voted_for=voted_for)

    # Reports to the operator.

    def note_leader(self, leader: Address | None) -> None:
        """Note that this peer's leader has changed; None: it knows no leader any more."""
        self.leaderless_at = self.now
        self.tell_at = self.now + LEADERLESS_TIMEOUTS * self.config.max_election_timeout
        if leader is not None:
            for what in ("no_leader", "not_formed"):
                self.troubles.pop(what, None)

    def forget_troubles(self) -> None:
        """Forget the reported problems, because this peer is a member with its data directory. The
        problems with damaged files and wrong states stay.
        """
        for what in self.troubles.keys() - LASTING:
            del self.troubles[what]

    def report(self, trouble: Trouble) -> None:
        """Report a problem to the operator, once for each kind (`Trouble.what`)."""
        if trouble.what not in self.troubles:
            self.troubles[trouble.what] = trouble
            self.effects.troubles.append(trouble)
