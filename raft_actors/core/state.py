"""State: the part of a peer's protocol state that is the same in every role, and its changes.

What it holds, and what follows from it, is in `Knowledge`. The roles change it by the methods here,
and call `become_...` to change the peer's role. Only `Server` knows the classes of the roles.
"""

from dataclasses import replace
from typing import Any

from raft_actors.core.configuration import Configuration, is_group
from raft_actors.core.effects import NOTHING_OWED, Ballot, Trouble
from raft_actors.core.entry import CONFIG, kind_of, payload_of
from raft_actors.core.founding import Founding
from raft_actors.core.knowledge import LEADERLESS_TIMEOUTS, Knowledge, Reseeding
from raft_actors.core.messages import Event, Message, TimeoutNow
from raft_actors.core.replies import redirect
from raft_actors.core.snapshot import Snapshot, SnapshotReceipt
from raft_actors.names import Address

__all__ = ["State"]

LASTING = {"damaged_snapshot", "damaged_entries", "diverged", "digests_differ", "other_diverged"}
"""The problems that no change of members ends."""


class State(Knowledge):
    """One peer's protocol state, and how every role changes it."""

    __slots__ = ()
    ballot: Ballot
    configuration: Configuration
    damaged: Snapshot | None
    founding: Founding | None
    incoming: SnapshotReceipt | None
    leaderless_at: float
    promised_until: float
    reseeding: Reseeding | None
    snapshot: Snapshot
    tell_at: float

    def report_damaged_entries(self) -> None:
        """Report that the disk of this peer has lost entries, if it has."""
        if self.owes_entries():
            detail = f"from {self.log.last_index + 1} to {self.ballot.owed[1]}"
            self.report(Trouble("damaged_entries", self.peer, detail))

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

    # Messages and answers.

    def send(self, message: Message) -> None:
        self.effects.after_save.append(message)

    def answer(self, ticket: Any, answer: Any) -> None:
        """Answer a request; one without a ticket is this peer's own."""
        if ticket is not None:
            self.effects.answers.append((ticket, answer))

    # The role. `Server` defines these methods, because only it knows the classes of the roles.

    def become_follower(self, *, leader: Address | None, term: int | None = None) -> None:
        raise NotImplementedError

    def become_pre_candidate(self) -> None:
        raise NotImplementedError

    def become_candidate(self, order: TimeoutNow | None = None) -> None:
        """Become a candidate in a new term. `order`: the leader's TimeoutNow, if there was one."""
        raise NotImplementedError

    def become_leader(self, *, released: int = 0) -> None:
        """Become the leader. `released`: see `TimeoutNow`."""
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
