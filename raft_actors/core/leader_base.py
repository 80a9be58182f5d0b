"""What the parts of a leader work on. It ends with the leadership, as every role.

Replication         brings the log to the followers, and counts what they have (§5.3, §5.4)
Reconfiguration     takes the group from one configuration, or machine version, to another (§6)
LeadershipTransfer  makes room for another leader (thesis 3.10)
Leader              all three, and the clients
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import Any

from raft_actors.core.entry import encode
from raft_actors.core.lease import Lease
from raft_actors.core.membership_change import MembershipChange
from raft_actors.core.messages import NO_FRAMES, Configure, Transfer
from raft_actors.core.progress import Progress
from raft_actors.core.read_index import Reads
from raft_actors.core.role import Role
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["HEARD", "MATCH", "PROMISED", "ROUND", "LeaderBase", "PendingTransfer"]

MATCH, ROUND, HEARD, PROMISED = map(attrgetter, ("match", "round", "heard", "promised_until"))
HEARTBEATS_MISSED_MAX = 4
POSTPONED_MAX = 16
"""Clients' wishes that wait; scripts of as many people, no more."""


@dataclass(frozen=True, slots=True)
class PendingTransfer:
    """A leader that makes room for `target`, until `give_up_at`; `ticket` hears how it ends.

    Nobody does if the leader itself wished it: then `ticket` is None.
    """

    target: Address
    ticket: Any
    give_up_at: float


class LeaderBase(Role):
    """The one peer of its term that writes the log.

    began     when its term did, seconds of `state.now`
    first     index of this term's first entry; nothing is committed or read before it commits
    frame_bytes  what one frame to any of those that it sends to holds: the nodes agree on it
    command_bytes_max  of a command that it takes, which goes into such a frame
    stuck     who can't be sent an entry, for no frame to its node holds it: its index and size
    written   how far its own log is durable: its own vote in the count
    progress  what it knows of every other member
    tickets   who waits for the entries from `answered + 1` on; None where nobody does
    transfer  to whom it hands over, if it does (thesis 3.10)
    change    the change of members that is under way here, if one is
    postponed  clients' wishes that it can't judge yet, and until when each may wait
    removed   who was removed and may not have heard of it yet, and until when it is told
    amnesiacs  who has lost entries that it had acknowledged, and is to be learned anew
    slow      how many of its last saves took long, in a row
    check_disks  whether the next flush looks whose disk is quicker
    machine_version  what it has moved the group's machines to, or found them at
    lease     until when reads need no round
    """

    __slots__ = ("amnesiacs", "answered", "beat_at", "began", "change", "check_disks",
                 "command_bytes_max", "first", "frame_bytes", "leader", "lease", "machine_version",
                 "postponed", "progress", "reads", "removed", "slow", "stuck", "tickets",
                 "transfer", "written")  # fmt: skip
    leads = True

    def __init__(self, state: State) -> None:
        super().__init__(state)
        log, now = state.log, state.now
        self.leader = state.peer
        self.began = now
        self.first = log.last_index + 1
        self.written = 0
        self.frame_bytes = NO_FRAMES
        self.command_bytes_max = state.config.command_bytes_max
        self.stuck: dict[Address, tuple[int, int]] = {}
        self.progress: dict[Address, Progress] = {}
        self.removed: dict[Address, float] = {}
        self.amnesiacs: set[Address] = set()
        self.change: MembershipChange | None = None
        self.postponed: list[tuple[Configure | Transfer, float]] = []
        self.reads = Reads()
        config = state.config
        self.lease = Lease(config.lease_clock_drift_max, config.max_election_timeout)
        self.tickets: deque[Any] = deque()
        self.answered = log.last_index
        self.beat_at = now
        self.transfer: PendingTransfer | None = None
        self.slow = 0
        self.check_disks = False
        self.machine_version = state.machine_version

    def knows(self, peer: Address) -> bool:
        """Also newcomers that are not in the configuration yet, and nobody that was removed."""
        return super().knows(peer) or (peer in self.progress and peer not in self.removed)

    def append(self, kind: int, payload: bytes, ticket: Any) -> None:
        state = self.state
        state.append([encode(state.term, kind, payload, index=state.log.last_index + 1)])
        self.tickets.append(ticket)

    def take_tickets(self, through: int) -> list[Any]:
        """Return the tickets of the entries after the last ones taken, up to `through`."""
        taken = [self.tickets.popleft() for _ in range(through - self.answered)]
        self.answered = max(self.answered, through)
        return taken

    def is_overloaded(self) -> bool:
        return len(self.tickets) + self.reads.count >= self.state.config.proposals_max

    def is_removed(self) -> bool:
        """A leader that is no member leads until that is committed (thesis 4.2.2)."""
        configuration = self.state.configuration
        return configuration.index <= self.state.commit_index and not configuration.votes(
            self.state.peer
        )

    def is_changing(self) -> bool:
        return self.change is not None or bool(self.state.configuration.old)

    def transfer_candidates(self) -> list[Address]:
        """Who could lead after it, if they live: a witness has no state to lead with."""
        witnesses = self.state.configuration.witnesses
        return [member for member in self.state.others() if member not in witnesses]

    def is_alive(self, member: Address) -> bool:
        """Tell whether it has answered one of the last few heartbeats: else it can't take over.

        Who has not answered in this term may be away for long: a new leader can't know.
        """
        state, progress = self.state, self.progress[member]
        heard_since = state.now - HEARTBEATS_MISSED_MAX * state.config.heartbeat_timeout
        return progress.is_connected and progress.heard >= heard_since

    def may_answer_yet(self, members: Iterable[Address]) -> bool:
        """Tell whether one of these has not answered in this term, and had little time for it."""
        is_new = self.state.now - self.began < self.state.config.max_election_timeout
        return is_new and any(self.progress[member].heard == -inf for member in members)

    def postpone(self, event: Configure | Transfer, until: float) -> bool:
        """Have this judged again, when something commits and with each heartbeat; may it wait?"""
        if self.state.now >= until or len(self.postponed) >= POSTPONED_MAX:
            return False
        self.postponed.append((event, until))
        return True

    def quorum_value(self, what: Callable[[Progress], float], *, own: float) -> float:
        """Return the largest value that a majority has reached; who doesn't count has none."""
        values = {peer: what(known) for peer, known in self.progress.items() if known.is_counted}
        values[self.state.peer] = own
        return self.state.voters.quorum_value(values)
