"""Check: compares all traces of a cluster with each other.

What the peers show has no common clock, so nothing here depends on the order of two peers' lines:
one leader a term, one entry at an index of a term, one entry at a committed index, nothing
received that was not sent.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raft_actors.names import Address
from raft_actors.tools.trace_check.files import Line, Run, read
from raft_actors.tools.trace_check.log_view import Entry, LogView
from raft_actors.tools.trace_check.peer import PeerReplay
from raft_actors.tools.trace_check.peer_state import PeerState
from raft_actors.tools.trace_check.rules import TraceLine, Violation

__all__ = ["ClusterTrace", "Report", "check"]


@dataclass(slots=True)
class Report:
    """The result of a check.

    violations  at most one for each run, and those that only several traces show; by time
    unproven    messages whose sending the lost end of a killed run, or no trace, would tell
    """

    peers: list[Address] = field(default_factory=list)
    runs: int = 0
    killed: int = 0
    lines: int = 0
    messages: int = 0
    unproven: int = 0
    committed: int = 0
    leaders: int = 0
    violations: list[Violation] = field(default_factory=list)


def check(directory: Path, progress: Callable[[Address], None] = lambda _peer: None) -> Report:
    """Check all traces in `directory`. Raises FileNotFoundError if there are none."""
    report = Report()
    try:
        traces = read(directory)
    except Violation as violation:
        report.violations.append(violation)
        return report
    cluster = ClusterTrace(report)
    for peer, runs in traces.items():
        progress(peer)
        cluster.replay(peer, runs)
    cluster.compare(traces)
    report.violations.sort(key=lambda violation: violation.place)
    return report


@dataclass(slots=True)
class Election:
    """A leader's log when it was elected."""

    peer: Address
    term: int
    log: LogView
    place: TraceLine


@dataclass(slots=True)
class Group:
    """What the peers have shown of one group, each with the place where it was first seen.

    leaders     of each term
    matching    hash of the entry at (index, term), and the term of the entry before it
    decided     the committed entry at each index; `decided_in`: in which term a leader did it
    """

    leaders: dict[int, tuple[Address, TraceLine]] = field(default_factory=dict)
    matching: dict[tuple[int, int], tuple[str, int | None, TraceLine]] = field(default_factory=dict)
    decided: dict[int, tuple[Entry, TraceLine]] = field(default_factory=dict)
    decided_in: dict[int, int] = field(default_factory=dict)


class ClusterTrace:
    """Compares the lines of all peers. A directory may have the traces of several groups."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.elections: list[Election] = []
        self.groups: dict[str, Group] = defaultdict(Group)

    def replay(self, peer: Address, runs: list[Run]) -> None:
        report = self.report
        report.peers.append(peer)
        replay = PeerReplay(peer, self)
        for run in runs:
            report.runs += 1
            report.lines += len(run.lines)
            report.killed += not run.ended
            try:
                replay.replay(run)
            except Violation as violation:
                report.violations.append(violation)
                return  # what it was before the next run is not known

    # What a peer shows.

    def leads(self, group: str, term: int, leader: Address, place: TraceLine) -> None:
        """Note which peer is known as the leader of a term."""
        first, where = self.groups[group].leaders.setdefault(term, (leader, place))
        if first != leader:
            raise Violation(
                "one_leader", place, f"{leader} leads term {term}, which {first} led at {where}"
            )

    def elected(self, peer: PeerState, term: int, log: LogView) -> None:
        self.leads(log.group, term, peer.address, peer.place)
        self.elections.append(Election(peer.address, term, log.copy(), peer.place))

    def entries(self, peer: PeerState, first: int, log: LogView) -> None:
        """Note that these entries were in a peer's log.

        With each goes the term of the one before it: so by induction all before it are the same.
        """
        matching = self.groups[log.group].matching
        before = log.term_at(first - 1)
        for index, (term, digest) in enumerate(log.between(first, log.last), first):
            key = index, term
            known = matching.setdefault(key, (digest, before, peer.place))
            if known[0] != digest or (None not in (known[1], before) and known[1] != before):
                raise Violation(
                    "log_matching", peer.place,
                    f"entry {index} of term {term} differs from the one at {known[2]}",
                )  # fmt: skip
            before = term

    def committed(self, peer: PeerState, first: int, last: int, *, leads: bool) -> None:
        """Note that these entries of a peer's log are committed, as this peer knows."""
        term, log = peer.what["term"], peer.log
        group = self.groups[log.group]
        first = max(first, log.base + 1)
        for index, entry in enumerate(log.between(first, last), first):
            known, where = group.decided.setdefault(index, (entry, peer.place))
            if known != entry:
                raise Violation(
                    "committed",
                    peer.place,
                    f"entry {index} differs from the one committed at {where}",
                )
            if leads:
                group.decided_in[index] = min(group.decided_in.get(index, term), term)

    # What only all of them show.

    def compare(self, traces: dict[Address, list[Run]]) -> None:
        self.report.committed = sum(len(group.decided) for group in self.groups.values())
        self.report.leaders = len(self.elections)
        for election in self.elections:
            self.judge_completeness(election)
        self.judge_messages(traces)

    def judge_completeness(self, election: Election) -> None:
        log = election.log
        group = self.groups[log.group]
        for index, term in group.decided_in.items():
            if term < election.term and index > log.base:
                entry, where = group.decided[index]
                if log.between(index, index) != [entry]:
                    self.report.violations.append(
                        Violation(
                            "leader_complete", election.place,
                            f"{election.peer} leads term {election.term} without entry {index}, "
                            f"committed in term {term} at {where}",
                        )
                    )  # fmt: skip
                    return

    def judge_messages(self, traces: dict[Address, list[Run]]) -> None:
        """Every received message must have been sent, if the sender has a trace."""
        sent = {
            fingerprint(line.what["message"])
            for line in lines_of(traces)
            if line.what["event"] == "send"
        }
        blamed = set()
        for line in lines_of(traces):
            if line.what["event"] != "receive":
                continue
            self.report.messages += 1
            message = line.what["message"]
            if fingerprint(message) in sent:
                continue
            name, node = message["source"]
            if is_excused(traces.get((name, node)), message["term"]):
                self.report.unproven += 1
            elif line.place.path not in blamed:
                blamed.add(line.place.path)
                self.report.violations.append(
                    Violation(
                        "received", line.place,
                        f"a {message['kind']} of {message['source']}, which did not send it",
                    )
                )  # fmt: skip


def is_excused(runs: list[Run] | None, term: int) -> bool:
    """Return whether the sender may have sent the message although no line says so.

    It has no trace; or a run of it was killed, with its last lines, in that term or before.
    """
    return runs is None or any(not run.ended and run.last_term <= term for run in runs)


def lines_of(traces: dict[Address, list[Run]]) -> list[Line]:
    return [line for runs in traces.values() for run in runs for line in run.lines]


def fingerprint(message: dict[str, Any]) -> int:
    return hash(json.dumps(message, sort_keys=True))
