"""Progress: what a leader knows of one follower's log, and in which way it sends to the follower.

probing       it sends one append, then only heartbeats, until the follower has answered where the
              logs agree
replicating   it sends appends without waiting for answers, up to a bound
shipping      the follower needs entries that a snapshot has replaced: the leader sends the
              snapshot, and heartbeats
"""

from collections import deque
from math import inf

from raft_actors.core.snapshot import Shipment

__all__ = ["Progress"]

REFUSED_MAX = 2
"""A follower that refuses a snapshot once may have received damaged data. If it refuses a second
time, its disk may be bad, and that is reported."""
REST_S_MAX = 600.0
"""Longest pause between two attempts to send a snapshot. There are pauses because each attempt
reads and sends the whole snapshot."""


class Progress:
    """One follower, as its leader knows it. A new leader begins with a new object.

    match     highest index that is known to be saved at the follower and equal to the leader's
    next      index of the next entry to send
    inflight  for each unanswered append with entries, the index of its last entry, oldest first;
              while probing, there is at most the probe
    round     newest round that the follower has answered
    heard     time of the follower's last answer, seconds of `state.now`; minus infinity before the
              first answer in this term
    promised_until  until then the follower elects no other leader; for leases
    is_connected  False from when the connection broke until the follower answers again
    machine_version_max  the newest version that the follower's state machine can run as; 0 before
              its first answer
    owes_message  whether the next flush sends the follower a message, with or without entries
    shipment  the snapshot that is being sent to the follower
    incarnation  the follower's data directory: the one in the configuration, or if that has none,
              the one in the follower's answers; 0 before both
    needs_state  the follower asks for a snapshot that ends at this entry or later; 0: for none
    is_counted  whether `incarnation` is a member's, see `Configuration.counts`
    refused   how many complete snapshots the follower has refused, one after the other
    rests_until  until then the follower is sent no snapshot
    recheck   (round, match) after a follower rejected an entry that it had acknowledged. A second
              rejection in a reply to that round or a later one proves that its disk lost entries
              or damaged them
    """

    __slots__ = ("heard", "incarnation", "inflight", "is_connected", "is_counted",
                 "machine_version_max", "match", "needs_state", "next", "owes_message", "probing",
                 "promised_until", "recheck", "refused", "rests_until", "round",
                 "shipment")  # fmt: skip

    def __init__(self, *, next_index: int, incarnation: int = 0) -> None:
        self.match: int = 0
        self.next: int = next_index
        self.probing: bool = True
        self.inflight: deque[int] = deque()
        self.round: int = 0
        self.heard: float = -inf
        self.promised_until: float = -inf
        self.is_connected: bool = True
        self.machine_version_max: int = 0
        self.owes_message: bool = True
        self.incarnation: int = incarnation
        self.needs_state: int = 0
        self.is_counted: bool = False
        self.recheck: tuple[int, int] | None = None
        self.shipment: Shipment | None = None
        self.refused: int = 0
        self.rests_until: float = -inf

    @property
    def position(self) -> tuple[int, int]:
        """How far the follower is: its `match`, and the bytes of a snapshot that it has."""
        return self.match, self.shipment.acked if self.shipment is not None else 0

    @property
    def refuses_snapshots(self) -> bool:
        return self.refused >= REFUSED_MAX

    @property
    def wanted(self) -> int:
        """The last entry that the follower has, or will have when it has the whole snapshot."""
        return self.match if self.shipment is None else self.shipment.snapshot.index

    def may_send(self, inflight_max: int) -> bool:
        """Return whether one more append with entries may leave now."""
        return len(self.inflight) < (1 if self.probing else inflight_max)

    def sent(self, count: int) -> None:
        """Note that `count` entries were sent. While probing, `next` stays: the entries may have to
        be sent again.
        """
        self.owes_message = False
        self.inflight.append(self.next + count - 1)
        if not self.probing:
            self.next += count

    def matched(self, match: int) -> bool:
        """Note that the logs agree up to `match`; return whether that is further than before."""
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
        if (
            self.shipment is not None
            and match >= self.shipment.snapshot.index
            and not self.needs_state
        ):
            self.shipment = None
            self.refused = 0
        return True

    def snapshot_refused(self, *, now: float, timeout: float) -> None:
        """Prepare to send the snapshot again. The first time that happens at once, because a part
        may have been damaged while it was sent. Later the cause may be the follower's disk, so each
        pause is longer than the one before, up to REST_S_MAX.
        """
        self.shipment = None
        if self.refused:
            self.rests_until = now + min(timeout * 2.0 ** min(self.refused, 30), REST_S_MAX)
        self.refused += 1

    def rejected(self, prev_index: int, last_agreed: int) -> bool:
        """Go back to where the logs may agree; return whether the rejection counts.

        A late rejection does not: of an index that has matched meanwhile, or of an append that was
        sent before the last step back. Counting it would send all entries twice.
        """
        if prev_index <= self.match or prev_index >= self.next:
            return False
        self.probe(min(prev_index - 1, last_agreed))
        self.owes_message = True
        return True

    def probe(self, index: int) -> None:
        """Probe whether the logs agree at `index`, but never before `match`."""
        self.next = max(self.match, index) + 1
        self.probing = True
        self.inflight.clear()

    def lost(self) -> None:
        """The connection broke, so the unanswered messages are lost: probe until the follower
        answers again.
        """
        self.is_connected = False
        self.rests_until = -inf
        self.probe(self.match)
        if self.shipment is not None:
            self.shipment.go_back()
