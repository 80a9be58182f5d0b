"""Mutation proof: plant one bug at a time, and see which check goes red.

    python -m tests.mutations                    all of them, as a table
    python -m tests.mutations figure_8           those whose name contains the word
    python -m tests.mutations --jobs 2 --write   all, two at a time, into docs/mutations.md
    python -m tests.mutations figure_8 --write   these rows of it; the others stay

A mutation is one replacement of text in one module, made in a copy. Two nets are held under it: the
tests that say what the protocol must do (the column "test": the first that goes red), and the
seeded simulation (the column "simulation": the first seed that fails). A bug that one of them
catches is caught; one that hangs a net is caught too. One that gets through both means that a
check is missing, and the exit status says so.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "mutations.md"
SEEDS, STEPS = 400, 1_500
SECONDS_MAX = 240
NETS = (
    "tests/core", "tests/scenarios", "tests/simulation", "tests/peers/test_applied.py",
    "tests/client/test_sessions.py", "tests/client/test_in_doubt.py",
    "tests/peers/test_upgrades.py",
)  # fmt: skip
"""Tests of the protocol, without those that play seeds."""
DISK_NETS = (
    "tests/stores/test_contract.py", "tests/stores/test_power_cut.py",
    "tests/peers/test_on_disk.py", "tests/peers/test_snapshots.py",
)  # fmt: skip
"""Tests of what is on a disk."""

HEAD = ("| planted bug | rule | module | test | simulation |", "|---|---|---|---|---|")
NOTHING = "**nothing**"

PLAY = f"""
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play
for seed in range({SEEDS}):
    end = play(draw(seed, {STEPS}))
    if isinstance(end, Failure):
        print(seed)
        break
"""


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replace `old`, which stands exactly once in `raft_actors/<module>.py`, with `new`; these
    tests are the net."""

    name: str
    rule: str
    module: str
    old: str
    new: str
    nets: tuple[str, ...] = NETS


@dataclass(frozen=True, slots=True)
class Catch:
    """What caught a mutation; empty strings for nothing."""

    test: str
    simulation: str


