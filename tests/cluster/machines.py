"""Two releases of one machine, each the tree of a node process."""

import threading

from raft_actors import Supervisor
from raft_actors.tools.node_processes import end_with_stdin
from tests.counter import Counter


class NewCounter(Counter):
    """Keeps the sum with a count of commands, from version 2 on; its answers are the same."""

    version = 2

    def upgrade(self, state, from_version):
        return {"sum": state, "commands": 0}

    def handle_write(self, command, state):
        if self.current_version < 2:
            return super().handle_write(command, state)
        after = {"sum": state["sum"] + command, "commands": state["commands"] + 1}
        return after["sum"], after

    def handle_read(self, query, state):
        if self.current_version < 2:
            return super().handle_read(query, state)
        return state["commands"] if query == "commands" else state["sum"]


def start():
    return run(Counter)


def start_new():
    return run(NewCounter)


def run(machine):
    threading.Thread(target=end_with_stdin, daemon=True).start()
    return Supervisor.start_link([(machine, {"name": "kv"})], strategy="one_for_one")
