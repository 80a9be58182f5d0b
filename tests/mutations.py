"""Mutation proof: plant one protocol bug at a time, and see which check goes red.

    python -m tests.mutations              all of them, as a table
    python -m tests.mutations figure_8     those whose name contains the word

A mutation is one replacement of text in one module of the core. It is applied to a copy. The
named tests run first; the seeded simulation is the second net. A mutation that nothing catches
means that a check is missing, and the exit status says so.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEEDS = "600"


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replace `old`, which stands exactly once in `module`, with `new`."""

    name: str
    rule: str
    module: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "index_and_term_swapped", "§5.4.1; defect 1", "log",
        "(last_term, last_index) >= (self.last_term, self.last_index)",
        "(last_index, last_term) >= (self.last_index, self.last_term)",
    ),
    Mutation(
        "longer_log_wins_over_newer_term", "§5.4.1", "log",
        "(last_term, last_index) >= (self.last_term, self.last_index)",
        "last_index >= self.last_index",
    ),
    Mutation(
        "vote_not_durable", "Figure 2; defect 6", "server",
        "        self.ballot = Ballot(self.term, candidate, self.ballot.configuration)",
        "        self.ballot = self.saved_ballot = "
        "Ballot(self.term, candidate, self.ballot.configuration)",
    ),
    Mutation(
        "term_not_durable", "Figure 2", "server",
        "        self.ballot = Ballot(term, voted_for, self.ballot.configuration)",
        "        self.ballot = self.saved_ballot = "
        "Ballot(term, voted_for, self.ballot.configuration)",
    ),
    Mutation(
        "two_votes_a_term", "§5.2", "follower",
        "granted = server.voted_for in (None, request.source) and",
        "granted = True and",
    ),
    Mutation(
        "votes_survive_the_election", "defect 5", "candidate",
        "        self.votes: set[Address] = {server.peer}",
        "        self.votes: set[Address] = {server.peer, *getattr(server.role, 'votes', ())}",
    ),
    Mutation(
        "refusals_count_as_votes", "defect 5", "candidate",
        "        if reply.granted:\n            self.votes",
        "        if True:\n            self.votes",
    ),
    Mutation(
        "votes_of_any_term_count", "defect 5", "server",
        "        return kind is PreVoteReply",
        "        return kind in (PreVoteReply, VoteReply)",
    ),
    Mutation(
        "vote_forgotten_on_stepping_down", "defect 6", "server",
        "        if term is not None:\n            self.enter_term(term, None)",
        "        self.ballot = Ballot(term or self.term, None, self.ballot.configuration)",
    ),
    Mutation(
        "quorum_off_by_one_in_elections", "§5.2", "membership",
        "2 * len(set(granted).intersection(self.members)) > len(self.members)",
        "2 * len(set(granted).intersection(self.members)) >= len(self.members)",
    ),
    Mutation(
        "quorum_off_by_one_in_commits", "§5.3", "quorum",
        "sorted(values)[(len(values) - 1) // 2]",
        "sorted(values)[len(values) // 2 if len(values) % 2 == 0 else (len(values) + 1) // 2]",
    ),
    Mutation(
        "duplicate_append_rewinds_the_log", "defect 3", "log",
        "        if same < len(entries):\n            if same < len(known):",
        "        if True:\n            if True:",
    ),
    Mutation(
        "conflicting_tail_stays", "defect 7", "log",
        "                self.truncate(index + same)\n            self.append(entries[same:])",
        "                self.tail[index + same - self.tail_first + 1 :][: len(entries) - same]"
        "\n            self.append(entries[same:])",
    ),
    Mutation(
        "failed_check_truncates", "defect 8", "follower",
        "        server, log = self.server, self.server.log\n        hint =",
        "        server, log = self.server, self.server.log\n"
        "        log.truncate(min(log.last_index, max(log.base, request.prev_index - 1)))\n"
        "        hint =",
    ),
    Mutation(
        "no_consistency_check", "§5.3", "follower",
        "        elif log.term_at(prev) != request.prev_term:",
        "        elif log.term_at(prev) < 0:",
    ),
    Mutation(
        "match_beyond_the_request", "Figure 2, AppendEntries 5", "follower",
        "match=match if owed is None else max(match, owed.match)",
        "match=log.last_index",
    ),
    Mutation(
        "commit_beyond_the_request", "Figure 2, AppendEntries 5", "follower",
        "server.commit_to(min(request.commit, match))",
        "server.commit_to(min(request.commit, log.last_index))",
    ),
    Mutation(
        "commit_goes_back", "§5.3", "server",
        "        if index > self.commit_index:\n            self.commit_index = index",
        "        self.commit_index = index",
    ),
    Mutation(
        "figure_8_commit", "§5.4.2", "leader",
        "if index > server.commit_index and index >= self.first:",
        "if index > server.commit_index:",
    ),
    Mutation(
        "leader_counts_its_unsaved_log", "thesis 10.2.1", "leader",
        "held[server.peer] = self.written",
        "held[server.peer] = server.log.last_index",
    ),
    Mutation(
        "stale_written_counts", "thesis 10.2.1", "leader",
        "log.term_at(written.last_index) == written.last_term",
        "True",
    ),
    Mutation(
        "higher_terms_ignored_by_a_leader", "§5.1; defect 9", "server",
        "        if message.term > self.term:\n",
        "        if message.term > self.term and self.role.name == 'leader':\n"
        "            return False\n        if message.term > self.term:\n",
    ),
    Mutation(
        "no_check_quorum", "thesis 6.2; defect 9", "leader",
        "if silence > config.max_election_timeout:",
        "if False:",
    ),
    Mutation(
        "candidate_ignores_the_leader", "§5.2; defect 10", "candidate",
        "    AppendEntries: Asking.follow,",
        "    AppendEntries: Asking.ignore,",
    ),
    Mutation(
        "old_leader_is_not_told", "§5.1; defect 10", "server",
        "        if kind is AppendEntries:\n            self.send(",
        "        if kind is AppendEntries:\n            (lambda _message: None)(",
    ),
    Mutation(
        "read_before_the_terms_first_entry", "thesis 6.4; defect 11", "leader",
        "index = max(self.server.commit_index, self.first)",
        "index = self.server.commit_index",
    ),
    Mutation(
        "no_first_entry", "§8; defect 11", "leader",
        "            self.append(encode(server.term, NOOP), None)",
        "            pass",
    ),
    Mutation(
        "one_answer_releases_a_read", "thesis 6.4; defect 12", "leader",
        "self.reads.confirmed(self.server.voters.quorum_value(rounds))",
        "self.reads.confirmed(max([r for m, r in rounds.items() if m != self.server.peer] or "
        "[self.reads.round]))",
    ),
    Mutation(
        "read_released_by_an_older_round", "thesis 6.4; defect 12", "reads",
        "        self.round += 1\n        self.started.append((self.round, self.waiting))",
        "        self.started.append((self.round, self.waiting))\n        self.round += 1",
    ),
    Mutation(
        "read_without_a_round", "thesis 6.4", "leader",
        "        if not self.progress:\n            self.confirm_reads()",
        "        self.server.effects.reads += self.reads.confirmed(self.reads.round)",
    ),
    Mutation(
        "pending_requests_survive_the_leader", "defect 13", "leader",
        "        for ticket in self.tickets:\n            if ticket is not None:",
        "        for ticket in self.tickets:\n            if False:",
    ),
    Mutation(
        "lone_peer_never_elects", "defect 14", "server",
        "        self.role = PreCandidate(self)\n        if self.role.won():",
        "        self.role = PreCandidate(self)\n        if False:",
    ),
    Mutation(
        "founding_never_gives_up", "defect 14", "server",
        "elif type(event) is Tick and self.founding and self.now >= self.founding.give_up_at:",
        "elif False:",
    ),
    Mutation(
        "one_entry_for_each_append", "defect 15", "log",
        "        room = bytes_max\n",
        "        room = bytes_max = 1\n",
    ),
    Mutation(
        "no_pre_vote", "thesis 9.6; defect 4", "server",
        "        self.role = PreCandidate(self)\n        if self.role.won():",
        "        self.role = PreCandidate(self)\n        if True:",
    ),
    Mutation(
        "pre_vote_raises_the_term", "thesis 9.6", "server",
        "        if kind is RequestPreVote:\n            return True",
        "        if kind is RequestPreVote and message.term <= self.term:\n            return True",
    ),
    Mutation(
        "no_leader_stickiness", "thesis 4.2.3", "server",
        "            if kind is RequestVote and self.role.hears_a_leader():",
        "            if False:",
    ),
    Mutation(
        "lost_appends_are_not_sent_again", "§5.3", "progress",
        "        if self.probing:\n            self.probing = False\n            inflight.clear()",
        "        self.probing = False",
    ),
    Mutation(
        "hint_ignored", "§5.3, last part", "leader",
        "            progress.rejected(reply.prev_index, agreed)",
        "            progress.rejected(reply.prev_index, reply.prev_index - 1)",
    ),
    Mutation(
        "strangers_are_heard", "group id", "server",
        "            if group and event.group and event.group != group:",
        "            if False:",
    ),
    Mutation(
        "truncated_configuration_stays", "§6", "server",
        "        while self.configuration.index >= changed:",
        "        while False:",
    ),
    Mutation(
        "configuration_not_durable", "§6", "server",
        "                self.ballot = self.with_configuration(index)",
        "                pass",
    ),
)  # fmt: skip


