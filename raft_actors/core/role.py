"""Role: what follower, pre-candidate, candidate and leader have in common.

A role object is made when the role begins and dropped when it ends, so the state of a role can't
stay behind after its end. Each role has a handler for every event in its table `handlers`; for
many events the handler is `ignore`.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from raft_actors.core.divergence import note_digest
from raft_actors.core.effects import Read, Trouble
from raft_actors.core.messages import (
    STALE,
    AppendEntries,
    Configure,
    DigestMade,
    GrantLead,
    InstallSnapshot,
    Message,
    Propose,
    Query,
    RequestPreVote,
    RequestVote,
    Reseed,
    SnapshotChecked,
    SnapshotInstalled,
    SnapshotRefused,
    SnapshotTaken,
    Transfer,
)
from raft_actors.core.replies import ELECTION_IN_PROGRESS, TOO_STALE
from raft_actors.core.snapshot import Snapshot
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["Handlers", "Role"]

Handlers = Mapping[type, Callable[[Any, Any], None]]


class Role:
    """The role of one peer, for at most one term."""

    __slots__ = ("state",)
    name: ClassVar[str]
    handlers: ClassVar[Handlers]

    leads: ClassVar[bool] = False
    leader: Address | None = None
    """The leader of the peer's term, as far as this peer knows."""

    def __init__(self, state: State) -> None:
        self.state: State = state

    @property
    def alarm(self) -> float:
        """When this role needs a Tick, in seconds of `state.now`."""
        raise NotImplementedError

    def hears_a_leader(self) -> bool:
        """Return whether a leader works, as far as this peer knows.

        While one does, this peer gives no vote against it, so that a server that was cut off or
        removed can't disrupt the others (thesis 4.2.3, 9.6).
        """
        return False

    def is_bound_to_a_leader(self) -> bool:
        """Return whether this peer must not give a vote against a leader."""
        return self.state.now < self.state.promised_until or self.hears_a_leader()

    def knows(self, peer: Address) -> bool:
        """Return whether this peer sends requests to `peer`, so that `peer` may answer."""
        return peer in self.state.voters.everyone

    def take_tickets(self, _through: int) -> list[Any]:
        """Return the tickets that wait for entries; see `Server.take_tickets`."""
        return []

    def snapshots_in_use(self) -> set[Snapshot]:
        """Return the snapshots that are being sent to other peers."""
        return set()

    def flush(self) -> None:
        """Send the messages that are due after the batch of events. Called once for each batch."""

    def leave(self) -> None:
        """Answer the requests that wait in this role, because the role ends now."""

    def last_messages(self) -> list[Message]:
        """Return the messages to send as this peer ends, whatever the reason. The peer may not be
        able to save any more, so these messages must not promise that anything is saved.
        """
        return []

    # Handlers that several roles share.

    def ignore(self, _event: Any) -> None:
        """Do nothing: the event concerns another role, or comes too late."""

    def on_pre_vote_request(self, request: RequestPreVote) -> None:
        """Answer whether this peer would vote for the sender. The peer's state does not change."""
        granted = self.would_vote_for(request)
        self.state.send(self.state.reply_pre_vote(request, granted=granted))

    def would_vote_for(self, request: RequestPreVote) -> bool:
        state = self.state
        return (
            request.term >= state.term
            and not self.is_bound_to_a_leader()
            and state.would_elect(last_index=request.last_index, last_term=request.last_term)
        )

    def refuse_vote(self, request: RequestVote) -> None:
        """Refuse the vote, because this peer has voted for itself in this term."""
        self.state.send(self.state.reply_vote(request, granted=False))

    def follow(self, request: AppendEntries | InstallSnapshot) -> None:
        """Become a follower of the sender, which leads this term, and handle its message."""
        self.state.become_follower(leader=request.source)
        self.state.handle(request)

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Keep some entries before the snapshot's end, so that a follower that is a little behind
        gets these entries instead of the snapshot.
        """
        state, snapshot = self.state, event.snapshot
        state.snapshot_taken(snapshot, snapshot.index + 1 - state.config.snapshot_trailing)

    def on_snapshot_checked(self, event: SnapshotChecked) -> None:
        """If the snapshot's file is damaged, report it; the replica then takes a new snapshot. See
        `State.doubt`.
        """
        state = self.state
        if event.snapshot is not state.doubted:
            return
        state.doubted = None
        if event.reason:
            state.damaged = event.snapshot
            state.troubles.pop("damaged_snapshot", None)  # the report of an earlier snapshot
            state.report(Trouble("damaged_snapshot", state.peer, event.reason))

    def on_snapshot_installed(self, event: SnapshotInstalled) -> None:
        self.state.snapshot_installed(event.snapshot)

    def on_snapshot_refused(self, _event: SnapshotRefused) -> None:
        """Forget the received parts, so that the snapshot is received again from its first byte."""
        self.state.incoming = None

    def on_digest_made(self, event: DigestMade) -> None:
        note_digest(self.state, event)

    def refuse_while_electing(
        self, event: Propose | Query | Configure | Transfer | Reseed | GrantLead
    ) -> None:
        self.state.answer(event.ticket, ELECTION_IN_PROGRESS)

    def on_query(self, event: Query) -> None:
        """Answer a stale read, which needs no leader. Refuse every other read."""
        if event.consistency != STALE or not self.answers_as_it_is(event):
            self.refuse_read(event, ELECTION_IN_PROGRESS)

    def refuse_read(self, event: Query, answer: Any) -> None:
        self.state.answer(event.ticket, answer if event.staleness_s is None else TOO_STALE)

    def answers_as_it_is(self, event: Query) -> bool:
        """Answer a stale read from the committed state of this peer, if that is fresh enough;
        return whether it was.

        It is fresh enough if this peer has asked a leader within the last `staleness_s` seconds for
        the index of everything committed, as for a follower's read, and has committed that index.
        A heartbeat proves nothing here: its sender may be deposed, or the heartbeat may have been
        delayed for long.
        """
        state = self.state
        if state.has_no_state:
            return False
        index = event.after
        if event.staleness_s is not None:
            asked_at, known = state.read_floor
            if asked_at < state.now - event.staleness_s:
                return False
            index = max(index, known)
        if index > state.commit_index:
            return False
        state.effects.reads.append(Read(index, event.query, event.ticket))
        return True