MUTATIONS = (
    Mutation(
        "index_and_term_swapped", "§5.4.1; defect 1", "core/log",
        "(last_term, last_index) >= (self.last_term, self.last_index)",
        "(last_index, last_term) >= (self.last_index, self.last_term)",
    ),
    Mutation(
        "longer_log_wins_over_newer_term", "§5.4.1", "core/log",
        "(last_term, last_index) >= (self.last_term, self.last_index)",
        "last_index >= self.last_index",
    ),
    Mutation(
        "vote_not_durable", "Figure 2; defect 6", "core/state",
        "        self.ballot = replace(self.ballot, voted_for=candidate)",
        "        self.ballot = self.saved_ballot = replace(self.ballot, voted_for=candidate)",
    ),
    Mutation(
        "term_not_durable", "Figure 2", "core/state",
        "        self.ballot = replace(self.ballot, term=term, voted_for=voted_for)",
        "        self.ballot = self.saved_ballot = "
        "replace(self.ballot, term=term, voted_for=voted_for)",
    ),
    Mutation(
        "two_votes_a_term", "§5.2", "core/follower",
        "granted = state.voted_for in (None, request.source) and",
        "granted = True and",
    ),
    Mutation(
        "votes_survive_the_election", "defect 5", "core/candidate",
        "        self.votes: set[Address] = {state.peer}",
        "        self.votes: set[Address] = {state.peer, *getattr(state.role, 'votes', ())}",
    ),
    Mutation(
        "refusals_count_as_votes", "defect 5", "core/candidate",
        "        if reply.granted:\n            self.count",
        "        if True:\n            self.count",
    ),
    Mutation(
        "votes_of_any_term_count", "defect 5", "core/server",
        "        return kind is PreVoteReply",
        "        return kind in (PreVoteReply, VoteReply)",
    ),
    Mutation(
        "vote_forgotten_on_stepping_down", "defect 6", "core/server",
        "        if term is not None:\n            self.enter_term(term, None)",
        "        self.ballot = Ballot(term or self.term, None, self.ballot.configuration)",
    ),
    Mutation(
        "quorum_off_by_one_in_elections", "§5.2", "core/configuration",
        "2 * len(voters.intersection(part)) > len(part)",
        "2 * len(voters.intersection(part)) >= len(part)",
    ),
    Mutation(
        "quorum_off_by_one_in_commits", "§5.3", "core/quorum",
        "sorted(values)[(len(values) - 1) // 2]",
        "sorted(values)[len(values) // 2 if len(values) % 2 == 0 else (len(values) + 1) // 2]",
    ),
    Mutation(
        "duplicate_append_rewinds_the_log", "defect 3", "core/log",
        "        if same < len(entries):\n            if same < len(known):",
        "        if True:\n            if True:",
    ),
    Mutation(
        "conflicting_tail_stays", "defect 7", "core/log",
        "                self.truncate(index + same)\n            self.append(entries[same:])",
        "                self.tail[index + same - self.tail_first + 1 :][: len(entries) - same]"
        "\n            self.append(entries[same:])",
    ),
    Mutation(
        "failed_check_truncates", "defect 8", "core/follower",
        "        state, log = self.state, self.state.log\n        hint =",
        "        state, log = self.state, self.state.log\n"
        "        log.truncate(min(log.last_index, max(log.base, request.prev_index - 1)))\n"
        "        hint =",
    ),
    Mutation(
        "no_consistency_check", "§5.3", "core/follower",
        "        elif log.term_at(prev) != request.prev_term:",
        "        elif log.term_at(prev) < 0:",
    ),
    Mutation(
        "match_beyond_the_request", "Figure 2, AppendEntries 5", "core/follower",
        "match=match if owed is None else max(match, owed.match)",
        "match=log.last_index",
    ),
    Mutation(
        "commit_beyond_the_request", "Figure 2, AppendEntries 5", "core/follower",
        "state.commit_to(min(request.commit, match))",
        "state.commit_to(min(request.commit, log.last_index))",
    ),
    Mutation(
        "commit_goes_back", "§5.3", "core/state",
        "        if index > self.commit_index:\n            self.commit_index = index",
        "        if True:\n            self.commit_index = index",
    ),
    Mutation(
        "figure_8_commit", "§5.4.2", "core/replication",
        "if index > state.commit_index and index >= self.first:",
        "if index > state.commit_index:",
    ),
    Mutation(
        "leader_counts_its_unsaved_log", "thesis 10.2.1", "core/replication",
        "self.quorum_value(MATCH, own=self.written)",
        "self.quorum_value(MATCH, own=self.state.log.last_index)",
    ),
    Mutation(
        "stale_written_counts", "thesis 10.2.1", "core/leader",
        "log.term_at(written.last_index) == written.last_term",
        "True",
    ),
    Mutation(
        "higher_terms_ignored_by_a_leader", "§5.1; defect 9", "core/server",
        "        if message.term > self.term:\n",
        "        if message.term > self.term and self.role.name == 'leader':\n"
        "            return False\n        if message.term > self.term:\n",
    ),
    Mutation(
        "no_check_quorum", "thesis 6.2; defect 9", "core/leader",
        "cut_off = silence > config.max_election_timeout",
        "cut_off = False",
    ),
    Mutation(
        "candidate_ignores_the_leader", "§5.2; defect 10", "core/candidate",
        "    AppendEntries: Campaign.follow,",
        "    AppendEntries: Campaign.ignore,",
    ),
    Mutation(
        "old_leader_is_not_told", "§5.1; defect 10", "core/server",
        "        if kind in LEADERS_OWN:\n            self.send(",
        "        if kind in LEADERS_OWN:\n            (lambda _message: None)(",
    ),
    Mutation(
        "read_before_the_terms_first_entry", "thesis 6.4; defect 11", "core/leader",
        "read = Read(max(state.commit_index, self.first),",
        "read = Read(state.commit_index,",
    ),
    Mutation(
        "no_first_entry", "§8; defect 11", "core/leader",
        "            self.append(encode(state.term, NOOP), None)",
        "            pass",
    ),
    Mutation(
        "one_answer_releases_a_read", "thesis 6.4; defect 12", "core/replication",
        "self.reads.confirmed(self.quorum_value(ROUND, own=self.reads.round))",
        "self.reads.confirmed(max([known.round for known in self.progress.values()] or "
        "[self.reads.round]))",
    ),
    Mutation(
        "read_released_by_an_older_round", "thesis 6.4; defect 12", "core/read_index",
        "        self.round += 1\n        self.started.append((self.round, self.waiting))",
        "        self.started.append((self.round, self.waiting))\n        self.round += 1",
    ),
    Mutation(
        "read_without_a_round", "thesis 6.4", "core/leader",
        "            self.confirm_reads()  # a lone voter is its own majority",
        "            self.state.effects.reads += self.reads.confirmed(self.reads.round)",
    ),
    Mutation(
        "read_index_without_a_round", "thesis 6.4", "core/leader",
        '        self.reads.add(Read(index, b"", reply))',
        "        state.effects.before_save.append(reply)",
    ),
    Mutation(
        "read_index_before_the_terms_first_entry", "thesis 6.4", "core/leader",
        "        index = max(state.commit_index, self.first)\n        reply",
        "        index = state.commit_index\n        reply",
    ),
    Mutation(
        "read_index_of_a_former_life", "thesis 6.4", "core/follower",
        "reads.number = reads.first = state.random.getrandbits(NUMBER_BITS)",
        "reads.number = reads.first = 1",
    ),
    Mutation(
        "follower_answers_before_it_has_the_index", "thesis 6.4", "core/follower",
        "            state.effects.reads.append(Read(waiting.index, event.query, event.ticket))",
        "            state.effects.reads.append(Read(0, event.query, event.ticket))",
    ),
    Mutation(
        "lost_read_index_is_not_asked_again", "thesis 6.4", "core/follower_reads",
        "        self.again = bool(self.asked) and self.asked_at <= unanswered_since",
        "        pass",
    ),
    Mutation(
        "fresh_from_when_the_answer_came", "decision: reads", "core/follower",
        "            self.state.read_floor = asked_at, reply.index",
        "            self.state.read_floor = self.state.now, reply.index",
    ),
    Mutation(
        "lease_without_regard_for_the_clocks", "thesis 6.4.1", "core/lease",
        "promise_ms / 1000 / (1 + self.drift_max)",
        "promise_ms / 1000",
    ),
    Mutation(
        "lease_from_the_newest_round", "thesis 6.4.1", "core/lease",
        "        return began[place][1] +",
        "        return began[-1][1] +",
    ),
    Mutation(
        "each_stranger_is_told_that_it_left", "bounds", "core/reconfiguration",
        "        is_told = peer in self.progress or len(self.removed) >= REMOVED_MAX",
        "        is_told = peer in self.progress",
    ),
    Mutation(
        "a_promise_is_as_long_as_the_setting_of_now", "thesis 6.4.1", "core/state",
        "        longest_ms = max(self.promise_ms, ballot.promise_ms)",
        "        longest_ms = self.promise_ms",
    ),
    Mutation(
        "a_promise_of_before_is_forgotten_at_once", "thesis 6.4.1", "core/state",
        "            promise_ms > self.ballot.promise_ms or self.now >= self.settled_at",
        "            True",
    ),
    Mutation(
        "promise_ends_with_the_role", "thesis 6.4.1", "core/role",
        "        return self.state.now < self.state.promised_until or self.hears_a_leader()",
        "        return self.hears_a_leader()",
    ),
    Mutation(
        "promise_ends_in_a_newer_term", "thesis 6.4.1", "core/follower",
        "        if state.now < state.promised_until and not request.forced:",
        "        if False:",
    ),
    Mutation(
        "promise_ends_with_the_link", "thesis 6.4.1", "core/follower",
        "        return max(self.deadline, self.state.promised_until)",
        "        return self.deadline",
    ),
    Mutation(
        "promise_ends_with_the_process", "thesis 6.4.1", "core/state",
        "        if ballot.term and longest_ms:",
        "        if False:",
    ),
    Mutation(
        "lease_survives_an_order_to_stand", "thesis 6.4.1, 3.10", "core/leadership_transfer",
        "        self.lease.broken = True",
        "        pass",
    ),
    Mutation(
        "pending_requests_survive_the_leader", "defect 13", "core/leader",
        "        for ticket in self.tickets:\n            if ticket is not None:",
        "        for ticket in self.tickets:\n            if False:",
    ),
    Mutation(
        "lone_peer_never_elects", "defect 14", "core/server",
        "        self.role = PreCandidate(self)\n        if self.role.won():",
        "        self.role = PreCandidate(self)\n        if False:",
    ),
    Mutation(
        "founding_never_gives_up", "defect 14", "core/server",
        "elif type(event) is Tick and self.founding and self.now >= self.founding.give_up_at:",
        "elif False:",
    ),
    Mutation(
        "one_entry_for_each_append", "defect 15", "core/log",
        "        room = bytes_max\n",
        "        room = bytes_max = 1\n",
    ),
    Mutation(
        "no_pre_vote", "thesis 9.6; defect 4", "core/server",
        "        self.role = PreCandidate(self)\n        if self.role.won():",
        "        self.role = PreCandidate(self)\n        if True:",
    ),
    Mutation(
        "pre_vote_raises_the_term", "thesis 9.6", "core/server",
        "        if kind is RequestPreVote:\n            return True",
        "        if kind is RequestPreVote and message.term <= self.term:\n            return True",
    ),
    Mutation(
        "no_leader_stickiness", "thesis 4.2.3", "core/server",
        "            if kind is RequestVote and not forced and self.role.is_bound_to_a_leader():",
        "            if False:",
    ),
    Mutation(
        "lost_appends_are_not_sent_again", "§5.3", "core/progress",
        "        if self.probing:\n            self.probing = False\n            inflight.clear()",
        "        self.probing = False",
    ),
    Mutation(
        "hint_ignored", "§5.3, last part", "core/replication",
        "            progress.rejected(reply.prev_index, self.agreed(reply))",
        "            progress.rejected(reply.prev_index, reply.prev_index - 1)",
    ),
    Mutation(
        "strangers_are_heard", "group id", "core/server",
        "        if group and theirs != group:",
        "        if False:",
    ),
    Mutation(
        "truncated_configuration_stays", "§6", "core/state",
        "        while self.configuration.index >= changed:",
        "        while False:",
    ),
    Mutation(
        "configuration_not_durable", "§6", "core/state",
        "                self.ballot = self.with_configuration(index)",
        "                pass",
    ),
    Mutation(
        "joint_quorum_as_union", "§6", "core/configuration",
        "        return all(2 * len",
        "        return any(2 * len",
    ),
    Mutation(
        "joint_commit_by_either_majority", "§6", "core/configuration",
        "        return min(\n            majority_value",
        "        return max(\n            majority_value",
    ),
    Mutation(
        "change_without_a_joint_configuration", "§6", "core/configuration",
        "        old = () if voters == self.members else self.members",
        "        old = ()",
    ),
    Mutation(
        "joint_configuration_never_ends", "§6", "core/reconfiguration",
        "        if configuration.old and configuration.index <= self.state.commit_index:",
        "        if False:",
    ),
    Mutation(
        "joint_configuration_ends_uncommitted", "§6", "core/reconfiguration",
        "        if configuration.old and configuration.index <= self.state.commit_index:",
        "        if configuration.old:",
    ),
    Mutation(
        "changes_may_overlap", "thesis 4.1, and the fix of 2015", "core/reconfiguration",
        " or max(in_force.index, self.first) > self.state.commit_index",
        " or False",
    ),
    Mutation(
        "new_leader_takes_everybody_for_alive", "thesis 6.2, 4.2.1", "core/replication",
        "        state = self.state\n        return Progress(\n            next_index="
        "state.log.last_index + 1, incarnation=state.voters.incarnation_of(peer)\n        )",
        "        state = self.state\n        progress = Progress(\n            next_index="
        "state.log.last_index + 1, incarnation=state.voters.incarnation_of(peer)\n        )\n"
        "        progress.heard = state.now\n        return progress",
    ),
    Mutation(
        "guard_is_not_asked_again", "thesis 4.2.1", "core/reconfiguration",
        "if problem := self.would_lose_quorum(target):",
        "if problem := None:",
    ),
    Mutation(
        "guard_forgets_the_disks_that_are_learned", "identity", "core/reconfiguration",
        "        would_be = target.bound(self.heard_incarnations())",
        "        would_be = target",
    ),
    Mutation(
        "newcomer_races_for_ever", "thesis 4.2.1", "core/membership_change",
        "        self.rounds += 1\n",
        "",
    ),
    Mutation(
        "a_change_is_never_called_off", "docs/membership.md", "core/reconfiguration",
        "            self.call_off()\n",
        "            pass\n",
    ),
    Mutation(
        "a_change_in_the_log_is_called_off", "§6", "core/reconfiguration",
        "if self.change is not None and not self.change.appended:\n            self.give_up(",
        "if self.change is not None:\n            self.give_up(",
    ),
    Mutation(
        "group_taken_from_the_entries", "docs/recovery.md", "core/follower",
        "self.state.bind_group(message.group)",
        "self.state.bind_group(self.state.configuration.group)",
    ),
    Mutation(
        "speaks_for_the_group_of_its_entries", "docs/recovery.md", "core/state",
        "        return self.ballot.group or self.voters.group",
        "        return self.voters.group or self.ballot.group",
    ),
    Mutation(
        "member_of_the_group_before_stands", "docs/recovery.md", "core/state",
        'and self.ballot.group in ("", voters.group)',
        "and True",
    ),
    Mutation(
        "a_witness_waits_for_its_own_first_entry", "witnesses", "core/leadership_transfer",
        "if all(ticket is None for ticket in self.tickets):",
        "if not self.tickets:",
    ),
    Mutation(
        "a_witness_stays_while_members_change", "witnesses", "core/leadership_transfer",
        "        if self.transfer is None and keeper",
        "        if self.transfer is None and not self.is_changing() and keeper",
    ),
    Mutation(
        "lease_by_the_new_majority_alone", "§6; thesis 6.4.1", "core/leader",
        "        return self.state.now < self.quorum_value(PROMISED, own=inf)",
        "        in_force = self.state.configuration\n"
        "        self.state.configuration = in_force.settled()\n"
        "        until = self.quorum_value(PROMISED, own=inf)\n"
        "        self.state.configuration = in_force\n"
        "        return self.state.now < until",
    ),
    Mutation(
        "lease_comes_back_after_a_failed_handover", "thesis 6.4.1, 3.10",
        "core/leadership_transfer",
        "        transfer, self.transfer = self.transfer, None\n",
        "        transfer, self.transfer = self.transfer, None\n"
        "        self.lease.broken = self.lease.drift_max is None\n",
    ),
    Mutation(
        "hands_over_to_who_has_left", "thesis 3.10, 4.2.2", "core/leader",
        "if self.transfer is not None and not self.state.voters.votes(self.transfer.target):",
        "if False:",
    ),
    Mutation(
        "own_wish_to_hand_over_never_ends", "thesis 3.10", "core/leader",
        "if self.transfer is not None and (cut_off",
        "if self.transfer is not None and self.transfer.ticket and (cut_off",
    ),
    Mutation(
        "bounded_stale_read_ignores_the_index", "decision: reads", "core/role",
        "            index = max(index, known)\n",
        "",
    ),
    Mutation(
        "an_answer_answers_newer_questions", "thesis 6.4", "core/follower_reads",
        "while self.asked and self.asked[0][0] <= number:",
        "while self.asked and self.asked[0][0] <= self.number:",
    ),
    Mutation(
        "fresh_from_when_the_question_was_repeated", "decision: reads", "core/follower_reads",
        "            _number, when, reads = self.asked.popleft()\n",
        "            _number, _when, reads = self.asked.popleft()\n"
        "            when = self.asked_at\n",
    ),
    Mutation(
        "founder_names_disks_of_an_earlier_round", "founding_a_group", "core/founding",
        "        self.heard, self.member = {}, None",
        "        self.member = None",
    ),
    Mutation(
        "a_heartbeat_makes_no_member", "founding_a_group", "core/follower",
        "            self.state.bind_group(message.group)",
        "            pass",
    ),
    Mutation(
        "an_older_copy_counts_again_at_once", "identity", "core/reconfiguration",
        "        if self.amnesiacs.intersection(dict(known.incarnations)):",
        "        if False:",
    ),
    Mutation(
        "a_suspect_is_asked_when_somebody_reads", "identity", "core/replication",
        "            self.reads.renew = True\n            progress.recheck",
        "            progress.recheck",
    ),
    Mutation(
        "old_chunk_acknowledges_the_whole_log", "Figure 2, AppendEntries 5", "core/follower",
        "self.agree(chunk.source, state.commit_index, chunk.round)",
        "self.agree(chunk.source, state.log.last_index, chunk.round)",
    ),
    Mutation(
        "who_left_is_known_by_its_old_disk", "identity", "core/configuration",
        "            witnesses=in_order({*self.witnesses}.intersection(self.members)),\n"
        "            incarnations=tuple(pair for pair in self.incarnations if pair[0] in staying),",
        "            witnesses=in_order({*self.witnesses}.intersection(self.members)),\n"
        "            incarnations=self.incarnations,",
    ),
    Mutation(
        "a_witness_by_its_name_alone", "witnesses; identity", "core/configuration",
        "return peer in self.witnesses and self.incarnation_of(peer) == incarnation",
        "return peer in self.witnesses",
    ),
    Mutation(
        "a_leader_asks_its_own_bound_alone", "docs/config.md", "core/replication",
        "min(state.config.command_bytes_max, frame_bytes - FRAME_ROOM)",
        "state.config.command_bytes_max",
    ),
    Mutation(
        "who_left_bounds_what_is_admitted", "docs/config.md", "core/replication",
        "for peer, size in holds.items() if peer not in self.removed]",
        "for peer, size in holds.items()]",
    ),
    Mutation(
        "appends_as_large_as_its_own_frames", "docs/config.md", "core/replication",
        "min(config.append_bytes_max, self.frame_bytes // 2)",
        "config.append_bytes_max",
    ),
    Mutation(
        "who_can_not_be_sent_an_entry_is_no_trouble", "docs/config.md", "core/replication",
        "        if size <= holds - ENVELOPE_BYTES:",
        "        if True:",
    ),
    Mutation(
        "the_entry_that_is_too_large_is_read_each_time", "docs/config.md", "core/replication",
        "            if self.stuck and self.is_stuck(member, progress):",
        "            if False:",
    ),
    Mutation(
        "newcomers_count_before_they_caught_up", "thesis 4.2.1", "core/reconfiguration",
        "        if change.racing:\n            return",
        "        if False:\n            return",
    ),
    Mutation(
        "any_disk_may_vote", "Figure 2: State; identity", "core/candidate",
        "        if self.state.voters.counts(reply.source, reply.source_incarnation):",
        "        if True:",
    ),
    Mutation(
        "any_disk_may_acknowledge", "Figure 2: State; identity", "core/leader_base",
        "for peer, known in self.progress.items() if known.is_counted}",
        "for peer, known in self.progress.items()}",
    ),
    Mutation(
        "an_unknown_disk_counts", "identity", "core/configuration",
        "self.incarnation_of(peer) == incarnation != 0",
        "self.incarnation_of(peer) in (0, incarnation)",
    ),
    Mutation(
        "a_disk_takes_what_is_for_another", "identity", "core/server",
        "        if message.target_incarnation not in (0, self.incarnation):",
        "        if False:",
    ),
    Mutation(
        "disks_are_learned_during_a_change", "thesis 4.1, and the fix of 2015",
        "core/reconfiguration",
        "        if self.is_unsettled() or self.transfer is not None:",
        "        if False:",
    ),
    Mutation(
        "a_second_group_is_founded", "founding_a_group", "core/founding",
        "        return self.member is None and self.heard.keys()",
        "        return self.heard.keys()",
    ),
    Mutation(
        "founders_wait_for_nobody", "founding_a_group", "core/candidate",
        "        if self.won() and self.has_asked_all():",
        "        if self.won():",
    ),
    Mutation(
        "lost_acknowledgements_count", "Figure 2: State; identity", "core/replication",
        "        self.amnesiacs.add(peer)\n",
        "",
    ),
    Mutation(
        "an_old_denial_is_believed", "identity", "core/replication",
        "        if reply.round < asked or reply.prev_index > match:",
        "        if False:",
    ),
    Mutation(
        "a_witness_takes_commands", "witnesses", "core/leader",
        "self.transfer is not None or self.is_removed() or state.is_witness",
        "self.transfer is not None or self.is_removed()",
    ),
    Mutation(
        "a_witness_stays_leader", "witnesses", "core/leader",
        "        if state.is_witness:\n            self.hand_over_state()",
        "        if False:\n            self.hand_over_state()",
    ),
    Mutation(
        "an_office_goes_to_a_witness", "witnesses", "core/leader_base",
        "        return [member for member in self.state.others() if member not in witnesses]",
        "        return self.state.others()",
    ),
    Mutation(
        "a_witness_sends_its_snapshot", "witnesses", "core/replication",
        "        if not state.is_witness and not waits:",
        "        if not waits:",
    ),
    Mutation(
        "a_member_forgets_its_state", "witnesses", "core/reconfiguration",
        "        if changing:\n            return",
        "        if False:\n            return",
    ),
    Mutation(
        "a_founder_of_another_group_gets_a_vote", "founding_a_group", "core/server",
        "            return type(message) is RequestPreVote",
        "            return True",
    ),
    Mutation(
        "founders_share_an_id", "founding_a_group", "core/configuration",
        "        group = digest((self.members, founder, incarnations[founder]))",
        "        group = digest(self.members)",
    ),
    Mutation(
        "learners_vote", "thesis 4.2.1", "core/configuration",
        "        return [self.members, self.old] if self.old else [self.members]",
        "        members = self.members + self.learners\n"
        "        return [members, self.old] if self.old else [members]",
    ),
    Mutation(
        "removed_leader_stays", "thesis 4.2.2", "core/leader",
        "        if self.is_removed() and not self.tickets:",
        "        if False:",
    ),
    Mutation(
        "removed_by_an_uncommitted_entry", "thesis 4.2.2", "core/state",
        "            voters = self.configuration_at(voters.previous)",
        "            pass",
    ),
    Mutation(
        "two_pre_candidates_split_the_vote", "§5.2, split votes", "core/candidate",
        "        if theirs > own and may_win:",
        "        if False and theirs > own and may_win:",
    ),
    Mutation(
        "both_pre_candidates_give_way", "§5.2, split votes", "core/candidate",
        "        if theirs > own and may_win:",
        "        if may_win:",
    ),
    Mutation(
        "split_vote_waits_for_a_timeout", "§5.2, split votes", "core/candidate",
        "            self.deadline = min(self.deadline, state.now + soon)",
        "            self.deadline = max(self.deadline, state.now + soon)",
    ),
    Mutation(
        "slow_leader_stays", "docs/decisions/slow_disks.md", "core/leader",
        "        self.slow = self.slow + 1 if slow else 0",
        "        self.slow = 0",
    ),
    Mutation(
        "one_slow_save_moves_the_office", "docs/decisions/slow_disks.md", "core/leader",
        "        self.slow = self.slow + 1 if slow else 0",
        "        self.slow = 9 if slow else 0",
    ),
    Mutation(
        "slow_leader_hands_over_to_a_slower_one", "docs/decisions/slow_disks.md",
        "core/leadership_transfer",
        "        quicker = self.fittest(self.written)",
        "        quicker = self.fittest()",
    ),
    Mutation(
        "who_ends_names_no_successor", "thesis 3.10", "core/leadership_transfer",
        "        return [] if successor == self.state.peer else",
        "        return [] if successor else",
    ),
    Mutation(
        "a_majority_moves_the_version", "docs/upgrades.md", "core/reconfiguration",
        "        for other in others:\n"
        "            newest = min(newest, self.progress[other].machine_version_max)",
        "        newest = sorted([newest, *(self.progress[other].machine_version_max "
        "for other in others)])[(len(others) + 1) // 2]",
    ),
    Mutation(
        "learners_move_no_version", "docs/upgrades.md", "core/reconfiguration",
        "        others = {*state.voters.everyone} - {state.peer}\n        newest",
        "        others = {*state.others()}\n        newest",
    ),
    Mutation(
        "who_has_said_nothing_has_every_version", "docs/upgrades.md", "core/progress",
        "        self.machine_version_max = 0",
        "        self.machine_version_max = 9",
    ),
    Mutation(
        "a_lone_leader_moves_no_version", "docs/upgrades.md", "core/leader",
        "        works = self.progress or self.postponed or self.may_move_version()",
        "        works = self.progress or self.postponed",
    ),
    Mutation(
        "a_machine_runs_as_its_own_version_at_once", "docs/upgrades.md", "machine/replicated_state",
        "        machine.current_version = 1\n",
        "        machine.current_version = machine.version\n",
    ),
    Mutation(
        "upgrades_are_skipped", "docs/upgrades.md", "machine/replicated_state",
        "                state = machine.upgrade(self.state, step)",
        "                step = version - 1\n"
        "                state = machine.upgrade(self.state, step)",
    ),
    Mutation(
        "successor_told_too_early", "thesis 3.10", "core/leadership_transfer",
        "            if self.progress[transfer.target].match == last_index:",
        "            if True:",
    ),
    Mutation(
        "successor_is_not_heard", "thesis 3.10", "core/server",
        "            forced = isinstance(message, RequestVote) and message.forced",
        "            forced = False",
    ),
    Mutation(
        "request_id_is_not_kept", "defect 18", "core/leader",
        "        command, request = event.command, event.request",
        "        command, request = event.command, (0, 0)",
    ),
    Mutation(
        "heartbeat_timeout_is_ignored", "defect 20", "core/leader",
        "        self.beat_at = state.now + config.heartbeat_timeout",
        "        self.beat_at = state.now + 0.025",
    ),
    Mutation(
        "speaks_before_it_writes", "Figure 2; DESIGN lanes", "replica/replica",
        "        if due.before_save:\n            self.send(due.before_save)\n",
        "        self.send(due.before_save + due.after_save)\n",
    ),
    Mutation(
        "counts_its_log_before_it_writes", "thesis 10.2.1", "replica/replica",
        "        if due.before_save:\n            self.send(due.before_save)\n",
        "        if due.before_save:\n            self.send(due.before_save)\n"
        "        self.step(Written(last_index=core.log.last_index, "
        "last_term=core.log.last_term))\n        applier.apply()\n",
    ),
    Mutation(
        "reads_before_it_has_applied", "thesis 6.4; defect 11", "replica/applier",
        "            if read.index <= self.applied.index:",
        "            if True:",
    ),
    Mutation(
        "replies_go_to_the_wrong_writers", "defect 13", "replica/applier",
        "        own = replies[len(replies) - len(tickets) :]",
        "        own = replies[: len(tickets)]",
    ),
    Mutation(
        "applies_the_whole_log_in_one_go", "defect 19", "replica/applier",
        "        last = min(core.commit_index, applied.index + self.config.apply_max)",
        "        last = core.commit_index",
    ),
    Mutation(
        "applies_an_entry_twice", "§5.3", "replica/applier",
        "        first = applied.index + 1",
        "        first = max(1, applied.index)",
    ),
    Mutation(
        "a_replica_looks_at_hashes", "decisions/terms.md", "machine/replicated_state",
        "asked = encoding.loads(command, spread=False)",
        "asked = encoding.loads(command)",
    ),
    Mutation(
        "a_first_state_of_none_is_taken", "docs/snapshots.md", "machine/replicated_state",
        "            self.check_first_none()",
        "            pass",
    ),
    Mutation(
        "a_snapshot_of_none_that_no_start_takes", "docs/snapshots.md", "machine/replicated_state",
        "        if self.state is None and self.began_with is not type(None) and data is not None:",
        "        if False:",
    ),
    Mutation(
        "poison_command_ends_the_peer", "defect 17", "machine/replicated_state",
        "        except BaseException as error:  "
        "# SystemExit of one command must not end every replica\n            if depends",
        "        except ZeroDivisionError as error:\n            if depends",
    ),
    Mutation(
        "a_command_that_raised_is_half_done", "DESIGN 4", "machine/replicated_state",
        "                state.rollback()",
        "                pass",
    ),
    Mutation(
        "a_retry_runs_again", "thesis 6.3; defect 18", "machine/sessions",
        "        if answer is None:",
        "        if True:",
    ),
    Mutation(
        "an_expired_session_runs_again", "thesis 6.3", "machine/sessions",
        "        if session.used_ms < self.now_ms - SESSION_MS:\n            self.expire()",
        "        if False:\n            self.expire()",
    ),
    Mutation(
        "an_ended_session_still_counts", "decision: sessions", "machine/sessions",
        "            self.answers -= len(session.replies)\n",
        "",
    ),
    Mutation(
        "a_broken_link_loses_no_command", "thesis 6.3", "client/call",
        "            self.may_have_happened |= error.was_sent\n",
        "",
    ),
    Mutation(
        "expired_command_that_may_have_run_is_repeated", "thesis 6.3", "client/retrying",
        "        if session is None or call.may_have_happened:",
        "        if session is None:",
    ),
    Mutation(
        "replicated_time_goes_back", "decision: sessions", "machine/sessions",
        "        if time_ms > self.now_ms:",
        "        if True:",
    ),
    Mutation(
        "a_retry_gets_another_reply", "thesis 6.3", "machine/sessions",
        "            session.keep(sequence, answer)",
        "            session.keep(sequence, FORGOTTEN)",
    ),
    Mutation(
        "truncation_torn_from_the_append", "§5.3", "stores/memory",
        "            self.log[start:] = entries",
        "            self.log[start : start + len(entries)] = entries",
    ),
    Mutation(
        "log_of_another_history_kept_behind_a_snapshot", "Figure 13, InstallSnapshot 7",
        "core/state",
        "kept = log.term_at(snapshot.index) == snapshot.term",
        "kept = log.last_index >= snapshot.index",
    ),
    Mutation(
        "entries_after_a_snapshot_dropped", "Figure 13, InstallSnapshot 6", "core/state",
        "kept = log.term_at(snapshot.index) == snapshot.term",
        "kept = False",
    ),
    Mutation(
        "old_snapshot_installed", "Figure 13; §7", "core/follower",
        "        if chunk.index <= state.commit_index:",
        "        if chunk.index < 0:",
    ),
    Mutation(
        "chunk_taken_wherever_it_belongs", "Figure 13, offset", "core/follower",
        "accepted = chunk.offset == incoming.offset",
        "accepted = True",
    ),
    Mutation(
        "snapshot_acknowledged_before_it_is_whole", "Figure 13; Figure 2", "core/follower",
        "        if incoming.offset < chunk.size:\n",
        "        self.agree(chunk.source, chunk.index, chunk.round)\n"
        "        if incoming.offset < chunk.size:\n",
    ),
    Mutation(
        "chunks_of_two_snapshots_mixed", "Figure 13", "core/snapshot",
        "        return (self.index, self.term, self.size, self.checksum) == (\n"
        "            other.index, other.term, other.size, other.checksum,\n"
        "        )  # fmt: skip",
        "        return True",
    ),
    Mutation(
        "lost_chunk_never_sent_again", "§5.3: indefinitely", "core/leader",
        "                shipment.go_back()",
        "                pass",
    ),
    Mutation(
        "configuration_not_in_the_snapshot", "§7", "core/state",
        "        if index <= self.snapshot.index:\n"
        "            return self.snapshot.configuration",
        "        if index <= 0:\n            return self.snapshot.configuration",
    ),
    Mutation(
        "uncommitted_configuration_in_the_snapshot", "§7", "replica/snapshotter",
        "    while configuration.index > index:",
        "    while False and configuration.index > index:",
    ),
    Mutation(
        "base_term_forgotten", "§7: last included term", "core/log",
        "        self.base, self.base_term = through, self.term_at(through)",
        "        self.base = through",
    ),
    Mutation(
        "sessions_not_in_the_snapshot", "thesis 6.3", "machine/replicated_state",
        "return StateImage(data, self.sessions.stored())",
        "return StateImage(data, ())",
    ),
    Mutation(
        "commands_applied_while_a_state_is_taken_in", "§7", "replica/replica",
        "        if self.snapshotter.image is None:\n            applier.apply()",
        "        applier.apply()",
    ),
    Mutation(
        "newer_snapshot_than_log_not_noticed", "Figure 13, a crash in between", "replica/recovery",
        "    if log.term_at(snapshot.index) != snapshot.term:",
        "    if log.last_index < snapshot.index:",
    ),
    Mutation(
        "recovery_keeps_the_configuration_of_the_log_before", "Figure 13, InstallSnapshot 7",
        "replica/recovery",
        "        ballot = replace(ballot, configuration=snapshot.configuration.index)\n"
        "        store.restart(ballot.stored()",
        "        store.restart(ballot.stored()",
    ),
    Mutation(
        "log_that_lost_what_was_durable_is_taken_for_a_crash", "Figure 2: persistent state",
        "replica/recovery",
        "        if store.snapshots.is_reached(snapshot):",
        "        if False and store.snapshots.is_reached(snapshot):",
    ),
    Mutation(
        "log_begins_anew_in_two_saves", "all of a save or nothing", "replica/replica",
        "            self.store.restart(ballot, *due.restart, due.entries)\n        else:",
        "            self.store.restart(ballot, *due.restart)\n"
        "        if due.restart is None or due.entries:",
    ),
    Mutation(
        "refused_snapshot_is_not_looked_at", "docs/snapshots.md", "core/replication",
        "            state.doubt(shipment.snapshot)",
        "            pass",
    ),
    Mutation(
        "who_refuses_each_snapshot_is_sent_it_again_at_once", "docs/snapshots.md",
        "core/replication",
        "        waits = state.has_doubtful_snapshot() or state.now < progress.rests_until",
        "        waits = state.has_doubtful_snapshot()",
    ),
    Mutation(
        "damaged_snapshot_is_not_taken_again", "docs/snapshots.md", "replica/snapshotter",
        "        if core.damaged is not None:\n            return True",
        "",
        DISK_NETS,
    ),
    Mutation(
        "snapshot_named_before_it_is_on_disk", "a name means that it is whole", "stores/files",
        "                os.fsync(descriptor)\n            finally:\n"
        "                os.close(descriptor)\n            (self.path",
        "                pass\n            finally:\n"
        "                os.close(descriptor)\n            (self.path",
        DISK_NETS,
    ),
    Mutation(
        "snapshots_name_is_not_on_disk", "a name means that it is whole", "stores/files",
        "            sync_directory(self.path)\n",
        "",
        DISK_NETS,
    ),
    Mutation(
        "save_is_not_synced", "Figure 2: before responding", "stores/rocksdb",
        "            database.flush_wal(True)\n\n    def forget",
        "            database.flush_wal(False)\n\n    def forget",
        DISK_NETS,
    ),
    Mutation(
        "new_beginning_is_not_synced", "Figure 2: before responding", "stores/rocksdb",
        "            database.flush_wal(True)\n\n    def slice",
        "            database.flush_wal(False)\n\n    def slice",
        DISK_NETS,
    ),
    Mutation(
        "new_directory_is_not_on_disk", "Figure 2: before responding", "stores/data_directory",
        "        sync_names(self.path, self.absent)\n",
        "",
        DISK_NETS,
    ),
    Mutation(
        "truncation_leaves_one_entry", "§5.3", "stores/rocksdb",
        "        if first and end <= self.last:",
        "        if first and end < self.last:",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_state_is_frozen_later", "§7", "machine/disk_dict",
        "            self.tried(lambda: cursor.seek(FIRST_KEY))",
        "            cursor = self.db.iter()\n            cursor.seek(FIRST_KEY)",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_state_ends_at_damage", "every promise of a library is asked for",
        "machine/disk_dict",
        "    cursor.status()\n",
        "",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_the_last_command_may_run_again", "thesis 6.3", "machine/replicated_state",
        "        while index < self.index:\n"
        "            for entry in log.some(index + 1, self.index):",
        "        while index < self.index - 1:\n"
        "            for entry in log.some(index + 1, self.index - 1):",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_sessions_opened_without_time", "docs/decisions/sessions.md",
        "machine/replicated_state",
        "                self.sessions.open(index, request[1], time_ms)",
        "                self.sessions.open(index, request[1], 0)",
        DISK_NETS,
    ),
    Mutation(
        "order_of_sessions_lost_in_a_snapshot", "docs/decisions/sessions.md", "machine/sessions",
        "        for number, session in self.by_number.items():\n            yield number",
        "        for number, session in sorted(self.by_number.items(), key=lambda each: each[0]):\n"
        "            yield number",
    ),
    Mutation(
        "window_off_by_one", "thesis 6.3", "machine/sessions",
        "        if session is None or sequence <= session.newest - WINDOW:",
        "        if session is None or sequence < session.newest - WINDOW:",
    ),
    Mutation(
        "a_visit_speaks_before_the_save", "Figure 2, answers", "replica/replica",
        "            return False\n        self.perform(due)\n        return True",
        "            self.send(due.after_save)\n            due.after_save = []\n"
        "            return False\n        self.perform(due)\n        return True",
    ),
    Mutation(
        "a_lease_as_long_as_the_leaders_timeout", "thesis 6.4.1; decision: reads", "core/leader",
        "self.lease.promised_until(reply.round, reply.promise_ms)",
        "self.lease.promised_until(reply.round, self.state.promise_ms)",
    ),
    Mutation(
        "a_clock_before_1970_stops_every_write", "docs/decisions/sessions.md",
        "replica/replica",
        "    return min(max(int(wall_s * 1000), 0), TIME_MAX)",
        "    return int(wall_s * 1000)",
    ),
    Mutation(
        "machine_not_restored", "Figure 13, InstallSnapshot 8", "replica/applier",
        "            self.applied.restore(snapshots, snapshot)",
        "            self.applied.index = snapshot.index",
    ),
    Mutation(
        "version_forgotten_in_a_snapshot", "docs/upgrades.md", "replica/snapshotter",
        "configuration.index, self.image.kind, applied.version,",
        "configuration.index, self.image.kind,",
    ),
    Mutation(
        "version_of_a_snapshot_is_not_restored", "docs/upgrades.md", "machine/replicated_state",
        "        machine.current_version = header.machine",
        "        machine.current_version = version",
    ),
)  # fmt: skip


