"""Rules: the rules that every trace must keep, each with its source. A Violation names one."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["RULES", "TraceLine", "Violation"]

RULES = {
    "whole": ("a trace has every line, in order", "docs/trace.md"),
    "calm": ("state changes only by an event", "docs/trace.md"),
    "no_exception": ("every event is handled without an exception", "docs/trace.md"),
    "term_falls": ("a peer's term never falls, not even by a restart", "§5.1, Figure 2: State"),
    "term_rises": (
        "a term rises to that of a message, or by one for an election",
        "§5.1, Figure 2: All Servers, Candidates",
    ),
    "newer_term": (
        "a peer that receives a newer term takes this term and becomes a follower",
        "§5.1, Figure 2: All Servers 2",
    ),
    "older_term": ("a message of an older term changes nothing", "§5.1, Figure 2: RPCs 1"),
    "other_group": ("a message of another group changes nothing", "docs/decisions/identity.md"),
    "outsider": (
        "while a peer has a leader, it ignores claims of peers outside of its configuration",
        "thesis 4.1, 4.2.3",
    ),
    "other_incarnation": (
        "a message for another data directory changes nothing",
        "docs/decisions/identity.md",
    ),
    "group_kept": (
        "a peer belongs to one group, from when its first entry is committed",
        "docs/decisions/identity.md",
    ),
    "pre_vote_harmless": ("a request for a pre-vote changes nothing", "thesis 9.6"),
    "pre_vote_first": (
        "a candidate has a majority of pre-votes, or a leader's order",
        "thesis 9.6, 3.10",
    ),
    "pre_vote_granted": (
        "a pre-vote is given for a new term, to an up-to-date log, and while there is no leader",
        "thesis 9.6, 4.2.3",
    ),
    "sticky": ("a peer that has a leader ignores requests for votes", "thesis 4.2.3"),
    "one_vote": ("one vote a term, also across a restart", "§5.2, Figure 2: RequestVote 2"),
    "vote_durable": (
        "term and vote are durable before a message that depends on them is sent",
        "Figure 2: State",
    ),
    "vote_asked": (
        "a peer votes for itself, or for a candidate that has asked",
        "§5.2, Figure 2: RequestVote 2",
    ),
    "up_to_date": (
        "a vote goes only to a log at least as up to date",
        "§5.4.1, Figure 2: RequestVote 2",
    ),
    "majority": ("a leader has a majority of the votes of its term", "§5.2, Figure 2: Candidates"),
    "one_leader": ("one leader a term", "§5.2, Figure 3: Election Safety"),
    "leader_complete": (
        "a leader has every entry that was committed in an earlier term",
        "§5.4, Figure 3: Leader Completeness",
    ),
    "leader_appends": (
        "a leader only appends, and only entries of its term",
        "§5.3, Figure 3: Leader Append-Only",
    ),
    "append_source": ("only the leader of the term sends entries", "§5.2, Figure 2: Leaders"),
    "append_true": ("a leader sends what is in its log", "§5.3, Figure 2: AppendEntries"),
    "append_taken": (
        "a follower accepts entries where the logs agree, and removes entries only at a conflict",
        "§5.3, Figure 2: AppendEntries 2 to 4",
    ),
    "log_matching": (
        "entries of one index and term are the same, and so are all before them",
        "§5.3, Figure 3: Log Matching",
    ),
    "reply_saved": ("a reply claims only what is saved", "Figure 2: State; thesis 10.2.1"),
    "reply_matched": ("a reply claims only what the leader sent", "§5.3; Figure 2: Leaders"),
    "saved_log": ("what is saved is the log", "Figure 2: State"),
    "loaded": ("a restart finds what was saved", "Figure 2: State"),
    "commit_falls": ("a commit index never falls", "Figure 2: State"),
    "leader_commit": (
        "a leader commits an entry of its term that a majority has saved",
        "§5.3, §5.4.2, Figure 2: Leaders 4",
    ),
    "follower_commit": (
        "a follower commits no more than the leader has committed and the request proves",
        "§5.3, Figure 2: AppendEntries 5",
    ),
    "committed": ("a committed entry never changes", "§5.4.3, Figure 3: State Machine Safety"),
    "applied": (
        "entries are applied once, in order, when committed",
        "§5.3, Figure 2: All Servers 1",
    ),
    "snapshot": (
        "a snapshot contains applied entries only, or is a leader's, and newer or asked for",
        "§7, Figure 13",
    ),
    "handed_over": ("only the leader of the term orders another peer to campaign", "thesis 3.10"),
    "received": ("what is received was sent", "docs/trace.md"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class TraceLine:
    """A line of a file. `at` is the wall time in the line, in seconds since 1970."""

    at: float
    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


class Violation(Exception):
    """A line of a trace breaks a rule."""

    def __init__(self, rule: str, place: TraceLine, detail: str) -> None:
        self.rule: str = rule
        self.place: TraceLine = place
        self.detail: str = detail
        says, source = RULES[rule]
        super().__init__(f"{place}: {detail}\n    rule {rule}: {says} ({source})")
