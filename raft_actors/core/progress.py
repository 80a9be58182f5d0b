"""Progress: what a leader knows of one follower's log, and how it sends to it.

probing       one append, then heartbeats only, until the follower says where the logs agree
replicating   appends follow one another without waiting, up to a bound
shipping      it needs entries that a snapshot stands for: it gets that instead, and heartbeats
"""

from collections import deque
from math import inf

from raft_actors.core.snapshot import Shipment

__all__ = ["Progress"]

REFUSED_MAX = 2
"""One refused snapshot may have been damaged on its way; with the second the disk may be bad."""
REST_S_MAX = 600.0
"""Each try reads the whole snapshot, and sends it."""


class Progress:
    """One follower, seen from its leader. It ends with the leadership.

    match     highest index known to be durable there
    next      index of the next entry to send
    inflight  last indexes of the unanswered appends that carry entries, oldest first; while
              probing, the probe's alone
    round     newest round that it has answered
    heard     time of its last answer, seconds of `state.now`; minus infinity before the first in
              this term
    promised_until  before that it elects nobody else; for leases
    is_connected  False after the link to it broke, until it answers again
    machine_version_max  the newest version that its machine can run as; 0 before it has said so
    owes_message  whether the next flush sends it a message, entries or not
    shipment  the snapshot that is on its way there
    incarnation  its data directory: the one in the configuration, or else as heard; 0 if neither
    is_counted  whether that is a member's, see `Configuration.counts`
    refused   how many whole snapshots it refused, one after the other
    rests_until  before that it is sent no snapshot
    recheck   (round, match) after a follower rejected an entry that it had acknowledged. A second
              rejection in a reply to that round or a later one proves that its disk lost entries
    """

    __slots__ = ("heard", "incarnation", "inflight", "is_connected", "is_counted",
                 "machine_version_max", "match", "next", "owes_message", "probing",
                 "promised_until", "recheck", "refused", "rests_until", "round",
                 "shipment")  # fmt: skip

    def __init__(self, *, next_index: int, incarnation: int = 0) -> None:
        self.match = 0
        self.next = next_index
        self.probing = True
        self.inflight: deque[int] = deque()
        self.round = 0
        self.heard = -inf
        self.promised_until = -inf
        self.is_connected = True
        self.machine_version_max = 0
        self.owes_message = True
        self.incarnation = incarnation
        self.is_counted = False
        self.recheck: tuple[int, int] | None = None
        self.shipment: Shipment | None = None
        self.refused = 0
        self.rests_until = -inf

    @property
    def position(self) -> tuple[int, int]:
        """How far it has come: what matches, and how much of a snapshot is there."""
        return self.match, self.shipment.acked if self.shipment is not None else 0

    @property
    def refuses_snapshots(self) -> bool:
        return self.refused >= REFUSED_MAX

    @property
    def wanted(self) -> int:
        """Return the last entry that it has, or will have when its shipment ends."""
        return self.match if self.shipment is None else self.shipment.snapshot.index

    def may_send(self, inflight_max: int) -> bool:
        """Tell whether one more append with entries may leave now."""
        return len(self.inflight) < (1 if self.probing else inflight_max)

    def sent(self, count: int) -> None:
        """Note that `count` entries are on their way. A probe's may have to go again."""
        self.owes_message = False
        self.inflight.append(self.next + count - 1)
        if not self.probing:
            self.next += count

    def matched(self, match: int) -> bool:
        """Note that the logs agree up to `match`; return whether that is news."""
        inflight = self.inflight
        if self.probing:
            self.probing = False
            inflight.clear()
        while inflight and inflight[0] <= match:
            inflight.popleft()
        self.next = max(self.next, match + 1)
        if match <= self.match:
            return False
        self.match = match
        if self.shipment is not None and match >= self.shipment.snapshot.index:
            self.shipment = None
            self.refused = 0
        return True

    def snapshot_refused(self, *, now: float, timeout: float) -> None:
        """Send it again: at once the first time, for a part may have been damaged on its way. Then
        the follower's own disk may be, so each time later, but after REST_S_MAX at the latest.
        """
        self.shipment = None
        if self.refused:
            self.rests_until = now + min(timeout * 2.0 ** min(self.refused, 30), REST_S_MAX)
        self.refused += 1

    def rejected(self, prev_index: int, last_agreed: int) -> bool:
        """Go back to where the logs may agree; return whether the rejection is news.

        A rejection of what has matched meanwhile, or of an append before the last reset, is a
        late one: to follow it would send everything twice.
        """
        if prev_index <= self.match or prev_index >= self.next:
            return False
        self.probe(min(prev_index - 1, last_agreed))
        self.owes_message = True
        return True

    def probe(self, index: int) -> None:
        """Ask whether the logs agree at `index`, but at or after what is known to match."""
        self.next = max(self.match, index) + 1
        self.probing = True
        self.inflight.clear()

    def lost(self) -> None:
        """What was under way is lost: send little until the follower answers again."""
        self.is_connected = False
        self.rests_until = -inf
        self.probe(self.match)
        if self.shipment is not None:
            self.shipment.go_back()
