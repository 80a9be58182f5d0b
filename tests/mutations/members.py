"""Who belongs to a group, how that changes, and how the lead is handed over."""

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "quorum_off_by_one_in_elections", "§5.2", "core/configuration",
        "2 * len(voters.intersection(part)) > len(part)",
        "2 * len(voters.intersection(part)) >= len(part)",
    ),
    Mutation(
        "each_stranger_is_told_that_it_left", "bounds", "core/reconfiguration",
        "        is_told = peer in self.progress or len(self.removed) >= REMOVED_MAX",
        "        is_told = peer in self.progress",
    ),
    Mutation(
        "lease_survives_an_order_to_stand", "thesis 6.4.1, 3.10", "core/leadership_transfer",
        "        self.lease.broken = True",
        "        pass",
    ),
    Mutation(
        "joint_quorum_as_union", "§6", "core/configuration",
        "        return all(2 * len",
        "        return any(2 * len",
    ),
    Mutation(
        "joint_commit_by_either_majority", "§6", "core/configuration",
        "            value = min(value, majority_value",
        "            value = max(value, majority_value",
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
        "lease_comes_back_after_a_failed_handover", "thesis 6.4.1, 3.10",
        "core/leadership_transfer",
        "        transfer, self.transfer = self.transfer, None\n",
        "        transfer, self.transfer = self.transfer, None\n"
        "        self.lease.broken = self.lease.drift_max is None\n",
    ),
    Mutation(
        "an_older_copy_counts_again_at_once", "identity", "core/reconfiguration",
        "        if self.amnesiacs.intersection(dict(known.incarnations)):",
        "        if False:",
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
        "newcomers_count_before_they_caught_up", "thesis 4.2.1", "core/reconfiguration",
        "        if change.racing:\n            return",
        "        if False:\n            return",
    ),
    Mutation(
        "an_unknown_disk_counts", "identity", "core/configuration",
        "self.incarnation_of(peer) == incarnation != 0",
        "self.incarnation_of(peer) in (0, incarnation)",
    ),
    Mutation(
        "disks_are_learned_during_a_change", "thesis 4.1, and the fix of 2015",
        "core/reconfiguration",
        "        if self.is_unsettled() or self.transfer is not None:",
        "        if False:",
    ),
    Mutation(
        "a_member_forgets_its_state", "witnesses", "core/reconfiguration",
        "        if changing:\n            return",
        "        if False:\n            return",
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
        "successor_told_too_early", "thesis 3.10", "core/leadership_transfer",
        "            if self.progress[transfer.target].match == last_index:",
        "            if True:",
    ),
)  # fmt: skip
