"""Role: what follower, pre-candidate, candidate and leader have in common.

A role object is made when the role begins and dropped when it ends, so nothing of it can
outlive it. Each role answers every event through its `handlers` table, if only with `ignore`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

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

if TYPE_CHECKING:
    from raft_actors.core.server import Server
    from raft_actors.names import Address

__all__ = ["Handlers", "Role"]

Handlers = Mapping[type, Callable[[Any, Any], None]]


class Role:
    """One peer's part in one term."""

    __slots__ = ("server",)
    name: ClassVar[str]
    handlers: ClassVar[Handlers]

    leader: "Address | None" = None
    """Whom this peer takes for the leader of its term."""

    def __init__(self, server: "Server") -> None:
        self.server = server

    @property
    def alarm(self) -> float:
        """When this role wants a Tick, in seconds of `server.now`."""
        raise NotImplementedError

    def hears_a_leader(self) -> bool:
        """Tell whether a leader is at work as far as this peer knows.

        While it is, this peer helps nobody to depose it: a server that was cut off or removed
        can't disrupt the others (thesis 4.2.3, 9.6).
        """
        return False

    def flush(self) -> None:
        """Send what the batch of events has left to say. Called once for each batch."""

    def leave(self) -> None:
        """Answer what waits in this role; it ends now."""

    def farewell(self) -> list[Message]:
        """What to say to others as this peer ends, whatever ends it. It must promise nothing."""
        return []

    # Handlers that several roles share.

    def ignore(self, _event: Any) -> None:
        """Do nothing: the event is for another role, or comes too late."""

    def on_pre_vote_request(self, request: RequestPreVote) -> None:
        """Say whether this peer would vote for the sender, and remember nothing of it."""
        granted = self.would_vote_for(request)
        self.server.send(self.server.reply_pre_vote(request, granted=granted))

    def would_vote_for(self, request: RequestPreVote) -> bool:
        server = self.server
        return (
            request.term >= server.term
            and not server.is_bound_to_a_leader()
            and server.log.is_no_newer_than(
                last_index=request.last_index, last_term=request.last_term
            )
        )

    def refuse_vote(self, request: RequestVote) -> None:
        """This peer has voted for itself in this term."""
        self.server.send(self.server.reply_vote(request, granted=False))

    def follow(self, request: AppendEntries | InstallSnapshot) -> None:
        """Another peer leads this term: follow it, and take what it sends."""
        self.server.become_follower(leader=request.source)
        self.server.handle(request)

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """Keep some entries before its end, so that one a little behind gets those instead."""
        server, snapshot = self.server, event.snapshot
        server.snapshot_taken(snapshot, snapshot.index + 1 - server.config.snapshot_trailing)

    def on_snapshot_checked(self, event: SnapshotChecked) -> None:
        """Have a damaged one told of, and let the shell take another; see `Server.doubt`."""
        server = self.server
        if event.snapshot is not server.doubted:
            return
        server.doubted = None
        if event.reason:
            server.damaged = event.snapshot
            server.troubles.pop("damaged_snapshot", None)  # an earlier one
            server.note(Trouble("damaged_snapshot", server.peer, event.reason))

    def on_snapshot_installed(self, event: SnapshotInstalled) -> None:
        self.server.snapshot_installed(event.snapshot)

    def on_snapshot_refused(self, _event: SnapshotRefused) -> None:
        """Take it from the beginning, if a leader sends it again."""
        self.server.incoming = None

    def refuse_while_electing(self, event: Propose | Query | Configure | Transfer) -> None:
        self.server.answer(event.ticket, ELECTION_IN_PROGRESS)

    def on_query(self, event: Query) -> None:
        """A stale read needs no leader. All others do."""
        if event.consistency != STALE or not self.answers_as_it_is(event):
            self.refuse_read(event, ELECTION_IN_PROGRESS)

    def refuse_read(self, event: Query, answer: Any) -> None:
        self.server.answer(event.ticket, answer if event.staleness_s is None else TOO_STALE)

    def answers_as_it_is(self, event: Query) -> bool:
        """Answer a stale read from what is committed here, if that is fresh enough; was it?

        It is if, within `staleness_s`, this peer has asked a leader for the index of all that
        was committed, as for a follower's read, and has that index. A leader's heartbeat would
        not do: it may be a deposed one's, or have been under way for long.
        """
        server = self.server
        if server.keeps_no_state:
            return False
        index = event.after
        if event.staleness_s is not None:
            asked_at, known = server.fresh
            if asked_at < server.now - event.staleness_s:
                return False
            index = max(index, known)
        if index > server.commit_index:
            return False
        server.effects.reads.append(Read(index, event.query, event.ticket))
        return True
