"""PeerState: the state of one peer, as far as its trace shows it.

The state changes with each line. The rules in `peer`, `elections`, `log_rules` and `sent` judge a
line by the state before it.
"""

from collections import defaultdict
from math import inf
from typing import Any, Protocol

from raft_actors.names import Address
from raft_actors.tools.trace_check.log_view import ConfigurationLine, LogView
from raft_actors.tools.trace_check.rules import TraceLine, Violation

__all__ = ["ClusterView", "Disk", "Message", "PeerState"]

ROUNDING_S = 1e-4  # larger than the error of the difference of two rounded times

Message = dict[str, Any]
"""A message as it is in the trace."""
Disk = tuple[Address, int]
"""A peer, and the incarnation of its data directory."""


class PeerState:
    """The state of one peer, over all its runs.

    disk      the log as it was saved
    ballot    (term, vote) as it was saved
    log       the log in memory
    commit    the highest commit index of the lines so far
    applied   the highest applied index of the lines so far
    offered   (index, term) of the snapshots that leaders have sent
    asks_for_state  whether it was told to take the state of its leader (`Raft.reseed`)
    accepted  the newest (term, index) up to which the log is known to be that of a leader
    incarnation  the incarnation of the data directory
    claimed   the newest (term, index) that the peer has acknowledged as saved to a leader
    heard     when the peer last received a message of a leader, by its own clock
    promised_until  until this time, by the same clock, the peer has promised to vote for no other
    promises  for each term, the peers that promised a vote in it
    promised  (candidate, term): the votes that this peer was asked for, and may promise
    ordered_term  the term in which a leader has ordered the peer to become a candidate
    voters    the peers whose votes counted before the line: by the log, or by a founder's message
    before    the line before
    what      the line that is judged, at `place`
    """

    before: dict[str, Any]
    what: dict[str, Any]
    place: TraceLine

    def __init__(self, peer: Address, cluster: "ClusterView") -> None:
        self.peer: list[str] = list(peer)
        self.address = peer
        self.cluster = cluster
        self.ballot: tuple[int, Any] = (0, None)
        self.disk: LogView = LogView()
        self.known: bool = False  # whether a run of the peer was replayed
        self.ended: bool = True
        self.incarnation: int = 0
        self.claimed: tuple[int, int] = (0, 0)
        self.commit: int = 0
        self.applied: int = 0
        self.log: LogView = LogView()
        self.election_timeout: float = 0.0
        self.promise_s: float = 0.0
        self.heard: float = -inf
        self.promised_until: float = -inf
        self.accepted: tuple[int, int] = (0, 0)
        self.asks_for_state: bool = False

    def begin_run(self, loaded: LogView, what: dict[str, Any]) -> None:
        """Begin with the content of the store. A peer keeps nothing else from run to run."""
        self.known = True
        self.incarnation = what["incarnation"]
        self.ballot = (what["term"], what["vote"])
        self.disk, self.log = loaded, loaded.copy()
        self.commit = self.applied = what["commit"]
        self.election_timeout = what["min_election_timeout"]
        self.heard = self.promised_until = -inf
        self.promise_s = what.get("promise_ms", 0) / 1000
        if what["term"]:
            self.promise()
        self.votes: set[Disk] = set()
        self.promises: dict[int, set[Disk]] = defaultdict(set)
        self.promised: set[tuple[Address, int]] = set()
        self.matches: dict[Disk, int] = {}
        self.accepted = (0, 0)
        self.ordered_term = self.led = -1
        self.offered: set[tuple[int, int]] = set()
        self.asks_for_state = False
        self.voters: ConfigurationLine | None = None

    def fail(self, rule: str, detail: str) -> None:
        """Raise a Violation of the rule at the line that is judged."""
        raise Violation(rule, self.place, detail)

    @property
    def own_disk(self) -> Disk:
        return self.address, self.incarnation

    def hears_a_leader(self) -> bool:
        """Return whether the peer had to assume, when the line began, that a leader works."""
        if self.before["role"] == "leader":
            return True
        now = self.what["now"] + ROUNDING_S
        return bool(now < self.promised_until or now < self.heard + self.election_timeout)

    def promise(self) -> None:
        if self.promise_s:
            self.promised_until = self.what["now"] + self.promise_s


class ClusterView(Protocol):
    """Compares the lines of all peers. The rules of one peer report to it."""

    def leads(self, group: str, term: int, leader: Address, place: TraceLine) -> None:
        """Note which peer is known as the leader of a term."""

    def elected(self, peer: PeerState, term: int, log: LogView) -> None:
        """Note a new leader, and its log."""

    def entries(self, peer: PeerState, first: int, log: LogView) -> None:
        """Note that the entries from `first` on were in a peer's log."""

    def committed(self, peer: PeerState, first: int, last: int, *, leads: bool) -> None:
        """Note that these entries of a peer's log are committed, as this peer knows."""
