"""The order of a replica's effects, its snapshots, and what a start finds."""

from tests.mutations.mutation import DISK_NETS, Mutation

MUTATIONS = (
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
        "            if read.index > self.applied.index:",
        "            if False:",
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
        "uncommitted_configuration_in_the_snapshot", "§7", "replica/snapshotter",
        "    while configuration.index > index:",
        "    while False and configuration.index > index:",
    ),
    Mutation(
        "commands_applied_while_a_state_is_taken_in", "§7", "replica/replica",
        "        return self.snapshotter.image is None and self.digester.capturing is None",
        "        return self.digester.capturing is None",
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
        "damaged_snapshot_is_not_taken_again", "docs/snapshots.md", "replica/snapshotter",
        "        if core.damaged is not None or snapshot.index",
        "        if snapshot.index",
        DISK_NETS,
    ),
    Mutation(
        "a_visit_speaks_before_the_save", "Figure 2, answers", "replica/replica",
        "            return False\n        self.perform(due)\n        return True",
        "            self.send(due.after_save)\n            due.after_save = []\n"
        "            return False\n        self.perform(due)\n        return True",
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
)  # fmt: skip
