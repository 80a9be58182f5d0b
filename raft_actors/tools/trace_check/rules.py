"""Rules: what a trace must keep, each with its source; Violation names the broken one."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["RULES", "TraceLine", "Violation"]

RULES = {
    "whole": ("a trace has every line, in order", "docs/trace.md"),
    "calm": ("state changes only by an event", "docs/trace.md"),
    "no_exception": ("every event is taken without an exception", "docs/trace.md"),
    "term_falls": ("a peer's term never falls, nor by a restart", "§5.1, Figure 2: State"),
    "term_rises": (
        "a term rises to that of a message, or by one to stand",
        "§5.1, Figure 2: All Servers, Candidates",
    ),
    "newer_term": (
        "who hears of a newer term takes it and follows",
        "§5.1, Figure 2: All Servers 2",
    ),
    "older_term": ("a message of an older term changes nothing", "§5.1, Figure 2: RPCs 1"),
    "other_group": ("a message of another group changes nothing", "docs/decisions/identity.md"),
    "outsider": (
        "who hears a leader hears no claim of one that its configuration does not know",
        "thesis 4.1, 4.2.3",
    ),
    "other_incarnation": (
        "what is meant for another data directory changes nothing",
        "docs/decisions/identity.md",
    ),
    "group_kept": (
        "a peer belongs to one group, from when its first entry is committed",
        "docs/decisions/identity.md",
    ),
    "pre_vote_harmless": ("being asked for a pre-vote changes nothing", "thesis 9.6"),
    "pre_vote_first": ("who stands was promised a majority, or told to stand", "thesis 9.6, 3.10"),
    "pre_vote_granted": (
        "a pre-vote is promised for a new term, an up-to-date log, and without a leader at work",
        "thesis 9.6, 4.2.3",
    ),
    "sticky": ("who hears a leader hears no vote request", "thesis 4.2.3"),
    "one_vote": ("one vote a term, also across a restart", "§5.2, Figure 2: RequestVote 2"),
    "vote_durable": (
        "term and vote are durable before anything that promises them is sent",
        "Figure 2: State",
    ),
    "vote_asked": ("a vote goes to itself, or to who asks", "§5.2, Figure 2: RequestVote 2"),
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
    "append_true": ("a leader sends what its log holds", "§5.3, Figure 2: AppendEntries"),
    "append_taken": (
        "a follower takes entries where the logs agree, and cuts only at a conflict",
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
        "a follower commits no more than the leader says and the request proves",
        "§5.3, Figure 2: AppendEntries 5",
    ),
    "committed": ("a committed entry never changes", "§5.4.3, Figure 3: State Machine Safety"),
    "applied": (
        "entries are applied once, in order, when committed",
        "§5.3, Figure 2: All Servers 1",
    ),
    "snapshot": (
        "a snapshot stands for what is applied, or comes from a leader and is newer",
        "§7, Figure 13",
    ),
    "handed_over": ("only the leader of the term tells another to stand", "thesis 3.10"),
    "received": ("what is received was sent", "docs/trace.md"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class TraceLine:
    """A line of a file. `at` is the wall time it tells, seconds since 1970."""

    at: float
    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


class Violation(Exception):
    """A line of a trace breaks a rule."""

    def __init__(self, rule: str, place: TraceLine, detail: str) -> None:
        self.rule, self.place, self.detail = rule, place, detail
        says, source = RULES[rule]
        super().__init__(f"{place}: {detail}\n    rule {rule}: {says} ({source})")
