"""What a disk or a wire has changed."""

from tests.mutations.mutation import Mutation

NETS = ("tests/replica/test_damage.py", "tests/fuzz/test_flipped_bits.py",
        "tests/core/test_snapshots.py")  # fmt: skip
FAST = "FAST '18"

MUTATIONS = (
    Mutation(
        "damaged_entries_are_taken", "end to end", "core/follower",
        "        if first_damaged(entries, prev + 1):", "        if False:", NETS,
    ),
    Mutation(
        "damaged_entries_are_read_back", "end to end", "core/log",
        "        if damaged := first_damaged(entries, first):", "        if damaged := 0:", NETS,
    ),
    Mutation(
        "damaged_entries_are_applied", "end to end", "replica/applier",
        "        if damaged := first_damaged(entries, first):", "        if damaged := 0:", NETS,
    ),
    Mutation(
        "an_entry_counts_at_any_index", "end to end", "core/entry",
        "        if crc32(frame, index) != RESIDUE:",
        "        if crc32(frame[:-4]) != crc32(frame[:-4]):", NETS,
    ),
    Mutation(
        "damage_is_cut_off_like_a_torn_end", FAST, "replica/recovery",
        "    owed = max(ballot.owed, end) if damage.first or begins_anew else ballot.owed",
        "    owed = NOTHING_OWED", NETS,
    ),
    Mutation(
        "what_is_owed_is_not_durable", FAST, "replica/recovery",
        "    elif ballot != before:\n        store.save(ballot.stored(), 0, [])\n",
        "", NETS,
    ),
    Mutation(
        "term_of_a_damaged_end_is_guessed_low", FAST, "replica/recovery",
        "    end = ballot.term if damage.last_term is None else damage.last_term, saved.last",
        "    end = damage.last_term or 0, saved.last", NETS,
    ),
    Mutation(
        "a_guessed_term_pays_what_is_owed", "§5.4.1; FAST '18", "replica/recovery",
        "    paid_to = NOTHING_OWED if damage.last_term is None else end",
        "    paid_to = end", NETS,
    ),
    Mutation(
        "votes_for_who_lacks_what_is_owed", "§5.4.1; FAST '18", "core/knowledge",
        "        return (last_term, last_index) >= self.ballot.owed and self",
        "        return self", NETS,
    ),
    Mutation(
        "stands_without_what_it_owes", "§5.4.1; FAST '18", "core/knowledge",
        "            and not self.owes_entries()\n", "", NETS,
    ),
    Mutation(
        "who_owes_entries_does_not_count", FAST, "core/replication",
        "        if not reply.owes_entries:\n            self.state.report(",
        "        if True:\n            self.state.report(", NETS,
    ),
    Mutation(
        "who_is_asked_for_its_debt_does_not_count", FAST, "core/replication",
        "        fresh.is_counted = self.counts(peer, fresh)\n", "", NETS,
    ),
    Mutation(
        "covered_damage_is_kept_in_the_log", FAST, "replica/recovery",
        "            view = behind\n", "            pass\n", NETS,
    ),
    Mutation(
        "a_rotten_snapshot_is_sent_whole", "end to end", "core/replication",
        "            if not data or not shipment.is_sound(data):", "            if not data:", NETS,
    ),
    Mutation(
        "blocks_of_a_snapshot_in_any_order", "end to end", "stores/snapshots",
        " and total == snapshot.checksum:", ":", NETS,
    ),
    Mutation(
        "a_late_denial_is_remembered_for_ever", "identity", "core/replication",
        "        if progress.recheck is None or reply.prev_index > progress.recheck[1]:",
        "        if progress.recheck and reply.prev_index > progress.recheck[1]:\n"
        "            return\n        if progress.recheck is None:",
        ("tests/core/test_incarnations.py",),
    ),
)  # fmt: skip
