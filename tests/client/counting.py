"""A node's tree with one counting peer, `kv`; a process of `Stage`."""

import threading

from raft_actors import Supervisor
from raft_actors.tools.node_processes import end_with_stdin
from tests.counter import Counter


def start():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    return Supervisor.start_link([(Counter, {"name": "kv"})], strategy="one_for_one")
