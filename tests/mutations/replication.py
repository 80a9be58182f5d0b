"""How the log reaches the followers, and when an entry is committed."""

from tests.mutations.mutation import Mutation

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
        "no_check_quorum", "thesis 6.2; defect 9", "core/leader",
        "cut_off = silence > config.max_election_timeout",
        "cut_off = False",
    ),
    Mutation(
        "read_before_the_terms_first_entry", "thesis 6.4; defect 11", "core/leader",
        "read = Read(max(state.commit_index, self.first),",
        "read = Read(state.commit_index,",
    ),
    Mutation(
        "no_first_entry", "§8; defect 11", "core/leader",
        '        if founding is None:\n            self.append(NOOP, b"", None)',
        "        if founding is None:\n            pass",
    ),
    Mutation(
        "one_answer_releases_a_read", "thesis 6.4; defect 12", "core/replication",
        "self.reads.confirmed(self.quorum_value(ROUND, own=self.reads.round))",
        "self.reads.confirmed(max([known.round for known in self.progress.values()] or "
        "[self.reads.round]))",
    ),
    Mutation(
        "read_without_a_round", "thesis 6.4", "core/leader",
        "            self.confirm_reads()  # a single voter is a majority",
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
        "pending_requests_survive_the_leader", "defect 13", "core/leader",
        "        for ticket in self.tickets:\n            if ticket is not None:",
        "        for ticket in self.tickets:\n            if False:",
    ),
    Mutation(
        "one_entry_for_each_append", "defect 15", "core/log",
        "        room = bytes_max\n",
        "        room = bytes_max = 1\n",
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
        "new_leader_takes_everybody_for_alive", "thesis 6.2, 4.2.1", "core/replication",
        "        state = self.state\n        return Progress(\n            next_index="
        "state.log.last_index + 1, incarnation=state.voters.incarnation_of(peer)\n        )",
        "        state = self.state\n        progress = Progress(\n            next_index="
        "state.log.last_index + 1, incarnation=state.voters.incarnation_of(peer)\n        )\n"
        "        progress.heard = state.now\n        return progress",
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
        "a_suspect_is_asked_when_somebody_reads", "identity", "core/replication",
        "            self.reads.renew = True\n            progress.recheck",
        "            progress.recheck",
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
        "any_disk_may_acknowledge", "Figure 2: State; identity", "core/leader_base",
        "for peer, known in self.progress.items() if known.is_counted}",
        "for peer, known in self.progress.items()}",
    ),
    Mutation(
        "lost_acknowledgements_count", "Figure 2: State; identity", "core/replication",
        "        self.amnesiacs.add(peer)\n",
        "",
    ),
    Mutation(
        "an_old_denial_is_believed", "identity", "core/replication",
        "        if reply.round < asked:",
        "        if False:",
    ),
    Mutation(
        "a_witness_takes_commands", "witnesses", "core/leader",
        "self.transfer is not None or self.is_removed() or state.has_no_state",
        "self.transfer is not None or self.is_removed()",
    ),
    Mutation(
        "a_witness_stays_leader", "witnesses", "core/leader",
        "        if state.has_no_state:\n            self.hand_over_state()",
        "        if False:\n            self.hand_over_state()",
    ),
    Mutation(
        "an_office_goes_to_a_witness", "witnesses", "core/leader_base",
        "        stateless = {*state.configuration.witnesses, *state.digests.compared.wrong()}",
        "        stateless = {*state.digests.compared.wrong()}",
    ),
    Mutation(
        "a_witness_sends_its_snapshot", "witnesses", "core/replication",
        "        if not state.has_no_state and not waits:",
        "        if not waits:",
    ),
    Mutation(
        "removed_leader_stays", "thesis 4.2.2", "core/leader",
        "        if self.is_removed() and not self.tickets:",
        "        if False:",
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
        "who_has_said_nothing_has_every_version", "docs/upgrades.md", "core/progress",
        "        self.machine_version_max: int = 0",
        "        self.machine_version_max: int = 9",
    ),
    Mutation(
        "a_lone_leader_moves_no_version", "docs/upgrades.md", "core/leader",
        "if works or self.may_move_version() else",
        "if works else",
    ),
    Mutation(
        "request_id_is_not_kept", "defect 18", "core/leader",
        "encode(state.term, COMMAND, event.command, event.request, state",
        "encode(state.term, COMMAND, event.command, (0, 0), state",
    ),
    Mutation(
        "heartbeat_timeout_is_ignored", "defect 20", "core/leader",
        "        self.beat_at = state.now + config.heartbeat_timeout",
        "        self.beat_at = state.now + 0.025",
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
        "base_term_forgotten", "§7: last included term", "core/log",
        "        self.base, self.base_term = through, self.term_at(through)",
        "        self.base = through",
    ),
    Mutation(
        "refused_snapshot_is_not_looked_at", "docs/snapshots.md", "core/replication",
        "            state.doubt(shipment.snapshot)",
        "            pass",
    ),
    Mutation(
        "a_follower_that_refuses_each_snapshot_is_told_to_nobody", "docs/snapshots.md",
        "core/replication",
        "            if progress.refuses_snapshots\n",
        "            if False\n",
    ),
    Mutation(
        "a_damaged_snapshot_stays_a_trouble", "docs/snapshots.md", "core/state",
        '        self.troubles.pop("damaged_snapshot", None)',
        "        pass",
    ),
    Mutation(
        "who_refuses_each_snapshot_is_sent_it_again_at_once", "docs/snapshots.md",
        "core/replication",
        "        waits = state.has_doubtful_snapshot() or state.now < progress.rests_until",
        "        waits = state.has_doubtful_snapshot()",
    ),
    Mutation(
        "a_lease_as_long_as_the_leaders_timeout", "thesis 6.4.1; decision: reads", "core/leader",
        "self.lease.promised_until(reply.round, reply.promise_ms)",
        "self.lease.promised_until(reply.round, self.state.promise_ms)",
    ),
)  # fmt: skip
