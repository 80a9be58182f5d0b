"""A machine that takes its time, so that a caller waits long enough to be interrupted."""

import time

from raft_actors import Raft, StateMachine

__all__ = ["SlowStore", "sleep_in_a_write"]


class SlowStore(StateMachine):
    def init(self, name):
        return None

    def handle_write(self, command, state):
        time.sleep(command[1])
        return ("ok", "slept"), state

    def handle_read(self, query, state):
        return ("ok", "awake"), state


def sleep_in_a_write(peer, seconds):
    print("waiting", flush=True)
    return Raft.write(peer, ("sleep", seconds), timeout=60.0)
