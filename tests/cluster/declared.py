"""The tree of a node that declares its group: `kv` on the nodes a, b and c of this machine."""

import threading

from raft_actors import Supervisor
from raft_actors.kv_store import KVStore
from raft_actors.node.host_name import short_host_name
from raft_actors.tools.node_processes import end_with_stdin

MEMBERS = [("kv", f"{name}@{short_host_name()}") for name in "abc"]


def start():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    return Supervisor.start_link(
        [(KVStore, {"name": "kv", "members": MEMBERS})], strategy="one_for_one"
    )
