"""Groups of this process for the handle, and machines that show what ran."""

import pytest

from raft_actors import Raft, StateMachine
from tests.peers.conftest import make_peer, trio  # noqa: F401 - fixtures


class Counter(StateMachine):
    """Counts. `seen` has, of each peer, every command that ran."""

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
