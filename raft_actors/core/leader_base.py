"""The state of a leader, on which its parts work. A new leader begins with a new object.

Replication         sends the log to the followers, and counts what they have saved (§5.3, §5.4)
LeadGrants          lets the leader's own node run something only while it leads
Reconfiguration     changes the group's configuration, or its machine version (§6)
LeadershipTransfer  hands the leadership over to another member (thesis 3.10)
Leader              has all these parts, and handles the clients' requests
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import Any

from raft_actors.core.digest_rounds import DigestRounds
from raft_actors.core.effects import LeadNews
from raft_actors.core.entry import encode
from raft_actors.core.lease import Lease
from raft_actors.core.membership_change import MembershipChange
from raft_actors.core.messages import NO_FRAMES, Configure, GrantLead, Transfer
from raft_actors.core.progress import Progress
from raft_actors.core.read_index import Reads
from raft_actors.core.role import Role
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["HEARD", "MATCH", "PROMISED", "ROUND", "LeaderBase", "LiveGrant",
           "PendingTransfer"]  # fmt: skip

MATCH, ROUND, HEARD, PROMISED = map(attrgetter, ("match", "round", "heard", "promised_until"))
HEARTBEATS_MISSED_MAX = 4
POSTPONED_MAX = 16
"""Most postponed requests of clients. More are not expected: people change members by hand or with
scripts."""


@dataclass(frozen=True, slots=True)
class PendingTransfer:
    """A leadership transfer to `target`; it is given up at `give_up_at`.

    `ticket` receives the result; None if the leader itself has begun the transfer.
    """

    target: Address
    ticket: Any
    give_up_at: float


@dataclass(slots=True)
class LiveGrant:
    """A grant that was given and not returned; see `GrantLead` for the first two fields.

    over_at   when nothing runs by it any more, because it was returned and its time is over;
              infinity while it was not returned
    """

    grant_ms: int
    hand_over_s: float
    over_at: float = inf


class LeaderBase(Role):
    """The one peer of its term that writes the log.

    began     when the leadership began, seconds of `state.now`
    first     index of this term's first entry; before it commits, nothing is committed or read
    frame_bytes  bytes of the smallest frame to a peer that the leader sends to
    command_bytes_max  largest command that the leader accepts, so that it fits into such a frame
    stuck     the followers that can't be sent an entry because no frame to their node holds it,
              with the index and size of this entry
    written   last index of the leader's own log that is saved; it counts for commits
    progress  the progress of every other member, and of others that the leader sends to
    tickets   the tickets of the entries from `answered + 1` on; None for an entry without one
    transfer  the leadership transfer that is going on, or None (thesis 3.10)
    change    the change of members that is going on here, or None
    wished    the wishes for a grant that were not fulfilled yet; see `lead_grants`
    grants    the grants that were given and not returned, by the indexes of their entries
    grants_from  when this leader may give its first grant
    recalled_until  until when the holders of the grants have time to return them; None: the grants
              were not recalled
    told      the last news for the holders of grants
    postponed  clients' requests that can't be judged yet, with the time until which each may wait
    removed   the peers that were removed, and may not know it yet, with the time until which they
              are sent the log
    amnesiacs  the members that have lost entries which they had acknowledged; their data
              directories are to be taken out of the configuration and put in again
    slow      how many saves in a row, up to the last one, were slow
    check_disks  whether the next flush looks for a follower with a faster disk
    machine_version  the version to which this leader has moved the group's state machines, or
              the one it found
    lease     from the followers' promises: until when reads need no round
    digest_rounds  when to have the replicas compare the digests of their states
    """

    __slots__ = ("amnesiacs", "answered", "beat_at", "began", "change", "check_disks",
                 "command_bytes_max", "digest_rounds", "first", "frame_bytes", "grants",
                 "grants_from", "leader", "lease", "machine_version", "postponed", "progress",
                 "reads", "recalled_until", "removed", "slow", "stuck", "tickets", "told",
                 "transfer", "wished", "written")  # fmt: skip
    leads = True

    def __init__(self, state: State) -> None:
        super().__init__(state)
        log, now = state.log, state.now
        self.leader: Address = state.peer
        self.began: float = now
        self.first: int = log.last_index + 1
        self.written: int = 0
        self.frame_bytes: int = NO_FRAMES
        self.command_bytes_max: int = state.config.command_bytes_max
        self.stuck: dict[Address, tuple[int, int]] = {}
        self.progress: dict[Address, Progress] = {}
        self.removed: dict[Address, float] = {}
        self.amnesiacs: set[Address] = set()
        self.change: MembershipChange | None = None
        self.postponed: list[tuple[Configure | Transfer, float]] = []
        self.reads: Reads = Reads()
        config = state.config
        self.lease: Lease = Lease(config.lease_clock_drift_max, config.max_election_timeout)
        self.tickets: deque[Any] = deque()
        self.answered: int = log.last_index
        self.beat_at: float = now
        self.transfer: PendingTransfer | None = None
        self.wished: list[GrantLead] = []
        self.grants: dict[int, LiveGrant] = {}
        self.grants_from: float = now
        self.recalled_until: float | None = None
        self.told: LeadNews | None = None
        self.slow: int = 0
        self.check_disks: bool = False
        self.machine_version: int = state.machine_version
        self.digest_rounds: DigestRounds = DigestRounds(state)

    def knows(self, peer: Address) -> bool:
        """Like `Role.knows`, and also True for newcomers that are not in the configuration yet, but
        not for peers that were removed.
        """
        return super().knows(peer) or (peer in self.progress and peer not in self.removed)

    def append(self, kind: int, payload: bytes, ticket: Any, extensions: bytes = b"") -> None:
        state = self.state
        index = state.log.last_index + 1
        state.append([encode(state.term, kind, payload, index=index, extensions=extensions)])
        self.tickets.append(ticket)

    def take_tickets(self, through: int) -> list[Any]:
        """Return the tickets up to the entry `through` that were not taken before."""
        taken = [self.tickets.popleft() for _ in range(through - self.answered)]
        self.answered = max(self.answered, through)
        return taken

    def is_overloaded(self) -> bool:
        return len(self.tickets) + self.reads.count >= self.state.config.proposals_max

    def is_removed(self) -> bool:
        """Return whether a committed configuration has removed this leader. It leads until that
        configuration is committed (thesis 4.2.2).
        """
        configuration = self.state.configuration
        return configuration.index <= self.state.commit_index and not configuration.votes(
            self.state.peer
        )

    def is_changing(self) -> bool:
        return self.change is not None or bool(self.state.configuration.old)

    def transfer_candidates(self, *, needy: bool = False) -> list[Address]:
        """The voters that could be the next leader, if they are alive. A witness could not, as it
        has no state, nor could a replica whose state is wrong; and one that asks for another state
        only with `needy`.
        """
        state = self.state
        stateless = {*state.configuration.witnesses, *state.digests.compared.wrong()}
        if not needy:
            stateless.update(peer for peer, each in self.progress.items() if each.needs_state)
        return [member for member in state.others() if member not in stateless]

    def is_alive(self, member: Address) -> bool:
        """Tell whether a member has answered one of the last few heartbeats. If not, it can't take
        over the leadership.

        A member that has not answered in this term counts as not alive: a new leader can't know
        for how long the member has been away.
        """
        state, progress = self.state, self.progress[member]
        heard_since = state.now - HEARTBEATS_MISSED_MAX * state.config.heartbeat_timeout
        return progress.is_connected and progress.heard >= heard_since

    def may_answer_yet(self, members: Iterable[Address]) -> bool:
        """Tell whether one of `members` has not answered in this term, and the term is so new that
        its answer may still come.
        """
        is_new = self.state.now - self.began < self.state.config.max_election_timeout
        return is_new and any(self.progress[member].heard == -inf for member in members)

    def postpone(self, event: Configure | Transfer, until: float) -> bool:
        """Postpone a request: it is judged again after each commit and at each heartbeat. Return
        False if it may not wait: its time is over, or too many wait already.
        """
        if self.state.now >= until or len(self.postponed) >= POSTPONED_MAX:
            return False
        self.postponed.append((event, until))
        return True

    def quorum_value(self, what: Callable[[Progress], float], *, own: float) -> float:
        """Return the largest value that a majority has reached. `own` is this leader's value. A
        member that does not count (`Progress.is_counted`) has none.
        """
        values = {peer: what(known) for peer, known in self.progress.items() if known.is_counted}
        values[self.state.peer] = own
        return self.state.voters.quorum_value(values)
