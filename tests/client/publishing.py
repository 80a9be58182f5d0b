"""A stand-in for machines that publish topics: each ("set", key, ...) publishes its key.

A process of `Stage` may start its peer with `start`.
"""

import threading
from contextlib import contextmanager

from raft_actors import Supervisor, encoding
from raft_actors.kv_store import KVStore
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.tools.node_processes import end_with_stdin


@contextmanager
def sets_publish():
    """Publish the keys of all commands; yield the set of (key, index) that were published."""
    run, published = ReplicatedState.run, set()

    def run_and_publish(state, command, *fired):
        reply = run(state, command, *fired)
        match encoding.loads(command):
            case ("set", str() as key, *_):
                state.topics.publish(key, state.index + 1)
                published.add((key, state.index + 1))
        return reply

    ReplicatedState.run = run_and_publish
    try:
        yield published
    finally:
        ReplicatedState.run = run


patches = []


def start():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    patches.append(sets_publish())  # else it would end as it is collected
    patches[0].__enter__()
    return Supervisor.start_link([(KVStore, {"name": "kv"})], strategy="one_for_one")
