"""What is on the disk after a kill or a power cut."""

from tests.mutations.mutation import DISK_NETS, Mutation

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
)  # fmt: skip
