"""A machine that takes its time, so that a caller waits long enough to be interrupted; and later
versions of it."""

import time

from raft_actors import Raft, StateMachine

__all__ = ["Failing", "Newer", "SlowStore", "sleep_in_a_write"]


class SlowStore(StateMachine):
    def init(self, name):
        return None

    def handle_write(self, command, state):
        time.sleep(command[1])
        return ("ok", "slept"), state

    def handle_read(self, query, state):
        return ("ok", "awake"), state


class Newer(SlowStore):
    version = 2

    def upgrade(self, state, from_version):
        return state


class Failing(SlowStore):
    version = 2

    def upgrade(self, state, from_version):
        raise KeyError("no such field")


def sleep_in_a_write(peer, seconds):
    print("waiting", flush=True)
    return Raft.write(peer, ("sleep", seconds), timeout=60.0)
