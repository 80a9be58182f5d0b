"""Who may be elected, and what a vote promises."""

from tests.mutations.mutation import Mutation

MUTATIONS = (
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
        "failed_check_truncates", "defect 8", "core/append_check",
        "    log = state.log\n    hint =",
        "    log = state.log\n"
        "    log.truncate(min(log.last_index, max(log.base, request.prev_index - 1)))\n"
        "    hint =",
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
        "higher_terms_ignored_by_a_leader", "§5.1; defect 9", "core/server",
        "        if message.term > self.term:\n",
        "        if message.term > self.term and self.role.name == 'leader':\n"
        "            return False\n        if message.term > self.term:\n",
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
        "fresh_from_when_the_answer_came", "decision: reads", "core/follower",
        "            self.state.read_floor = asked_at, reply.index",
        "            self.state.read_floor = self.state.now, reply.index",
    ),
    Mutation(
        "a_promise_is_as_long_as_the_setting_of_now", "thesis 6.4.1", "core/knowledge",
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
        "promise_ends_with_the_process", "thesis 6.4.1", "core/knowledge",
        "        if ballot.term and longest_ms:",
        "        if False:",
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
        "strangers_are_heard", "group id", "core/server",
        "        if group and theirs != group:",
        "        if False:",
    ),
    Mutation(
        "outsiders_are_heard", "thesis 4.1, 4.2.3", "core/server",
        "            if type(event) in CLAIMS and self.is_outsiders(event):",
        "            if False:",
    ),
    Mutation(
        "outsiders_are_never_heard", "thesis 4.1, 4.2.2", "core/server",
        "            and not role.knows(source)\n            and role.is_bound_to_a_leader()",
        "            and not role.knows(source)",
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
        "group_taken_from_the_entries", "docs/recovery.md", "core/follower",
        "self.state.bind_group(message.group)",
        "self.state.bind_group(self.state.configuration.group)",
    ),
    Mutation(
        "speaks_for_the_group_of_its_entries", "docs/recovery.md", "core/knowledge",
        "        return self.ballot.group or self.voters.group",
        "        return self.voters.group or self.ballot.group",
    ),
    Mutation(
        "member_of_the_group_before_stands", "docs/recovery.md", "core/knowledge",
        'and self.ballot.group in ("", voters.group)',
        "and True",
    ),
    Mutation(
        "bounded_stale_read_ignores_the_index", "decision: reads", "core/role",
        "            index = max(index, known)\n",
        "",
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
        "old_chunk_acknowledges_the_whole_log", "Figure 2, AppendEntries 5", "core/follower",
        "self.agree(chunk.source, state.commit_index, chunk.round)",
        "self.agree(chunk.source, state.log.last_index, chunk.round)",
    ),
    Mutation(
        "any_disk_may_vote", "Figure 2: State; identity", "core/candidate",
        "        if self.state.voters.counts(reply.source, reply.source_incarnation):",
        "        if True:",
    ),
    Mutation(
        "a_disk_takes_what_is_for_another", "identity", "core/server",
        "        if message.target_incarnation not in (0, self.incarnation):",
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
        "a_founder_of_another_group_gets_a_vote", "founding_a_group", "core/server",
        "            return type(message) is RequestPreVote",
        "            return True",
    ),
    Mutation(
        "removed_by_an_uncommitted_entry", "thesis 4.2.2", "core/knowledge",
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
        "successor_is_not_heard", "thesis 3.10", "core/server",
        "            forced = isinstance(message, RequestVote) and message.forced",
        "            forced = False",
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
        "        if not state.takes(chunk.index):",
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
        "configuration_not_in_the_snapshot", "§7", "core/knowledge",
        "        if index <= self.snapshot.index:\n"
        "            return self.snapshot.configuration",
        "        if index <= 0:\n            return self.snapshot.configuration",
    ),
)  # fmt: skip
