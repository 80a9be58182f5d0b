"""Role: what follower, pre-candidate, candidate and leader have in common.

A role object is made when the role begins and dropped when it ends, so nothing of it can
outlive it. Each role answers every event through its `handlers` table, if only with `ignore`.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from raft_actors.core.effects import Read, Trouble
from raft_actors.core.messages import (
    STALE,
    AppendEntries,
    Configure,
    InstallSnapshot,
    Message,
    Propose,
    Query,
    RequestPreVote,
    RequestVote,
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
    """One peer's part in one term."""

    __slots__ = ("state",)
    name: ClassVar[str]
    handlers: ClassVar[Handlers]

    leads: ClassVar[bool] = False
    leader: Address | None = None
    """Whom this peer takes for the leader of its term."""

    def __init__(self, state: State) -> None:
        self.state = state

    @property
    def alarm(self) -> float:
        """When this role wants a Tick, in seconds of `state.now`."""
        raise NotImplementedError

    def hears_a_leader(self) -> bool:
        """Tell whether a leader is at work as far as this peer knows.

        While it is, this peer helps nobody to depose it: a server that was cut off or removed
        can't disrupt the others (thesis 4.2.3, 9.6).
        """
        return False

    def is_bound_to_a_leader(self) -> bool:
        """Tell whether this peer must not help to depose a leader."""
        return self.state.now < self.state.promised_until or self.hears_a_leader()

    def knows(self, peer: Address) -> bool:
        """Tell whether this peer asks that one anything, so that it may answer."""
        return peer in self.state.voters.everyone

    def take_tickets(self, _through: int) -> list[Any]:
        """Return who waits for entries; see `Server.take_tickets`."""
        return []

    def snapshots_in_use(self) -> set[Snapshot]:
        """Return the snapshots that are on their way to others."""
        return set()

    def flush(self) -> None:
        """Send what the batch of events has left to say. Called once for each batch."""

    def leave(self) -> None:
        """Answer what waits in this role; it ends now."""

    def last_messages(self) -> list[Message]:
        """What to say to others as this peer ends, whatever ends it. It must promise nothing."""
        return []

    # Handlers that several roles share.

    def ignore(self, _event: Any) -> None:
        """Do nothing: the event is for another role, or comes too late."""

    def on_pre_vote_request(self, request: RequestPreVote) -> None:
        """Say whether this peer would vote for the sender, and remember nothing of it."""
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
        """This peer has voted for itself in this term."""
        self.state.send(self.state.reply_vote(request, granted=False))

    def follow(self, request: AppendEntries | InstallSnapshot) -> None:
        """Another peer leads this term: follow it, and take what it sends."""
        self.state.become_follower(leader=request.source)
        self.state.handle(request)

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Keep some entries before its end, so that one a little behind gets those instead."""
        state, snapshot = self.state, event.snapshot
        state.snapshot_taken(snapshot, snapshot.index + 1 - state.config.snapshot_trailing)

    def on_snapshot_checked(self, event: SnapshotChecked) -> None:
        """Have a damaged one told of, and let the shell take another; see `State.doubt`."""
        state = self.state
        if event.snapshot is not state.doubted:
            return
        state.doubted = None
        if event.reason:
            state.damaged = event.snapshot
            state.troubles.pop("damaged_snapshot", None)  # an earlier one
            state.report(Trouble("damaged_snapshot", state.peer, event.reason))

    def on_snapshot_installed(self, event: SnapshotInstalled) -> None:
        self.state.snapshot_installed(event.snapshot)

    def on_snapshot_refused(self, _event: SnapshotRefused) -> None:
        """Take it from the beginning, if a leader sends it again."""
        self.state.incoming = None

    def refuse_while_electing(self, event: Propose | Query | Configure | Transfer) -> None:
        self.state.answer(event.ticket, ELECTION_IN_PROGRESS)

    def on_query(self, event: Query) -> None:
        """A stale read needs no leader. All others do."""
        if event.consistency != STALE or not self.answers_as_it_is(event):
            self.refuse_read(event, ELECTION_IN_PROGRESS)

    def refuse_read(self, event: Query, answer: Any) -> None:
        self.state.answer(event.ticket, answer if event.staleness_s is None else TOO_STALE)

    def answers_as_it_is(self, event: Query) -> bool:
        """Answer a stale read from what is committed here, if that is fresh enough; was it?

        It is if, within `staleness_s`, this peer has asked a leader for the index of all that
        was committed, as for a follower's read, and has that index. A leader's heartbeat would
        not do: it may be a deposed one's, or have been under way for long.
        """
        state = self.state
        if state.is_witness:
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
