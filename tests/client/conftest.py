"""A group of this process for the handle, and a machine that shows how often commands ran."""

import pytest

from raft_actors import Raft, StateMachine
from tests.peers.conftest import make_peer, trio  # noqa: F401 - fixtures


class Counter(StateMachine):
    """Adds numbers up, so that a command that runs twice shows; replies with tuples as they are."""

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        if command == "raise":
            raise ValueError("no")
        if type(command) is tuple:
            return command, state
        return state + command, state + command

    def handle_read(self, query, state):
        return (("error", "overloaded") if query == "odd" else state), state


@pytest.fixture
def counters(trio):  # noqa: F811
    """Three peers that count, and who leads them."""
    names = trio(Counter)
    leader = None
    while leader is None:
        leader = Raft.leader(names[0])
    return names, leader
