"""Digest rounds: when a leader asks the replicas for digests of their states, and when it writes
down what they have reported; see `core.digests`.

Only the leader's settings count: each replica makes a digest whenever an entry asks for one.
"""

from raft_actors.core.digests import Comparison
from raft_actors.core.messages import AppendReply, DigestMade
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["DigestRounds"]

PATIENCE_TIMEOUTS = 10
"""A comparison waits so many longest election timeouts for digests that are missing ..."""
PATIENCE = 10
"""... and so many times as long as this leader's own digest took."""
SHARE = 50
"""If a digest takes a second of a processor, the next one is asked for so many seconds later: then
digests take 2 % of it at most."""
REPLICAS_MAX = 100
"""A comparison of so many replicas fits into the extension of an entry, whatever their names."""


class DigestRounds:
    """What one leader knows of the digests of its group. A new leader begins with a new object.

    asked     the newest entry of the log, as far as this leader knows, that asks for digests
    round     the newest such entry that was applied here
    reported  (index, digest) that each follower has reported last
    compare_at  when to compare what was reported for `round`, though digests are missing
    written_down  (index, digests) of the last comparison that this leader has appended
    counted_from  the next digests are due `Config.digest_entries` entries after this one ...
    ask_at    ... and not before this time
    is_due    digests are due, however few entries have come: a replica has got another state
    """

    __slots__ = ("ask_at", "asked", "compare_at", "counted_from", "is_due", "reported", "round",
                 "state", "written_down")  # fmt: skip

    def __init__(self, state: State) -> None:
        self.state: State = state
        self.asked: int = state.digests.asked
        self.round: int = state.digests.asked
        self.counted_from: int = max(self.asked, state.snapshot.index)
        self.reported: dict[Address, tuple[int, str]] = {}
        self.written_down: tuple[int, dict[Address, str]] = (0, {})
        self.compare_at: float = state.now
        self.ask_at: float = state.now
        self.is_due: bool = False

    def note_reply(self, reply: AppendReply) -> None:
        """Note the digest in a follower's reply. The follower sends it with each reply until it is
        in a comparison.
        """
        self.reported[reply.source] = reply.digest_index, reply.digest.hex()

    def note_own(self, event: DigestMade) -> None:
        now = self.state.now
        self.compare_at = max(self.compare_at, now + PATIENCE * event.took_s)
        self.ask_at = now + SHARE * event.took_s

    def replicas(self) -> list[Address]:
        """Return the peers whose states are compared; none if that is not possible."""
        voters = self.state.voters
        replicas = sorted({*voters.everyone}.difference(voters.witnesses))
        return replicas if 1 < len(replicas) <= REPLICAS_MAX else []

    def look(self) -> None:
        """Note a new round: its entry was applied here."""
        state = self.state
        if state.digests.asked > self.round:
            self.round = state.digests.asked
            patience_s = PATIENCE_TIMEOUTS * state.config.max_election_timeout
            self.compare_at = state.now + patience_s

    def may_ask(self) -> bool:
        """Return whether enough entries have come since the last round, and the last round is over.

        A round is over when there is a comparison, or when it has waited for long enough. So
        replicas that are slow are asked less often, and not for digests that nobody compares.
        """
        state, digests = self.state, self.state.digests
        every = state.config.digest_entries
        if every is None or state.now < self.ask_at or digests.asked < self.asked:
            return False
        is_over = digests.compared.index == digests.asked or state.now >= self.compare_at
        return is_over and (self.is_due or state.log.last_index - self.counted_from >= every)

    def asks(self, index: int) -> None:
        """Note that the entry `index` asks for digests."""
        self.asked = self.counted_from = index
        self.is_due = False

    def comparison(self, replicas: list[Address]) -> Comparison | None:
        """Return what is to be written down: once all replicas have reported, or the round has
        waited for long enough; and again if more replicas report later, or another digest.
        """
        state, digests = self.state, self.state.digests
        index, compared = digests.asked, digests.compared
        known = dict(compared.digests) if compared.index == index else {}
        found = known | {
            peer: digest for peer, (at, digest) in self.reported.items() if at == index
        }
        if digests.own[0] == index:
            found[state.peer] = digests.own[1].hex()
        found = {peer: found[peer] for peer in replicas if peer in found}
        if len(found) < 2 or found == known or self.written_down == (index, found):
            return None
        if len(found) < len(replicas) and state.now < self.compare_at:
            return None
        equal_at = compared.last_equal if compared.index < index else compared.equal_at
        self.written_down = index, found
        self.counted_from = state.log.last_index + 1
        return Comparison(index, len(replicas), tuple(found.items()), equal_at)
