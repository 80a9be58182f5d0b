"""What is on the disk after a kill or a power cut."""

from tests.mutations.mutation import DISK_NETS, Mutation

FILES_NETS = (
    "tests/stores/test_files.py", "tests/stores/test_drawn_cuts.py",
    "tests/stores/test_contract.py",
)  # fmt: skip

MUTATIONS = (
    Mutation(
        "truncation_torn_from_the_append", "§5.3", "stores/memory",
        "            self.log[start:] = entries",
        "            self.log[start : start + len(entries)] = entries",
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
        "            database.flush_wal(True)\n\n    def delete_through",
        "            database.flush_wal(False)\n\n    def delete_through",
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
        "files_save_is_not_synced", "Figure 2: before responding", "stores/segment",
        "        os.fdatasync(self.descriptor)\n        self.size = max",
        "        self.size = max",
        FILES_NETS,
    ),
    Mutation(
        "files_segments_name_is_not_synced", "Figure 2: before responding", "stores/segments",
        "        self.segments.append(segment)\n        sync_directory(self.path)\n",
        "        self.segments.append(segment)\n",
        FILES_NETS,
    ),
    Mutation(
        "files_index_comes_before_its_successor", "a name means that it is whole",
        "stores/segments",
        "        self.begin_segment(full.number + 1)\n        full.finish()\n",
        "        full.finish()\n        self.begin_segment(full.number + 1)\n",
        FILES_NETS,
    ),
    Mutation(
        "files_end_of_a_segment_is_not_synced", "Figure 2: before responding", "stores/segment",
        "        os.fsync(self.descriptor)\n        self.size = self.end",
        "        self.size = self.end",
        FILES_NETS,
    ),
    Mutation(
        "files_ballot_is_not_repeated", "§5.2", "stores/segments",
        "        body = body_of(self.ballot, self.base, self.last + 1, [])",
        "        body = body_of(None, self.base, self.last + 1, [])",
        FILES_NETS,
    ),
    Mutation(
        "files_opening_promises_what_is_not_synced", "Figure 2: before responding",
        "stores/segments",
        "            os.fsync(newest.descriptor)\n",
        "            pass\n",
        FILES_NETS,
    ),
    Mutation(
        "files_torn_record_stays", "a torn save was never acknowledged", "stores/segments",
        "            newest.clear_rest()\n",
        "            pass\n",
        FILES_NETS,
    ),
    Mutation(
        "files_later_records_are_not_looked_for", "damage is no torn end", "stores/segment_records",
        "            raise Damage(f\"byte {at}: a record is not what was written, and later ones "
        "are\")",
        "            break",
        FILES_NETS,
    ),
    Mutation(
        "files_zeros_are_not_escaped", "damage is no torn end", "stores/segment_records",
        "    is_escaped = ZEROS in body",
        "    is_escaped = False",
        FILES_NETS,
    ),
    Mutation(
        "files_length_is_not_looked_at", "damage is no torn end", "stores/segment_records",
        "    if reach > len(data) and not is_closed:",
        "    if reach > len(data) and is_closed:",
        FILES_NETS,
    ),
    Mutation(
        "files_place_is_not_in_the_checksum", "damage is no torn end", "stores/segment_records",
        "    return crc32(SEED.pack(number, at))",
        "    return crc32(SEED.pack(0, 0))",
        FILES_NETS,
    ),
    Mutation(
        "files_successor_may_be_missing", "damage is no torn end", "stores/segments",
        "        if records[-1].kind == INDEX:\n            raise",
        "        if records[-1].kind == INDEX and not numbers:\n            raise",
        FILES_NETS,
    ),
    Mutation(
        "files_of_any_peer_are_taken", "one vote for each peer", "stores/segment",
        "        if record.incarnation != self.incarnation:\n            raise",
        "        if record.incarnation != self.incarnation and not self.number:\n            raise",
        FILES_NETS,
    ),
    Mutation(
        "files_segments_go_before_the_base_is_kept", "Figure 2: before responding",
        "stores/segments",
        "        if self.newest.is_full:\n            self.begin_next()\n        newest, at",
        "        self.remove_old([segment.number for segment in self.segments])\n"
        "        if self.newest.is_full:\n            self.begin_next()\n        newest, at",
        FILES_NETS,
    ),
)  # fmt: skip
