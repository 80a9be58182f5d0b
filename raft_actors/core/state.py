"""State: what a peer knows and can do, whatever its role.

The roles work on it: they read and change it, and say in whose role the peer goes on. Which classes
the roles are, `Server` alone knows.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration, is_group
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

__all__ = ["State"]

LEADERLESS_TIMEOUTS = 5
"""So many longest election timeouts without a leader are told; an election takes one or two."""


class State:
    """One peer's protocol state, and what every role does with it.

    `ballot`, `log`, `incarnation`, `snapshot` and `incoming` are at first what the store gave back.
    Chance comes from `random` alone, so a seed tells the whole story.

    now             seconds, of any origin, never back
    wall_ms         milliseconds since 1970, on which no rule of Raft depends

    machine_version_max  the newest version that this peer's machine can run as
    machine_version  what the group's machines run as, as far as this peer has applied the log
    read_floor      (when, index): all that was committed then is at or before index. It was found
                    out by asking a leader, and stays true in whatever role
    promised_until  before that this peer helps to elect no other leader, whatever becomes of its
                    role: somebody's lease may rest on it (thesis 6.4.1)
    settled_at      when all is over that it promised in the lives before this one
    snapshot        stands for the log up to its index; the log itself may begin earlier
    snapshots       where a leader reads it to send it
    frame_bytes_max  tells how many bytes one frame to a peer's node holds
    doubted         `snapshot` while its file is looked at, and is sent to nobody
    damaged         `snapshot` once it is known to be, until another is taken
    incoming        the leader's snapshot that is being received, as far as it is here
    commit_index    what is known to be committed; at first what the state machine has applied
    has_witness_directory  whether its data directory is a witness's
    troubles        what a person has to look at, and was told once
    leaderless_at   since when it has known no leader, if it knows none
    tell_at         when to tell of that
    """

    __slots__ = ("ballot", "commit_index", "config", "configuration", "damaged", "doubted",
                 "effects", "founding", "frame_bytes_max", "has_witness_directory", "incarnation",
                 "incoming", "leaderless_at", "log", "machine_version", "machine_version_max",
                 "now", "peer", "promise_ms", "promised_until", "random", "read_floor",
                 "settled_at", "snapshot", "snapshots", "tell_at", "troubles",
                 "wall_ms")  # fmt: skip

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
        self.doubted: Snapshot | None = None
        self.damaged: Snapshot | None = None
        self.commit_index = max(snapshot.index, commit_index)
        self.machine_version_max = machine_version_max
        self.frame_bytes_max = frame_bytes_max
        self.machine_version = 1
        self.configuration = self.configuration_at(ballot.configuration)
        self.founding: Founding | None = None
        self.effects = Effects()
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
            # When it last promised to elect nobody else is not on disk, only for how long: after a
            # restart assume that it was just before.
            self.promised_until = now + longest_ms / 1000
        self.settled_at = self.promised_until
        if ballot.owed != NOTHING_OWED:
            detail = f"from {log.last_index + 1} to {ballot.owed[1]}"
            self.report(Trouble("damaged_entries", peer, detail))
        self.begin()

    # What it knows.

    @property
    def term(self) -> int:
        return self.ballot.term

    @property
    def voted_for(self) -> Address | None:
        return self.ballot.voted_for

    @property
    def group(self) -> str:
        """Of what it belongs to for good, if it does: a newcomer's log may begin with entries of
        the group that a restored one was made from.
        """
        return self.ballot.group or self.voters.group

    @property
    def voters(self) -> Configuration:
        """Who counts in elections and commits: the configuration in the log, or a founder's."""
        return self.founding.configuration if self.founding else self.configuration

    @property
    def is_witness(self) -> bool:
        """Tell whether this peer votes only: it leads for as long as it takes to hand over."""
        return self.has_witness_directory or self.peer in self.voters.witnesses

    def others(self) -> list[Address]:
        """The voters besides this peer."""
        voters = {*self.voters.members, *self.voters.old}
        return sorted(voters - {self.peer})

    def is_electable(self) -> bool:
        """Tell whether this peer may ask for votes.

        Also one that its newest configuration leaves out, until that is known to be committed:
        it may hold entries that the new members lack, and then only it can win (thesis 4.2.2).
        Members of the group that a restored one was made from have no part in this one.
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
        """Tell whether its disk has lost what it had acknowledged; see `Ballot`."""
        return self.ballot.owed != NOTHING_OWED

    def would_elect(self, *, last_index: int, last_term: int) -> bool:
        """Tell whether a log that ends so has all that this peer has acknowledged (§5.4.1), also
        what its own disk has damaged since.
        """
        return (last_term, last_index) >= self.ballot.owed and self.log.is_no_newer_than(
            last_index=last_index, last_term=last_term
        )

    def promise(self) -> int:
        """Elect nobody else for a while, if leases are wanted; return for how many ms.

        For how long is durable before the leader hears of it: a life with a shorter setting, or
        without leases, keeps what one before it has promised. That is forgotten once it is over.
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
        """A random time from now, so that two peers seldom stand together (§5.2).

        A lone voter waits for nobody. A witness lets the others try first.
        """
        config = self.config
        if len(self.voters.members) < 2 and not self.others() and self.is_electable():
            return self.now
        delay = config.max_election_timeout if self.is_witness else 0.0
        return (
            self.now
            + delay
            + self.random.uniform(config.min_election_timeout, config.max_election_timeout)
        )

    # What it says.

    def send(self, message: Message) -> None:
        self.effects.after_save.append(message)

    def answer(self, ticket: Any, answer: Any) -> None:
        self.effects.answers.append((ticket, answer))

    def group_for(self, request: Message) -> str:
        """Return the group in whose name to reply: that of the request, if it has one.

        Where it is another than the one in this peer's log, that one was never founded.
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

    # The role. Made in `Server`, which knows the classes of the roles.

    def begin(self) -> None:
        """Take the first role."""
        raise NotImplementedError

    def become_follower(self, *, leader: Address | None, term: int | None = None) -> None:
        raise NotImplementedError

    def become_pre_candidate(self) -> None:
        raise NotImplementedError

    def become_candidate(self, *, forced: bool = False) -> None:
        """Stand in a new term. `forced`: at the leader's order, see `RequestVote`."""
        raise NotImplementedError

    def become_leader(self) -> None:
        raise NotImplementedError

    def handle(self, event: Event) -> None:
        """Let the role of this moment answer."""
        raise NotImplementedError

    # The log.

    def append(self, entries: list[bytes]) -> None:
        first = self.log.last_index + 1
        self.log.append(entries)
        self.note_configurations(first, entries)

    def extend(self, leader: Address, prev_index: int, entries: list[bytes]) -> None:
        """Take the leader's entries into the log; see `Log.extend`."""
        changed = self.log.extend(prev_index, entries)
        if changed > prev_index + len(entries):
            return
        while self.configuration.index >= changed:
            self.configuration = self.configuration_at(self.configuration.previous)
            self.ballot = self.with_configuration(self.configuration.index)
        self.note_configurations(changed, entries[changed - prev_index - 1 :])
        self.settle_debt()
        if self.founding is not None and self.configuration.members:
            self.give_up_founding(redirect(leader))  # another founder was faster

    def settle_debt(self) -> None:
        """Owe nothing more once the log is as far as it was. What a leader has put in the place of
        what is owed was not committed, or that leader would have it (§5.4.3).
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
            return self.snapshot.configuration  # of those up to there, only the newest is needed
        return Configuration.decode(payload_of(self.log.between(index, index)[0]), index)

    def commit_to(self, index: int) -> None:
        """Never back: a late message knows less, not more."""
        if index > self.commit_index:
            self.commit_index = index

    def bind_group(self, group: str) -> None:
        """Be of this group for good: its first entry is committed, here or at a leader's word.

        It is the leader's group, whatever the entries and the snapshot say that it has sent: those
        of a restored or forced group begin with another's configurations.
        """
        if not self.ballot.group and is_group(group):
            self.ballot = replace(self.ballot, group=group)

    def give_up_founding(self, answer: Any) -> None:
        founding, self.founding = self.founding, None
        if founding is not None:
            self.answer(founding.ticket, answer)

    # Snapshots.

    def doubt(self, snapshot: Snapshot) -> None:
        """Have the file of a snapshot looked at before it is sent again. Instead of an older one
        the newest is sent in any case."""
        if snapshot is self.snapshot and not self.has_doubtful_snapshot():
            self.doubted = self.effects.doubted = snapshot

    def has_doubtful_snapshot(self) -> bool:
        return self.doubted is not None or self.damaged is not None

    def end_doubts(self) -> None:
        """There is another snapshot than the one whose file was looked at, or is damaged."""
        self.doubted = self.damaged = None
        self.troubles.pop("damaged_snapshot", None)

    def snapshot_taken(self, snapshot: Snapshot, keep_from: int) -> None:
        """Let the log begin at `keep_from` at the latest: the snapshot stands for what was before.

        keep_from  up to `snapshot.index` + 1; what still begins later stays as it is
        """
        self.snapshot = snapshot
        self.end_doubts()
        if keep_from - 1 > self.log.base:
            self.log.compact(keep_from - 1)
            self.effects.compact = self.log.base, self.log.base_term

    def snapshot_installed(self, snapshot: Snapshot) -> None:
        """Go on from a leader's snapshot; the state machine does already.

        What follows its last entry in this log stays if that entry is in it, for it may have been
        counted; else nothing of this log is the leader's (Figure 13, InstallSnapshot 6 and 7).
        """
        if snapshot.index <= self.commit_index:
            raise AssertionError("a snapshot of what is known already would take entries away")
        log = self.log
        self.incoming = None
        kept = log.term_at(snapshot.index) == snapshot.term
        self.snapshot = snapshot
        self.end_doubts()
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

    # The ballot is immutable. `flush` sees that it was replaced and puts it into the save lane.

    def vote(self, candidate: Address) -> None:
        self.ballot = replace(self.ballot, voted_for=candidate)

    def with_configuration(self, index: int) -> Ballot:
        return replace(self.ballot, configuration=index)

    def enter_term(self, term: int, voted_for: Address | None) -> None:
        if term <= self.term:
            raise AssertionError("a term never falls, and gives one vote")
        self.ballot = replace(self.ballot, term=term, voted_for=voted_for)

    # What a person is told.

    def note_leader(self, leader: Address | None) -> None:
        """There is another leader than before, or none any more."""
        self.leaderless_at = self.now
        self.tell_at = self.now + LEADERLESS_TIMEOUTS * self.config.max_election_timeout
        if leader is not None:
            for what in ("no_leader", "not_formed"):
                self.troubles.pop(what, None)

    def forget_troubles(self) -> None:
        """This peer is a member with the directory that it has. What is wrong with a file stays."""
        for what in self.troubles.keys() - {"damaged_snapshot", "damaged_entries"}:
            del self.troubles[what]

    def report(self, trouble: Trouble) -> None:
        """Have a person told, once for each kind."""
        if trouble.what not in self.troubles:
            self.troubles[trouble.what] = trouble
            self.effects.troubles.append(trouble)