def misplaced(mutation: Mutation) -> str:
    """Say why a mutation can't be planted, or nothing.

    What is no Python any more breaks every test, and would seem to be caught.
    """
    text = (ROOT / "raft_actors" / f"{mutation.module}.py").read_text()
    times = text.count(mutation.old)
    if times != 1:
        return f"{mutation.name}: its text stands {times} times"
    try:
        compile(text.replace(mutation.old, mutation.new), mutation.module, "exec")
    except SyntaxError as error:
        return f"{mutation.name}: what it plants is no Python: {error}"
    return ""


def copy(source: Path, directory: Path) -> None:
    """Copy the packages, the tests and what they read: nothing is planted where people work."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in ("raft_actors", "supervision", "tests", "docs", "examples"):
        shutil.copytree(source / part, directory / part, ignore=unwanted)
    for part in ("pyproject.toml", "setup.cfg"):
        shutil.copy(source / part, directory)


def plant(mutation: Mutation, directory: Path) -> None:
    module = directory / "raft_actors" / f"{mutation.module}.py"
    module.write_text(module.read_text().replace(mutation.old, mutation.new))


def run(directory: Path, *arguments: str) -> tuple[int | None, str]:
    """Run Python there; return its exit status, None if it had to be ended, and its output."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=directory, capture_output=True, text=True,
            timeout=SECONDS_MAX, check=False, env={**os.environ, "PYTHONPATH": str(directory)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout


def red_test(directory: Path, nets: Sequence[str]) -> str:
    """Return the first test that goes red, or nothing."""
    there = [net for net in nets if (directory / net).exists()]
    if not there:
        return ""
    status, output = run(
        directory, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p",
        "no:randomly", "--timeout=60", "-m", "not seeds", *there,
    )  # fmt: skip
    if status == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return found[1].removeprefix("tests/") if found else "hangs" if status is None else "breaks"


def failing_seed(directory: Path) -> str:
    """Return the first seed that fails, or nothing."""
    status, output = run(directory, "-c", PLAY)
    if status is None:
        return "hangs"
    return f"seed {output.strip()}" if output.strip() else "" if status == 0 else "breaks"


def catch(
    mutation: Mutation | None,
    *,
    source: Path = ROOT,
    nets: Sequence[str] = NETS,
    simulate: bool = True,
) -> Catch:
    """Return what catches a bug; with None, what goes red without any."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        copy(source, directory)
        if mutation is not None:
            plant(mutation, directory)
        return Catch(red_test(directory, nets), failing_seed(directory) if simulate else "")


def row(mutation: Mutation, caught: Catch) -> str:
    test = f"`{caught.test}`" if caught.test else "-"
    if not caught.test and not caught.simulation:
        test = NOTHING
    return (
        f"| {mutation.name} | {mutation.rule} | `{mutation.module}` | {test} "
        f"| {caught.simulation or '-'} |"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("words", nargs="*", help="only those whose name contains one of these")
    parser.add_argument("--jobs", type=int, default=1, help="mutations tried at once")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args(arguments)
    words = options.words
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    if wrong := [text for text in map(misplaced, chosen) if text]:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    rows: dict[str, str] = {}
    survivors = 0
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        source = Path(name)
        copy(ROOT, source)  # others may be working on it meanwhile
        for nets in {mutation.nets for mutation in chosen}:
            if (sound := catch(None, source=source, nets=nets)) != Catch("", ""):
                print(f"red without any bug: {sound}", file=sys.stderr)
                return 2
        print("\n".join(HEAD))
        caught_by = pool.map(
            lambda mutation: catch(mutation, source=source, nets=mutation.nets), chosen
        )
        for mutation, caught in zip(chosen, caught_by, strict=True):
            survivors += not (caught.test or caught.simulation)
            rows[mutation.name] = row(mutation, caught)
            print(rows[mutation.name], flush=True)
    print(f"\n{summary(list(rows.values()))}")
    if options.write and chosen:
        write_table(rows)
    return 1 if survivors or not chosen else 0


def summary(rows: Sequence[str]) -> str:
    survivors = sum(NOTHING in each for each in rows)
    return f"{len(rows)} planted, {len(rows) - survivors} caught, {survivors} survive"


def split_table(text: str) -> tuple[str, str, str]:
    """Return what stands before the table in the document, the table, and what stands after it."""
    before, rest = text.split("<!-- table -->\n", 1)
    table, after = rest.split("<!-- end of table -->\n", 1)
    return before, table, after


def known_rows(table: str) -> dict[str, str]:
    """Return the rows of the table by the names of their bugs."""
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


def write_table(tried: dict[str, str]) -> None:
    """Put the rows into the document's table. Those that were not tried stay what they are; what
    is planted no more goes.
    """
    before, table, after = split_table(TABLE.read_text())
    known = known_rows(table) | tried
    rows = [known[mutation.name] for mutation in MUTATIONS if mutation.name in known]
    table = "\n".join([*HEAD, *rows, "", f"{summary(rows)}."])
    TABLE.write_text(f"{before}<!-- table -->\n{table}\n<!-- end of table -->\n{after}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
