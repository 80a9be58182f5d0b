"""A node's tree with one counting peer that takes snapshots early, if it is told how early.

RAFT_ACTORS_TEST_SNAPSHOT_ENTRIES: after so many entries; not set: as by default.
"""

import os
import threading

from raft_actors import Supervisor
from raft_actors.tools.node_processes import end_with_stdin
from tests.counter import Counter


def start():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    options = {"name": "kv"}
    entries = int(os.environ.get("RAFT_ACTORS_TEST_SNAPSHOT_ENTRIES", "0"))
    if entries:
        options |= {"snapshot_entries": entries, "snapshot_trailing": entries // 10}
    return Supervisor.start_link([(Counter, options)], strategy="one_for_one")
