"""Replicas whose states differ: digests, what is made of them, and the way to another state."""

from tests.mutations.mutation import Mutation

NETS = ("tests/core/test_digests.py", "tests/core/test_digest_rounds.py",
        "tests/replica/test_digests.py", "tests/machine/test_state_digest.py")  # fmt: skip
RULE = "decisions/digests.md"
PAGE = "docs/divergence.md"

MUTATIONS = (
    # Who is right.
    Mutation(
        "half_of_the_replicas_are_right", PAGE, "core/digests",
        "            if count * 2 > self.replicas:", "            if count * 2 >= self.replicas:",
        NETS,
    ),
    Mutation(
        "replicas_that_are_down_agree", PAGE, "core/digests",
        "            if count * 2 > self.replicas:",
        "            if count * 2 > len(self.digests):", NETS,
    ),
    Mutation(
        "digests_of_another_form_differ", RULE, "core/digests",
        "    return one != other and one[:FORM_DIGITS] == other[:FORM_DIGITS]",
        "    return one != other", NETS,
    ),
    Mutation(
        "all_were_equal_though_some_are_not_known", PAGE, "core/digests",
        "        is_complete = len(self.digests) >= max(self.replicas, 1)",
        "        is_complete = True", NETS,
    ),
    Mutation(
        "what_is_decided_is_disputed", PAGE, "core/digests",
        "        return self.right is None and any(", "        return any(", NETS,
    ),
    Mutation(
        "a_comparison_of_a_state_to_come_is_read", RULE, "core/digests",
        "0 <= equal_at < index and replicas >= 0", "0 <= equal_at and replicas >= 0", NETS,
    ),
    # Which digest is compared.
    Mutation(
        "a_digest_of_another_entry_is_judged", RULE, "core/digests",
        "        return digest.hex() if index == compared.index else dict(compared.digests)"
        ".get(peer)",
        "        return digest.hex()", NETS,
    ),
    Mutation(
        "a_state_that_is_gone_is_judged", RULE, "core/digests",
        "        if self.making == compared.index or compared.index <= self.seeded:",
        "        if self.making == compared.index:", NETS,
    ),
    Mutation(
        "a_state_that_is_gone_is_judged_at_its_last_entry", RULE, "core/digests",
        "compared.index <= self.seeded:", "compared.index < self.seeded:", NETS,
    ),
    Mutation(
        "what_is_known_is_judged_while_a_digest_is_made", RULE, "core/digests",
        "        if self.making == compared.index or compared.index <= self.seeded:",
        "        if compared.index <= self.seeded:", NETS,
    ),
    Mutation(
        "a_digest_that_failed_counts", RULE, "core/digests",
        "        if digest:\n            self.own = self.owed = index, digest",
        "        self.own = self.owed = index, digest", NETS,
    ),
    Mutation(
        "a_digest_that_came_late_is_not_sent", RULE, "core/digests",
        "        if newest > index or (newest == index and (peer, digest.hex()) in "
        "self.compared.digests):",
        "        if newest >= index:", NETS,
    ),
    Mutation(
        "a_digest_is_sent_for_ever", RULE, "core/digests",
        "        if newest > index or (newest == index and (peer, digest.hex()) in "
        "self.compared.digests):",
        "        if newest > index:", NETS,
    ),
    Mutation(
        "a_digest_outlives_its_state", RULE, "core/digests",
        "        self.seeded = index\n        self.own = self.owed = (0, b\"\")\n",
        "        self.seeded = index\n", NETS,
    ),
    Mutation(
        "a_new_state_counts_as_wrong", PAGE, "core/digests",
        "        self.making = 0\n        self.differs = None\n",
        "        self.making = 0\n", NETS,
    ),
    Mutation(
        "digests_of_any_entry_are_written_down", RULE, "core/digest_rounds",
        "in self.reported.items() if at == index", "in self.reported.items() if at", NETS,
    ),
    Mutation(
        "the_leaders_own_digest_is_left_out", RULE, "core/digest_rounds",
        "        if digests.own[0] == index:", "        if False:", NETS,
    ),
    Mutation(
        "the_leaders_own_digest_of_any_entry_is_written_down", RULE, "core/digest_rounds",
        "        if digests.own[0] == index:", "        if digests.own[0]:", NETS,
    ),
    Mutation(
        "nobody_waits_for_the_digests_of_all", RULE, "core/digest_rounds",
        "        if len(found) < len(replicas) and state.now < self.compare_at:",
        "        if False:", NETS,
    ),
    Mutation(
        "what_is_reported_late_is_not_written_down", RULE, "core/digest_rounds",
        "        if len(found) < 2 or found == known or", "        if len(found) < 2 or known or",
        NETS,
    ),
    Mutation(
        "a_new_leader_forgets_what_was_written_down", RULE, "core/digest_rounds",
        "        found = known | {\n", "        found = {\n", NETS,
    ),
    Mutation(
        "a_witness_counts_as_a_replica", PAGE, "core/digest_rounds",
        "        replicas = sorted({*voters.everyone}.difference(voters.witnesses))",
        "        replicas = sorted(voters.everyone)", NETS,
    ),
    Mutation(
        "digests_are_asked_for_whatever_they_cost", RULE, "core/digest_rounds",
        "        if every is None or state.now < self.ask_at or digests.asked < self.asked:",
        "        if every is None or digests.asked < self.asked:", NETS,
    ),
    Mutation(
        "digests_are_asked_for_in_the_middle_of_a_round", RULE, "core/digest_rounds",
        "        is_over = digests.compared.index == digests.asked or state.now >= "
        "self.compare_at",
        "        is_over = True", NETS,
    ),
    Mutation(
        "the_entry_of_a_round_is_asked_for_again_before_it_is_applied", RULE,
        "core/digest_rounds",
        "        if every is None or state.now < self.ask_at or digests.asked < self.asked:",
        "        if every is None or state.now < self.ask_at:", NETS,
    ),
    Mutation(
        "the_range_begins_a_period_too_early", PAGE, "core/digest_rounds",
        "        equal_at = compared.last_equal if compared.index < index else compared.equal_at",
        "        equal_at = compared.equal_at", NETS,
    ),
    # What a replica makes of it.
    Mutation(
        "an_older_comparison_counts", RULE, "core/divergence",
        "    if comparison.index >= state.digests.compared.index:", "    if True:", NETS,
    ),
    Mutation(
        "the_range_ends_an_entry_too_early", PAGE, "core/divergence",
        "compared.equal_at, compared.index, decided)",
        "compared.equal_at, compared.index - 1, decided)", NETS,
    ),
    Mutation(
        "the_range_begins_an_entry_too_late", PAGE, "core/divergence",
        "        first = Difference(digests.equal_at or compared.equal_at, compared",
        "        first = Difference((digests.equal_at or compared.equal_at) + 1, compared", NETS,
    ),
    Mutation(
        "a_wrong_digest_counts_as_equal", PAGE, "core/divergence",
        "    if mine == right:\n        digests.equal_at = compared.index\n",
        "    digests.equal_at = compared.index\n    if mine == right:\n", NETS,
    ),
    Mutation(
        "the_range_moves_with_each_comparison", PAGE, "core/divergence",
        "    first = digests.differs\n", "    first = None\n", NETS,
    ),
    Mutation(
        "a_wrong_state_is_disputed_when_another_replica_is_down", PAGE, "core/divergence",
        "    elif first.decided or not decided:\n        return",
        "    elif first.decided is decided:\n        return", NETS,
    ),
    Mutation(
        "a_dispute_is_never_decided", PAGE, "core/divergence",
        "    elif first.decided or not decided:\n        return",
        "    else:\n        return", NETS,
    ),
    Mutation(
        "who_is_disputed_stops", PAGE, "core/divergence",
        "        note_difference(state, decided=False)",
        "        note_difference(state, decided=True)", NETS,
    ),
    Mutation(
        "a_dispute_is_not_reported", PAGE, "core/divergence",
        "    elif compared.is_disputed(mine):", "    elif False:", NETS,
    ),
    Mutation(
        "the_others_do_not_report_a_wrong_replica", PAGE, "core/divergence",
        "    if wrong:\n", "    if False:\n", NETS,
    ),
    Mutation(
        "a_replica_that_is_right_again_stays_reported", PAGE, "core/divergence",
        "        del state.troubles[\"other_diverged\"]\n", "        pass\n", NETS,
    ),
    Mutation(
        "a_difference_that_ended_stays_reported", PAGE, "core/divergence",
        "        for what in (\"diverged\", \"digests_differ\"):", "        for what in ():", NETS,
    ),
    # What a replica with a wrong state does not do.
    Mutation(
        "a_wrong_state_answers_reads", PAGE, "core/knowledge",
        "            or (differs is not None and differs.decided)\n", "", NETS,
    ),
    Mutation(
        "a_wrong_state_answers_the_reads_that_wait", PAGE, "replica/applier",
        "        if self.core.digests.is_wrong:\n            self.refuse_reads()",
        "        if False:\n            self.refuse_reads()", NETS,
    ),
    Mutation(
        "a_wrong_state_answers_commands", PAGE, "replica/applier",
        "            if reply and is_wrong:", "            if False:", NETS,
    ),
    Mutation(
        "a_wrong_state_gets_a_snapshot_by_itself", PAGE, "replica/snapshotter",
        "        if not applied.can_snapshot or now < self.not_before or core.digests.is_wrong:",
        "        if not applied.can_snapshot or now < self.not_before:", NETS,
    ),
    Mutation(
        "a_wrong_state_gets_a_snapshot_if_asked", PAGE, "replica/snapshotter",
        "        if core.digests.is_wrong:\n            self.answer((\"error\", \"diverged\"))",
        "        if False:\n            self.answer((\"error\", \"diverged\"))", NETS,
    ),
    Mutation(
        "a_wrong_state_gets_into_a_backup", PAGE, "replica/inspection",
        "        if self.core.digests.is_wrong:", "        if False:", NETS,
    ),
    Mutation(
        "a_wrong_snapshot_is_sent", PAGE, "core/replication",
        "        if not state.has_no_state and not waits:",
        "        if not state.is_witness and not waits:", NETS,
    ),
    Mutation(
        "a_wrong_state_is_sent_to_who_asks_for_one", PAGE, "core/replication",
        "        if state.has_no_state or state.has_doubtful_snapshot()",
        "        if state.is_witness or state.has_doubtful_snapshot()", NETS,
    ),
    Mutation(
        "the_leadership_goes_to_a_wrong_replica_if_asked", PAGE, "core/leadership_transfer",
        "        elif target in state.digests.compared.wrong():", "        elif False:", NETS,
    ),
    Mutation(
        "the_leadership_goes_to_a_wrong_replica_by_itself", PAGE, "core/leader_base",
        "{*state.configuration.witnesses, *state.digests.compared.wrong()}",
        "{*state.configuration.witnesses}", NETS,
    ),
    # Another state.
    Mutation(
        "a_new_state_is_not_taken", PAGE, "replica/applier",
        "            self.applied.restore(snapshots, snapshot)",
        "            if snapshot.index > self.applied.index:\n"
        "                self.applied.restore(snapshots, snapshot)", NETS,
    ),
    Mutation(
        "a_new_state_drops_the_log", PAGE, "core/state",
        "        kept = log.term_at(snapshot.index) == snapshot.term", "        kept = False", NETS,
    ),
    Mutation(
        "a_new_state_is_not_compared_at_once", PAGE, "core/replication",
        "            self.digest_rounds.is_due = True\n", "            pass\n", NETS,
    ),
    Mutation(
        "a_wrong_state_on_disk_outlives_its_replacement", PAGE, "replica/applier",
        "snapshots.finish(incoming, self.applied.forget)",
        "snapshots.finish(incoming, lambda: None)", NETS,
    ),
    Mutation(
        "a_leader_without_successor_drops_its_state", PAGE, "core/leader",
        "        if not any(map(self.is_alive, others)):\n            self.state.answer(",
        "        if False:\n            self.state.answer(", NETS,
    ),
    Mutation(
        "who_waits_for_a_state_waits_for_ever", PAGE, "core/reseeding",
        "    elif state.now - reseeding.led_at >= ", "    elif False and state.now >= ", NETS,
    ),
    # What is digested.
    Mutation(
        "the_digest_is_made_of_a_later_state", RULE, "replica/applier",
        "            if self.is_asked:\n                break\n", "", NETS,
    ),
    Mutation(
        "commands_applied_while_a_state_is_noted", RULE, "replica/replica",
        "        return self.snapshotter.image is None and self.digester.capturing is None",
        "        return self.snapshotter.image is None", NETS,
    ),
    Mutation(
        "the_digest_of_a_state_that_is_gone_is_finished", RULE, "replica/applier",
        "            self.digester.give_up()\n            if snapshot.configuration",
        "            if snapshot.configuration", NETS,
    ),
    Mutation(
        "the_order_of_a_dict_counts", RULE, "machine/state_digest",
        "if kind in (\"dict\", \"set\") else Ordered()", "if kind in (\"set\",) else Ordered()",
        NETS,
    ),
    Mutation(
        "the_order_of_a_list_does_not_count", RULE, "machine/state_digest",
        "if kind in (\"dict\", \"set\") else Ordered()", "if kind else Ordered()", NETS,
    ),
    Mutation(
        "the_order_inside_a_value_counts", RULE, "encoding/canonical",
        "        return {key: lowered[key] for key in in_order(keys)}", "        return lowered",
        NETS,
    ),
    Mutation(
        "the_bits_of_a_nan_count", RULE, "encoding/canonical",
        "    return nan if value != value else value", "    return value", NETS,
    ),
    Mutation(
        "sessions_are_not_compared", RULE, "machine/state_digest",
        "chain(sessions.compared(), duties)", "duties", NETS,
    ),
    Mutation(
        "timers_are_not_compared", RULE, "machine/state_digest",
        "chain(sessions.compared(), duties)", "sessions.compared()", NETS,
    ),
    Mutation(
        "the_version_is_not_compared", RULE, "machine/state_digest",
        "f\"{kind} of version {version}\".encode()", "f\"{kind}\".encode()", NETS,
    ),
    Mutation(
        "values_on_disk_are_not_compared", RULE, "machine/state_digest",
        "            return lambda piece: (piece[0], tuple(map(self.canonical.again, piece[1])))",
        "            return lambda piece: (piece[0],)", NETS,
    ),
    Mutation(
        "a_state_is_noted_without_a_copy", RULE, "machine/state_digest",
        "            if all(map(are_constant, columns)):\n                self.kept",
        "            if True:\n                self.kept", NETS,
    ),
)  # fmt: skip
