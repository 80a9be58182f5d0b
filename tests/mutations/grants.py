"""What runs only where a leader is."""

from tests.mutations.mutation import Mutation

NETS = ("tests/core/test_lead_grants.py", "tests/testing/test_grants.py")
GUARD_NETS = ("tests/lead/test_guard.py",)
HOLDER_NETS = ("tests/lead/test_holder.py",)

MUTATIONS = (
    Mutation(
        "grant_counted_from_the_answer", "thesis 6.4; lead_grants, rule 1", "core/replication",
        "        for read in self.reads.confirmed(self.quorum_value(ROUND, own=self.reads.round)):",
        "        reads = self.reads.confirmed(self.quorum_value(ROUND, own=self.reads.round))\n"
        "        self.reads.confirmed_at = self.state.now\n"
        "        for read in reads:",
        nets=NETS,
    ),
    Mutation(
        "new_leader_gives_grants_at_once", "lead_grants, rule 1", "core/lead_grants",
        "        self.grants_from = state.now if is_released else state.now + wait_s",
        "        self.grants_from = state.now",
        nets=NETS,
    ),
    Mutation(
        "grants_wait_without_a_margin", "lead_grants, rule 1", "core/lead_grants",
        "wait_s = state.configuration.grant_ms / 1000 * (1 + margin)",
        "wait_s = state.configuration.grant_ms / 1000 / (1 + margin)",
        nets=NETS,
    ),
    Mutation(
        "grant_time_comes_after_the_grant", "lead_grants, rule 1", "core/reconfiguration",
        "        if known.grant_ms != grant_ms:\n            if self.is_unsettled():",
        "        if known.grant_ms != grant_ms and self.grants:\n"
        "            if self.is_unsettled():",
        nets=NETS,
    ),
    Mutation(
        "shorter_grant_shortens_the_wait", "lead_grants, rule 1", "core/lead_grants",
        "        times_ms += [grant.grant_ms for grant in self.grants.values()]\n",
        "",
        nets=NETS,
    ),
    Mutation(
        "hand_over_without_waiting", "lead_grants, rule 2", "core/leadership_transfer",
        "        elif not self.may_hand_over():\n            self.await_grants(event)\n",
        "",
        nets=NETS,
    ),
    Mutation(
        "leader_is_removed_with_its_grants", "lead_grants, rule 2", "core/reconfiguration",
        "        if state.peer not in target.members and not self.may_hand_over():\n"
        "            return  # called again when the grants are returned, and at each heartbeat\n",
        "",
        nets=NETS,
    ),
    Mutation(
        "stuck_holder_stops_transfers", "lead_grants, rule 2", "core/lead_grants",
        "        return now >= self.recalled_until",
        "        return False",
        nets=NETS,
    ),
    Mutation(
        "released_is_said_always", "lead_grants, rule 3", "core/lead_grants",
        "        nothing_runs = not self.grants and self.state.now >= self.grants_from",
        "        nothing_runs = True",
        nets=NETS,
    ),
    Mutation(
        "released_by_a_leader_that_waits", "lead_grants, rule 3", "core/lead_grants",
        "        nothing_runs = not self.grants and self.state.now >= self.grants_from",
        "        nothing_runs = not self.grants",
        nets=NETS,
    ),
    Mutation(
        "released_holds_for_any_log", "lead_grants, rule 3", "core/lead_grants",
        "        is_released = released != 0 and released == state.log.last_index",
        "        is_released = released != 0",
        nets=NETS,
    ),
    Mutation(
        "returned_grant_counts_as_ended", "lead_grants, rule 3", "core/lead_grants",
        "        if event.ended:\n            del self.grants[event.index]",
        "        if True:\n            del self.grants[event.index]",
        nets=NETS,
    ),
    Mutation(
        "recall_is_never_forgotten", "lead_grants", "core/lead_grants",
        "            self.recalled_until = None\n        self.forget",
        "            pass\n        self.forget",
        nets=NETS,
    ),
    Mutation(
        "grant_is_handed_out_while_one_runs_on", "lead_grants, rule 3", "core/lead_grants",
        "            or any(each.over_at < inf for each in self.grants.values())\n",
        "",
        nets=NETS,
    ),
    Mutation(
        "guard_does_not_look_at_the_clock", "decision: one leader", "lead/guard",
        "            if self.closed or now >= self.stop_at:",
        "            if self.closed or self.stop_at == -inf:",
        nets=GUARD_NETS,
    ),
    Mutation(
        "guard_ignores_a_closed_pipe", "decision: one leader", "lead/guard",
        "            if self.closed or now >= self.stop_at:",
        "            if now >= self.stop_at:",
        nets=GUARD_NETS,
    ),
    Mutation(
        "guard_never_kills", "decision: one leader", "lead/guard",
        "            if now >= min(self.killed_at, self.kill_at):\n"
        "                self.signal(signal.SIGKILL)\n",
        "",
        nets=GUARD_NETS,
    ),
    Mutation(
        "program_survives_its_guard", "decision: one leader", "lead/guard",
        "                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)\n",
        "",
        nets=GUARD_NETS,
    ),
    Mutation(
        "guard_leaves_what_has_left_the_group", "decision: one leader", "lead/guard",
        "    prctl(PR_SET_CHILD_SUBREAPER, 1)\n",
        "",
        nets=GUARD_NETS,
    ),
    Mutation(
        "holder_asks_again", "decision: one leader", "lead/holder",
        "self.closed or self.wish or self.term:\n",
        "self.closed or self.wish:\n",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_begins_without_a_proof", "decision: one leader", "lead/holder",
        "        if since_boot() < self.term._deadlines.stop_at:\n",
        "        if not self.has_begun:\n",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_keeps_a_late_grant", "decision: one leader", "lead/holder",
        "            if not is_awaited:  #",
        "            if wish.event.index == 0:  #",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_ignores_silence", "decision: one leader", "lead/holder",
        "            if since_boot() >= term._deadlines.stop_at:\n",
        "            if term._deadlines.stop_at == -inf:\n",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_keeps_a_lost_lead", "decision: one leader", "lead/holder",
        "            self.end(NO_LEADER)\n",
        "",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_tells_the_owner_alone", "decision: one leader", "lead/holder",
        "        term._end(why)\n"
        "        if self.has_begun:\n",
        "        if self.has_begun:\n",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_ignores_a_recall", "decision: one leader", "lead/holder",
        "            if news.recalled:\n"
        "                self.recall(HAND_OVER)\n"
        "            elif not",
        "            if not",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_renews_an_older_grant", "decision: one leader", "lead/holder",
        "            if self.term is None or not self.is_current:\n",
        "            if self.term is None:\n",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_gives_back_whatever_there_is", "decision: one leader", "lead/holder",
        "            if term is not self.term:\n"
        "                return\n",
        "",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "holder_asks_for_an_owner_that_ends", "decision: one leader", "lead/holder",
        "peer is self.stopped or self.closed or self.wish",
        "peer is self.stopped or self.wish",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "switch_begins_by_a_lost_grant", "decision: one leader", "lead/switch",
        "        if term.lost.is_set():\n"
        "            return  # it is ended soon\n",
        "",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "switch_says_that_all_have_ended", "decision: one leader", "lead/switch",
        "        self.holder.give_back(term, ended=all_have)",
        "        self.holder.give_back(term, ended=True)",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "switch_restarts_by_a_lost_grant", "decision: one leader", "lead/switch",
        "self.lead is not None and not self.lead.lost.is_set()",
        "self.lead is not None",
        nets=HOLDER_NETS,
    ),
    Mutation(
        "switch_waits_for_ever", "decision: one leader", "lead/switch",
        "        within_s = max(0.0, term._deadlines.over_at - since_boot())\n",
        "        within_s = 1e6\n",
        nets=HOLDER_NETS,
    ),
)  # fmt: skip
