"""A node's tree with a peer of each of many groups; a process of `Stage`.

RAFT_ACTORS_TEST_GROUPS: how many. They have snapshots early, and every other one has leases.
"""

import os
import threading

from raft_actors import StateMachine, Supervisor
from raft_actors.machine.undo_dict import UndoDict
from raft_actors.tools.node_processes import end_with_stdin

GROUPS = "RAFT_ACTORS_TEST_GROUPS"
SNAPSHOT = {"snapshot_entries": 400, "snapshot_trailing": 40}
DRIFT_MAX = 0.01  # all nodes have one clock


class Tally(StateMachine):
    """Keeps every command, with how often it has run."""

    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        state[command] = state.get(command, 0) + 1
        return None, state

    def handle_read(self, query, state):
        return (len(state) if query == "count" else dict(state)), state


def group(number):
    return f"group{number}"


def start():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    children = [
        (Tally, {"name": group(number), **SNAPSHOT} | leases(number))
        for number in range(int(os.environ[GROUPS]))
    ]
    return Supervisor.start_link(children, strategy="one_for_one")


def leases(number):
    return {"lease_clock_drift_max": DRIFT_MAX} if number % 2 else {}