def planted(mutation: Mutation, directory: Path) -> None:
    """Copy the packages and the core's tests to `directory`, with the bug in."""
    for package in ("raft_actors", "supervision"):
        shutil.copytree(ROOT / package, directory / package)
    shutil.copytree(ROOT / "tests" / "core", directory / "tests" / "core")
    shutil.copy(ROOT / "tests" / "__init__.py", directory / "tests")
    shutil.copy(ROOT / "pyproject.toml", directory)
    module = directory / "raft_actors" / "core" / f"{mutation.module}.py"
    text = module.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: its text stands {text.count(mutation.old)} times")
    module.write_text(text.replace(mutation.old, mutation.new))


def caught_by(mutation: Mutation) -> str:
    """Return the first check that goes red, or an empty string."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        planted(mutation, directory)
        for tests in (["--ignore=tests/core/test_simulation.py"], ["tests/core/test_simulation.py"]):
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider",
                 "-p", "no:randomly", "--timeout=120", "tests/core", *tests],
                cwd=directory, capture_output=True, text=True, timeout=900, check=False,
                env={**os.environ, "RAFT_SEEDS": SEEDS, "PYTHONPATH": name},
            )  # fmt: skip
            found = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
            if run.returncode:
                return found[1].removeprefix("tests/core/") if found else "collection"
    return ""


def main(words: list[str]) -> int:
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    survivors = 0
    print("| planted bug | rule | caught by |\n|---|---|---|")
    for mutation in chosen:
        check = caught_by(mutation)
        survivors += not check
        print(f"| {mutation.name} | {mutation.rule} | {check or '**nothing**'} |", flush=True)
    print(f"\n{len(chosen)} planted, {len(chosen) - survivors} caught, {survivors} survive")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
